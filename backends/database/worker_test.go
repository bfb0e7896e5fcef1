package database_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// runWorker runs a worker on a backend until the test ends it.
func runWorker(tb testing.TB, app *tasks.App, concurrency int) (stop func()) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.New(app, worker.Options{Concurrency: concurrency}).Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("the worker: %v", err)
		}
	}
}

// Two workers in two processes, as far as the store can see, run each task once, while
// connections are cut under them.
func TestW3_WorkersRunEachTaskOnce(t *testing.T) {
	server := serverURL(t)
	schema := newSchema(t, server)
	const n = 2000
	var mu sync.Mutex
	runs := make(map[int]int)
	var proxies []*proxy
	var apps []*tasks.App
	var task *tasks.Task[int, int]
	for range 2 {
		p, via := newProxy(t, server)
		b, err := database.Open(t.Context(), database.Options{URL: via, Schema: schema, Migrate: true})
		if err != nil {
			t.Fatal(err)
		}
		app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
		task = tasks.Define(app, "count", func(_ context.Context, i int) (int, error) {
			mu.Lock()
			defer mu.Unlock()
			runs[i]++
			return i, nil
		}, tasks.MaxAttempts(5))
		if err := app.Use("default", b); err != nil {
			t.Fatal(err)
		}
		proxies, apps = append(proxies, p), append(apps, app)
	}
	calls := make([]tasks.Call, n)
	for i := range calls {
		calls[i] = task.With(i)
	}
	results, err := apps[1].EnqueueMany(t.Context(), calls...)
	if err != nil {
		t.Fatal(err)
	}
	stop0, stop1 := runWorker(t, apps[0], 20), runWorker(t, apps[1], 20)
	for range 5 {
		time.Sleep(50 * time.Millisecond)
		for _, p := range proxies {
			p.cut()
		}
	}
	for _, r := range results {
		if _, err := r.Wait(t.Context()); err != nil {
			t.Errorf("task %s: %v", r.ID, err)
		}
	}
	stop0()
	stop1()
	again := 0
	for i := range n {
		if runs[i] == 0 {
			t.Errorf("task %d wasn't run", i)
		}
		again += max(runs[i]-1, 0)
	}
	t.Logf("%d tasks were run more than once", again)
	if again > 0 {
		t.Errorf("%d of %d tasks were run again, though their leases could be kept", again, n)
	}
	for _, app := range apps {
		if err := app.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// BenchmarkWorker drains tasks that do nothing with a worker at its defaults but for the
// concurrency.
func BenchmarkWorker(b *testing.B) {
	store := open(b)
	app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
	var left atomic.Int64
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
	left.Store(int64(b.N))
	preload(b, store.Pool(), store, b.N)
	b.ResetTimer()
	stop := runWorker(b, app, 100)
	<-done
	stop() // when all is settled
	perSecond(b, b.N)
	if err := app.Close(context.Background()); err != nil {
		b.Error(err)
	}
}

// BenchmarkPickup measures the time from before an enqueue to the start of its handler, on
// an idle worker at its defaults.
func BenchmarkPickup(b *testing.B) {
	store := open(b)
	app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
	started := make(chan time.Time, 1)
	task := tasks.Define(app, "noop", func(context.Context, int) (int, error) {
		started <- time.Now()
		return 0, nil
	})
	if err := app.Use("default", store); err != nil {
		b.Fatal(err)
	}
	stop := runWorker(b, app, 10)
	var took []time.Duration
	for i := range b.N {
		time.Sleep(5 * time.Millisecond)
		from := time.Now()
		if _, err := task.Enqueue(b.Context(), i); err != nil {
			b.Fatal(err)
		}
		took = append(took, (<-started).Sub(from))
	}
	stop()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	if err := app.Close(context.Background()); err != nil {
		b.Error(err)
	}
}
