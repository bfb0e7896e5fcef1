package conformance

import (
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func cancelOutcomeCases() []Case {
	return []Case{
		{
			Name: "Cancel/ThenSuccess", Clauses: []string{"T4", "W8"}, Needs: cancelCaps,
			What: "a success must be SUCCESSFUL in spite of a request to cancel, which is then gone",
			run: func(e *env) {
				e.requested(tasks.Successful, "", success(`"done all the same"`), success(``))
			},
		},
		{
			Name: "Cancel/ThenFailure", Clauses: []string{"T4", "W8", "R6"}, Needs: cancelCaps,
			What: "after a request to cancel a failure or retry must be recorded and make the record CANCELLED, with the request's reason",
			run: func(e *env) {
				e.requested(tasks.Cancelled, "asked", failure("broke"), retry("again", 0), retry("again", far))
			},
		},
		{
			Name: "Cancel/ThenBack", Clauses: []string{"T4", "W8"}, Needs: cancelCaps,
			What: "after a request to cancel a snooze or release must make the record CANCELLED rather than READY",
			run: func(e *env) {
				e.requested(tasks.Cancelled, "asked", snoozed(0), snoozed(far), released(0), released(far))
			},
		},
		{
			Name: "Cancel/ThenCancel", Clauses: []string{"T4", "W8"}, Needs: cancelCaps,
			What: "after a request to cancel, a cancel by the handler must give its own reason, or the request's if it has none",
			run: func(e *env) {
				h := e.requested(tasks.Cancelled, "the handler's", givenUp("the handler's"))
				withError := givenUp("")
				withError.Error = &tasks.AttemptError{Type: "t", Message: "m"}
				e.requestedOn(h, tasks.Cancelled, "asked", givenUp(""), withError)
			},
		},
		{
			Name: "Cancel/ThenLost", Clauses: []string{"T4", "W6"}, Needs: cancelCaps,
			What: "a record that was asked to be cancelled, and whose lease runs out, must be CANCELLED, with the lost attempt recorded",
			run:  cancelThenLost,
		},
		{
			Name: "Cancel/ThenRetried", Clauses: []string{"T4", "I3", "R1"}, Needs: cancelCaps,
			What: "a cancelled record that an operator retries must run without the old request",
			run:  cancelThenRetried,
		},
	}
}

// requested settles each outcome after a request to cancel, on records with
// attempts left and on those without.
func (e *env) requested(want tasks.Status, reason string, outs ...tasks.Outcome) *handle {
	e.Helper()
	h := e.connect()
	e.requestedOn(h, want, reason, outs...)
	return h
}

func (e *env) requestedOn(h *handle, want tasks.Status, reason string, outs ...tasks.Outcome) {
	e.Helper()
	for _, out := range outs {
		for _, most := range []int{1, 3} {
			c := e.claimedNow(h, attempts(most))
			e.alterOne(h, cancelling("asked"), c.Record.ID)
			got := e.settlesAs(h, c, out)
			if got.Status != want || got.CancelReason != reason || got.CancelRequested {
				e.Errorf("%s after a request: %s with reason %q and CancelRequested %v, want %s, %q and false",
					out.Kind, got.Status, got.CancelReason, got.CancelRequested, want, reason)
			}
			e.inOrder(string(out.Kind)+" after a request", got)
			if more := e.claim(h, 5); len(more) > 0 {
				e.Errorf("%s after a request: %d records could be claimed, want none", out.Kind, len(more))
			}
		}
	}
}

func cancelThenLost(e *env) {
	h := e.connect()
	e.enqueue(h, e.record(attempts(1)), e.record(attempts(3)))
	got := e.exactly(h, e.short(2))
	before := make([]*tasks.Record, len(got))
	for i, c := range got {
		e.alterOne(h, cancelling("asked"), c.Record.ID)
		before[i] = e.get(h, c.Record.ID)
	}
	e.sweptLost(h, 2)
	for _, b := range before {
		after := e.status(h, "lost after a request to cancel", b.ID, tasks.Cancelled)
		if err := after.LastError(); err == nil || err.Type != tasks.ErrorTypeLost {
			e.Errorf("record %s has the error %+v, want one of type %q", b.ID, err, tasks.ErrorTypeLost)
		} else {
			after.Errors[0].Message = lifecycle.LostMessage // another wording is no fault
		}
		e.ended("a lost lease after a request to cancel", b, after, lost())
	}
}

func cancelThenRetried(e *env) {
	h := e.connect()
	c := e.claimedNow(h)
	e.alterOne(h, cancelling("asked"), c.Record.ID)
	e.settlesAs(h, c, failure("stopped"))
	e.alterOne(h, tasks.Change{Kind: tasks.ChangeRetry}, c.Record.ID)
	again := e.claimOne(h)
	if r := again.Record; r.ID != c.Record.ID || r.CancelRequested || r.CancelReason != "" {
		e.Errorf("claimed again: record %s with CancelRequested %v and reason %q, want %s, false and none", r.ID, r.CancelRequested, r.CancelReason, c.Record.ID)
	}
	if s := e.renew(h, time.Minute, again.Lease)[0]; s.Lost || s.CancelRequested {
		e.Errorf("renewal of the new attempt: %+v, want neither lost nor a request", s)
	}
	if got := e.settlesAs(h, again, success(`1`)); got.Status != tasks.Successful {
		e.Errorf("the new attempt ended %s, want SUCCESSFUL", got.Status)
	}
}
