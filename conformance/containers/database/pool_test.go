package database_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// TestHandlersUseUpThePool lends the backend a pool of which handlers, twice as many as there are
// connections, take whatever they get. The worker claims, renews and settles between them.
func TestHandlersUseUpThePool(t *testing.T) {
	s := server.Get(t)
	cfg, err := pgxpool.ParseConfig(s.Direct())
	if err != nil {
		t.Fatal("the server's URL isn't one")
	}
	const conns = 3
	cfg.MaxConns = conns
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	b, err := database.New(pool, &database.Options{Schema: s.NewSchema(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	if _, err := b.Migrator().Up(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
	if err := app.Use(tasks.DefaultAlias, b); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	runs := make(map[int]int)
	task := tasks.Define(app, "query", func(ctx context.Context, n int) (int, error) {
		mu.Lock()
		runs[n]++
		mu.Unlock()
		for range 4 {
			if _, err := pool.Exec(ctx, "SELECT pg_sleep(0.3)"); err != nil {
				return 0, err
			}
		}
		return n, nil
	})
	calls := make([]tasks.Call, 12)
	for i := range calls {
		calls[i] = task.With(i)
	}
	results, err := app.EnqueueMany(t.Context(), calls...)
	if err != nil {
		t.Fatal(err)
	}
	w := worker.New(app, worker.Options{Concurrency: 2 * conns, Lease: 3 * time.Second, SweepInterval: 500 * time.Millisecond, Batch: true})
	if err := w.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, res := range results {
		if err := res.Refresh(t.Context()); err != nil || res.Status != tasks.Successful || res.Attempts() != 1 {
			t.Errorf("task %d is %s after %d attempts (%v), want SUCCESSFUL after 1", i, res.Status, res.Attempts(), err)
		}
		if runs[i] != 1 {
			t.Errorf("task %d was run %d times, want once", i, runs[i])
		}
	}
}
