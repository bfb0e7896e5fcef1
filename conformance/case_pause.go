package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func pauseCases() []Case {
	return []Case{
		{
			Name: "Pause/GivesNothing", Clauses: []string{"W10"}, Needs: inspecting,
			What: "a paused queue must give nothing, also to a claim from every queue, while others do and enqueuing goes on",
			run: func(e *env) {
				h := e.connect()
				before := e.record(inQueue("held"), priority(100))
				e.enqueue(h, before)
				e.setPaused(h, "held", true)
				after, other := e.record(inQueue("held")), e.record(inQueue("open"))
				e.enqueue(h, after, other)
				e.noClaim(h, "paused", tasks.Selection{Queues: []string{"held"}})
				got := e.claim(h, 10)
				if len(got) != 1 || got[0].Record.ID != other.ID {
					e.Errorf("claim from every queue gave %d records, want only that of the queue that isn't paused", len(got))
				}
				if n := e.queues(h)["held"].Counts[tasks.Ready]; n != 2 {
					e.Errorf("the paused queue has %d READY records, want 2", n)
				}
				e.setPaused(h, "held", false)
				for _, want := range []string{before.ID, after.ID} {
					if c := e.claimFrom(h, "held"); c.Record.ID != want {
						e.Errorf("after resuming: claim gave record %s, want %s", c.Record.ID, want)
					}
				}
			},
		},
		{
			Name: "Pause/Flag", Clauses: []string{"W10", "I2"}, Needs: inspecting,
			What: "pausing and resuming must be idempotent, work on queues without records, and show in Queues",
			run: func(e *env) {
				h := e.connect()
				flag := func(want bool) {
					e.Helper()
					if q := e.queues(h)["empty"]; q.Paused != want {
						e.Errorf("queue %q: got %+v, want Paused %v", "empty", q, want)
					}
				}
				for _, paused := range []bool{false, true, true, false, false, true} {
					e.setPaused(h, "empty", paused)
					flag(paused)
				}
				rec := e.record(inQueue("empty"))
				e.enqueue(h, rec)
				flag(true)
				e.noClaim(h, "paused before there were records", all)
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeDelete}, rec.ID)
				flag(true)
				e.setPaused(h, "empty", false)
				flag(false)
				admin, err := h.app.Admin(tasks.DefaultAlias)
				e.must(err, "admin")
				e.must(admin.Pause(e.ctx, "empty"), "pause through Admin")
				flag(true)
				e.must(admin.Resume(e.ctx, "empty"), "resume through Admin")
				flag(false)
				e.wantErr(admin.Pause(e.ctx, ""), tasks.ErrInvalidTask, "pause of a queue without a name")
			},
		},
		{
			Name: "Pause/Names", Clauses: []string{"W10", "V3"}, Needs: inspecting,
			What: "pausing one queue must not pause another whose name is like it or is a pattern of it",
			run:  pauseNames,
		},
		{
			Name: "Pause/Running", Clauses: []string{"W10"}, Needs: inspecting,
			What: "records of a paused queue that run must be renewable and be settled, and what comes back must stay there",
			run: func(e *env) {
				h := e.connect()
				e.enqueue(h, e.records(4, inQueue("held"), attempts(3))...)
				cs := e.claim(h, 4)
				if len(cs) != 4 {
					e.Fatalf("claim gave %d records, want 4", len(cs))
				}
				lapsing, err := h.s.Renew(e.ctx, []tasks.Lease{cs[3].Lease}, e.timing.Lease)
				e.must(err, "renew")
				e.setPaused(h, "held", true)
				states, err := h.s.Renew(e.ctx, []tasks.Lease{cs[0].Lease, cs[1].Lease, cs[2].Lease}, time.Minute)
				e.must(err, "renew while paused")
				for i, s := range append(states, lapsing...) {
					if s.Lost || s.CancelRequested {
						e.Errorf("renewal %d: got %+v, want it renewed", i, s)
					}
				}
				e.settle(h, cs[0], success("1"))
				e.settle(h, cs[1], retry("again", 0))
				e.settle(h, cs[2], tasks.Outcome{Kind: tasks.OutcomeRelease})
				e.eventually(10*e.timing.Lease, "a sweep takes the lapsed lease back", func() bool {
					e.sweep(h)
					return e.get(h, cs[3].Record.ID).Status == tasks.Ready
				})
				e.noClaim(h, "after retry, release and loss in a paused queue", all)
				e.countsAre(h, map[string]map[tasks.Status]int64{"held": {tasks.Ready: 3, tasks.Successful: 1}})
				e.setPaused(h, "held", false)
				if got := e.claim(h, 10); len(got) != 3 {
					e.Errorf("after resuming, claim gave %d records, want 3", len(got))
				}
			},
		},
		{
			Name: "Pause/ResumeWakes", Clauses: []string{"W10"}, Needs: inspecting,
			What: "a worker that waits on a paused queue must get its records soon after it is resumed",
			run: func(e *env) {
				h := e.connect()
				rec := e.record(inQueue("held"))
				e.setPaused(h, "held", true)
				e.enqueue(h, rec)
				e.wakes(h, "held", "resuming", rec.ID, func() { e.setPaused(h, "held", false) })
			},
		},
		{
			Name: "Pause/NoSpin", Clauses: []string{"W10", "W2"}, Needs: inspecting | tasks.CapDefer,
			What: "a worker must not spin because a paused queue has due records",
			run: func(e *env) {
				h := e.connect()
				e.setPaused(h, "held", true)
				e.enqueue(h, e.record(inQueue("held")), e.record(delayed(time.Hour)))
				ctx, cancel := e.soon(200 * time.Millisecond)
				defer cancel()
				e.step("waiting for nothing")
				returned := 0
				for ctx.Err() == nil && returned < 1000 {
					if err := h.s.Wait(ctx, all); err != nil && !errors.Is(err, context.DeadlineExceeded) {
						e.Fatalf("wait: got %v, want nil or the ctx's error", err)
					}
					returned++
				}
				if returned > 100 {
					e.Errorf("Wait returned %d times within 200ms, though all that is due is in a paused queue", returned)
				}
			},
		},
	}
}

// pauseNames pauses one queue at a time. What the others give is released to its
// old place, so that all can be looked at in each round.
func pauseNames(e *env) {
	h := e.connect()
	names := append(hostileNames(), "*", "**")
	for _, name := range names {
		e.enqueue(h, e.record(inQueue(name)))
	}
	for _, paused := range names {
		e.setPaused(h, paused, true)
		for name, q := range e.queues(h) {
			if q.Paused != (name == paused) {
				e.Errorf("with queue %q paused: queue %q has Paused %v", paused, name, q.Paused)
			}
		}
		got := e.claim(h, len(names)+1)
		var outs []tasks.Outcome
		for _, c := range got {
			if c.Record.Queue == paused {
				e.Errorf("the paused queue %q gave a record", paused)
			}
			outs = append(outs, tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeRelease})
		}
		if len(got) != len(names)-1 {
			e.Errorf("with queue %q paused: claim gave %d records, want %d", paused, len(got), len(names)-1)
		}
		for i, err := range e.settleAll(h, outs...) {
			e.must(err, "release of a record of queue %q", got[i].Record.Queue)
		}
		e.setPaused(h, paused, false)
	}
}
