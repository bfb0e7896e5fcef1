package conformance

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func handlesCases() []Case {
	const shared = inspecting | tasks.CapShared
	return []Case{
		{
			Name: "Handles/SecondRefused", Clauses: []string{"F2", "CAP2"}, Needs: tasks.CapDurable | tasks.CapResults, Lacks: tasks.CapShared,
			What: "a second handle of a store that isn't shared must be refused soon with ErrUnavailable, and the first be unharmed",
			run:  secondRefused,
		},
		{
			Name: "Handles/See", Clauses: []string{"E2", "R2"}, Needs: shared,
			What: "what one handle stores another must see at once",
			run: func(e *env) {
				a, b := e.connect(), e.connect()
				rec := e.record()
				e.enqueue(a, rec)
				e.same("enqueued by the other handle", e.get(b, rec.ID), rec)
				e.sameRecords("listed by the other handle", e.list(b, tasks.Filter{}), []*tasks.Record{rec})
				again := e.record(named("another"), func(r *tasks.Record) { r.ID = rec.ID })
				e.enqueue(b, again)
				if !again.Duplicate {
					e.Errorf("an enqueue with an id that the other handle has stored isn't reported as a duplicate")
				}
				c := e.claimOne(b)
				e.status(a, "claimed by the other handle", rec.ID, tasks.Running)
				e.settle(b, c, success("42"))
				if got := e.status(a, "settled by the other handle", rec.ID, tasks.Successful); string(got.Value) != "42" {
					e.Errorf("settled by the other handle: got value %s, want 42", got.Value)
				}
				e.beat(a, tasks.WorkerInfo{ID: "w", Interval: time.Minute})
				if _, there := e.workers(b)["w"]; !there {
					e.Errorf("a worker that beats on one handle isn't seen by the other")
				}
			},
		},
		{
			Name: "Handles/ClaimOnce", Clauses: []string{"W3"}, Needs: shared,
			What: "handles that claim at the same time must never get the same record",
			run: func(e *env) {
				handles := []*handle{e.connect(), e.connect(), e.connect()}
				recs := e.records(90)
				e.enqueue(handles[0], recs...)
				var mu sync.Mutex
				by := make(map[string]int)
				e.together(6, func(i int) {
					for {
						req := inQueues(1+i, "*")
						got, err := handles[i%3].s.Claim(e.ctx, req)
						if err != nil {
							e.Errorf("claim: %v", err)
							return
						}
						if len(got) == 0 {
							return
						}
						e.hold(got)
						mu.Lock()
						for _, c := range got {
							by[c.Record.ID]++
						}
						mu.Unlock()
					}
				})
				for _, rec := range recs {
					if by[rec.ID] != 1 {
						e.Errorf("record %s was claimed %d times, want once", rec.ID, by[rec.ID])
					}
				}
			},
		},
		{
			Name: "Handles/Wake", Clauses: []string{"W2", "W10"}, Needs: shared | tasks.CapDefer,
			What: "a worker that waits on one handle must be woken by an enqueue, a release and a resume on another",
			run: func(e *env) {
				a, b := e.connect(), e.connect()
				rec := e.record(inQueue("q"))
				c := e.wakes(b, "q", "an enqueue on the other handle", rec.ID, func() { e.enqueue(a, rec) })
				e.wakes(b, "q", "a release on the other handle", rec.ID, func() { e.settle(a, c, released(0)) })
				held := e.record(inQueue("held"))
				e.setPaused(a, "held", true)
				e.enqueue(a, held)
				e.pause(e.timing.Notice) // until the other handle must know of the pause
				e.wakes(b, "held", "a resume on the other handle", held.ID, func() { e.setPaused(a, "held", false) })
			},
		},
		{
			Name: "Handles/Pause", Clauses: []string{"W10"}, Needs: shared,
			What: "a queue that one handle pauses must give nothing to another within a second",
			run: func(e *env) {
				a, b := e.connect(), e.connect()
				recs := e.records(1, inQueue("held"))
				e.enqueue(a, recs...)
				e.settle(b, e.claimFrom(b, "held"), released(0)) // b may remember the queue now
				e.setPaused(a, "held", true)
				if !e.queues(b)["held"].Paused {
					e.Errorf("the other handle doesn't show the queue as paused")
				}
				e.pause(e.timing.Notice)
				e.noClaim(b, "paused by the other handle", all)
			},
		},
		{
			Name: "Handles/Cancel", Clauses: []string{"T4"}, Needs: shared,
			What: "a cancellation on one handle must reach the worker that runs the record on another, by renewal and by notice",
			run:  cancelAcross,
		},
		{
			Name: "Handles/WaitResult", Clauses: []string{"R3"}, Needs: shared,
			What: "a client that waits for a result on one handle must have it soon after another settled it",
			run: func(e *env) {
				a, b := e.connect(), e.connect()
				task := echo[int](a, "echo")
				res, err := task.Enqueue(e.ctx, 42)
				e.must(err, "enqueue")
				c := e.claimOne(b)
				ended := make(chan error, 1)
				go func() {
					v, err := res.Wait(e.ctx)
					if err == nil && v != 42 {
						e.Errorf("wait: got %d, want 42", v)
					}
					ended <- err
				}()
				e.pause(20 * time.Millisecond) // until it waits
				e.settle(b, c, success("42"))
				e.step("waiting until Result.Wait returns")
				select {
				case err := <-ended:
					e.must(err, "wait")
				case <-time.After(2 * e.timing.Notice):
					e.Fatalf("Result.Wait hasn't returned %v after the settle on the other handle", 2*e.timing.Notice)
				}
			},
		},
		{
			Name: "Handles/Sweep", Clauses: []string{"W6", "W7", "W5"}, Needs: shared,
			What: "one handle's sweep must leave the other's live leases alone, take lapsed ones, and fence their worker off",
			run: func(e *env) {
				a, b := e.connect(), e.connect()
				recs := e.records(2, attempts(3))
				e.enqueue(a, recs...)
				live := e.claimOne(a)
				lapsing := e.exactly(a, e.short(1))[0]
				for range 5 {
					if s := e.sweep(b); s.Lost != 0 {
						e.Errorf("a sweep by the other handle took %d leases that are live", s.Lost)
					}
				}
				e.noClaim(b, "while the other handle has the leases", all)
				e.lapse()
				e.sweptLost(b, 1)
				taken := e.claimOne(b)
				if taken.Record.ID != lapsing.Record.ID {
					e.Errorf("claim after the sweep gave record %s, want %s", taken.Record.ID, lapsing.Record.ID)
				}
				if errs := e.settleAll(a, with(lapsing.Lease, success("1"))); !errors.Is(errs[0], tasks.ErrLeaseLost) {
					e.Errorf("settle with the lapsed lease: got %v, want ErrLeaseLost", errs[0])
				}
				e.settle(b, taken, success("2"))
				e.settle(a, live, success("3"))
			},
		},
		{
			Name: "Handles/CloseOne", Clauses: []string{"F3", "W3", "W6"}, Needs: shared,
			What: "closing one handle must not harm others, and neither free nor lose what it has leased",
			run: func(e *env) {
				a, b := e.connect(), e.connect()
				e.enqueue(a, e.records(2, attempts(3))...)
				live := e.claimOne(a)
				e.exactly(a, e.short(1))
				e.close(a)
				e.noClaim(b, "leased by a handle that was closed", tasks.Selection{})
				e.lapse()
				e.sweptLost(b, 1)
				if got := e.claimOne(b).Record; got.ID == live.Record.ID || len(got.Errors) != 1 || got.Errors[0].Type != tasks.ErrorTypeLost {
					e.Errorf("claim after the sweep gave record %s with errors %+v; want the lapsed one, with one error that says lost", got.ID, got.Errors)
				}
				// A lease is data: the worker's next handle can settle it.
				e.settle(e.connect(), live, success("1"))
			},
		},
	}
}

