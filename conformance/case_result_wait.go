package conformance

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func resultWaitCases() []Case {
	return append(bothRoads(
		Case{
			Name: "Result/Wait", Clauses: []string{"R3"}, Needs: tasks.CapResults | tasks.CapWorker,
			What: "Wait must return soon after another goroutine has made the record final, with what ReturnValue gives",
			run:  resultWait,
		},
		Case{
			Name: "Result/WaitFinal", Clauses: []string{"R3"}, Needs: tasks.CapResults | tasks.CapWorker,
			What: "Wait for a record that is final already must return at once, and not wait for news",
			run: func(e *env) {
				h := e.connect()
				task := echo[int](h, "awaited")
				stale, err := task.Enqueue(e.ctx, 1)
				e.must(err, "enqueue")
				e.settle(h, e.claimOne(h), success("7"))
				e.within(e.timing.Notice, "Wait for a record that is final", func() {
					if value, err := stale.Wait(e.ctx); value != 7 || err != nil {
						e.Errorf("Wait of a stale result: got %d, error %v; want 7", value, err)
					}
				})
				ctx, cancel := context.WithCancel(e.ctx)
				cancel()
				if value, err := stale.Wait(ctx); value != 7 || err != nil {
					e.Errorf("Wait of a final result, which has nothing to read: got %d, error %v; want 7", value, err)
				}
			},
		},
		Case{
			Name: "Result/WaitContext", Clauses: []string{"R3", "E4"}, Needs: tasks.CapResults,
			What: "Wait for a record that doesn't become final must return when its ctx ends, with ctx's error",
			run:  resultWaitContext,
		},
		Case{
			Name: "Result/WaitUnknown", Clauses: []string{"R2", "R4"}, Needs: tasks.CapResults | tasks.CapInspect,
			What: "Wait must give ErrResultNotFound for a record that is deleted, also if that happens while it waits",
			run:  resultWaitUnknown,
		},
		Case{
			Name: "Result/WaitAttempts", Clauses: []string{"R1", "R3"}, Needs: tasks.CapResults | tasks.CapWorker,
			What: "Wait must not take a failed attempt that is followed by another for the end",
			run:  resultWaitAttempts,
		},
		Case{
			Name: "Result/WaitCancelled", Clauses: []string{"R3", "T4"}, Needs: tasks.CapResults | tasks.CapInspect,
			What: "Wait must also wake when a READY record is cancelled by an operator",
			run: func(e *env) {
				h := e.connect()
				e.soundWaiter(h)
				res, err := echo[int](h, "awaited").Enqueue(e.ctx, 1)
				e.must(err, "enqueue")
				admin, err := h.app.Admin(tasks.DefaultAlias)
				e.must(err, "Admin")
				wait := e.waitFor(res)
				e.pause(20 * time.Millisecond)
				_, err = admin.Cancel(e.ctx, res.ID, "enough")
				e.must(err, "cancel")
				_, err = wait()
				e.wantErr(err, tasks.ErrTaskCancelled, "Wait for a record that was cancelled meanwhile")
			},
		},
	), Case{
		Name: "Result/WaitNative", Clauses: []string{"R1", "R3"}, Needs: tasks.CapResults | tasks.CapWorker,
		What: "a native WaitResult must return only when the record is final, through all that happens to it before, and return all of it",
		run:  resultWaitNative,
	})
}

// waitFor starts a Wait on a goroutine, on a copy of the result; the function that it
// returns wants it to end in time, counted from that call.
func (e *env) waitFor(res *tasks.Result[int]) func() (int, error) {
	type answer struct {
		value int
		err   error
	}
	own := *res
	ended := make(chan answer, 1)
	go func() {
		value, err := own.Wait(e.ctx)
		ended <- answer{value, err}
	}()
	// The general road looks once a second at the longest.
	limit := time.Second + e.timing.Notice
	return func() (int, error) {
		e.step("waiting for Wait to return")
		timer := time.NewTimer(limit)
		defer timer.Stop()
		select {
		case a := <-ended:
			return a.value, a.err
		case <-timer.C:
			return 0, fmt.Errorf("Wait hasn't returned %v after there was something to return", limit)
		}
	}
}

