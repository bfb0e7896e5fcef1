package conformance

import (
	"fmt"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func attemptCases() []Case {
	return []Case{
		{
			Name: "Attempt/Counts", Clauses: []string{"R6", "W3"}, Needs: workerCaps,
			What: "each attempt must add its worker, the one in progress included, and each failed one an error, oldest first",
			run:  attemptCounts,
		},
		{
			Name: "Attempt/Times", Clauses: []string{"R5"}, Needs: workerCaps,
			What: "StartedAt must stay that of the first attempt, LastAttemptedAt move with each, and all times be in order",
			run:  attemptTimes,
		},
		{
			Name: "Attempt/UsedUp", Clauses: []string{"W8", "T1", "R6"}, Needs: workerCaps,
			What: "retries must end in FAILED after MaxAttempts attempts, neither sooner nor later",
			run:  attemptUsedUp,
		},
		{
			Name: "Attempt/Between", Clauses: []string{"T2", "R1"}, Needs: workerCaps,
			What: "between attempts a record must be READY with run_after at its next attempt, and neither finished nor claimable before",
			run:  attemptBetween,
		},
		{
			Name: "Attempt/LastSucceeds", Clauses: []string{"R1", "R6"}, Needs: workerCaps,
			What: "a success on the last attempt must be SUCCESSFUL, and keep the errors of the attempts before",
			run: func(e *env) {
				h := e.connect()
				c := e.claimedNow(h, attempts(3))
				for i := range 2 {
					e.settlesAs(h, c, retry(fmt.Sprint("attempt ", i+1), 0))
					c = e.claimOne(h)
				}
				got := e.settlesAs(h, c, success(`"at last"`))
				if got.Status != tasks.Successful || len(got.Errors) != 2 || got.Attempts() != 3 {
					e.Errorf("after two retries and a success the record is %s with %d errors and %d attempts, want SUCCESSFUL, 2 and 3",
						got.Status, len(got.Errors), got.Attempts())
				}
			},
		},
		{
			Name: "Attempt/SnoozeIsFree", Clauses: []string{"W8", "R6"}, Needs: workerCaps,
			What: "a snoozed attempt must not count, however often it happens",
			run:  func(e *env) { e.freeOfCharge(snoozed(0)) },
		},
		{
			Name: "Attempt/ReleaseIsFree", Clauses: []string{"W8", "R6"}, Needs: workerCaps,
			What: "a released attempt must not count, however often it happens",
			run:  func(e *env) { e.freeOfCharge(released(0)) },
		},
		{
			Name: "Attempt/ReleaseUnstarts", Clauses: []string{"W8", "R5"}, Needs: workerCaps,
			What: "the release of a first attempt must leave the record as if never started; that of a later one keeps when it started",
			run:  attemptReleaseUnstarts,
		},
	}
}

func attemptCounts(e *env) {
	h := e.connect()
	rec := e.record(attempts(4))
	e.enqueue(h, rec)
	workers := []string{"a", "b", "a", "a"}
	for i, worker := range workers {
		req := inQueues(1)
		req.Worker = worker
		c := e.exactly(h, req)[0]
		if c.Lease.Attempt != i+1 {
			e.Errorf("attempt %d has a lease with number %d", i+1, c.Lease.Attempt)
		}
		for what, r := range map[string]*tasks.Record{"claimed": c.Record, "stored": e.get(h, rec.ID)} {
			if r.Attempts() != i+1 || !slices.Equal(r.WorkerIDs, workers[:i+1]) || len(r.Errors) != i {
				e.Errorf("%s record in attempt %d: workers %q and %d errors, want %q and %d", what, i+1, r.WorkerIDs, len(r.Errors), workers[:i+1], i)
			}
		}
		e.settlesAs(h, c, retry(fmt.Sprint("attempt ", i+1), 0))
	}
	got := e.status(h, "after 4 attempts of 4", rec.ID, tasks.Failed)
	if len(got.Errors) != len(workers) {
		e.Fatalf("%d errors after %d failed attempts", len(got.Errors), len(workers))
	}
	for i, err := range got.Errors {
		if want := fmt.Sprint("attempt ", i+1); err.Attempt != i+1 || err.Worker != workers[i] || err.Message != want || err.Type != "test" {
			e.Errorf("error %d is %+v, want attempt %d by %q: test: %s", i, err, i+1, workers[i], want)
		}
		if i > 0 && err.At.Before(got.Errors[i-1].At) {
			e.Errorf("error %d is of %s, before the one ahead of it, %s", i, show(err.At), show(got.Errors[i-1].At))
		}
	}
}

// inOrder fails unless the times of a record are in the order of its life.
func (e *env) inOrder(what string, r *tasks.Record) {
	e.Helper()
	times := []struct {
		name string
		at   time.Time
	}{{"EnqueuedAt", r.EnqueuedAt}, {"StartedAt", r.StartedAt}, {"LastAttemptedAt", r.LastAttemptedAt}, {"FinishedAt", r.FinishedAt}}
	if r.FinishedAt.IsZero() == r.Status.Final() {
		e.Errorf("%s: a %s record has FinishedAt %s", what, r.Status, show(r.FinishedAt))
	}
	before := times[0]
	for _, t := range times {
		if t.at.IsZero() {
			continue
		}
		if _, off := t.at.Zone(); off != 0 {
			e.Errorf("%s: %s is %s, want it in UTC", what, t.name, show(t.at))
		}
		if t.at.Before(before.at) {
			e.Errorf("%s: %s %s is before %s %s", what, t.name, show(t.at), before.name, show(before.at))
		}
		before = t
	}
}

func attemptTimes(e *env) {
	h := e.connect()
	for _, last := range []tasks.Outcome{success(`1`), failure("final"), retry("used up", 0), givenUp("enough")} {
		c := e.claimedNow(h, attempts(3))
		id, first := c.Record.ID, c.Record.StartedAt
		e.inOrder("claimed", c.Record)
		if first.IsZero() || !first.Equal(c.Record.LastAttemptedAt) {
			e.Errorf("first attempt: StartedAt %s and LastAttemptedAt %s, want the same time", show(first), show(c.Record.LastAttemptedAt))
		}
		for range 2 {
			previous := c.Record.LastAttemptedAt
			e.settle(h, c, retry("again", 0))
			e.inOrder("waiting for the next attempt", e.get(h, id))
			e.pause(2 * time.Millisecond)
			c = e.claimOne(h)
			for what, r := range map[string]*tasks.Record{"claimed": c.Record, "stored": e.get(h, id)} {
				e.inOrder(what+" again", r)
				if !sameTime(r.StartedAt, first) || !r.LastAttemptedAt.After(previous) {
					e.Errorf("%s for attempt %d: StartedAt %s and LastAttemptedAt %s, want %s and after %s", what, r.Attempts(),
						show(r.StartedAt), show(r.LastAttemptedAt), show(first), show(previous))
				}
			}
		}
		e.pause(2 * time.Millisecond)
		e.settle(h, c, last)
		got := e.get(h, id)
		e.inOrder("finished by "+string(last.Kind), got)
		if !got.Status.Final() || !sameTime(got.StartedAt, first) || !sameTime(got.LastAttemptedAt, c.Record.LastAttemptedAt) {
			e.Errorf("finished by %s: %s, StartedAt %s and LastAttemptedAt %s, want it final, %s and %s", last.Kind, got.Status,
				show(got.StartedAt), show(got.LastAttemptedAt), show(first), show(c.Record.LastAttemptedAt))
		}
	}
}

func attemptUsedUp(e *env) {
	h := e.connect()
	for _, most := range []int{1, 2, 5} {
		rec := e.record(attempts(most))
		e.enqueue(h, rec)
		for n := 1; n <= most; n++ {
			c := e.claimOne(h)
			want := tasks.Ready
			if n == most {
				want = tasks.Failed
			}
			if got := e.settlesAs(h, c, retry("again", 0)); got.Status != want || got.MaxAttempts != most {
				e.Errorf("after retry %d of a record with %d attempts: %s with MaxAttempts %d, want %s with %d", n, most, got.Status, got.MaxAttempts, want, most)
			}
		}
		if more := e.claim(h, 5); len(more) > 0 {
			e.Errorf("after %d attempts of %d it was claimed again", most, most)
		}
	}
}

func attemptBetween(e *env) {
	h := e.connect()
	e.watchMachine(h)
	c := e.claimedNow(h, attempts(2))
	const delay = 150 * time.Millisecond
	waiting := e.settlesAs(h, c, retry("again", delay))
	if waiting.Status != tasks.Ready || !waiting.FinishedAt.IsZero() || waiting.CancelRequested {
		e.Errorf("between attempts the record is %s, finished at %s, want READY and not finished", waiting.Status, show(waiting.FinishedAt))
	}
	if len(waiting.Errors) == 1 {
		if got := waiting.RunAfter.Sub(waiting.Errors[0].At); (got - delay).Abs() > near/10 {
			e.Errorf("its next attempt is %v after the failure, want %v", got, delay)
		}
	}
	marker := e.record()
	e.enqueue(h, marker)
	for _, c := range e.gives(h, "between the attempts of another", 5, marker) {
		e.settle(h, c, success(`1`))
	}
	var got []tasks.Claimed
	e.eventually(delay+2*e.timing.Notice, "the second attempt can be claimed", func() bool {
		got = e.claim(h, 5)
		return len(got) > 0
	})
	e.inTime("the second attempt could be claimed", got[0].Record.LastAttemptedAt.Sub(waiting.RunAfter), e.timing.Late)
}

// freeOfCharge ends a record's only attempt many times, and then retries and fails
// it, which must find the attempt unused.
func (e *env) freeOfCharge(out tasks.Outcome) {
	e.Helper()
	h := e.connect()
	rec := e.record(attempts(2))
	e.enqueue(h, rec)
	for used := range 2 {
		for range 5 {
			c := e.claimOne(h)
			if c.Lease.Attempt != used+1 || c.Record.Attempts() != used+1 {
				e.Fatalf("a %s counts: with %d used the attempt has number %d in its lease, %d in the record", out.Kind, used, c.Lease.Attempt, c.Record.Attempts())
			}
			if got := e.settlesAs(h, c, out); got.Attempts() != used || len(got.Errors) != used || got.Status != tasks.Ready {
				e.Fatalf("after a %s the record is %s with %d attempts and %d errors, want READY and %d", out.Kind, got.Status, got.Attempts(), len(got.Errors), used)
			}
		}
		e.settlesAs(h, e.claimOne(h), retry("used", 0))
	}
	if got := e.status(h, "after its attempts", rec.ID, tasks.Failed); got.Attempts() != 2 || len(got.Errors) != 2 {
		e.Errorf("it has %d attempts and %d errors, want 2", got.Attempts(), len(got.Errors))
	}
}

func attemptReleaseUnstarts(e *env) {
	h := e.connect()
	rec := e.record(attempts(2))
	e.enqueue(h, rec)
	fresh := e.get(h, rec.ID)
	for range 2 {
		e.pause(2 * time.Millisecond)
		e.settle(h, e.claimOne(h), released(0))
		e.same("after its only attempt was released", e.get(h, rec.ID), fresh)
	}
	e.pause(2 * time.Millisecond)
	c := e.claimOne(h)
	if !c.Record.StartedAt.Equal(c.Record.LastAttemptedAt) {
		e.Errorf("after releases StartedAt is %s and LastAttemptedAt %s, want the same", show(c.Record.StartedAt), show(c.Record.LastAttemptedAt))
	}
	first := c.Record.StartedAt
	e.settle(h, c, retry("again", 0))
	e.pause(2 * time.Millisecond)
	e.settlesAs(h, e.claimOne(h), released(0))
	if got := e.get(h, rec.ID); !sameTime(got.StartedAt, first) || got.Attempts() != 1 || len(got.Errors) != 1 {
		e.Errorf("after the release of a second attempt: StartedAt %s, %d attempts and %d errors, want %s, 1 and 1",
			show(got.StartedAt), got.Attempts(), len(got.Errors), show(first))
	}
}
