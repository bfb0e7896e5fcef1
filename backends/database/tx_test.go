package database_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/tasks"
)

func newApp(t *testing.T, b tasks.Backend) (*tasks.App, *tasks.Task[string, string]) {
	t.Helper()
	app := tasks.NewApp()
	task := tasks.Define(app, "greet", func(_ context.Context, name string) (string, error) { return "Hello, " + name, nil })
	if err := app.Use("default", b); err != nil {
		t.Fatal(err)
	}
	return app, task
}

// roads are the ways into a transaction.
func roads(b *database.Backend) map[string]func(t *testing.T, commit bool, calls ...*tasks.Invocation[string]) []string {
	enqueue := func(t *testing.T, calls []*tasks.Invocation[string], one func(*tasks.Invocation[string]) (*tasks.Result[string], error)) (ids []string) {
		for _, c := range calls {
			res, err := one(c)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, res.ID)
		}
		return ids
	}
	return map[string]func(t *testing.T, commit bool, calls ...*tasks.Invocation[string]) []string{
		"pgx": func(t *testing.T, commit bool, calls ...*tasks.Invocation[string]) []string {
			tx, err := b.Pool().Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			ids := enqueue(t, calls, func(c *tasks.Invocation[string]) (*tasks.Result[string], error) {
				return database.EnqueueTx(t.Context(), tx, c)
			})
			if commit {
				err = tx.Commit(t.Context())
			} else {
				err = tx.Rollback(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			return ids
		},
		"sql": func(t *testing.T, commit bool, calls ...*tasks.Invocation[string]) []string {
			db := stdlib.OpenDBFromPool(b.Pool())
			defer db.Close()
			tx, err := db.BeginTx(t.Context(), &sql.TxOptions{})
			if err != nil {
				t.Fatal(err)
			}
			ids := enqueue(t, calls, func(c *tasks.Invocation[string]) (*tasks.Result[string], error) {
				return database.EnqueueSQLTx(t.Context(), tx, c)
			})
			if commit {
				err = tx.Commit()
			} else {
				err = tx.Rollback()
			}
			if err != nil {
				t.Fatal(err)
			}
			return ids
		},
	}
}

func TestE8_CallersTransaction(t *testing.T) {
	b := open(t)
	_, task := newApp(t, b)
	for name, run := range roads(b) {
		t.Run(name, func(t *testing.T) {
			ids := run(t, false, task.With("nobody"), task.With("nobody"))
			for _, id := range ids {
				if _, err := b.GetResult(t.Context(), id); !errors.Is(err, tasks.ErrResultNotFound) {
					t.Errorf("after a rollback: got %v, want ErrResultNotFound", err)
				}
			}
			ids = run(t, true, task.With("a"), task.Using(tasks.RunIn(time.Hour), tasks.Metadata("k", "v")).With("b"))
			if got := claim(t, b, 10); len(got) != 1 || got[0].Record.ID != ids[0] || string(got[0].Record.Args) != `"a"` {
				t.Errorf("after a commit: claimed %v, want the first of %v", got, ids)
			}
			r, err := b.GetResult(t.Context(), ids[1])
			if err != nil || r.RunAfter.Sub(r.EnqueuedAt) != time.Hour || r.Metadata["k"] != "v" {
				t.Errorf("the deferred one: %+v, %v", r, err)
			}
		})
	}
}

func TestE3_DuplicateInTransaction(t *testing.T) {
	b := open(t)
	_, task := newApp(t, b)
	first, err := task.Using(tasks.ID("the-id")).Enqueue(t.Context(), "first")
	if err != nil {
		t.Fatal(err)
	}
	for name, run := range roads(b) {
		t.Run(name, func(t *testing.T) {
			ids := run(t, true, task.Using(tasks.ID("the-id")).With("second"), task.With("other"))
			if ids[0] != first.ID {
				t.Errorf("got id %s, want %s", ids[0], first.ID)
			}
			if r, err := b.GetResult(t.Context(), first.ID); err != nil || string(r.Args) != `"first"` {
				t.Errorf("stored: %+v, %v, want the first", r, err)
			}
		})
	}
}

func TestEnqueueManyTx(t *testing.T) {
	b := open(t)
	app, task := newApp(t, b)
	number := tasks.Define(app, "number", func(_ context.Context, n int) (int, error) { return n, nil })
	tx, err := b.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	results, err := database.EnqueueManyTx(t.Context(), tx, task.With("a"), number.With(1), task.With("b"))
	if err != nil || len(results) != 3 {
		t.Fatalf("got %d results, %v", len(results), err)
	}
	if got := claim(t, b, 10); len(got) != 0 {
		t.Errorf("claimed %d before the commit", len(got))
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := claim(t, b, 10); len(got) != 3 {
		t.Errorf("claimed %d after the commit, want 3", len(got))
	}
	if results, err := database.EnqueueManyTx(t.Context(), tx); results != nil || err != nil {
		t.Errorf("no calls: got %v, %v", results, err)
	}
}

func TestEnqueueTxRefuses(t *testing.T) {
	b := open(t)
	_, task := newApp(t, b)
	_, other := newApp(t, dummy.New())
	tx, err := b.Pool().Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := database.EnqueueTx(t.Context(), tx, other.With("x")); !errors.Is(err, tasks.ErrUnsupported) {
		t.Errorf("another backend's task: got %v, want ErrUnsupported", err)
	}
	if _, err := database.EnqueueTx(t.Context(), nil, task.With("x")); !errors.Is(err, tasks.ErrInvalidTask) {
		t.Errorf("no transaction: got %v, want ErrInvalidTask", err)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Errorf("commit after refusals: %v", err)
	}
	if _, err := database.EnqueueTx(t.Context(), tx, task.With("x")); !errors.Is(err, tasks.ErrInvalidTask) || !errors.Is(err, pgx.ErrTxClosed) {
		t.Errorf("a transaction that is over: got %v, want ErrInvalidTask and pgx.ErrTxClosed", err)
	}
}

// A rolled-back transaction tells nobody and delays nobody; a commit wakes at once.
func TestE8_NotifiedAtCommit(t *testing.T) {
	b := open(t, func(o *database.Options) { o.PollInterval = slowPoll })
	_, task := newApp(t, b)
	took := waits(t, b, slowPoll/2)
	listening(t, b)
	for name, run := range roads(b) {
		run(t, false, task.With(name))
	}
	select {
	case d := <-took:
		t.Fatalf("woken after %v by what was rolled back", d)
	case <-time.After(200 * time.Millisecond):
	}
	from := time.Now()
	roads(b)["sql"](t, true, task.With("x"))
	<-took
	if d := time.Since(from); d > time.Second {
		t.Errorf("woken %v after the commit", d)
	}
}
