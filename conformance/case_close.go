package conformance

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func closeCases() []Case {
	return []Case{
		{
			Name: "Close/Idempotent", Clauses: []string{"F3"},
			What: "closing again, and from many goroutines at once, must be no error and not hang",
			run: func(e *env) {
				h := e.connect()
				e.forget(h)
				e.together(8, func(i int) {
					if err := h.b.Close(e.ctx); err != nil {
						e.Errorf("close number %d of 8 at once: %v", i, err)
					}
				})
				e.step("closing again")
				for range 2 {
					e.must(h.b.Close(e.ctx), "close of a closed backend")
				}
			},
		},
		{
			Name: "Close/Refuses", Clauses: []string{"F3"},
			What: "after Close every method must return ErrClosed, and nothing else",
			run: func(e *env) {
				h := e.connect()
				e.forget(h)
				caps := h.caps
				e.step("closing")
				e.must(h.b.Close(e.ctx), "close")
				for _, c := range methods(e, h) {
					if c.name == "Check" {
						continue // it returns findings
					}
					e.step("calling %s after Close", c.name)
					if err := c.call(e.ctx); !errors.Is(err, tasks.ErrClosed) {
						e.Errorf("%s after Close: got error %v, want ErrClosed", c.name, err)
					}
				}
				if got := h.b.Capabilities(); got != caps {
					e.Errorf("capabilities after Close: got %v, want %v as before", got, caps)
				}
			},
		},
		{
			Name: "Close/WakesWaiting", Clauses: []string{"F3"}, Needs: tasks.CapWorker,
			What: "Close must end Wait, WaitResult and NotifyCancel, and not wait for them",
			run:  closeWakes,
		},
		{
			Name: "Close/ContextOver", Clauses: []string{"F3"},
			What: "Close with a ctx that is over must return soon and still close",
			run: func(e *env) {
				h := e.connect()
				e.forget(h)
				ctx, cancel := context.WithCancel(e.ctx)
				cancel()
				e.within(e.timing.Notice, "close with a ctx that is over", func() { _ = h.b.Close(ctx) })
				e.eventually(e.timing.Notice, "calls are refused", func() bool {
					err := h.b.Enqueue(e.ctx, e.records(1))
					return errors.Is(err, tasks.ErrClosed)
				})
			},
		},
		{
			Name: "Close/InFlight", Clauses: []string{"F3", "F1"}, Needs: inspecting | tasks.CapDurable,
			What: "what returned nil while the backend was being closed must be there when it is opened again, and no more than that",
			run:  closeInFlight,
		},
	}
}

// closeWakes closes while calls wait for something that doesn't come.
func closeWakes(e *env) {
	h := e.connect()
	rec := e.record(func(r *tasks.Record) { r.MaxAttempts = 1 })
	e.enqueue(h, rec)
	e.claimOne(h)
	e.forget(h)
	waits := map[string]func() error{
		"Wait":                func() error { return h.s.Wait(e.ctx, tasks.Selection{Queues: []string{"nothing here"}}) },
		"Wait on every queue": func() error { return h.s.Wait(e.ctx, all) },
		"Wait on many queues": func() error {
			return h.s.Wait(e.ctx, tasks.Selection{Queues: []string{"a", "b"}, Exclude: []string{"b"}})
		},
		"a second of the same": func() error { return h.s.Wait(e.ctx, tasks.Selection{Queues: []string{"nothing here"}}) },
	}
	if waiter, ok := tasks.As[tasks.ResultWaiter](h.b); ok {
		waits["WaitResult"] = func() error { _, err := waiter.WaitResult(e.ctx, rec.ID); return err }
	}
	if notifier, ok := tasks.As[tasks.CancelNotifier](h.b); ok {
		waits["NotifyCancel"] = func() error { return notifier.NotifyCancel(e.ctx, func(string, string) {}) }
	}
	var waiting sync.WaitGroup
	ended := make(chan struct{})
	for what, wait := range waits {
		waiting.Go(func() {
			// Wait may return early, and is then called again.
			for range 1000 {
				if err := wait(); err != nil {
					if !errors.Is(err, tasks.ErrClosed) {
						e.Errorf("%s, when the backend was closed: got %v, want ErrClosed", what, err)
					}
					return
				}
			}
			e.Errorf("%s returned nil a thousand times", what)
		})
	}
	go func() {
		waiting.Wait()
		close(ended)
	}()
	e.pause(20 * time.Millisecond) // until they wait
	e.within(e.timing.Notice, "close while calls wait", func() { e.must(h.b.Close(e.ctx), "close") })
	e.step("waiting until the calls that wait return after Close")
	timer := time.NewTimer(e.timing.Notice)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		e.Errorf("calls that wait haven't returned %v after Close", e.timing.Notice)
		<-ended // at the latest at the deadline of the case
	}
}

// closeInFlight enqueues and settles from many goroutines while it closes.
func closeInFlight(e *env) {
	h := e.connect()
	e.enqueue(h, e.records(40, inQueue("claimed"))...)
	cs := e.claim(h, 40)
	if len(cs) != 40 {
		e.Fatalf("claim gave %d records, want 40", len(cs))
	}
	var mu sync.Mutex
	want := make(map[string]tasks.Status) // of what is known
	known := func(id string, status tasks.Status, err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			want[id] = status
		case errors.Is(err, tasks.ErrClosed):
			want[id] = "" // as before
		case !errors.Is(err, tasks.ErrUnknownOutcome):
			e.Errorf("a call while the backend is closed: got %v, want nil, ErrClosed or ErrUnknownOutcome", err)
		}
	}
	midst := make(chan struct{})
	e.together(5, func(i int) {
		switch i {
		case 4:
			<-midst
			if err := h.b.Close(e.ctx); err != nil {
				e.Errorf("close: %v", err)
			}
		case 3:
			for j, c := range cs {
				if j == len(cs)/4 {
					close(midst)
				}
				out := success("1")
				out.Lease = c.Lease
				errs, err := h.s.Settle(e.ctx, []tasks.Outcome{out})
				if err == nil && len(errs) == 1 {
					err = errs[0]
				}
				known(c.Record.ID, tasks.Successful, err)
			}
		default:
			for range 100 {
				rec := e.record()
				err := h.b.Enqueue(e.ctx, []*tasks.Record{rec})
				known(rec.ID, tasks.Ready, err)
				if err != nil {
					return
				}
			}
		}
	})
	settled := make(map[string]bool)
	for _, c := range cs {
		settled[c.Record.ID] = true
	}
	h = e.reopen(h)
	for id, status := range want {
		rec, err := h.b.GetResult(e.ctx, id)
		switch {
		case status == "" && !settled[id]:
			if !errors.Is(err, tasks.ErrResultNotFound) {
				e.Errorf("record %s, whose enqueue returned ErrClosed: got %s, error %v; want ErrResultNotFound", id, brief(rec), err)
			}
		case err != nil:
			e.Errorf("record %s: %v; its enqueue had returned", id, err)
		case status == "" && rec.Status == tasks.Successful:
			e.Errorf("record %s is SUCCESSFUL, and its settle returned ErrClosed", id)
		case status != "" && rec.Status != status:
			e.Errorf("record %s is %s, and was stored as %s before the close", id, rec.Status, status)
		}
	}
}
