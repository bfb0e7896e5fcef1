package worker_test

import (
	"context"
	"io"
	"log/slog"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/internal/strictjson"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// A handler has a goroutine, and nothing else has one of its own: not a timeout,
// not a lease, not what is buffered, not what waits to be settled.
func TestGoroutines(t *testing.T) { //nolint:paralleltest // it counts the goroutines of the process
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		e := newEnv(t, m, m)
		quick := tasks.Define(e.app, "quick", func(context.Context, int) (int, error) {
			time.Sleep(50 * time.Microsecond)
			return 0, nil
		})
		block := make(chan struct{})
		slow := tasks.Define(e.app, "slow", func(context.Context, int) (int, error) { <-block; return 0, nil },
			tasks.Timeout(time.Hour))
		for range 20_000 {
			enqueue(t, quick, 0, tasks.Priority(1))
		}
		for range 2000 {
			enqueue(t, slow, 0)
		}
		before := runtime.NumGoroutine()
		r := e.start(worker.Options{Concurrency: 10, LookAhead: 1000})
		var s worker.Stats
		for range 1000 { // until the slow ones have the slots
			time.Sleep(time.Millisecond)
			if s = r.Stats(); s.Succeeded == 20_000 && s.Unsettled == 0 {
				break
			}
		}
		e.store.set(func(m *memory) { m.fail["settle"] = tasks.ErrUnavailable })
		synctest.Wait()
		if s.Running != 10 || s.Buffered < 500 {
			t.Fatalf("got %+v, want 10 running and hundreds buffered", s)
		}
		// Run, its helper, three loops, and at most one settler and one timer.
		if n := runtime.NumGoroutine() - before - 10; n > 8 {
			t.Errorf("%d goroutines besides the 10 handlers', want at most 8", n)
		}
		close(block)
		synctest.Wait()
		if n := runtime.NumGoroutine() - before; n > 8 {
			t.Errorf("%d goroutines while %d outcomes wait to be stored, want at most 8", n, r.Stats().Unsettled)
		}
		e.store.away(nil)
		time.Sleep(time.Minute)
		r.stop()
		equal(t, "succeeded", r.Stats().Succeeded, 22_000)
	})
}

// Work moves in batches, however quick the tasks are.
func TestCallsAreFew(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		e.store.slow["claim"], e.store.slow["settle"] = 2*time.Millisecond, 2*time.Millisecond
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) {
			time.Sleep(time.Millisecond)
			return 0, nil
		})
		const n = 10_000
		for range n {
			enqueue(t, task, 0)
		}
		start := time.Now()
		e.runBatch(worker.Options{})
		// 50 slots and 1 ms: 200 ms if claiming never held them up.
		if took := time.Since(start); took > 400*time.Millisecond {
			t.Errorf("took %v, want about 250 ms", took)
		}
		if c, s := e.store.count("claim"), e.store.count("settle"); c > n/40 || s > n/40 {
			t.Errorf("%d claims and %d settles for %d tasks, want at most %d", c, s, n, n/40)
		}
	})
}

func TestOptionsFromConfiguration(t *testing.T) {
	t.Parallel()
	var o worker.Options
	err := strictjson.Decode("worker", []byte(`{
		"backend": "b", "queues": ["x"], "order": "weighted", "weights": {"x": 3}, "concurrency": 2, "look_ahead": -1,
		"lease": "20s", "poll_interval": "2s", "batch": true, "max_tasks": 7, "worker_id": "me", "grace": "1m",
		"sweep_interval": "6s", "unknown_delay": "30s"}`), &o)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "lease", o.Lease, 20*time.Second)
	equal(t, "grace", o.Grace, time.Minute)
	equal(t, "weight", o.Weights["x"], 3)
	equal(t, "max_tasks", o.MaxTasks, 7)
	equal(t, "batch", o.Batch, true)
}

func BenchmarkDrain(b *testing.B) {
	for _, concurrency := range []int{1, 50, 200} {
		b.Run("concurrency="+strconv.Itoa(concurrency), func(b *testing.B) {
			m := newMemory()
			app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn}))})
			if err := app.Use("default", m); err != nil {
				b.Fatal(err)
			}
			var ran atomic.Int64
			task := tasks.Define(app, "t", func(context.Context, int) (int, error) { ran.Add(1); return 0, nil })
			for range b.N {
				if _, err := task.Enqueue(b.Context(), 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			if err := worker.New(app, worker.Options{Batch: true, Concurrency: concurrency}).Run(b.Context()); err != nil {
				b.Fatal(err)
			}
			if n := ran.Load(); n != int64(b.N) {
				b.Fatalf("ran %d of %d", n, b.N)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}
