package conformance

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func reopenCases() []Case {
	const durable = inspecting | tasks.CapDurable
	return []Case{
		{
			Name: "Reopen/Everything", Clauses: []string{"F1", "E6"}, Needs: durable | tasks.CapDefer | tasks.CapPriority,
			What: "records of every status must read back whole after the store was closed and opened again",
			run:  reopenEverything,
		},
		{
			Name: "Reopen/Order", Clauses: []string{"F1", "W1"}, Needs: durable | tasks.CapPriority | tasks.CapDefer,
			What: "what is READY must be claimed in the same order after a reopen, and what isn't due not at all",
			run: func(e *env) {
				h := e.connect()
				recs := e.records(9)
				for i, rec := range recs {
					rec.Priority = []int{0, 50, -50}[i%3]
				}
				e.enqueue(h, recs[5:]...)
				e.enqueue(h, recs[:5]...)
				e.enqueue(h, e.record(delayed(time.Hour), priority(100)))
				h = e.reopen(h)
				want := slices.Clone(recs)
				slices.SortFunc(want, func(x, y *tasks.Record) int {
					switch {
					case x.Priority != y.Priority:
						return y.Priority - x.Priority
					case !sameTime(x.DueAt(), y.DueAt()):
						return x.DueAt().Compare(y.DueAt())
					case x.ID < y.ID:
						return -1
					}
					return 1
				})
				var got []string
				for _, c := range e.claim(h, 20) {
					got = append(got, c.Record.ID)
				}
				if !slices.Equal(got, idsOf(want)) {
					e.Errorf("claimed after the reopen %v, want %v", got, idsOf(want))
				}
			},
		},
		{
			Name: "Reopen/Deferred", Clauses: []string{"F1", "W2"}, Needs: durable | tasks.CapDefer,
			What: "a deferred record must become claimable at its time also if the store was reopened before",
			run: func(e *env) {
				h := e.connect()
				rec := e.record(delayed(e.timing.Lease))
				e.enqueue(h, rec)
				h = e.reopen(h)
				var got []tasks.Claimed
				e.eventually(e.timing.Lease+e.timing.Notice, "the deferred record is claimable", func() bool {
					got = e.claim(h, 1)
					return len(got) > 0
				})
				if at := got[0].Record.LastAttemptedAt; at.Before(rec.RunAfter) {
					e.Errorf("claimed at %v, before its run_after %v", at, rec.RunAfter)
				}
			},
		},
		{
			Name: "Reopen/Paused", Clauses: []string{"F1", "W10"}, Needs: durable,
			What: "a paused queue must still be paused after a reopen, and a resumed one not",
			run: func(e *env) {
				h := e.connect()
				for _, q := range []string{"held", "resumed", "held and empty"} {
					e.setPaused(h, q, true)
				}
				held, resumed := e.record(inQueue("held")), e.record(inQueue("resumed"))
				e.enqueue(h, held, resumed)
				e.setPaused(h, "resumed", false)
				h = e.reopen(h)
				for name, q := range e.queues(h) {
					if q.Paused == (name == "resumed") {
						e.Errorf("after the reopen queue %q has Paused %v", name, q.Paused)
					}
				}
				if got := e.claim(h, 5); len(got) != 1 || got[0].Record.ID != resumed.ID {
					e.Errorf("after the reopen a claim gave %d records, want only that of the resumed queue", len(got))
				}
				e.setPaused(h, "held", false)
				h = e.reopen(h)
				if got := e.claimFrom(h, "held"); got.Record.ID != held.ID {
					e.Errorf("after resuming and a reopen, claim gave %s, want %s", got.Record.ID, held.ID)
				}
			},
		},
		{
			Name: "Reopen/Running", Clauses: []string{"F1", "W3", "W6"}, Needs: durable,
			What: "a record that was RUNNING must after a reopen be leased still, or have been taken back as lost: never free without an error",
			run:  reopenRunning,
		},
		{
			Name: "Reopen/LapsedLease", Clauses: []string{"F1", "W6"}, Needs: durable,
			What: "a lease that ran out while the store was closed must be taken back as lost, and fence its worker off",
			run: func(e *env) {
				h := e.connect()
				e.enqueue(h, e.record(attempts(2)), e.record())
				req := tasks.ClaimRequest{Selection: all, Worker: "gone", Limit: 2, Lease: e.timing.Lease}
				cs := e.claimAs(h, req)
				if len(cs) != 2 {
					e.Fatalf("claim gave %d records, want 2", len(cs))
				}
				e.close(h)
				e.pause(e.timing.Lease)
				h = e.connect()
				for i, want := range []tasks.Status{tasks.Ready, tasks.Failed} {
					e.eventually(e.timing.Lease+e.timing.Notice, fmt.Sprintf("record %d is taken back and %s", i, want), func() bool {
						e.sweep(h)
						return e.get(h, cs[i].Record.ID).Status == want
					})
					rec := e.get(h, cs[i].Record.ID)
					if len(rec.Errors) != 1 || rec.Errors[0].Type != tasks.ErrorTypeLost || rec.Errors[0].Worker != "gone" || rec.Attempts() != 1 {
						e.Errorf("record %d: got %d attempts, errors %+v; want one attempt of worker gone, lost", i, rec.Attempts(), rec.Errors)
					}
				}
				late := success("1")
				late.Lease = cs[0].Lease
				if errs := e.settleAll(h, late); !errors.Is(errs[0], tasks.ErrLeaseLost) {
					e.Errorf("settle with the lease of before: got %v, want ErrLeaseLost", errs[0])
				}
			},
		},
		{
			Name: "Reopen/Duplicate", Clauses: []string{"F1", "E3"}, Needs: durable,
			What: "an id that was stored before the reopen must be a duplicate after it",
			run: func(e *env) {
				h := e.connect()
				rec, _ := e.standing(h, tasks.Successful)
				h = e.reopen(h)
				again := e.record(named("another"), func(r *tasks.Record) { r.ID = rec.ID })
				e.enqueue(h, again)
				if !again.Duplicate {
					e.Errorf("enqueue of a stored id after a reopen isn't reported as a duplicate")
				}
				again.Duplicate = false
				e.same("the duplicate", again, rec)
				e.noClaim(h, "after the duplicate", all)
			},
		},
		{
			Name: "Reopen/Retention", Clauses: []string{"F1", "I4"}, Needs: durable,
			What: "retention must go on over a reopen, and what was deleted must stay so",
			run: func(e *env) {
				h := e.connect()
				short, _ := e.standing(h, tasks.Successful, retain(e.timing.Lease))
				long, _ := e.standing(h, tasks.Successful, retain(time.Hour))
				deleted, _ := e.standing(h, tasks.Failed)
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeDelete}, deleted.ID)
				h = e.reopen(h)
				e.gone(h, "deleted before the reopen", deleted.ID)
				e.eventually(10*e.timing.Lease, "a sweep deletes the record whose retention is over", func() bool {
					e.sweep(h)
					return e.count(h, []*tasks.Record{short}) == 0
				})
				e.same("kept", e.get(h, long.ID), long)
				e.countsAre(h, map[string]map[tasks.Status]int64{tasks.DefaultQueue: {tasks.Successful: 1}})
			},
		},
		{
			Name: "Reopen/Rounds", Clauses: []string{"F1", "W3"}, Needs: durable,
			What: "over many rounds of work and reopening, each record must be run to its end once and none be lost",
			run:  reopenRounds,
		},
	}
}

