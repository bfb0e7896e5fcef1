package conformance

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// workerCaps are what most cases about claims and leases need.
const workerCaps = tasks.CapWorker | tasks.CapResults

// near is how far apart two times may be that belong to one event of the store.
const near = time.Second

// far is a delay that doesn't pass during a case.
const far = time.Hour

// longAgo is before any case, also in a bubble, whose clock starts in 2000.
var longAgo = time.Date(1999, 2, 3, 4, 5, 6, 789_012_000, time.UTC) //nolint:gochecknoglobals // a constant in all but name

// storeNow is the store's time: that at which it stores a record that no claim of
// the case comes to.
func (e *env) storeNow(h *handle) time.Time {
	e.Helper()
	rec := e.record(inQueue("clock"), delayed(100*far))
	e.enqueue(h, rec)
	return rec.EnqueuedAt
}

func runAfter(t time.Time) func(*tasks.Record)      { return func(r *tasks.Record) { r.RunAfter = t } }
func expiresIn(d time.Duration) func(*tasks.Record) { return func(r *tasks.Record) { r.TTL = d } }

func released(delay time.Duration) tasks.Outcome {
	return tasks.Outcome{Kind: tasks.OutcomeRelease, Delay: delay}
}

func snoozed(delay time.Duration) tasks.Outcome {
	return tasks.Outcome{Kind: tasks.OutcomeSnooze, Delay: delay}
}

func givenUp(reason string) tasks.Outcome {
	return tasks.Outcome{Kind: tasks.OutcomeCancel, Reason: reason}
}

// with binds an outcome to the lease that it ends.
func with(l tasks.Lease, out tasks.Outcome) tasks.Outcome {
	out.Lease = l
	return out
}

// settleEach settles outcomes that the store must take, all of them.
func (e *env) settleEach(h *handle, outs ...tasks.Outcome) {
	e.Helper()
	if len(outs) == 0 {
		return
	}
	for i, err := range e.settleAll(h, outs...) {
		e.must(err, "settle %s of record %s", outs[i].Kind, outs[i].Lease.ID)
	}
}

// inClaimOrder sorts stored records as the contract has it.
func inClaimOrder(recs []*tasks.Record) []*tasks.Record {
	return slices.SortedFunc(slices.Values(recs), func(a, b *tasks.Record) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.DueAt().Compare(b.DueAt()), cmp.Compare(a.ID, b.ID))
	})
}

// gives claims up to n records and wants exactly these, in this order.
func (e *env) gives(h *handle, what string, n int, want ...*tasks.Record) []tasks.Claimed {
	e.Helper()
	got := e.claim(h, n)
	e.ordered(what, got, want)
	return got
}

