package worker_test

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// journal is a slog.Handler that keeps every line as "LEVEL message key=value …".
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (l *journal) Enabled(context.Context, slog.Level) bool { return true }
func (l *journal) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *journal) WithGroup(string) slog.Handler            { return l }

func (l *journal) Handle(_ context.Context, r slog.Record) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", r.Level, r.Message)
	r.Attrs(func(a slog.Attr) bool {
		fmt.Fprintf(&b, " %s=%v", a.Key, a.Value)
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, b.String())
	return nil
}

// with returns the lines that contain every one of the parts.
func (l *journal) with(parts ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
line:
	for _, line := range l.lines {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue line
			}
		}
		found = append(found, line)
	}
	return found
}

// tail returns the last lines.
func (l *journal) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.lines[max(len(l.lines)-20, 0):], "\n")
}

// env is an App on a store, and a log.
type env struct {
	t     *testing.T
	app   *tasks.App
	store *memory
	log   *journal
}

// bubble runs fn in virtual time.
func bubble(t *testing.T, fn func(t *testing.T, e *env)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		fn(t, newEnv(t, m, m))
	})
}

func newEnv(t *testing.T, b tasks.Backend, m *memory) *env {
	t.Helper()
	e := &env{t: t, store: m, log: &journal{}}
	e.app = tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(e.log)})
	if err := e.app.UseWith("default", b, tasks.UseOptions{Queues: []string{}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("end of the log:\n" + e.log.tail())
		}
	})
	return e
}

// running is a worker that runs.
type running struct {
	*worker.Worker
	t    *testing.T
	done chan error
	over bool
}

func (e *env) start(o worker.Options) *running {
	e.t.Helper()
	r := &running{Worker: worker.New(e.app, o), t: e.t, done: make(chan error, 1)}
	ctx := context.WithoutCancel(e.t.Context())
	go func() { r.done <- r.Run(ctx) }()
	e.t.Cleanup(func() {
		if !r.over {
			r.Abort()
			_ = r.end()
		}
	})
	return r
}

// end waits until Run returns.
func (r *running) end() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		r.over = true
		return err
	case <-time.After(time.Hour):
		r.t.Fatal("the worker doesn't end")
		return nil
	}
}

// stop is Stop and end, and wants no error.
func (r *running) stop() {
	r.t.Helper()
	r.Stop()
	if err := r.end(); err != nil {
		r.t.Fatalf("Run: got %v, want nil", err)
	}
}

// runBatch runs a worker in batch mode to its end.
func (e *env) runBatch(o worker.Options) worker.Stats {
	e.t.Helper()
	o.Batch = true
	r := e.start(o)
	if err := r.end(); err != nil {
		e.t.Fatalf("Run: got %v, want nil", err)
	}
	return r.Stats()
}

func enqueue[A, R any](t *testing.T, task *tasks.Task[A, R], arg A, opts ...tasks.Option) string {
	t.Helper()
	res, err := task.Using(opts...).Enqueue(context.WithoutCancel(t.Context()), arg)
	if err != nil {
		t.Fatalf("enqueue %s: %v", task.Name(), err)
	}
	return res.ID
}

func (e *env) status(id string, want tasks.Status) *tasks.Record {
	e.t.Helper()
	rec := e.store.get(e.t, id)
	if rec.Status != want {
		e.t.Fatalf("status: got %s, want %s (errors %v)", rec.Status, want, rec.Errors)
	}
	return rec
}

func (e *env) logged(n int, parts ...string) []string {
	e.t.Helper()
	lines := e.log.with(parts...)
	if len(lines) != n {
		e.t.Fatalf("log lines with %q: got %d, want %d: %q", parts, len(lines), n, lines)
	}
	return lines
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v, want %v", what, got, want)
	}
}
