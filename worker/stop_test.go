package worker_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

func TestGracefulStop(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		r, ids := e.buffered(worker.Options{WorkerID: "me", Grace: time.Minute}, 20*time.Second)
		claims := e.store.count("claim")
		start := time.Now()
		r.Stop()
		synctest.Wait()
		for _, id := range ids { // given back at once, though a handler runs on
			equal(t, "attempts", e.status(id, tasks.Ready).Attempts(), 0)
		}
		if err := r.end(); err != nil {
			t.Fatalf("Run: got %v, want nil", err)
		}
		equal(t, "exit code", worker.ExitCode(nil), 0)
		if took := time.Since(start); took < 19*time.Second || took > 20*time.Second {
			t.Fatalf("took %v, want until the running task ends", took)
		}
		equal(t, "claims after Stop", e.store.count("claim")-claims, 0)
		equal(t, "succeeded", r.Stats().Succeeded, 501)
		equal(t, "released", r.Stats().Released, 4)
		e.logged(1, "Stopped worker")
		e.store.set(func(m *memory) {
			equal(t, "leases", len(m.leases), 0)
			equal(t, "stopped", len(m.stopped), 1)
		})
	})
}

// What waits for the slot of a handler that returns right after Stop isn't started.
func TestNothingStartsAfterStop(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		var w *worker.Worker
		stopped := false
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) {
			if stopped {
				t.Error("a handler was started after Stop")
			}
			if time.Sleep(time.Millisecond); w.Stats().Buffered > 0 {
				stopped = true
				w.Stop()
			}
			return 0, nil
		})
		for range 500 {
			enqueue(t, task, 0)
		}
		w = worker.New(e.app, worker.Options{Concurrency: 1})
		equal(t, "Run", w.Run(t.Context()), nil)
		equal(t, "stopped with some buffered", stopped, true)
	})
}

func TestEndOfContextIsAGracefulStop(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		var err error
		task := tasks.Define(e.app, "t", func(ctx context.Context, _ int) (int, error) {
			time.Sleep(10 * time.Second)
			err = ctx.Err()
			return 0, nil
		})
		id := enqueue(t, task, 0)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- worker.New(e.app, worker.Options{}).Run(ctx) }()
		synctest.Wait()
		cancel()
		equal(t, "Run", <-done, nil)
		equal(t, "ctx of the handler", err, nil)
		e.status(id, tasks.Successful)
	})
}

func TestContextThatIsOverBefore(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", nothing)
		id := enqueue(t, task, 0)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		equal(t, "Run", worker.New(e.app, worker.Options{}).Run(ctx), nil)
		e.status(id, tasks.Ready)
		equal(t, "claims", e.store.count("claim"), 0)
	})
}

func TestIdleWorkerStopsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		r := e.start(worker.Options{})
		time.Sleep(time.Minute)
		start := time.Now()
		r.stop()
		equal(t, "took", time.Since(start), 0)
	})
}

func TestClaimInFlightAtStopIsNotRun(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", nothing)
		id := enqueue(t, task, 0)
		e.store.set(func(m *memory) { m.slow["claim"] = 500 * time.Millisecond })
		r := e.start(worker.Options{})
		time.Sleep(time.Millisecond)
		r.stop()
		equal(t, "attempts", e.status(id, tasks.Ready).Attempts(), 0)
		e.logged(0, "state=RUNNING")
	})
}

func TestClaimThatHangsAtStop(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		e.store.set(func(m *memory) { m.slow["claim"] = time.Hour })
		r := e.start(worker.Options{})
		time.Sleep(time.Millisecond)
		start := time.Now()
		r.stop()
		equal(t, "took", time.Since(start), time.Second)
	})
}

// An attempt that had timed out before wasn't cut off by the worker's end.
func TestTimedOutIsNotInterrupted(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		late := tasks.Define(e.app, "late", func(context.Context, int) (int, error) { time.Sleep(10 * time.Second); return 1, nil },
			tasks.Timeout(time.Second))
		id := enqueue(t, late, 0)
		r := e.start(worker.Options{})
		time.Sleep(9 * time.Second)
		r.Abort()
		equal(t, "Run", r.end(), nil)
		equal(t, "type", e.status(id, tasks.Failed).Errors[0].Type, tasks.ErrorTypeTimeout)
	})
}

