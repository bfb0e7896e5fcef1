package e2e

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// TestMain lets the test binary be re-executed as a process to be killed.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SIDEMAN_E2E_CHILD"); dir != "" {
		crashChild(dir)
		return
	}
	os.Exit(m.Run())
}

// quiet discards logs at no cost.
func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// openApp returns an App on a bolt file.
func openApp(tb testing.TB, path string) *tasks.App {
	tb.Helper()
	backend, err := bolt.Open(context.Background(), bolt.Options{Path: path})
	if err != nil {
		tb.Fatal(err)
	}
	app := tasks.NewAppWith(tasks.AppOptions{Logger: quiet()})
	if err := app.Use(tasks.DefaultAlias, backend); err != nil {
		tb.Fatal(err)
	}
	return app
}

func newApp(tb testing.TB) (app *tasks.App, path string) {
	tb.Helper()
	path = filepath.Join(tb.TempDir(), "tasks.db")
	app = openApp(tb, path)
	tb.Cleanup(func() {
		if err := app.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return app, path
}

// work runs a worker until stop is called, which reports how it ended.
func work(tb testing.TB, app *tasks.App, options worker.Options) (w *worker.Worker, stop func()) {
	tb.Helper()
	if options.Logger == nil {
		options.Logger = quiet()
	}
	w = worker.New(app, options)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				tb.Errorf("worker: %v", err)
			}
		case <-time.After(60 * time.Second):
			buf := make([]byte, 1<<20)
			tb.Fatalf("the worker didn't stop within 60 s:\n%s", buf[:runtime.Stack(buf, true)])
		}
	}
	tb.Cleanup(stop)
	return w, stop
}

// eventually polls until ok, and fails with what it waited for.
func eventually(tb testing.TB, limit time.Duration, what string, ok func() bool) {
	tb.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			tb.Fatalf("after %v still not: %s", limit, what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

// counts adds up the records by status.
func counts(tb testing.TB, app *tasks.App) map[tasks.Status]int64 {
	tb.Helper()
	admin, err := app.Admin(tasks.DefaultAlias)
	if err != nil {
		tb.Fatal(err)
	}
	queues, err := admin.Queues(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	sum := make(map[tasks.Status]int64)
	for _, q := range queues {
		for status, n := range q.Counts {
			sum[status] += n
		}
	}
	return sum
}

// rss is the resident memory of this process in bytes, 0 where it can't be read.
func rss() int64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(status))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}
