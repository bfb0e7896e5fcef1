package database_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// finished is how many finished records a large table has.
const finished = 1_000_000

// fillFinished stores finished records, kept for a day, and has the server look at them as
// autovacuum would.
func fillFinished(b *testing.B, store *database.Backend) {
	b.Helper()
	sql := "INSERT INTO " + table(store, "tasks") + ` (enqueued_at, due, max_attempts, priority, id, queue, task, alias, args, status, stage, attempts,
			started_at, attempted_at, finished_at, until, value)
		SELECT now(), now(), 1, 0, 'finished-' || n, 'queue-' || n % 5, 'task-' || n % 20, 'default', '{"num":1}', 2, 2, 1,
			now(), now(), now(), now() + interval '1 day', '"done"'
		FROM generate_series(1, $1) n`
	if _, err := store.Pool().Exec(b.Context(), sql, finished); err != nil {
		b.Fatal(err)
	}
	cleanUp(b, store)
}

// BenchmarkDrainBeside drains 20,000 tasks that do nothing with a worker, on an empty table,
// beside a million finished records, and while another connection holds a snapshot, by turns.
// Run it with -benchtime 1x.
func BenchmarkDrainBeside(b *testing.B) {
	const n = 20_000
	empty, large := open(b), open(b)
	fillFinished(b, large)
	for round := range 3 {
		for _, tt := range []struct {
			name     string
			store    *database.Backend
			snapshot bool
		}{
			{"empty", empty, false},
			{"finished=1000000", large, false},
			{"empty/snapshot", empty, true},
			{"finished=1000000/snapshot", large, true},
		} {
			b.Run(fmt.Sprintf("%s/round=%d", tt.name, round+1), func(b *testing.B) {
				b.StopTimer()
				for range b.N {
					cleanUp(b, tt.store)
					release := func() {}
					if tt.snapshot {
						release = holdSnapshot(b, tt.store.Pool())
					}
					preload(b, tt.store.Pool(), tt.store, n)
					b.StartTimer()
					drainByWorker(b, tt.store, n)
					b.StopTimer()
					release()
				}
				perSecond(b, b.N*n)
			})
		}
	}
}

// BenchmarkDrainUnderOldSnapshot drains 20,000 tasks again and again while another connection holds
// a snapshot from before the first, so that the server can clean up none of what was claimed.
// Run it with -benchtime 1x.
func BenchmarkDrainUnderOldSnapshot(b *testing.B) {
	const n = 20_000
	store := open(b)
	defer holdSnapshot(b, store.Pool())()
	for dead := 0; dead <= 7*n; dead += n {
		b.Run(fmt.Sprintf("claimed=%d", dead), func(b *testing.B) {
			b.StopTimer()
			for range b.N {
				preload(b, store.Pool(), store, n)
				b.StartTimer()
				drainByWorker(b, store, n)
				b.StopTimer()
			}
			perSecond(b, b.N*n)
		})
	}
}

// cleanUp removes what the rounds before have left behind.
func cleanUp(b *testing.B, store *database.Backend) {
	b.Helper()
	for _, sql := range []string{
		"DELETE FROM " + table(store, "tasks") + " WHERE task = 'noop'",
		"VACUUM (ANALYZE, PARALLEL 0) " + table(store, "tasks"),
	} {
		if _, err := store.Pool().Exec(b.Context(), sql); err != nil {
			b.Fatal(err)
		}
	}
}

// drainByWorker returns when a worker has run and settled n tasks.
func drainByWorker(b *testing.B, store *database.Backend, n int) {
	b.Helper()
	app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
	var left atomic.Int64
	left.Store(int64(n))
	done := make(chan struct{})
	tasks.Define(app, "noop", func(context.Context, map[string]int) (struct{}, error) {
		if left.Add(-1) == 0 {
			close(done)
		}
		return struct{}{}, nil
	})
	if err := app.Use("default", store); err != nil {
		b.Fatal(err)
	}
	stop := runWorker(b, app, 100)
	select {
	case <-done:
	case <-time.After(5 * time.Minute):
		b.Errorf("%d tasks are left after five minutes", left.Load())
	}
	stop() // when all is settled
}

// BenchmarkQueues measures what Queues takes with a million finished records and ten thousand
// that wait.
func BenchmarkQueues(b *testing.B) {
	store := open(b)
	fillFinished(b, store)
	preload(b, store.Pool(), store, 10_000)
	for b.Loop() {
		queues, err := store.Queues(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		var all int64
		for _, q := range queues {
			for _, n := range q.Counts {
				all += n
			}
		}
		if all != finished+10_000 {
			b.Fatalf("Queues counts %d records, want %d", all, finished+10_000)
		}
	}
}
