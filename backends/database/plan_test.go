package database_test

import (
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// What is settled and renewed is found by its id, also when the server
// has counted the table and found that next to nothing is RUNNING: going through all that
// is, for each outcome, takes the square of it. And settling gives no index a new entry.
func TestLeasesAreFoundDirectly(t *testing.T) {
	const n = 500
	server := serverURL(t)
	conn := connect(t, server)
	const lookups = "SELECT idx_scan FROM pg_stat_all_indexes WHERE schemaname = $1 AND indexrelname = 'tasks_pkey'"
	const readAll = "SELECT seq_tup_read FROM pg_stat_all_tables WHERE schemaname = $1 AND relname = 'tasks'"
	const inPlace = "SELECT n_tup_hot_upd FROM pg_stat_all_tables WHERE schemaname = $1 AND relname = 'tasks'"
	for name, tt := range map[string]struct {
		call func(*testing.T, *database.Backend, []tasks.Claimed)
		// wants are what is to be counted at least, and most is for lookups.
		wants map[string]int64
		most  int64
	}{
		"Settle": {func(t *testing.T, b *database.Backend, got []tasks.Claimed) {
			outs := make([]tasks.Outcome, n)
			for i, c := range got {
				outs[i] = tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeSuccess}
			}
			if verdicts, err := b.Settle(t.Context(), outs); err != nil || verdicts[n-1] != nil {
				t.Fatalf("Settle: %v, %v", verdicts, err)
			}
		}, map[string]int64{inPlace: n * 8 / 10, lookups: n}, 3 * n},
		"Renew": {func(t *testing.T, b *database.Backend, got []tasks.Claimed) {
			leases := make([]tasks.Lease, n)
			for i, c := range got {
				leases[i] = c.Lease
			}
			if states, err := b.Renew(t.Context(), leases, time.Minute); err != nil || states[n-1].Lost {
				t.Fatalf("Renew: %v, %v", states, err)
			}
		}, map[string]int64{lookups: 2 * n}, 3 * n},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := database.Open(t.Context(), database.Options{URL: server, Schema: newSchema(t, server), Migrate: true})
			if err != nil {
				t.Fatal(err)
			}
			for _, sql := range []string{
				"INSERT INTO " + table(b, "tasks") + ` (enqueued_at, due, max_attempts, priority, id, queue, task, alias, status, stage, finished_at, until)
					SELECT now(), now(), 1, 0, 'finished-' || n, 'default', 'task', 'default', 2, 2, now(), now() + interval '1 day' FROM generate_series(1, 10000) n`,
				"ANALYZE " + table(b, "tasks"),
			} {
				if _, err := b.Pool().Exec(t.Context(), sql); err != nil {
					t.Fatal(err)
				}
			}
			count := func(query string) (n int64) {
				t.Helper()
				if err := conn.QueryRow(t.Context(), query, b.Schema()).Scan(&n); err != nil {
					t.Fatal(err)
				}
				return n
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
			for query, want := range tt.wants {
				eventually(t, 10*time.Second, "the server's counts are there", func() bool { return count(query) >= want })
			}
			if got := count(lookups); got > tt.most {
				t.Errorf("%d records were looked up by id, want at most %d", got, tt.most)
			}
			if got := count(readAll); got > 2*10_000 { // of the statements above
				t.Errorf("%d records were read one after the other", got)
			}
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
	defer holdSnapshot(t, newPool(t, server))()
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
	read := readReady(t, b, 2*n)
	if read > 2*n+n/2 {
		t.Errorf("the server has read %d entries of the index, want that the last claim steps over the %d dead ones once", read, n)
	}
}

// readReady closes the backend, and returns how many entries of the index of what is READY the server
// has read for it, when it says at least so many.
func readReady(t *testing.T, b *database.Backend, least int64) (read int64) {
	t.Helper()
	// A connection that ends tells the server what it did.
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, serverURL(t))
	eventually(t, 10*time.Second, "the server's counts are there", func() bool {
		err := conn.QueryRow(t.Context(), "SELECT idx_tup_read FROM pg_stat_all_indexes WHERE schemaname = $1 AND indexrelname = 'tasks_ready'", b.Schema()).Scan(&read)
		if err != nil {
			t.Fatal(err)
		}
		return read >= least
	})
	return read
}
