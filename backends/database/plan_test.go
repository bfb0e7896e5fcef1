package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// What is settled and renewed is looked up by its id, also when the server has counted the
// table and found that next to nothing is RUNNING: going through all that is, for each outcome,
// takes the square of it.
func TestLeasesAreLookedUpById(t *testing.T) {
	const n = 500
	server := serverURL(t)
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	for name, tt := range map[string]struct {
		call func(*testing.T, *database.Backend, []tasks.Claimed)
		want int64 // of lookups for each record
	}{
		"Settle": {func(t *testing.T, b *database.Backend, got []tasks.Claimed) {
			outs := make([]tasks.Outcome, n)
			for i, c := range got {
				outs[i] = tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeSuccess}
			}
			if verdicts, err := b.Settle(t.Context(), outs); err != nil || verdicts[n-1] != nil {
				t.Fatalf("Settle: %v, %v", verdicts, err)
			}
		}, 1},
		"Renew": {func(t *testing.T, b *database.Backend, got []tasks.Claimed) {
			leases := make([]tasks.Lease, n)
			for i, c := range got {
				leases[i] = c.Lease
			}
			if states, err := b.Renew(t.Context(), leases, time.Minute); err != nil || states[n-1].Lost {
				t.Fatalf("Renew: %v, %v", states, err)
			}
		}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := database.Open(t.Context(), database.Options{URL: server, Schema: newSchema(t, server), Migrate: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, sql := range []string{
				"INSERT INTO " + table(b, "tasks") + ` (enqueued_at, due, max_attempts, priority, id, queue, task, alias, status, finished_at, until)
					SELECT now(), now(), 1, 0, 'finished-' || n, 'default', 'task', 'default', 2, now(), now() + interval '1 day' FROM generate_series(1, 10000) n`,
				"ANALYZE " + table(b, "tasks"),
			} {
				if _, err := b.Pool().Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			recs := make([]*tasks.Record, n)
			for i := range recs {
				recs[i] = rec()
			}
			enqueue(t, b, recs...)
			tt.call(t, b, claim(t, b, n))
			// A connection that ends tells the server what it did.
			if err := b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			eventually(t, 10*time.Second, "each record is looked up by its id", func() bool {
				var lookups int64
				err := conn.QueryRow(t.Context(), "SELECT idx_scan FROM pg_stat_all_indexes WHERE schemaname = $1 AND indexrelname = 'tasks_pkey'", b.Schema()).Scan(&lookups)
				if err != nil {
					t.Fatal(err)
				}
				return lookups >= tt.want*n
			})
		})
	}
}

// While somebody has an old snapshot, the server keeps the entries of what is claimed already in
// the index, and a claim has to step over all of them: once, and not in each of its parts.
func TestClaimStepsOverTheDeadOnce(t *testing.T) {
	const n = 3000
	server := serverURL(t)
	b, err := database.Open(t.Context(), database.Options{URL: server, Schema: newSchema(t, server), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	old, err := newPool(t, server).BeginTx(t.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	if err == nil {
		_, err = old.Exec(t.Context(), "SELECT count(*) FROM pg_class")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = old.Rollback(context.Background()) }()
	recs := make([]*tasks.Record, n)
	for i := range recs {
		recs[i] = rec()
	}
	enqueue(t, b, recs...)
	if got := claim(t, b, n, "default"); len(got) != n { // reads each once, since there is one level only
		t.Fatalf("claimed %d, want %d", len(got), n)
	}
	enqueue(t, b, rec())
	if got := claim(t, b, 1, "default"); len(got) != 1 {
		t.Fatalf("claimed %d, want 1", len(got))
	}
	// A connection that ends tells the server what it did.
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var read int64
	eventually(t, 10*time.Second, "the server's counts are there", func() bool {
		err := conn.QueryRow(t.Context(), "SELECT idx_tup_read FROM pg_stat_all_indexes WHERE schemaname = $1 AND indexrelname = 'tasks_ready'", b.Schema()).Scan(&read)
		if err != nil {
			t.Fatal(err)
		}
		return read >= 2*n
	})
	if read > 2*n+n/2 {
		t.Errorf("the server has read %d entries of the index, want that the last claim steps over the %d dead ones once", read, n)
	}
}