// secondRefused tries a second handle, as another process would.
func secondRefused(e *env) {
	first := e.connect()
	rec := e.record()
	e.enqueue(first, rec)
	for round := range 2 {
		var second tasks.Backend
		var err error
		e.within(time.Second+2*e.timing.Obey, "the second connect", func() { second, err = e.store.Connect(e.ctx) })
		if err == nil {
			_ = second.Close(e.ctx)
			e.Fatalf("the second connect succeeded, and the backend doesn't declare %v", tasks.CapShared)
		}
		e.wantErr(err, tasks.ErrUnavailable, "second connect %d", round)
		e.enqueue(first, e.record())
		e.get(first, rec.ID)
	}
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	e.within(2*e.timing.Obey, "a second connect with a ctx that is over", func() {
		if b, err := e.store.Connect(ctx); err == nil {
			_ = b.Close(context.WithoutCancel(ctx))
			e.Errorf("a second connect with a ctx that is over succeeded")
		}
	})
	again := e.reopen(first)
	e.get(again, rec.ID)
}

// cancelAcross requests a cancellation on one handle of what the other runs.
func cancelAcross(e *env) {
	a, b := e.connect(), e.connect()
	recs := e.records(2)
	e.enqueue(a, recs...)
	first, second := e.claimOne(b), e.claimOne(b)
	e.alterOne(a, cancelling("by renewal"), first.Record.ID)
	if got := e.renew(b, time.Minute, first.Lease)[0]; got.Lost || !got.CancelRequested || got.CancelReason != "by renewal" {
		e.Errorf("renewal after a cancellation on the other handle: got %+v, want it requested, reason by renewal", got)
	}
	notices := e.hearCancels(b)
	if notices == nil {
		return
	}
	e.alterOne(a, cancelling("by notice"), second.Record.ID)
	notices.wants(cancelNotice{second.Record.ID, "by notice"}, "it was requested on the other handle")
	notices.stop()
}
