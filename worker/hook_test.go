package worker_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

func TestHooksThatEndTheirGoroutine(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		var finished atomic.Int64
		goexit := func(context.Context, *tasks.Record) error { runtime.Goexit(); return nil }
		task := tasks.Define(e.app, "t", nothing)
		var ids []string
		for range 10 {
			ids = append(ids, enqueue(t, task, 0))
		}
		e.app.AddHooks(tasks.Hooks{Finished: func(context.Context, *tasks.Record) error { finished.Add(1); return nil }})
		e.app.AddHooks(tasks.Hooks{Finished: goexit})
		start := time.Now()
		e.runBatch(worker.Options{})
		equal(t, "took", time.Since(start), 0)
		for _, id := range ids {
			e.status(id, tasks.Successful)
		}
		equal(t, "finished", finished.Load(), 10)

		e.app.AddHooks(tasks.Hooks{Started: goexit})
		id := enqueue(t, task, 0)
		e.runBatch(worker.Options{})
		equal(t, "type", e.status(id, tasks.Failed).Errors[0].Type, tasks.ErrorTypeGoexit)
	})
}

func TestHookThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		block := make(chan struct{})
		defer close(block)
		e.app.AddHooks(tasks.Hooks{Finished: func(context.Context, *tasks.Record) error { <-block; return nil }})
		task := tasks.Define(e.app, "t", nothing)
		for range 1000 {
			enqueue(t, task, 0)
		}
		r := e.start(worker.Options{Concurrency: 10, LookAhead: -1, Grace: 5 * time.Second})
		time.Sleep(time.Hour)
		s := r.Stats()
		if s.Claimed == 1000 || s.Succeeded != s.Claimed {
			t.Fatalf("got %+v: want what is claimed settled, and no more claimed than is kept for the hook", s)
		}
		start := time.Now()
		r.stop()
		equal(t, "took", time.Since(start), 5*time.Second)
	})
}

func TestHandlerContext(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(ctx context.Context, _ int) (int, error) {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			limited, cancel := context.WithTimeout(ctx, time.Hour)
			defer cancel()
			at, ok := limited.Deadline()
			equal(t, "a child has the earlier deadline", ok && time.Until(at) <= time.Minute, true)
			called := make(chan struct{})
			context.AfterFunc(ctx, func() { close(called) })
			equal(t, "before", ctx.Err(), nil)
			<-child.Done()
			<-called
			equal(t, "Err", ctx.Err(), context.DeadlineExceeded)
			for _, c := range []context.Context{ctx, child, limited} {
				if cause := context.Cause(c); !errors.Is(cause, tasks.ErrTimeout) {
					t.Errorf("cause: got %v, want ErrTimeout", cause)
				}
			}
			return 0, child.Err()
		}, tasks.Timeout(time.Minute))
		id := enqueue(t, task, 0)
		e.runBatch(worker.Options{})
		equal(t, "type", e.status(id, tasks.Failed).Errors[0].Type, tasks.ErrorTypeTimeout)
	})
}

// A handler's context is released when the handler has returned, so that what
// waits for its end doesn't wait for ever.
func TestContextEndsWithTheHandler(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		var kept context.Context
		task := tasks.Define(e.app, "t", func(ctx context.Context, _ int) (int, error) { kept = ctx; return 0, nil })
		enqueue(t, task, 0)
		e.runBatch(worker.Options{})
		synctest.Wait()
		equal(t, "Err", kept.Err(), context.Canceled)
	})
}