func TestSecondSignal(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		causes := make(chan error, 2)
		polite := tasks.Define(e.app, "polite", untilEnd(causes), tasks.MaxAttempts(3))
		hasty := tasks.Define(e.app, "hasty", func(ctx context.Context, _ int) (int, error) { <-ctx.Done(); return 1, nil })
		deaf := tasks.Define(e.app, "deaf", func(context.Context, int) (int, error) { time.Sleep(time.Hour); return 0, nil }, tasks.MaxAttempts(3))
		p, h, d := enqueue(t, polite, 0), enqueue(t, hasty, 0), enqueue(t, deaf, 0)
		r := e.start(worker.Options{Grace: time.Hour})
		synctest.Wait()
		r.Stop()
		time.Sleep(time.Minute)
		e.status(p, tasks.Running)
		start := time.Now()
		r.Abort()
		err := r.end()
		if !errors.Is(err, worker.ErrInterrupted) || worker.ExitCode(err) == 0 {
			t.Fatalf("Run: got %v (exit code %d), want ErrInterrupted", err, worker.ExitCode(err))
		}
		equal(t, "error", err.Error(), worker.ErrInterrupted.Error()+": 2")
		if cause := <-causes; !errors.Is(cause, tasks.ErrWorkerStopping) {
			t.Fatalf("cause: got %v, want ErrWorkerStopping", cause)
		}
		if took := time.Since(start); took != 2*time.Second {
			t.Fatalf("took %v, want 2 s", took)
		}
		e.status(h, tasks.Successful)
		for _, id := range []string{p, d} {
			rec := e.status(id, tasks.Ready)
			equal(t, "attempts", rec.Attempts(), 1)
			equal(t, "type", rec.Errors[0].Type, tasks.ErrorTypeInterrupted)
		}
		if wait := time.Until(e.store.get(t, d).RunAfter); wait < 4*time.Second || wait > 5*time.Second {
			t.Fatalf("the one that runs on is due in %v, want 5 s", wait)
		}
		e.logged(1, "ERROR Task ignores the end of its context", "id="+d)
		time.Sleep(2 * time.Hour) // for the deaf one
		e.status(d, tasks.Ready)
	})
}

func TestGraceOver(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		causes := make(chan error, 1)
		task := tasks.Define(e.app, "t", untilEnd(causes), tasks.MaxAttempts(2))
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{Grace: 7 * time.Second})
		synctest.Wait()
		start := time.Now()
		r.Stop()
		if err := r.end(); !errors.Is(err, worker.ErrInterrupted) {
			t.Fatalf("Run: got %v, want ErrInterrupted", err)
		}
		equal(t, "took", time.Since(start), 7*time.Second)
		e.status(id, tasks.Ready)
	})
}

func TestStopDuringAnOutageIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { time.Sleep(time.Second); return 0, nil })
		for range 3 {
			enqueue(t, task, 0)
		}
		r := e.start(worker.Options{Grace: 20 * time.Second})
		synctest.Wait()
		e.store.away(tasks.ErrUnavailable)
		time.Sleep(5 * time.Second)
		start := time.Now()
		r.Stop()
		err := r.end()
		if !errors.Is(err, worker.ErrUnsettled) || worker.ExitCode(err) == 0 {
			t.Fatalf("Run: got %v, want ErrUnsettled", err)
		}
		equal(t, "error", err.Error(), worker.ErrUnsettled.Error()+": 3")
		equal(t, "took", time.Since(start), 20*time.Second)
	})
}

func TestSecondSignalDuringAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", nothing)
		enqueue(t, task, 0)
		e.store.set(func(m *memory) { m.fail["settle"] = tasks.ErrUnavailable })
		r := e.start(worker.Options{Grace: time.Hour})
		time.Sleep(time.Second)
		r.Stop()
		time.Sleep(time.Minute)
		start := time.Now()
		r.Abort()
		if err := r.end(); !errors.Is(err, worker.ErrUnsettled) {
			t.Fatalf("Run: got %v, want ErrUnsettled", err)
		}
		equal(t, "took", time.Since(start), 2*time.Second)
	})
}

func TestStopDuringAnOutageThatEnds(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { time.Sleep(time.Second); return 0, nil })
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{})
		synctest.Wait()
		e.store.away(tasks.ErrUnavailable)
		time.Sleep(5 * time.Second)
		r.Stop()
		time.Sleep(5 * time.Second)
		e.store.away(nil)
		equal(t, "Run", r.end(), nil)
		e.status(id, tasks.Successful)
	})
}

func TestStopBeforeRun(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", nothing)
		id := enqueue(t, task, 0)
		w := worker.New(e.app, worker.Options{})
		w.Stop()
		equal(t, "Run", w.Run(t.Context()), nil)
		e.status(id, tasks.Ready)
	})
}

func TestStoreClosedUnderTheWorker(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		causes := make(chan error, 1)
		task := tasks.Define(e.app, "t", untilEnd(causes))
		enqueue(t, task, 0)
		r := e.start(worker.Options{})
		synctest.Wait()
		_ = e.store.Close(t.Context())
		if err := r.end(); !errors.Is(err, tasks.ErrClosed) {
			t.Fatalf("Run: got %v, want ErrClosed", err)
		}
		if cause := <-causes; !errors.Is(cause, tasks.ErrWorkerStopping) {
			t.Fatalf("cause: got %v, want ErrWorkerStopping", cause)
		}
	})
}
