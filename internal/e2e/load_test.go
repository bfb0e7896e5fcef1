package e2e

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// TestLoad has 64 goroutines enqueue 100,000 tasks while a worker with 64 slots
// drains: every result is SUCCESSFUL with its own value, the counts add up, and
// the memory doesn't grow with what has been done.
func TestLoad(t *testing.T) {
	total := 100_000
	if testing.Short() {
		total = 10_000
	}
	const producers = 64
	app, _ := newApp(t)
	var ran, atOnce, most atomic.Int64
	double := tasks.Define(app, "double", func(_ context.Context, n int) (int, error) {
		if now := atOnce.Add(1); now > most.Load() {
			most.Store(now) // a lost update only understates
		}
		defer atOnce.Add(-1)
		ran.Add(1)
		return 2 * n, nil
	})
	w, stop := work(t, app, worker.Options{Concurrency: 64})

	ids := make([]string, total)
	var heapEarly uint64
	var wg sync.WaitGroup
	for p := range producers {
		wg.Go(func() {
			for n := p; n < total; n += producers {
				res, err := double.Enqueue(t.Context(), n)
				if err != nil {
					t.Errorf("enqueue %d: %v", n, err)
					return
				}
				ids[n] = res.ID
			}
		})
	}
	eventually(t, 5*time.Minute, "a quarter done", func() bool { return ran.Load() >= int64(total)/4 })
	heapEarly = heap()
	wg.Wait()
	eventually(t, 5*time.Minute, "all successful", func() bool { return counts(t, app)[tasks.Successful] == int64(total) })
	heapLate := heap()
	stop()

	if got := counts(t, app); got[tasks.Successful] != int64(total) || len(nonZero(got)) != 1 {
		t.Errorf("counts are %v, want %d SUCCESSFUL and nothing else", nonZero(got), total)
	}
	if ran.Load() != int64(total) {
		t.Errorf("%d handlers ran, want %d", ran.Load(), total)
	}
	if most.Load() > 64 {
		t.Errorf("%d handlers ran at once, over the 64 slots", most.Load())
	}
	if s := w.Stats(); s.Succeeded != int64(total) {
		t.Errorf("the worker counts %d succeeded, want %d", s.Succeeded, total)
	}
	for n, id := range ids {
		res, err := double.GetResult(t.Context(), id)
		if err != nil {
			t.Fatalf("task %d: %v", n, err)
		}
		if v, err := res.ReturnValue(); err != nil || v != 2*n || res.Attempts() != 1 {
			t.Fatalf("task %d: value %d, error %v, %d attempts; want %d after 1", n, v, err, res.Attempts(), 2*n)
		}
	}
	t.Logf("heap %d KiB at a quarter, %d KiB at the end; resident %d MiB", heapEarly>>10, heapLate>>10, rss()>>20)
	if heapLate > heapEarly+32<<20 {
		t.Errorf("the heap grew from %d KiB to %d KiB", heapEarly>>10, heapLate>>10)
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func nonZero(counts map[tasks.Status]int64) map[tasks.Status]int64 {
	some := make(map[tasks.Status]int64)
	for s, n := range counts {
		if n != 0 {
			some[s] = n
		}
	}
	return some
}
