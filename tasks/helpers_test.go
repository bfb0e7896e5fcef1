package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/tasks"
)

// spy is a dummy that declares what it is told to, counts the calls and can block
// or fail.
type spy struct {
	*dummy.Backend

	caps    tasks.Capability
	enqueue func(ctx context.Context, recs []*tasks.Record) error // instead of dummy's
	result  func(ctx context.Context, id string) (*tasks.Record, error)
	close   func(ctx context.Context) error

	mu    sync.Mutex
	calls []string
}

const allCaps = tasks.CapResults | tasks.CapDefer | tasks.CapPriority | tasks.CapExpire | tasks.CapList

func newSpy(caps tasks.Capability) *spy { return &spy{Backend: dummy.New(), caps: caps} }

func (s *spy) called(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, what)
}

// Calls returns what was called since the last time.
func (s *spy) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

func (s *spy) Capabilities() tasks.Capability { return s.caps }

func (s *spy) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	s.called("enqueue")
	if s.enqueue != nil {
		return s.enqueue(ctx, recs)
	}
	return s.Backend.Enqueue(ctx, recs)
}

func (s *spy) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	s.called("get")
	if s.result != nil {
		return s.result(ctx, id)
	}
	return s.Backend.GetResult(ctx, id)
}

func (s *spy) Close(ctx context.Context) error {
	s.called("close")
	if s.close != nil {
		return s.close(ctx)
	}
	return s.Backend.Close(ctx)
}

// logs is a slog handler that keeps lines "LEVEL message key=value…".
type logs struct {
	mu    *sync.Mutex
	lines *[]string
	attrs string
}

func newLogs() *logs { return &logs{mu: new(sync.Mutex), lines: new([]string)} }

func (l *logs) Enabled(context.Context, slog.Level) bool { return true }
func (l *logs) WithGroup(string) slog.Handler            { return l }

func (l *logs) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *l
	for _, a := range attrs {
		with.attrs += " " + a.String()
	}
	return &with
}

func (l *logs) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message + l.attrs
	r.Attrs(func(a slog.Attr) bool {
		line += " " + a.String()
		return true
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	*l.lines = append(*l.lines, line)
	return nil
}

// Lines returns the lines that have all of the parts.
func (l *logs) Lines(parts ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(*l.lines), func(line string) bool {
		return slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(line, p) })
	})
}

// newApp returns an App on the backend, as "default", and its log.
func newApp(t *testing.T, b tasks.Backend) (*tasks.App, *logs) {
	t.Helper()
	return newAppWith(t, b, tasks.AppOptions{})
}

func newAppWith(t *testing.T, b tasks.Backend, options tasks.AppOptions) (*tasks.App, *logs) {
	t.Helper()
	log := newLogs()
	options.Logger = slog.New(log)
	app := tasks.NewAppWith(options)
	use(t, app, "default", b)
	return app, log
}

func use(t *testing.T, app *tasks.App, alias string, b tasks.Backend) {
	t.Helper()
	if err := app.Use(alias, b); err != nil {
		t.Fatalf("Use(%q): %v", alias, err)
	}
}

// bound is an App on immediate, for Runtime.Execute too.
func bound(t *testing.T) (*tasks.App, *tasks.Runtime, *logs) {
	t.Helper()
	app, log := newApp(t, immediate.New())
	rt, err := app.Runtime("default")
	if err != nil {
		t.Fatalf("Runtime: %v", err)
	}
	return app, rt, log
}

func echo(_ context.Context, s string) (string, error) { return s, nil }

func nop(context.Context, tasks.None) (tasks.None, error) { return tasks.None{}, nil }

// wantErr checks that err matches target and that its text has all the parts.
func wantErr(t *testing.T, what string, err, target error, parts ...string) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: got error %v, want one that is %q", what, err, target)
		return
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("%s: got error %q, want one with %q", what, err, p)
		}
	}
	if _, ok := errors.AsType[*tasks.Error](err); !ok {
		t.Errorf("%s: got error of type %T, want one that is or wraps a *tasks.Error", what, err)
	}
}

func wantNil(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func equalSlices[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

// running makes a record RUNNING in its n-th attempt, without any store.
func running(rt *tasks.Runtime, task string, args string, n, most int) *tasks.Record {
	rec := &tasks.Record{ID: "id-1", Alias: rt.Alias(), Task: task, Queue: "default", Args: []byte(args), MaxAttempts: most, Status: tasks.Running}
	for i := range n {
		rec.WorkerIDs = append(rec.WorkerIDs, fmt.Sprintf("w%d", i+1))
	}
	return rec
}

// execute runs one attempt and returns its outcome. It fails the test unless done
// was called exactly once.
func execute(t *testing.T, ctx context.Context, rt *tasks.Runtime, rec *tasks.Record) tasks.Outcome {
	t.Helper()
	outs := make(chan tasks.Outcome, 2)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		rt.Execute(ctx, rec, func(out tasks.Outcome) { outs <- out })
	}()
	<-ended
	if len(outs) != 1 {
		t.Fatalf("Execute called done %d times, want once", len(outs))
	}
	return <-outs
}

// epoch is the time of tests that need one.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
