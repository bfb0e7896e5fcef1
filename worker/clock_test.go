package worker_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// A worker whose clock isn't the store's works as any other: it renews in time, takes nothing for
// expired, and starts what is deferred when it is due.
func TestClockIsAnHourOff(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(fmt.Sprint("store ahead by ", ahead), func(t *testing.T) {
			bubble(t, func(t *testing.T, e *env) {
				e.store.ahead = ahead
				started := make(chan time.Time, 1)
				long := tasks.Define(e.app, "long", func(context.Context, int) (int, error) { time.Sleep(10 * time.Minute); return 1, nil })
				deferred := tasks.Define(e.app, "deferred", func(context.Context, int) (int, error) { started <- time.Now(); return 1, nil })
				running := enqueue(t, long, 0)
				later := enqueue(t, deferred, 0, tasks.RunIn(30*time.Second))
				due := time.Now().Add(30 * time.Second)
				a := e.start(worker.Options{WorkerID: "a", Lease: 3 * time.Second, SweepInterval: time.Second})
				b := e.start(worker.Options{WorkerID: "b", Lease: 3 * time.Second, SweepInterval: time.Second})
				if late := (<-started).Sub(due); late < 0 || late > 100*time.Millisecond {
					t.Errorf("the deferred task started %v after it was due", late)
				}
				time.Sleep(11 * time.Minute)
				equal(t, "attempts", e.status(running, tasks.Successful).Attempts(), 1)
				e.status(later, tasks.Successful)
				a.stop()
				b.stop()
			})
		})
	}
}

// What has been claimed ahead expires by the store's clock.
func TestExpiryOfBufferedTasksGoesByTheStoresClock(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(fmt.Sprint("store ahead by ", ahead), func(t *testing.T) {
			bubble(t, func(t *testing.T, e *env) {
				e.store.ahead = ahead
				r, ids := e.buffered(worker.Options{}, 400*time.Millisecond, tasks.ExpiresIn(time.Minute))
				time.Sleep(time.Second)
				for _, id := range ids {
					e.status(id, tasks.Successful)
				}
				r.stop()
				equal(t, "released", r.Stats().Released, 0)
			})
		})
	}
}

// When the store's clock jumps ahead all leases are over at once, and what a sweep takes up before
// its worker renews is run again; the first worker's outcome is then refused. When it jumps back,
// the next renewal puts the leases right.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		jump     time.Duration
		attempts int
	}{{time.Hour, 2}, {-time.Hour, 1}} {
		t.Run(fmt.Sprint("by ", tt.jump), func(t *testing.T) {
			bubble(t, func(t *testing.T, e *env) {
				long := tasks.Define(e.app, "long", func(ctx context.Context, _ int) (int, error) {
					info, _ := tasks.FromContext(ctx)
					time.Sleep(time.Minute)
					return info.Attempt, nil
				}, tasks.MaxAttempts(5))
				id := enqueue(t, long, 0)
				r := e.start(worker.Options{Lease: 30 * time.Second, SweepInterval: time.Second})
				synctest.Wait()
				time.Sleep(8 * time.Second) // two seconds before it renews, in which a sweep begins: those are 1.1 s apart at most
				e.store.set(func(m *memory) { m.ahead = tt.jump })
				time.Sleep(5 * time.Minute)
				rec := e.status(id, tasks.Successful)
				equal(t, "attempts", rec.Attempts(), tt.attempts)
				equal(t, "value", string(rec.Value), strconv.Itoa(tt.attempts))
				r.stop()
				equal(t, "lost leases", r.Stats().LostLeases, int64(tt.attempts-1))
			})
		})
	}
}
