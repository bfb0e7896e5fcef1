package conformance

import (
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

const cancelCaps = workerCaps | tasks.CapInspect

func cancelCases() []Case {
	return slices.Concat(cancelOutcomeCases(), []Case{
		{
			Name: "Cancel/Ready", Clauses: []string{"T4"}, Needs: cancelCaps,
			What: "a READY record must be CANCELLED at once, with the reason, and never be claimed; deferred and retried ones too",
			run:  cancelReady,
		},
		{
			Name: "Cancel/Running", Clauses: []string{"T4"}, Needs: cancelCaps,
			What: "a RUNNING record must stay so, with the request and its reason on it, and keep its lease",
			run:  cancelRunning,
		},
		{
			Name: "Cancel/Final", Clauses: []string{"T4", "R1"}, Needs: cancelCaps,
			What: "a final record must not be changed by a cancel, and the answer must say so; unknown ids don't stop the others",
			run:  cancelFinal,
		},
		{
			Name: "Cancel/SeenByRenew", Clauses: []string{"T4", "W4"}, Needs: cancelCaps, Plain: true,
			What: "a renewal must tell the worker of the request and its reason, for that record only, each time until it ends",
			run:  cancelSeenByRenew,
		},
		{
			Name: "Cancel/Notified", Clauses: []string{"T4"}, Needs: cancelCaps,
			What: "a store that notifies of cancellations must tell the id and reason of RUNNING records within a second, until ctx ends",
			run:  cancelNotified,
		},
		{
			Name: "Cancel/DuringClaim", Clauses: []string{"T4", "W3"}, Needs: cancelCaps,
			What: "a cancel that meets a claim must win or be seen by the worker; it must not get lost",
			run:  cancelDuringClaim,
		},
	})
}

func cancelReady(e *env) {
	h := e.connect()
	c := e.claimedNow(h, attempts(3))
	e.settle(h, c, retry("again", far))
	plain, untouched := e.record(), e.record()
	e.enqueue(h, plain, untouched)
	ids := []string{c.Record.ID, plain.ID}
	if h.caps.Has(tasks.CapDefer) {
		deferred := e.record(delayed(far))
		e.enqueue(h, deferred)
		ids = append(ids, deferred.ID)
	}
	before := make([]*tasks.Record, len(ids))
	for i, id := range ids {
		before[i] = e.get(h, id)
	}
	e.pause(2 * time.Millisecond)
	const reason = "the order was \"withdrawn\": é 🐙"
	for i, got := range e.alter(h, cancelling(reason), ids...) {
		if got.Err != nil || got.Status != tasks.Cancelled {
			e.Errorf("cancel of READY record %s: %+v, want CANCELLED", ids[i], got)
		}
		after := e.get(h, ids[i])
		want := before[i].Clone()
		if _, err := lifecycle.Alter(want, cancelling(reason), after.FinishedAt); err != nil {
			e.Fatalf("record %s was %s", ids[i], want.Status)
		}
		e.same("cancelled", after, want)
		e.inOrder("cancelled", after)
	}
	e.gives(h, "after the others were cancelled", 10, untouched)
	if s := e.sweep(h); s != (tasks.Swept{}) {
		e.Errorf("sweep after the cancels: %+v, want nothing", s)
	}
}

func cancelRunning(e *env) {
	h := e.connect()
	c, neighbour := e.claimedNow(h), e.claimedNow(h)
	was, other := e.get(h, c.Record.ID), e.get(h, neighbour.Record.ID)
	if got := e.alter(h, cancelling("first"), c.Record.ID)[0]; got.Err != nil || got.Status != tasks.Running {
		e.Errorf("cancel of a RUNNING record: %+v, want RUNNING and no error", got)
	}
	was.CancelRequested, was.CancelReason = true, "first"
	e.same("after the request", e.get(h, was.ID), was)
	if got := e.alter(h, cancelling("second"), c.Record.ID)[0]; got.Err != nil || got.Status != tasks.Running {
		e.Errorf("second cancel of a RUNNING record: %+v, want RUNNING and no error", got)
	}
	e.same("after a second request, whose reason comes too late", e.get(h, was.ID), was)
	e.same("not asked to be cancelled", e.get(h, other.ID), other)
	if more := e.claim(h, 5); len(more) > 0 {
		e.Errorf("after the request %d records could be claimed, want none", len(more))
	}
	e.settlesAs(h, c, failure("stopped"))
	e.settlesAs(h, neighbour, success(`1`))
}

func cancelFinal(e *env) {
	h := e.connect()
	var ids []string
	var was []*tasks.Record
	for _, out := range []tasks.Outcome{success(`1`), failure("final"), givenUp("enough")} {
		c := e.claimedNow(h)
		e.settle(h, c, out)
		ids = append(ids, c.Record.ID)
		was = append(was, e.get(h, c.Record.ID))
	}
	ready := e.record()
	e.enqueue(h, ready)
	ids = append(ids, e.ids.New(), "", "no such id'", ready.ID)
	got := e.alter(h, cancelling("too late"), ids...)
	for i, w := range was {
		e.wantErr(got[i].Err, tasks.ErrNoChange, "cancel of a %s record", w.Status)
		if got[i].Status != w.Status {
			e.Errorf("cancel of a %s record: answered %q", w.Status, got[i].Status)
		}
		e.same("cancelled too late", e.get(h, w.ID), w)
	}
	for i := range 3 {
		a := got[len(was)+i]
		e.wantErr(a.Err, tasks.ErrResultNotFound, "cancel of the unknown id %q", ids[len(was)+i])
		if a.Status != "" {
			e.Errorf("cancel of the unknown id %q: answered %q, want no status", ids[len(was)+i], a.Status)
		}
	}
	e.status(h, "cancelled beside final and unknown ones", ready.ID, tasks.Cancelled)
}

func cancelSeenByRenew(e *env) {
	h := e.connect()
	a, b, c := e.claimedNow(h), e.claimedNow(h), e.claimedNow(h)
	none := func(what string, s tasks.LeaseState) {
		if s.Lost || s.CancelRequested || s.CancelReason != "" {
			e.Errorf("%s: renewal says %+v, want neither lost nor a request", what, s)
		}
	}
	for _, s := range e.renew(h, time.Minute, a.Lease, b.Lease, c.Lease) {
		none("before any request", s)
	}
	const reason = "quota used up: é"
	e.alterOne(h, cancelling(reason), b.Record.ID)
	e.alterOne(h, cancelling(""), c.Record.ID)
	for range 2 {
		states := e.renew(h, time.Minute, a.Lease, b.Lease, c.Lease)
		none("beside requests", states[0])
		for i, want := range map[int]string{1: reason, 2: ""} {
			if s := states[i]; s.Lost || !s.CancelRequested || s.CancelReason != want || s.Deadline.IsZero() {
				e.Errorf("after a request with reason %q renewal says %+v", want, s)
			}
		}
	}
	for _, claimed := range []tasks.Claimed{a, b, c} {
		e.settlesAs(h, claimed, failure("stopped"))
	}
}

func cancelNotified(e *env) {
	h := e.connect()
	notices := e.hearCancels(h)
	if notices == nil {
		return
	}
	ready := e.record(inQueue("ready"))
	e.enqueue(h, ready)
	c := e.claimedNow(h)
	second := e.claimedNow(h)
	e.alterOne(h, cancelling("unclaimed"), ready.ID)
	for _, want := range []cancelNotice{{c.Record.ID, "é: enough"}, {second.Record.ID, ""}} {
		e.alterOne(h, cancelling(want.reason), want.id)
		notices.wants(want, "record "+ready.ID+" wasn't RUNNING")
	}
	notices.stop()
	e.settlesAs(h, c, failure("stopped"))
	e.settlesAs(h, second, success(`1`))
}

func cancelDuringClaim(e *env) {
	h := e.connect()
	for range 15 {
		rec := e.record()
		e.enqueue(h, rec)
		var got []tasks.Claimed
		var answer []tasks.Altered
		e.together(2, func(i int) {
			var err error
			if i == 0 {
				got, err = h.s.Claim(e.ctx, inQueues(1))
				e.hold(got)
			} else {
				answer, err = h.s.Alter(e.ctx, cancelling("race"), []string{rec.ID})
			}
			if err != nil {
				e.Errorf("claim or cancel: %v", err)
			}
		})
		if len(answer) != 1 || answer[0].Err != nil {
			e.Fatalf("cancel during a claim: %+v, want no error", answer)
		}
		if len(got) == 0 {
			e.status(h, "cancelled before a claim could have it", rec.ID, tasks.Cancelled)
			continue
		}
		if s := e.renew(h, time.Minute, got[0].Lease)[0]; s.Lost || !s.CancelRequested || s.CancelReason != "race" {
			e.Errorf("claimed and cancelled (answer %s): renewal says %+v, want the request", answer[0].Status, s)
		}
		if out := e.settlesAs(h, got[0], retry("stopped", far)); out.Status != tasks.Cancelled {
			e.Errorf("claimed and cancelled, then retried: %s, want CANCELLED", out.Status)
		}
	}
}
