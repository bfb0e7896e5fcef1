package conformance

import (
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func leaseCases() []Case {
	return slices.Concat(leaseSweepCases(), []Case{
		{
			Name: "Lease/PastDeadline", Clauses: []string{"W3", "W4", "W5"}, Needs: workerCaps,
			What: "a lease past its deadline that nobody has reclaimed must be the live one still: not claimable, to be renewed and settled",
			run:  leasePastDeadline,
		},
		{
			Name: "Lease/Renew", Clauses: []string{"W4"}, Needs: workerCaps,
			What: "a renewed lease must outlive its first deadline, and its new one must be the store's time plus the length",
			run:  leaseRenew,
		},
		{
			Name: "Lease/RenewShorter", Clauses: []string{"W4"}, Needs: workerCaps,
			What: "a renewal must move the deadline to the store's time plus the length, also to an earlier one",
			run: func(e *env) {
				h := e.connect()
				rec := e.record()
				e.enqueue(h, rec)
				c := e.claimOne(h)
				state := e.renew(h, e.timing.Lease, c.Lease)[0]
				if state.Lost || !state.Deadline.Before(c.Lease.Deadline) {
					e.Errorf("a lease of a minute renewed for %v: %+v, want a deadline before %s", e.timing.Lease, state, show(c.Lease.Deadline))
				}
				e.sweptLost(h, 1)
				e.status(h, "after its renewal ran out", rec.ID, tasks.Failed)
			},
		},
		{
			Name: "Lease/RenewSeveral", Clauses: []string{"W4", "W5"}, Needs: workerCaps,
			What: "a renewal of several leases must answer for each in its place, and renew those that are live beside lost ones",
			run:  leaseRenewSeveral,
		},
		{
			Name: "Lease/RenewRefused", Clauses: []string{"W5"}, Needs: workerCaps,
			What: "a lease that isn't the live one of its record must be reported lost by a renewal, which then changes nothing",
			run: func(e *env) {
				e.notLive(func(h *handle, what string, l tasks.Lease) {
					if state := e.renew(h, far, l)[0]; state != (tasks.LeaseState{Lost: true}) {
						e.Errorf("renewal with %s (%+v): %+v, want just Lost", what, l, state)
					}
				})
			},
		},
		{
			Name: "Lease/RenewNone", Clauses: []string{"W4"}, Needs: workerCaps,
			What: "a renewal of no leases must do nothing",
			run: func(e *env) {
				h := e.connect()
				e.renew(h, time.Minute)
				e.renew(h, time.Minute, []tasks.Lease{}...)
			},
		},
		{
			Name: "Lease/Fenced", Clauses: []string{"W5", "W3"}, Needs: workerCaps,
			What: "the lease of an earlier claim must be lost once the record was claimed again, even by the same worker and as the same attempt",
			run:  leaseFenced,
		},
		{
			Name: "Lease/CallersClock", Clauses: []string{"W7"}, Needs: workerCaps,
			What: "what a worker with a wrong clock takes for the deadline must not count: only the store's does",
			run:  leaseCallersClock,
		},
	})
}

func leasePastDeadline(e *env) {
	h := e.connect()
	e.enqueue(h, e.records(4, attempts(2))...)
	got := e.exactly(h, e.short(4))
	e.lapse()
	if more := e.claim(h, 10); len(more) > 0 {
		e.Errorf("records whose leases ran out were claimed before any sweep: %d", len(more))
	}
	e.settlesAs(h, got[0], success(`"late"`))
	e.settlesAs(h, got[1], retry("late", far))
	if state := e.renew(h, time.Minute, got[2].Lease)[0]; state.Lost || !state.Deadline.After(got[2].Lease.Deadline) {
		e.Errorf("renewal of a lease past its deadline: %+v, want a later deadline than %s", state, show(got[2].Lease.Deadline))
	}
	// The one that nobody saved shows that a sweep takes back what there is.
	e.sweptLost(h, 1)
	e.status(h, "renewed late", got[2].Record.ID, tasks.Running)
	e.settlesAs(h, got[2], success(`1`))
	e.status(h, "not renewed", got[3].Record.ID, tasks.Ready)
}

func leaseRenew(e *env) {
	h := e.connect()
	e.enqueue(h, e.records(2)...)
	got := e.exactly(h, e.short(2))
	kept, lost := got[0], got[1]
	e.sweep(h) // which sees the first deadlines, and must not go by them later
	before := e.storeNow(h)
	state := e.renew(h, time.Minute, kept.Lease)[0]
	after := e.storeNow(h)
	if state.Lost || state.CancelRequested || state.CancelReason != "" {
		e.Errorf("renewal of a live lease: %+v", state)
	}
	if from, to := before.Add(time.Minute-near), after.Add(time.Minute+near); state.Deadline.Before(from) || state.Deadline.After(to) {
		e.Errorf("renewal for a minute between %s and %s: deadline %s", show(before), show(after), show(state.Deadline))
	}
	want := e.get(h, kept.Record.ID)
	e.sweptLost(h, 1)
	e.status(h, "not renewed", lost.Record.ID, tasks.Failed)
	e.same("renewed", e.get(h, kept.Record.ID), want)
	if state := e.renew(h, time.Minute, kept.Lease)[0]; state.Lost {
		e.Errorf("second renewal of a lease: lost")
	}
	e.settlesAs(h, kept, success(`1`))
}

func leaseRenewSeveral(e *env) {
	h := e.connect()
	e.enqueue(h, e.records(5)...)
	got := e.exactly(h, e.short(5))
	e.settle(h, got[1], success(`1`))
	forged := got[4].Lease
	forged.Token = got[0].Lease.Token
	leases := []tasks.Lease{got[3].Lease, got[1].Lease, got[0].Lease, forged, got[2].Lease}
	for i, state := range e.renew(h, time.Minute, leases...) {
		lost := i == 1 || i == 3
		if state.Lost != lost {
			e.Errorf("lease %d of 5: %+v, want Lost to be %v", i, state, lost)
		}
		if !lost && !state.Deadline.After(leases[i].Deadline) {
			e.Errorf("lease %d of 5: deadline %s, want one after %s", i, show(state.Deadline), show(leases[i].Deadline))
		}
	}
	e.sweptLost(h, 1)
	e.status(h, "renewed with another's token", got[4].Record.ID, tasks.Failed)
	for _, i := range []int{0, 2, 3} {
		e.settlesAs(h, got[i], success(`1`))
	}
}

// notLive calls try with leases that aren't the live one of the record that they
// name, and wants every record to be as it was, and the live leases to hold.
func (e *env) notLive(try func(h *handle, what string, l tasks.Lease)) {
	e.Helper()
	h := e.connect()
	recs := e.records(5, attempts(3))
	e.enqueue(h, recs...)
	got := e.exactly(h, inQueues(5))
	live, other, done, waiting, back := got[0], got[1], got[2], got[3], got[4]
	e.settle(h, done, success(`1`))
	e.settle(h, waiting, retry("again", far))
	e.settle(h, back, released(far))
	unclaimed := e.record(delayed(far))
	e.enqueue(h, unclaimed)
	recs = append(recs, unclaimed)
	was := make([]*tasks.Record, len(recs))
	for i, r := range recs {
		was[i] = e.get(h, r.ID)
	}
	change := func(f func(*tasks.Lease)) tasks.Lease {
		l := live.Lease
		f(&l)
		return l
	}
	flip := func(s string) string { // the last character becomes another one
		last := byte('0')
		if s[len(s)-1] == last {
			last = '1'
		}
		return s[:len(s)-1] + string(last)
	}
	for _, try1 := range []struct {
		what  string
		lease tasks.Lease
	}{
		{"no token", change(func(l *tasks.Lease) { l.Token = "" })},
		{"a token that differs in its last character", change(func(l *tasks.Lease) { l.Token = flip(l.Token) })},
		{"a token cut short", change(func(l *tasks.Lease) { l.Token = l.Token[:len(l.Token)-2] })},
		{"a token and more", change(func(l *tasks.Lease) { l.Token += "00" })},
		{"a token that is a pattern", change(func(l *tasks.Lease) { l.Token = "%" })},
		{"the live token of another record", change(func(l *tasks.Lease) { l.Token = other.Lease.Token })},
		{"an unknown id", change(func(l *tasks.Lease) { l.ID = e.ids.New() })},
		{"a malformed id", change(func(l *tasks.Lease) { l.ID = "no such id'" })},
		{"an empty id", change(func(l *tasks.Lease) { l.ID = "" })},
		{"nothing set", tasks.Lease{}},
		{"the lease of a final record", done.Lease},
		{"the lease of an attempt that was retried", waiting.Lease},
		{"the lease of an attempt that was released", back.Lease},
		{"no token for a READY record", tasks.Lease{ID: unclaimed.ID}},
		{"no token for a final record", tasks.Lease{ID: done.Record.ID, Attempt: 1}},
	} {
		try(h, try1.what, try1.lease)
		for i, r := range recs {
			e.same("after "+try1.what, e.get(h, r.ID), was[i])
		}
	}
	for _, c := range []tasks.Claimed{live, other} {
		if state := e.renew(h, time.Minute, c.Lease)[0]; state.Lost {
			e.Errorf("the live lease of record %s is lost", c.Record.ID)
		}
		e.settlesAs(h, c, success(`1`))
	}
}

func leaseFenced(e *env) {
	h := e.connect()
	rec := e.record(attempts(5))
	e.enqueue(h, rec)
	var old []tasks.Claimed
	for _, out := range []tasks.Outcome{released(0), snoozed(0), retry("again", 0), released(0)} {
		c := e.claimOne(h)
		e.settle(h, c, out)
		old = append(old, c)
	}
	live := e.claimOne(h)
	if live.Lease.Attempt != 2 || old[3].Lease.Attempt != 2 || old[0].Lease.Attempt != 1 || old[2].Lease.Attempt != 1 {
		e.Errorf("attempts of the leases: %d, %d, %d, %d, %d; want 1, 1, 1, 2, 2", old[0].Lease.Attempt,
			old[1].Lease.Attempt, old[2].Lease.Attempt, old[3].Lease.Attempt, live.Lease.Attempt)
	}
	was := e.get(h, rec.ID)
	for i, c := range old {
		if c.Lease.Token == live.Lease.Token {
			e.Errorf("claim %d of the record has the token of the newest", i)
		}
		if state := e.renew(h, time.Minute, c.Lease)[0]; !state.Lost {
			e.Errorf("renewal with the lease of claim %d: %+v, want Lost", i, state)
		}
		for _, out := range []tasks.Outcome{success(`"stale"`), failure("stale"), retry("stale", 0), released(0), snoozed(0), givenUp("stale")} {
			err := e.settleAll(h, with(c.Lease, out))[0]
			e.wantErr(err, tasks.ErrLeaseLost, "settle %s with the lease of claim %d", out.Kind, i)
		}
		e.same("after settles with the lease of an earlier claim", e.get(h, rec.ID), was)
	}
	e.settlesAs(h, live, success(`"live"`))
}

func leaseCallersClock(e *env) {
	h := e.connect()
	e.enqueue(h, e.records(6)...)
	got := e.exactly(h, e.short(6))
	skewed := func(c tasks.Claimed, skew time.Duration) tasks.Lease {
		l := c.Lease
		l.Deadline = l.Deadline.Add(skew)
		return l
	}
	for i, skew := range []time.Duration{far, -far} {
		l := skewed(got[i], skew)
		state := e.renew(h, time.Minute, l)[0]
		if d := state.Deadline.Sub(got[i].Lease.Deadline); state.Lost || d < 0 || d > 2*time.Minute {
			e.Errorf("renewal by a clock %v off: %+v, want a deadline a minute on from %s", skew, state, show(got[i].Lease.Deadline))
		}
		e.settleEach(h, with(skewed(got[2+i], skew), success(`1`)))
	}
	var zero tasks.Lease
	zero.ID, zero.Attempt, zero.Token = got[4].Lease.ID, got[4].Lease.Attempt, got[4].Lease.Token
	e.settleEach(h, with(zero, success(`1`)))
	e.sweptLost(h, 1)
	e.status(h, "renewed by a clock ahead", got[0].Record.ID, tasks.Running)
	e.status(h, "renewed by a clock behind", got[1].Record.ID, tasks.Running)
	e.status(h, "not renewed", got[5].Record.ID, tasks.Failed)
}
