package database_test

import (
	"slices"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

func countRows(t *testing.T, b *database.Backend, name string) (n int) {
	t.Helper()
	if err := b.Pool().QueryRow(t.Context(), "SELECT count(*) FROM "+table(b, name)).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func settleAs(t *testing.T, b *database.Backend, kind tasks.OutcomeKind, got ...tasks.Claimed) {
	t.Helper()
	outs := make([]tasks.Outcome, len(got))
	for i, c := range got {
		outs[i] = tasks.Outcome{Lease: c.Lease, Kind: kind}
		if kind == tasks.OutcomeFailure {
			outs[i].Error = &tasks.AttemptError{Type: "t", Message: "m"}
		}
	}
	verdicts, err := b.Settle(t.Context(), outs)
	if err != nil || slices.ContainsFunc(verdicts, func(err error) bool { return err != nil }) {
		t.Fatalf("Settle: %v, %v", verdicts, err)
	}
}

// The row of a claim is there until all its records are settled, however they are; the next claim
// deletes it. One that isn't over stays, whatever is settled twice.
func TestClaimRowsEndWithTheirClaims(t *testing.T) {
	b := open(t)
	recs := make([]*tasks.Record, 70)
	for i := range recs {
		recs[i] = rec()
	}
	enqueue(t, b, recs...)
	got := claim(t, b, 70)
	settleAs(t, b, tasks.OutcomeSuccess, got[:60]...)
	settleAs(t, b, tasks.OutcomeFailure, got[60:68]...)
	settleAs(t, b, tasks.OutcomeRelease, got[68])
	for range 3 {
		if verdicts, err := b.Settle(t.Context(), []tasks.Outcome{{Lease: got[0].Lease, Kind: tasks.OutcomeSuccess}}); err != nil || verdicts[0] == nil {
			t.Fatalf("a second Settle: %v, %v", verdicts, err)
		}
	}
	second := claim(t, b, 1)
	if n := countRows(t, b, "leases"); n != 2 {
		t.Errorf("%d rows of claims while one record of the first runs and one of the second, want 2", n)
	}
	settleAs(t, b, tasks.OutcomeSuccess, got[69])
	settleAs(t, b, tasks.OutcomeSuccess, second...)
	if got := claim(t, b, 1); len(got) != 0 {
		t.Fatalf("claimed %d, want none", len(got))
	}
	if n := countRows(t, b, "leases"); n != 0 {
		t.Errorf("%d rows of claims are left when all is settled", n)
	}
}

// A sweep looks at a claim whose lease would be over, and again when the first of what is renewed
// would be. A lease that was made shorter is over earlier.
func TestSweepsOfRenewedLeases(t *testing.T) {
	b := open(t)
	recs := []*tasks.Record{rec(), rec(), rec()}
	for _, r := range recs {
		r.MaxAttempts = 5
	}
	enqueue(t, b, recs...)
	got, err := b.Claim(t.Context(), tasks.ClaimRequest{Worker: "w", Limit: 3, Lease: time.Minute})
	if err != nil || len(got) != 3 {
		t.Fatalf("Claim: %d, %v", len(got), err)
	}
	renew := func(d time.Duration, of ...tasks.Claimed) {
		t.Helper()
		for _, c := range of {
			if states, err := b.Renew(t.Context(), []tasks.Lease{c.Lease}, d); err != nil || states[0].Lost {
				t.Fatalf("Renew: %+v, %v", states, err)
			}
		}
	}
	renew(time.Hour, got[0], got[1])
	renew(time.Millisecond, got[2])
	eventually(t, 5*time.Second, "the shortened lease is lost", func() bool {
		s, err := b.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return s.Lost == 1
	})
	// As if the claim's lease were over, while two were renewed.
	if _, err := b.Pool().Exec(t.Context(), "UPDATE "+table(b, "leases")+" SET until = now() - interval '1 s'"); err != nil {
		t.Fatal(err)
	}
	if s, err := b.Sweep(t.Context()); err != nil || s.Lost != 0 {
		t.Fatalf("Sweep: %+v, %v, want none lost", s, err)
	}
	var rows, ids int
	err = b.Pool().QueryRow(t.Context(), "SELECT count(*), sum(n) FROM "+table(b, "leases")+" WHERE until > now() + interval '59 minutes'").Scan(&rows, &ids)
	if err != nil || rows != 1 || ids != 2 {
		t.Errorf("the claim has %d rows of %d records to look at in an hour (%v), want 1 of 2", rows, ids, err)
	}
	if n := countRows(t, b, "leases"); n != 1 {
		t.Errorf("%d rows of claims, want 1", n)
	}
	settleAs(t, b, tasks.OutcomeSuccess, got[0], got[1])
}

// Records that were settled together and are to be kept for different times are deleted each in
// its time, and what was READY again meanwhile isn't.
func TestPrunesWhatWasSettledTogether(t *testing.T) {
	b := open(t)
	recs := make([]*tasks.Record, 4)
	for i := range recs {
		recs[i] = rec()
		d := time.Hour
		if i < 2 {
			d = time.Millisecond
		}
		recs[i].Retain = &d
	}
	enqueue(t, b, recs...)
	got := claim(t, b, 4)
	settleAs(t, b, tasks.OutcomeFailure, got...)
	if a, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeRetry}, []string{got[1].Record.ID}); err != nil || a[0].Err != nil {
		t.Fatalf("Alter: %v, %v", a, err)
	}
	pruned := 0
	eventually(t, 5*time.Second, "one is deleted", func() bool {
		s, err := b.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		pruned += s.Pruned
		return pruned > 0
	})
	if n := countRows(t, b, "tasks"); n != 3 || pruned != 1 {
		t.Errorf("%d records are left and %d were deleted, want 3 and 1", n, pruned)
	}
	var rows, ids int
	err := b.Pool().QueryRow(t.Context(), "SELECT count(*), sum(n) FROM "+table(b, "finals")+" WHERE until > now() + interval '59 minutes'").Scan(&rows, &ids)
	if err != nil || rows != 1 || ids != 2 || countRows(t, b, "finals") != 1 {
		t.Errorf("%d rows of %d records are to be deleted in an hour (%v), want 1 of 2", rows, ids, err)
	}
}