func reopenEverything(e *env) {
	h := e.connect()
	var want []*tasks.Record
	for _, status := range []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled, tasks.Ready} {
		rec, _ := e.standing(h, status, inQueue("q/"+string(status)), named("a task's name"), priority(7), attempts(4), func(r *tasks.Record) {
			r.Args = []byte(`{ "b":9007199254740993, "a":"é\u0000🙂" }`)
			r.Metadata = map[string]string{"trace": "00-1-2-01", "ténant": "a b"}
			r.Timeout = 90 * time.Second
			d := 48 * time.Hour
			r.Retain = &d
		})
		want = append(want, rec)
	}
	retried := e.record(inQueue("retried"), attempts(3))
	e.enqueue(h, retried)
	c := e.claimFrom(h, "retried")
	out := retry("boom", time.Hour)
	out.Error.Stack = "goroutine 1 [running]:\nmain.main()"
	e.settle(h, c, out)
	want = append(want, e.get(h, retried.ID))
	big := e.record(inQueue("big"), delayed(time.Hour), func(r *tasks.Record) {
		r.Args = append(append([]byte{'"'}, slices.Repeat([]byte("x"), 900<<10)...), '"')
	})
	e.enqueue(h, big)
	want = append(want, e.get(h, big.ID))
	was := e.snapshot(h)
	for round := range 3 {
		h = e.reopen(h)
		for _, rec := range want {
			e.same(fmt.Sprintf("after reopen %d", round+1), e.get(h, rec.ID), rec)
		}
		e.unchanged(h, fmt.Sprintf("after reopen %d", round+1), was)
	}
}

// reopenRunning allows both ways: the lease lives on, or it is known that nobody
// can have it any more.
func reopenRunning(e *env) {
	h := e.connect()
	e.enqueue(h, e.records(2, attempts(3))...)
	e.enqueue(h, e.record())
	cs := e.claim(h, 3)
	if len(cs) != 3 {
		e.Fatalf("claim gave %d records, want 3", len(cs))
	}
	e.alterOne(h, tasks.Change{Kind: tasks.ChangeCancel, Reason: "asked"}, cs[0].Record.ID)
	h = e.reopen(h)
	for i, c := range cs {
		rec := e.get(h, c.Record.ID)
		if rec.Attempts() != 1 || !sameTime(rec.StartedAt, c.Record.StartedAt) {
			e.Errorf("record %d after the reopen: got %d attempts, started at %v; want 1, %v", i, rec.Attempts(), rec.StartedAt, c.Record.StartedAt)
		}
		states, err := h.s.Renew(e.ctx, []tasks.Lease{c.Lease}, time.Minute)
		e.must(err, "renew")
		if len(states) != 1 {
			e.Fatalf("renewal of 1 lease gave %d states", len(states))
		}
		if rec.Status == tasks.Running {
			if states[0].Lost || states[0].CancelRequested != (i == 0) || rec.CancelRequested != (i == 0) {
				e.Errorf("record %d is RUNNING after the reopen: renewal gave %+v, want the lease live, cancellation requested %v", i, states[0], i == 0)
			}
			e.settle(h, c, success("1"))
			continue
		}
		if !states[0].Lost {
			e.Errorf("record %d is %s after the reopen, and its lease is still live", i, rec.Status)
		}
		if len(rec.Errors) != 1 || rec.Errors[0].Type != tasks.ErrorTypeLost {
			e.Errorf("record %d is %s after the reopen with errors %+v, want one that says lost", i, rec.Status, rec.Errors)
		}
		// As lifecycle.Lose says: cancelled if that was asked for, failed if attempts are used up.
		if want := []tasks.Status{tasks.Cancelled, tasks.Ready, tasks.Failed}[i]; rec.Status != want {
			e.Errorf("record %d is %s after its lease was taken back, want %s", i, rec.Status, want)
		}
		e.drop(c.Lease)
	}
}