// ordered fails at the first place where claimed records differ from the wanted.
func (e *env) ordered(what string, got []tasks.Claimed, want []*tasks.Record) {
	e.Helper()
	if len(got) != len(want) {
		e.Errorf("%s: claimed %d records, want %d", what, len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		if got[i].Record.ID != want[i].ID {
			e.Fatalf("%s: place %d of the claims has %s, want %s", what, i, place(got[i].Record), place(want[i]))
		}
	}
}

func place(r *tasks.Record) string {
	return fmt.Sprintf("%s (queue %q, priority %d, due %s)", r.ID, r.Queue, r.Priority, show(r.DueAt()))
}

// inQueues asks for n records of the named queues.
func inQueues(n int, queues ...string) tasks.ClaimRequest {
	return tasks.ClaimRequest{Selection: tasks.Selection{Queues: queues}, Worker: "worker-1", Limit: n, Lease: time.Minute}
}

// short asks for n records with leases that run out during the case.
func (e *env) short(n int) tasks.ClaimRequest {
	req := inQueues(n)
	req.Lease = e.timing.Lease
	return req
}

// exactly claims as many records as the request's limit, which must be there.
func (e *env) exactly(h *handle, req tasks.ClaimRequest) []tasks.Claimed {
	e.Helper()
	got := e.claimAs(h, req)
	if len(got) != req.Limit {
		e.Fatalf("a claim of %d records from %+v gave %d", req.Limit, req.Selection, len(got))
	}
	return got
}

// lapse waits until the leases of short claims are past their deadline.
func (e *env) lapse() {
	e.step("waiting for leases to run out")
	e.pause(e.timing.Lease + e.timing.Lease/4)
}

// sweptLost sweeps until that many leases were found lost, and no more.
func (e *env) sweptLost(h *handle, want int) {
	e.Helper()
	lost := 0
	e.eventually(2*e.timing.Lease+e.timing.Notice, "sweeps have taken back the leases that ran out", func() bool {
		lost += e.sweep(h).Lost
		return lost >= want
	})
	if lost != want {
		e.Errorf("sweeps found %d lost leases, want %d", lost, want)
	}
}

// renew renews leases and returns their states.
func (e *env) renew(h *handle, d time.Duration, leases ...tasks.Lease) []tasks.LeaseState {
	e.Helper()
	e.step("renewing %d leases", len(leases))
	states, err := h.s.Renew(e.ctx, leases, d)
	e.must(err, "renew %d leases", len(leases))
	if len(states) != len(leases) {
		e.Fatalf("renewal of %d leases gave %d states", len(leases), len(states))
	}
	return states
}

func cancelling(reason string) tasks.Change {
	return tasks.Change{Kind: tasks.ChangeCancel, Reason: reason}
}

// status fails unless the record stands there, and returns it.
func (e *env) status(h *handle, what, id string, want tasks.Status) *tasks.Record {
	e.Helper()
	rec := e.get(h, id)
	if rec.Status != want {
		e.Errorf("%s: record %s is %s, want %s", what, id, rec.Status, want)
	}
	return rec
}

// settlesAs settles an outcome and wants of the record what lifecycle.Settle says,
// for the time that the store took. It returns the stored record.
func (e *env) settlesAs(h *handle, c tasks.Claimed, out tasks.Outcome) *tasks.Record {
	e.Helper()
	before := e.get(h, c.Record.ID)
	e.settle(h, c, out)
	after := e.get(h, c.Record.ID)
	e.ended(string(out.Kind), before, after, out)
	return after
}

// ended compares a record after a settle, or a loss, with what lifecycle makes of
// the one before.
func (e *env) ended(what string, before, after *tasks.Record, out tasks.Outcome) {
	e.Helper()
	now := endedAt(before, after, out)
	if now.Before(before.LastAttemptedAt) {
		e.Errorf("%s: record %s: its attempt of %v ended at %v, before it started", what, before.ID, show(before.LastAttemptedAt), show(now))
	}
	want := before.Clone()
	lifecycle.Settle(want, out, now)
	align(want, before, after)
	e.same("after "+what, after, want)
}

// endedAt is the store's time of a settle, read from what it left.
func endedAt(before, after *tasks.Record, out tasks.Outcome) time.Time {
	switch {
	case after.Status.Final():
		return after.FinishedAt
	case len(after.Errors) > len(before.Errors):
		return after.LastError().At
	case out.Kind == tasks.OutcomeRelease && out.Delay <= 0:
		return before.LastAttemptedAt // it leaves no time
	}
	return after.RunAfter.Add(-max(out.Delay, 0))
}

// align takes the times of one event for the same that are near each other, as a
// store may read its clock more than once. Times that the event doesn't set stay.
func align(want, before, after *tasks.Record) {
	fit := func(w *time.Time, b, a time.Time) {
		if !w.Equal(b) && w.Sub(a).Abs() < near {
			*w = a
		}
	}
	fit(&want.RunAfter, before.RunAfter, after.RunAfter)
	fit(&want.FinishedAt, before.FinishedAt, after.FinishedAt)
	for i := len(before.Errors); i < min(len(want.Errors), len(after.Errors)); i++ {
		fit(&want.Errors[i].At, time.Time{}, after.Errors[i].At)
	}
}
