package worker_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// onBolt runs fn in virtual time with an App on a new file.
func onBolt(t *testing.T, fn func(t *testing.T, e *env, b *bolt.Backend)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := context.WithoutCancel(t.Context())
		b, err := bolt.Open(ctx, bolt.Options{Path: filepath.Join(t.TempDir(), "tasks.db")})
		if err != nil {
			t.Fatal(err)
		}
		e := newEnv(t, b, nil)
		t.Cleanup(func() {
			if err := e.app.Close(ctx); err != nil {
				t.Error(err)
			}
		})
		fn(t, e, b)
	})
}

func (e *env) on(b tasks.Backend, id string, want tasks.Status) *tasks.Record {
	e.t.Helper()
	rec, err := b.GetResult(context.WithoutCancel(e.t.Context()), id)
	if err != nil {
		e.t.Fatal(err)
	}
	if rec.Status != want {
		e.t.Fatalf("status: got %s, want %s (errors %v)", rec.Status, want, rec.Errors)
	}
	return rec
}

func TestBoltMixedLoad(t *testing.T) {
	onBolt(t, func(t *testing.T, e *env, b *bolt.Backend) {
		var mu sync.Mutex
		runs := map[int]int{}
		task := tasks.Define(e.app, "t", func(ctx context.Context, n int) (int, error) {
			mu.Lock()
			runs[n]++
			mu.Unlock()
			info, _ := tasks.FromContext(ctx)
			switch {
			case n%5 == 0 && info.Attempt < 3:
				return 0, errors.New("again")
			case n%7 == 0:
				panic("always")
			case n%11 == 0:
				return 0, tasks.Cancel("no")
			}
			return n, nil
		}, tasks.MaxAttempts(3), tasks.Backoff(tasks.Constant(time.Second)))
		ids := map[int]string{}
		for n := 1; n <= 300; n++ {
			ids[n] = enqueue(t, task, n, tasks.Priority(n%3))
		}
		r := e.start(worker.Options{WorkerID: "me", Concurrency: 20})
		time.Sleep(10 * time.Second)
		var total int64
		for n, id := range ids {
			want, attempts := tasks.Successful, 1
			switch {
			case n%7 == 0:
				want, attempts = tasks.Failed, 3
			case n%11 == 0:
				want = tasks.Cancelled
			}
			if n%5 == 0 {
				attempts = 3
			}
			rec := e.on(b, id, want)
			equal(t, "attempts", rec.Attempts(), attempts)
			equal(t, "runs", runs[n], attempts)
			total += int64(attempts)
		}
		r.stop()
		s := r.Stats()
		equal(t, "claimed", s.Claimed-s.Released, total)
		equal(t, "final", s.Succeeded+s.Failed+s.Cancelled, 300)
		equal(t, "rest", s.LostLeases+s.SettleErrors+s.Abandoned, 0)
	})
}

func TestBoltDeferredRetriedAndIdle(t *testing.T) {
	onBolt(t, func(t *testing.T, e *env, b *bolt.Backend) {
		var waits []time.Duration
		task := tasks.Define(e.app, "t", func(_ context.Context, at time.Time) (int, error) {
			waits = append(waits, time.Since(at))
			return 0, nil
		})
		r := e.start(worker.Options{})
		time.Sleep(time.Minute)
		for _, in := range []time.Duration{0, time.Second, 5 * time.Minute} {
			due := time.Now().Add(in)
			enqueue(t, task, due, tasks.RunAfter(due))
			time.Sleep(2 * in)
		}
		time.Sleep(time.Second)
		r.stop()
		equal(t, "runs", len(waits), 3)
		for _, wait := range waits {
			if wait < -time.Millisecond || wait > 100*time.Millisecond {
				t.Errorf("started %v after it was due, want within 100 ms", wait)
			}
		}
	})
}

func TestBoltLongTaskCancelAndTimeout(t *testing.T) {
	onBolt(t, func(t *testing.T, e *env, b *bolt.Backend) {
		causes := make(chan error, 2)
		long := tasks.Define(e.app, "long", func(context.Context, int) (int, error) { time.Sleep(10 * time.Minute); return 1, nil })
		wait := tasks.Define(e.app, "wait", untilEnd(causes))
		timed := tasks.Define(e.app, "timed", untilEnd(make(chan error, 1)), tasks.Timeout(time.Minute))
		l, c, o := enqueue(t, long, 0), enqueue(t, wait, 0), enqueue(t, timed, 0)
		r := e.start(worker.Options{WorkerID: "me", Lease: 3 * time.Second, SweepInterval: time.Second})
		time.Sleep(5 * time.Second)
		if _, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeCancel, Reason: "enough"}, []string{c}); err != nil {
			t.Fatal(err)
		}
		if cause := <-causes; !errors.Is(cause, tasks.ErrTaskCancelled) {
			t.Fatalf("cause: got %v, want ErrTaskCancelled", cause)
		}
		time.Sleep(11 * time.Minute)
		equal(t, "workers", strings.Join(e.on(b, l, tasks.Successful).WorkerIDs, ","), "me")
		equal(t, "reason", e.on(b, c, tasks.Cancelled).CancelReason, "enough")
		equal(t, "type", e.on(b, o, tasks.Failed).Errors[0].Type, tasks.ErrorTypeTimeout)
		r.stop()
	})
}

func TestBoltStopAndSecondWorker(t *testing.T) {
	onBolt(t, func(t *testing.T, e *env, b *bolt.Backend) {
		task := tasks.Define(e.app, "t", func(ctx context.Context, _ int) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Minute):
				return 0, nil
			}
		}, tasks.MaxAttempts(2), tasks.Backoff(tasks.Constant(0)))
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{WorkerID: "a", Grace: time.Second})
		time.Sleep(time.Second)
		r.Stop()
		if err := r.end(); !errors.Is(err, worker.ErrInterrupted) {
			t.Fatalf("Run: got %v, want ErrInterrupted", err)
		}
		equal(t, "type", e.on(b, id, tasks.Ready).Errors[0].Type, tasks.ErrorTypeInterrupted)
		r = e.start(worker.Options{WorkerID: "b"})
		time.Sleep(2 * time.Minute)
		equal(t, "workers", strings.Join(e.on(b, id, tasks.Successful).WorkerIDs, ","), "a,b")
		workers, err := b.Workers(t.Context())
		if err != nil || len(workers) != 1 || workers[0].ID != "b" {
			t.Fatalf("workers: got %v %v, want b", workers, err)
		}
		r.stop()
	})
}

func TestBoltPause(t *testing.T) {
	onBolt(t, func(t *testing.T, e *env, b *bolt.Backend) {
		task := tasks.Define(e.app, "t", nothing)
		r := e.start(worker.Options{})
		time.Sleep(time.Second)
		if err := b.Pause(t.Context(), "default", true); err != nil {
			t.Fatal(err)
		}
		id := enqueue(t, task, 0)
		time.Sleep(time.Minute)
		e.on(b, id, tasks.Ready)
		if err := b.Pause(t.Context(), "default", false); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		e.on(b, id, tasks.Successful)
		r.stop()
	})
}

func TestBoltClosedUnderTheWorker(t *testing.T) {
	onBolt(t, func(t *testing.T, e *env, b *bolt.Backend) {
		r := e.start(worker.Options{})
		time.Sleep(time.Second)
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.end(); !errors.Is(err, tasks.ErrClosed) {
			t.Fatalf("Run: got %v, want ErrClosed", err)
		}
	})
}