func resultWait(e *env) {
	h := e.connect()
	e.soundWaiter(h)
	task := echo[int](h, "awaited")
	for round, pause := range []time.Duration{0, 0, time.Millisecond, 20 * time.Millisecond, 150 * time.Millisecond} {
		res, err := task.Enqueue(e.ctx, 1)
		e.must(err, "enqueue")
		c := e.claimOne(h)
		wait := e.waitFor(res)
		if pause > 0 { // 0 is for the race between looking and being told
			e.pause(pause)
		}
		e.settle(h, c, success("7"))
		if value, err := wait(); value != 7 || err != nil {
			e.Errorf("round %d: Wait gave %d, error %v; want 7", round, value, err)
		}
	}
	// Many waiters for one record, and for several that end together.
	const records, waiters = 4, 8
	results := make([]*tasks.Result[int], records)
	for i := range results {
		res, err := task.Enqueue(e.ctx, i)
		e.must(err, "enqueue")
		results[i] = res
	}
	claimed := e.claim(h, records)
	if len(claimed) != records {
		e.Fatalf("%d records are claimed, want %d", len(claimed), records)
	}
	var waits []func() (int, error)
	for i := range records * waiters {
		waits = append(waits, e.waitFor(results[i%records]))
	}
	e.pause(20 * time.Millisecond)
	var outs []tasks.Outcome
	for _, c := range claimed {
		out := success(string(c.Record.Args))
		out.Lease = c.Lease
		outs = append(outs, out)
	}
	for _, err := range e.settleAll(h, outs...) {
		e.must(err, "settle")
	}
	for i, wait := range waits {
		if value, err := wait(); value != i%records || err != nil {
			e.Errorf("waiter %d got %d, error %v; want %d", i, value, err, i%records)
		}
	}
}

func resultWaitContext(e *env) {
	h := e.connect()
	e.soundWaiter(h)
	task := echo[int](h, "endless")
	res, err := task.Enqueue(e.ctx, 1)
	e.must(err, "enqueue")
	before := res.Clone()
	over, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err = res.Wait(over)
	e.wantErr(err, context.Canceled, "Wait with a ctx that is over")

	const after = 50 * time.Millisecond
	e.within(after+2*e.timing.Obey, "Wait with a ctx that ends", func() {
		ctx, cancel := e.soon(after)
		defer cancel()
		_, err = res.Wait(ctx)
	})
	e.wantErr(err, context.DeadlineExceeded, "Wait with a ctx that ends")
	e.same("the result after Waits that didn't see the end", &res.Record, before)

	// Some end, others go on: all on one record.
	var stopped sync.WaitGroup
	ctx, stop := context.WithCancel(e.ctx)
	for range 8 {
		own := *res
		stopped.Go(func() {
			_, err := own.Wait(ctx)
			e.wantErr(err, context.Canceled, "Wait of one among many whose ctx ends")
		})
	}
	wait := e.waitFor(res)
	e.pause(20 * time.Millisecond)
	stop()
	e.within(2*e.timing.Obey, "the end of 8 Waits whose ctx ends", stopped.Wait)
	if h.s == nil {
		// Nothing makes the record final here; closing ends the last one.
		e.close(h)
		_, err := wait()
		e.wantErr(err, tasks.ErrClosed, "Wait while the backend is closed")
		return
	}
	e.settle(h, e.claimOne(h), success("7"))
	if value, err := wait(); value != 7 || err != nil {
		e.Errorf("Wait of one among others that gave up: got %d, error %v; want 7", value, err)
	}
}

func resultWaitUnknown(e *env) {
	h := e.connect()
	e.soundWaiter(h)
	task := echo[int](h, "gone")
	admin, err := h.app.Admin(tasks.DefaultAlias)
	e.must(err, "Admin")
	before, err := task.Enqueue(e.ctx, 1)
	e.must(err, "enqueue")
	e.must(admin.Delete(e.ctx, before.ID), "delete")
	_, err = e.waitFor(before)()
	e.wantErr(err, tasks.ErrResultNotFound, "Wait for a record that is deleted already")

	during, err := task.Enqueue(e.ctx, 1)
	e.must(err, "enqueue")
	wait := e.waitFor(during)
	e.pause(20 * time.Millisecond)
	e.must(admin.Delete(e.ctx, during.ID), "delete")
	_, err = wait()
	e.wantErr(err, tasks.ErrResultNotFound, "Wait for a record that is deleted meanwhile")
}

func resultWaitAttempts(e *env) {
	h := e.connect()
	e.soundWaiter(h)
	res, err := echo[int](h, "tries", tasks.MaxAttempts(2)).Enqueue(e.ctx, 1)
	e.must(err, "enqueue")
	wait := e.waitFor(res)
	e.settle(h, e.claimOne(h), retry("once more", 0))
	e.settle(h, e.claimOne(h), success("7"))
	if value, err := wait(); value != 7 || err != nil {
		e.Errorf("Wait over two attempts gave %d, error %v; want 7", value, err)
	}
	if _, err := res.Wait(e.ctx); err != nil {
		e.Errorf("Wait after the end: %v", err)
	}
	e.same("what Wait read", &res.Record, e.get(h, res.ID))
}
