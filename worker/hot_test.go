package worker_test

import (
	"context"
	"io"
	"log/slog"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/backends/bolt"
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
		slow := tasks.Define(e.app, "slow", func(ctx context.Context, _ int) (int, error) {
			_, cancel := context.WithCancel(ctx) // no goroutine for that either
			defer cancel()
			<-block
			return 0, nil
		}, tasks.Timeout(time.Hour))
		for range 6_000 {
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
			if s = r.Stats(); s.Succeeded == 6_000 && s.Unsettled == 0 {
				break
			}
		}
		e.store.set(func(m *memory) { m.fail["settle"] = tasks.ErrUnavailable })
		synctest.Wait()
		if s.Running != 10 || s.Buffered < 300 {
			t.Fatalf("got %+v, want 10 running and hundreds buffered", s)
		}
		// Run, its helper, four loops, and at most one settler and one timer.
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
		equal(t, "succeeded", r.Stats().Succeeded, 8_000)
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
		const n = 5_000
		for range n {
			enqueue(t, task, 0)
		}
		start := time.Now()
		e.runBatch(worker.Options{})
		// 50 slots and 1 ms: 100 ms if claiming never held them up.
		if took := time.Since(start); took > 200*time.Millisecond {
			t.Errorf("took %v, want about 130 ms", took)
		}
		if c, s := e.store.count("claim"), e.store.count("settle"); c > n/40 || s > n/40 {
			t.Errorf("%d claims and %d settles for %d tasks, want at most %d", c, s, n, n/40)
		}
	})
}

// Handlers that end one by one don't each cause a claim.
func TestClaimsAheadAreFew(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(_ context.Context, n int) (int, error) {
			time.Sleep(time.Millisecond + time.Duration(n%7)*100*time.Microsecond)
			return 0, nil
		})
		for n := range 2000 {
			enqueue(t, task, n)
		}
		e.runBatch(worker.Options{Concurrency: 10})
		if n := e.store.count("claim"); n > 200 {
			t.Errorf("%d claims for 2000 tasks, want at most 200", n)
		}
	})
}

func TestSettlesAreBoundedInBytes(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		most := 0
		e.store.refuseAll = func(outs []tasks.Outcome) error {
			total := 0
			for _, out := range outs {
				total += len(out.Value)
			}
			most = max(most, total)
			return nil
		}
		value := strings.Repeat("x", 1<<20-100)
		task := tasks.Define(e.app, "t", func(context.Context, int) (string, error) {
			time.Sleep(time.Second)
			return value, nil
		})
		for range 40 {
			enqueue(t, task, 0)
		}
		s := e.runBatch(worker.Options{})
		equal(t, "succeeded", s.Succeeded, 40)
		if most > 8<<20 {
			t.Errorf("a settle with %d bytes of values, want at most 8 MiB", most)
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
	memory := func(*testing.B) tasks.Backend { return newMemory() }
	file := func(b *testing.B) tasks.Backend {
		b.Helper()
		store, err := bolt.Open(b.Context(), bolt.Options{Path: filepath.Join(b.TempDir(), "tasks.db")})
		if err != nil {
			b.Fatal(err)
		}
		return store
	}
	for _, bb := range []struct {
		name        string
		open        func(*testing.B) tasks.Backend
		concurrency int
	}{{"memory", memory, 1}, {"memory", memory, 50}, {"memory", memory, 200}, {"bolt", file, 50}} {
		b.Run(bb.name+"/concurrency="+strconv.Itoa(bb.concurrency), func(b *testing.B) {
			quiet := slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn}))
			app := tasks.NewAppWith(tasks.AppOptions{Logger: quiet})
			if err := app.Use("default", bb.open(b)); err != nil {
				b.Fatal(err)
			}
			var ran atomic.Int64
			task := tasks.Define(app, "t", func(context.Context, int) (int, error) { ran.Add(1); return 0, nil })
			calls := make([]tasks.Call, 0, 1000)
			for i := range b.N {
				calls = append(calls, task.With(i))
				if len(calls) == cap(calls) || i == b.N-1 {
					if _, err := app.EnqueueMany(b.Context(), calls...); err != nil {
						b.Fatal(err)
					}
					calls = calls[:0]
				}
			}
			b.ReportAllocs()
			b.ResetTimer()
			w := worker.New(app, worker.Options{Batch: true, Concurrency: bb.concurrency})
			if err := w.Run(b.Context()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if n := ran.Load(); n != int64(b.N) {
				b.Fatalf("ran %d of %d", n, b.N)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
			if err := app.Close(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
