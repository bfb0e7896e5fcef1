package database_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// TestTransactionsDelayNobody has a worker that only the server can wake, and looks how soon it
// starts what is committed just after a rollback of the same, and while a transaction that has
// enqueued stays open.
func TestTransactionsDelayNobody(t *testing.T) {
	s := server.Get(t)
	b, err := database.Open(t.Context(), database.Options{URL: s.URL(), Schema: s.NewSchema(t), Migrate: true, PollInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
	started := make(chan string, 100)
	task := tasks.Define(app, "note", func(_ context.Context, what string) (int, error) { started <- what; return 0, nil })
	if err := app.Use(tasks.DefaultAlias, b); err != nil {
		t.Fatal(err)
	}
	defer app.Close(context.Background())
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.New(app, worker.Options{}).Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	enqueue := func(what string) pgx.Tx {
		t.Helper()
		tx, err := b.Pool().Begin(t.Context())
		if err == nil {
			_, err = database.EnqueueTx(t.Context(), tx, task.With(what))
		}
		if err != nil {
			t.Fatal(err)
		}
		return tx
	}
	end := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	next := func(want string) (took time.Duration) {
		t.Helper()
		from := time.Now()
		select {
		case got := <-started:
			if got != want {
				t.Errorf("%q was started, want %q", got, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%q wasn't started within 10 s", want)
		}
		return time.Since(from)
	}
	end(enqueue("first").Commit(t.Context()))
	next("first")

	var took []time.Duration
	for range 50 {
		end(enqueue("never").Rollback(t.Context()))
		end(enqueue("at once").Commit(t.Context()))
		took = append(took, next("at once"))
	}
	slices.Sort(took)
	t.Logf("started after a commit that follows a rollback: median %v, slowest %v", took[25], took[49])
	if took[25] > 100*time.Millisecond || took[49] > time.Second {
		t.Errorf("started %v after the commit, at the slowest %v", took[25], took[49])
	}

	open := enqueue("slow")
	for range 3 { // which come after it and are committed before
		end(enqueue("quick").Commit(t.Context()))
		if took := next("quick"); took > time.Second {
			t.Errorf("started %v after the commit, while another transaction is open", took)
		}
	}
	end(open.Commit(t.Context()))
	if took := next("slow"); took > time.Second {
		t.Errorf("the slow transaction's task started %v after its commit", took)
	}
}
