package conformance

import (
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func leaseSweepCases() []Case {
	return []Case{
		{
			Name: "Lease/Lost", Clauses: []string{"W6", "R6"}, Needs: workerCaps,
			What: "a sweep must take back a record whose lease ran out: an error of type lost, then READY, or FAILED if no attempts are left",
			run:  leaseLost,
		},
		{
			Name: "Lease/LostIsFenced", Clauses: []string{"W5", "W6"}, Needs: workerCaps,
			What: "a worker whose lease was swept must not be able to settle or renew, before nor after the record is claimed again",
			run:  leaseLostIsFenced,
		},
		{
			Name: "Lease/NotTooSoon", Clauses: []string{"W3", "W6"}, Needs: workerCaps,
			What: "a sweep must not take back leases that run on, whatever else it takes back",
			run:  leaseNotTooSoon,
		},
		{
			Name: "Lease/Over", Clauses: []string{"W6", "R1"}, Needs: workerCaps,
			What: "a lease that was settled must not be swept later, neither from a final record nor from one that is claimed anew",
			run:  leaseOver,
		},
		{
			Name: "Lease/Poison", Clauses: []string{"W6"}, Needs: workerCaps,
			What: "a record whose worker dies each time must end FAILED, with an error for each attempt",
			run:  leasePoison,
		},
		{
			Name: "Lease/ManyLost", Clauses: []string{"W6"}, Needs: workerCaps,
			What: "sweeps, repeated while they report More, must take back any number of lost leases, each once, and then nothing",
			run: func(e *env) {
				h := e.connect()
				const many = 1200
				recs := e.records(many, attempts(2))
				e.enqueue(h, recs...)
				e.exactly(h, e.short(many))
				e.lapse()
				e.sweptLost(h, many)
				if s := e.sweep(h); s != (tasks.Swept{}) {
					e.Errorf("a sweep after all is swept: %+v, want nothing", s)
				}
				e.gives(h, "after the sweeps", many, inClaimOrder(e.list(h, tasks.Filter{Statuses: []tasks.Status{tasks.Ready}}))...)
			},
		},
	}
}

func lost() tasks.Outcome {
	return tasks.Outcome{Kind: tasks.OutcomeRetry, Error: &tasks.AttemptError{Type: tasks.ErrorTypeLost, Message: lifecycle.LostMessage}}
}

func leaseLost(e *env) {
	h := e.connect()
	if s := e.sweep(h); s != (tasks.Swept{}) {
		e.Errorf("sweep of an empty store: %+v, want nothing", s)
	}
	again, last := e.record(attempts(2)), e.record(attempts(1))
	e.enqueue(h, again, last)
	req := e.short(2)
	req.Worker = "doomed"
	e.exactly(h, req)
	before := map[string]*tasks.Record{again.ID: e.get(h, again.ID), last.ID: e.get(h, last.ID)}
	behind := e.record()
	e.enqueue(h, behind)
	e.sweptLost(h, 2)
	for id, b := range before {
		after := e.get(h, id)
		if err := after.LastError(); err == nil || err.Type != tasks.ErrorTypeLost || err.Attempt != 1 || err.Worker != "doomed" || err.Message == "" {
			e.Errorf("lost record %s has the error %+v, want type %q, attempt 1, worker \"doomed\" and a message", id, err, tasks.ErrorTypeLost)
		} else {
			after.Errors[len(after.Errors)-1].Message = lifecycle.LostMessage // another wording is no fault
			if err.At.Before(b.LastAttemptedAt.Add(e.timing.Lease - time.Microsecond)) {
				e.Errorf("lost record %s was taken back at %s, before its lease of %v from %s ended", id, show(err.At), e.timing.Lease, show(b.LastAttemptedAt))
			}
		}
		e.ended("a lost lease", b, after, lost())
	}
	e.status(h, "lost with attempts left", again.ID, tasks.Ready)
	e.status(h, "lost with none left", last.ID, tasks.Failed)
	for _, c := range e.gives(h, "after the sweep", 5, behind, again) {
		if want := len(e.get(h, c.Record.ID).Errors) + 1; c.Lease.Attempt != want {
			e.Errorf("the attempt after %d lost ones has number %d", want-1, c.Lease.Attempt)
		}
	}
}

func leaseLostIsFenced(e *env) {
	h := e.connect()
	rec, neighbour := e.record(attempts(2)), e.record()
	e.enqueue(h, rec)
	c := e.exactly(h, e.short(1))[0]
	e.sweptLost(h, 1)
	stale := func(what string) {
		was := e.get(h, rec.ID)
		if state := e.renew(h, time.Minute, c.Lease)[0]; !state.Lost {
			e.Errorf("%s: renewal of the swept lease: %+v, want Lost", what, state)
		}
		for _, out := range []tasks.Outcome{success(`"stale"`), failure("stale"), retry("stale", 0), released(0), snoozed(0), givenUp("stale")} {
			err := e.settleAll(h, with(c.Lease, out))[0]
			e.wantErr(err, tasks.ErrLeaseLost, "%s: settle %s with the swept lease", what, out.Kind)
		}
		e.same(what+", after stale settles", e.get(h, rec.ID), was)
	}
	stale("swept")
	again := e.claimOne(h)
	stale("claimed again")
	e.enqueue(h, neighbour)
	beside := e.claimOne(h)
	errs := e.settleAll(h, with(c.Lease, failure("stale")), with(beside.Lease, success(`2`)), with(again.Lease, success(`3`)))
	if errs[1] != nil || errs[2] != nil {
		e.Errorf("live leases beside a swept one: %v, want none to be refused", errs)
	}
	e.wantErr(errs[0], tasks.ErrLeaseLost, "the swept lease in a batch")
	if got := e.status(h, "settled beside a swept lease", rec.ID, tasks.Successful); string(got.Value) != "3" || len(got.Errors) != 1 {
		e.Errorf("value %s and errors %+v, want 3 and the one of the lost attempt", got.Value, got.Errors)
	}
	stale("final")
}

func leaseNotTooSoon(e *env) {
	h := e.connect()
	e.enqueue(h, e.records(3)...)
	long := e.claimOne(h)
	brief := e.exactly(h, e.short(1))[0]
	alsoLong := e.claimOne(h)
	e.sweptLost(h, 1)
	e.status(h, "with the short lease", brief.Record.ID, tasks.Failed)
	for _, c := range []tasks.Claimed{long, alsoLong} {
		e.status(h, "with a lease of a minute", c.Record.ID, tasks.Running)
		e.settlesAs(h, c, success(`1`))
	}
}

func leaseOver(e *env) {
	h := e.connect()
	e.enqueue(h, e.records(6, attempts(3))...)
	got := e.exactly(h, e.short(6))
	for i, out := range []tasks.Outcome{success(`1`), failure("final"), givenUp("enough"), retry("again", 0), released(0)} {
		e.settle(h, got[i], out)
	}
	again := e.exactly(h, inQueues(2)) // for a minute
	was := make([]*tasks.Record, 5)
	for i := range was {
		was[i] = e.get(h, got[i].Record.ID)
	}
	e.sweptLost(h, 1) // the sixth, whose lease ended with those of the others
	for _, w := range was {
		e.same("after the deadline of a lease that was settled", e.get(h, w.ID), w)
	}
	for _, c := range again {
		e.settlesAs(h, c, success(`1`))
	}
}

func leasePoison(e *env) {
	h := e.connect()
	const tries = 3
	rec := e.record(attempts(tries))
	e.enqueue(h, rec)
	for i := range tries {
		got := e.claimAs(h, e.short(2))
		if len(got) != 1 || got[0].Lease.Attempt != i+1 {
			e.Fatalf("after %d lost attempts a claim gave %+v, want attempt %d", i, got, i+1)
		}
		e.sweptLost(h, 1)
	}
	got := e.status(h, "after all its attempts were lost", rec.ID, tasks.Failed)
	if len(got.Errors) != tries || got.Attempts() != tries || got.FinishedAt.IsZero() {
		e.Errorf("it has %d errors and %d attempts, finished at %s; want %d and %d, and a time", len(got.Errors), got.Attempts(), show(got.FinishedAt), tries, tries)
	}
	for i, err := range got.Errors {
		if err.Type != tasks.ErrorTypeLost || err.Attempt != i+1 {
			e.Errorf("error %d is %q of attempt %d, want %q of attempt %d", i, err.Type, err.Attempt, tasks.ErrorTypeLost, i+1)
		}
	}
	if more := e.claim(h, 5); len(more) > 0 {
		e.Errorf("it was claimed again")
	}
}
