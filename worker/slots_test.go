package worker_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// Handlers that go on after their timeout keep their slots, so there are never more of them than
// Concurrency, as long as they return within the grace.
func TestDeafHandlersKeepTheirSlots(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		var now, most atomic.Int64
		deaf := tasks.Define(e.app, "deaf", func(context.Context, int) (int, error) {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			time.Sleep(20 * time.Second)
			return 1, nil
		}, tasks.Timeout(time.Second))
		var ids []string
		for range 20 {
			ids = append(ids, enqueue(t, deaf, 0))
		}
		s := e.runBatch(worker.Options{Concurrency: 2, Grace: 30 * time.Second})
		for _, id := range ids {
			rec := e.status(id, tasks.Failed)
			equal(t, "type", rec.Errors[0].Type, tasks.ErrorTypeTimeout)
		}
		equal(t, "handlers at once", most.Load(), 2)
		equal(t, "stats", s, worker.Stats{Claimed: 20, Failed: 20})
	})
}

// A pause leaves what runs alone, and lets nothing more out.
func TestPauseWithTasksInFlight(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { time.Sleep(10 * time.Minute); return 1, nil })
		first, second := enqueue(t, task, 0), enqueue(t, task, 0)
		waits := enqueue(t, task, 0)
		r := e.start(worker.Options{Concurrency: 2, Lease: 3 * time.Second, SweepInterval: time.Second})
		synctest.Wait()
		_ = e.store.Pause(t.Context(), "default", true)
		time.Sleep(30 * time.Minute)
		for _, id := range []string{first, second} {
			equal(t, "attempts", e.status(id, tasks.Successful).Attempts(), 1)
		}
		e.status(waits, tasks.Ready)
		_ = e.store.Pause(t.Context(), "default", false)
		time.Sleep(11 * time.Minute)
		equal(t, "attempts", e.status(waits, tasks.Successful).Attempts(), 1)
		r.stop()
	})
}

// Stopping again, also from many goroutines, is stopping once.
func TestStopTwice(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { time.Sleep(10 * time.Second); return 1, nil })
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{})
		synctest.Wait()
		var stops sync.WaitGroup
		for range 10 {
			stops.Go(r.Stop)
		}
		stops.Wait()
		equal(t, "Run", r.end(), nil)
		r.Stop()
		r.Abort()
		equal(t, "attempts", e.status(id, tasks.Successful).Attempts(), 1)
	})
}
