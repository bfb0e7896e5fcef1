package conformance

import (
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func refusedCases() []Case {
	return []Case{
		{
			Name: "Lease/Length", Clauses: []string{"W3", "W4"}, Needs: tasks.CapWorker | tasks.CapResults,
			What: "a claim or renewal for no time, or less, must be an error and change nothing: such a lease would be lost at once",
			run:  leaseLength,
		},
		{
			Name: "Alter/Gone", Clauses: []string{"I3", "I4"}, Needs: tasks.CapWorker | tasks.CapInspect | tasks.CapResults,
			What: "cancelling a record that is deleted on finishing must say that it is gone, by an empty status",
			run:  alterGone,
		},
	}
}

func leaseLength(e *env) {
	h := e.connect()
	rec := e.record()
	e.enqueue(h, rec)
	for _, length := range []time.Duration{0, -time.Second} {
		e.step("claiming for %v", length)
		got, err := h.s.Claim(e.ctx, tasks.ClaimRequest{Selection: all, Worker: "worker-1", Limit: 1, Lease: length})
		e.hold(got)
		if err == nil || len(got) > 0 {
			e.Fatalf("claim with a lease of %v: got %d records and the error %v, want none and an error", length, len(got), err)
		}
	}
	if got := e.get(h, rec.ID); got.Status != tasks.Ready || got.Attempts() != 0 {
		e.Errorf("after refused claims the record is %s with %d attempts, want READY with 0", got.Status, got.Attempts())
	}
	c := e.claimOne(h)
	for _, length := range []time.Duration{0, -time.Second} {
		e.step("renewing by %v", length)
		if states, err := h.s.Renew(e.ctx, []tasks.Lease{c.Lease}, length); err == nil {
			e.Errorf("renewal by %v: got %+v and no error, want an error", length, states)
		}
	}
	e.settle(h, c, success("1")) // the lease is as it was
}

func alterGone(e *env) {
	h := e.connect()
	rec := e.record(func(r *tasks.Record) { r.Retain = new(time.Duration) })
	e.enqueue(h, rec)
	e.step("cancelling a record with Retain 0")
	got, err := h.s.Alter(e.ctx, tasks.Change{Kind: tasks.ChangeCancel}, []string{rec.ID})
	e.must(err, "cancel %s", rec.ID)
	if len(got) != 1 || got[0].Err != nil || got[0].Status != "" {
		e.Errorf("cancel of a record with Retain 0: got %+v, want one answer without a status or an error", got)
	}
}
