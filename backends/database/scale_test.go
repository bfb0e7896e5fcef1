package database_test

import (
	"os"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// A million records that wait or have finished cost a claim nothing, also right after they
// came, before the table was ever analysed.
func TestAMillionRecordsHideNothing(t *testing.T) {
	if os.Getenv("SIDEMAN_TEST_LONG") == "" {
		t.Skip("takes a minute: set SIDEMAN_TEST_LONG")
	}
	b := open(t, func(o *database.Options) { o.PollOnly = true })
	enqueue(t, b, rec())
	for range 10 { // the plans are made while there is next to nothing
		for _, c := range claim(t, b, 1) {
			if _, err := b.Settle(t.Context(), []tasks.Outcome{{Lease: c.Lease, Kind: tasks.OutcomeRelease}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	exec := func(sql string) {
		t.Helper()
		if _, err := b.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("INSERT INTO " + table(b, "tasks") + ` (enqueued_at, due, run_after, max_attempts, priority, id, queue, task, alias, status, stage, finished_at, until)
		SELECT now(), now() + interval '1 day', now() + interval '1 day', 1, 100, 'deferred-' || n, 'default', 'task', 'default', 0, 0, NULL, NULL FROM generate_series(1, 1000000) n
		UNION ALL
		SELECT now(), now(), NULL, 1, 100, 'finished-' || n, 'default', 'task', 'default', 2, 2, now(), now() + interval '1 day' FROM generate_series(1, 1000000) n`)
	for range 5 {
		enqueue(t, b, rec())
		from := time.Now()
		if err := b.Wait(t.Context(), tasks.Selection{}); err != nil {
			t.Fatal(err)
		}
		waited := time.Since(from)
		got := claim(t, b, 1)
		if len(got) != 1 {
			t.Fatalf("claimed %d, want 1", len(got))
		}
		claimed := time.Since(from) - waited
		if _, err := b.Settle(t.Context(), []tasks.Outcome{{Lease: got[0].Lease, Kind: tasks.OutcomeSuccess}}); err != nil {
			t.Fatal(err)
		}
		t.Logf("wait %v, claim %v, settle %v", waited, claimed, time.Since(from)-waited-claimed)
		if claimed > 500*time.Millisecond {
			t.Errorf("a claim took %v", claimed)
		}
	}
	for what, fn := range map[string]func() error{
		"queues": func() error { _, err := b.Queues(t.Context()); return err },
		"sweep":  func() error { _, err := b.Sweep(t.Context()); return err },
		"check":  func() error { b.Check(t.Context()); return nil },
		"list failed": func() error {
			_, err := b.List(t.Context(), tasks.ListRequest{Filter: tasks.Filter{Statuses: []tasks.Status{tasks.Failed}}})
			return err
		},
		"prune": func() error {
			_, err := b.Prune(t.Context(), tasks.PruneRequest{OlderThan: time.Hour})
			return err
		},
		"next due": func() error {
			_, err := b.Claim(t.Context(), tasks.ClaimRequest{Worker: "w", Limit: 100, Lease: time.Minute})
			return err
		},
	} {
		from := time.Now()
		if err := fn(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		t.Logf("%s: %v", what, time.Since(from))
	}
}
