package crew

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// Local is a program in the test's own process: an App with one task, whose runs it counts.
type Local struct {
	App *tasks.App
	// Task returns its argument, when the gate is open.
	Task *tasks.Task[int, int]

	t       *testing.T
	backend tasks.Backend
	mu      sync.Mutex
	runs    map[int]int
	when    map[int]time.Time
	gate    chan struct{}
}

// NewLocal makes an App on a backend, which is closed with the test.
func NewLocal(t *testing.T, backend tasks.Backend) *Local {
	t.Helper()
	l := &Local{
		App: tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)}),
		t:   t, backend: backend, runs: make(map[int]int), when: make(map[int]time.Time),
	}
	l.Task = tasks.Define(l.App, "local", func(ctx context.Context, n int) (int, error) {
		l.mu.Lock()
		gate := l.gate
		l.runs[n]++
		l.when[n] = time.Now()
		l.mu.Unlock()
		if gate != nil {
			select {
			case <-gate:
			case <-ctx.Done():
				return 0, context.Cause(ctx)
			}
		}
		return n, nil
	}, tasks.MaxAttempts(5))
	if err := l.App.Use(tasks.DefaultAlias, backend); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.App.Close(ctx); err != nil {
			t.Errorf("closing the App: %v", err)
		}
	})
	return l
}

// Work runs a worker until the test ends.
func (l *Local) Work() {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	w := worker.New(l.App, worker.Options{Concurrency: 20, Lease: 10 * time.Second, SweepInterval: time.Second})
	go func() { done <- w.Run(ctx) }()
	l.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Errorf("the worker ended with %v", err)
		}
	})
}

// Shut makes handlers that start from now on wait until open is called.
func (l *Local) Shut() (open func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	gate := make(chan struct{})
	l.gate = gate
	return sync.OnceFunc(func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		close(gate)
		l.gate = nil
	})
}

// Enqueue stores one task for each number from from to before to, which the store must take.
func (l *Local) Enqueue(from, to int) []*tasks.Result[int] {
	l.t.Helper()
	all := make([]*tasks.Result[int], 0, to-from)
	for n := from; n < to; n++ {
		r, err := l.Task.Enqueue(l.t.Context(), n)
		if err != nil {
			l.t.Fatalf("enqueue of %d: %v", n, err)
		}
		all = append(all, r)
	}
	return all
}

// Insist enqueues until the store takes it.
func (l *Local) Insist(n int) *tasks.Result[int] {
	l.t.Helper()
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		r, err := l.Task.Enqueue(l.t.Context(), n)
		if err == nil {
			return r
		}
		if time.Since(start) > limit {
			l.t.Fatalf("%v later the store still doesn't take it: %v", limit, err)
		}
	}
}

// Started waits until the handlers of the numbers from from to before to have started.
func (l *Local) Started(from, to int) {
	l.t.Helper()
	Eventually(l.t, "all handlers have started", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		for n := from; n < to; n++ {
			if l.runs[n] == 0 {
				return false
			}
		}
		return true
	})
}

// StartedAt is when the last run for the number began.
func (l *Local) StartedAt(n int) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.when[n]
}

// Successful waits until all are, and wants each to have been run once.
func (l *Local) Successful(all []*tasks.Result[int]) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), limit)
	defer cancel()
	for _, r := range all {
		n, err := r.Wait(ctx)
		if err != nil {
			l.t.Errorf("%s is %s: %v", r.ID, r.Status, err)
			continue
		}
		l.mu.Lock()
		runs := l.runs[n]
		l.mu.Unlock()
		if runs != 1 || r.Attempts() != 1 || len(r.Errors) > 0 {
			l.t.Errorf("%s was run %d times, with %d attempts and errors %v; want 1, 1 and none", r.ID, runs, r.Attempts(), r.Errors)
		}
	}
}

// Agree wants the counts of the queues to be those of the records.
func (l *Local) Agree() {
	l.t.Helper()
	store, ok := tasks.As[tasks.Store](l.backend)
	if !ok {
		l.t.Fatal("the backend is no Store")
	}
	listed, counted := make(map[tasks.Status]int64), make(map[tasks.Status]int64)
	lister, ok := tasks.As[tasks.Lister](l.backend)
	if !ok {
		l.t.Fatal("the backend is no Lister")
	}
	for req := (tasks.ListRequest{Limit: 500}); ; {
		page, err := lister.List(l.t.Context(), req)
		if err != nil {
			l.t.Fatal(err)
		}
		for _, r := range page.Records {
			listed[r.Status]++
		}
		if req.After = page.Next; page.Next == "" {
			break
		}
	}
	queues, err := store.Queues(l.t.Context())
	if err != nil {
		l.t.Fatal(err)
	}
	for _, q := range queues {
		for status, n := range q.Counts {
			counted[status] += n
		}
	}
	for _, status := range tasks.Statuses() {
		if listed[status] != counted[status] {
			l.t.Errorf("%d records are listed as %s, and %d counted", listed[status], status, counted[status])
		}
	}
}

// Eventually polls until ok.
func Eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !poll(ok) {
		t.Fatalf("after %v still not: %s", limit, what)
	}
}
