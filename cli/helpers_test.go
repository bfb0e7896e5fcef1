package cli_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends"
	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/internal/testserver"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// newApp has a task of each kind, and isn't open.
func newApp() *tasks.App {
	app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
	tasks.Define(app, "greet", func(_ context.Context, name string) (string, error) { return "Hello, " + name + "!", nil })
	tasks.Define(app, "fail", func(_ context.Context, why string) (tasks.None, error) { return tasks.None{}, errors.New(why) })
	tasks.Define(app, "tick", func(context.Context, tasks.None) (tasks.None, error) { return tasks.None{}, nil })
	return app
}

// ran is what a command has printed, and its exit code.
type ran struct {
	out, err string
	code     int
}

// run runs a command of a program with those tasks on a store.
func run(t *testing.T, store string, args ...string) ran {
	t.Helper()
	return runWith(t, &cli.Program{App: newApp(), Name: "app"}, "", append([]string{"--url", store}, args...)...)
}

// runWith runs a command of a program, with that standard input.
func runWith(t *testing.T, p *cli.Program, in string, args ...string) ran {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code := p.Run(ctx, args, cli.Streams{In: strings.NewReader(in), Out: &out, Err: &errs})
	return ran{out.String(), errs.String(), code}
}

// ok runs a command that must succeed and returns what it has printed.
func ok(t *testing.T, store string, args ...string) string {
	t.Helper()
	r := run(t, store, args...)
	if r.code != cli.ExitOK {
		t.Fatalf("%q: exit code %d: %s", args, r.code, r.err)
	}
	return r.out
}

// fails runs a command that must end with that code, and have those parts on its standard error.
func fails(t *testing.T, store string, code int, parts []string, args ...string) ran {
	t.Helper()
	r := run(t, store, args...)
	if r.code != code {
		t.Errorf("%q: exit code %d, want %d: %s", args, r.code, code, r.err)
	}
	for _, part := range parts {
		if !strings.Contains(r.err, part) {
			t.Errorf("%q: standard error has no %q: %s", args, part, r.err)
		}
	}
	return r
}

// onEach runs a test on an empty store of each kind that keeps tasks for workers. It gets the
// store's URL.
func onEach(t *testing.T, test func(t *testing.T, store string)) {
	t.Helper()
	t.Run("bolt", func(t *testing.T) { test(t, boltStore(t)) })
	t.Run("database", func(t *testing.T) { test(t, postgresStore(t)) })
	t.Run("redis", func(t *testing.T) { test(t, redisStore(t)) })
}

func boltStore(tb testing.TB) string {
	tb.Helper()
	store := "bolt:" + filepath.Join(tb.TempDir(), "tasks.db")
	withApp(tb, store, func(*tasks.App) {}) // the file is there
	return store
}

// postgresStore is a schema of the test's own, with its tables.
func postgresStore(tb testing.TB) string {
	tb.Helper()
	server := testserver.URL(tb, testserver.Postgres)
	schema := "cli_" + strings.ToLower(rand.Text())
	testserver.DropSchema(tb, server, schema)
	store := withQuery(tb, server, "schema", schema)
	withApp(tb, withQuery(tb, store, "migrate", "true"), func(*tasks.App) {})
	return store
}

func redisStore(tb testing.TB) string {
	tb.Helper()
	server := testserver.URL(tb, testserver.Redis)
	namespace := "cli_" + rand.Text()
	testserver.DropNamespace(tb, server, namespace)
	return withQuery(tb, server, "namespace", namespace)
}

func withQuery(tb testing.TB, raw, name, value string) string {
	tb.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		tb.Fatal(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// withApp opens the store for a while, with the tasks of newApp and for any queue.
func withApp(tb testing.TB, store string, do func(app *tasks.App)) {
	tb.Helper()
	cfg, err := tasks.ConfigFromURL(store)
	if err != nil {
		tb.Fatal(err)
	}
	one := cfg[tasks.DefaultAlias]
	one.Queues = []string{}
	cfg[tasks.DefaultAlias] = one
	app := newApp()
	if err := app.Open(tb.Context(), cfg, backends.All()); err != nil {
		tb.Fatal(err)
	}
	do(app)
	if err := app.Close(tb.Context()); err != nil {
		tb.Fatal(err)
	}
}

// enqueue stores runs of a task, an argument each, and returns their ids.
func enqueue(tb testing.TB, store, task string, args []string, options ...tasks.Option) (ids []string) {
	tb.Helper()
	withApp(tb, store, func(app *tasks.App) {
		calls := make([]tasks.Call, len(args))
		for i, arg := range args {
			call, err := app.CallJSON(task, []byte(arg), options...)
			if err != nil {
				tb.Fatal(err)
			}
			calls[i] = call
		}
		results, err := app.EnqueueMany(tb.Context(), calls...)
		if err != nil {
			tb.Fatal(err)
		}
		for _, r := range results {
			ids = append(ids, r.ID)
		}
	})
	return ids
}

// work runs what is due in the store.
func work(tb testing.TB, store string) {
	tb.Helper()
	withApp(tb, store, func(app *tasks.App) {
		if err := worker.New(app, worker.Options{Batch: true}).Run(tb.Context()); err != nil {
			tb.Fatal(err)
		}
	})
}
