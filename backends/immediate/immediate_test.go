package immediate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/tasks"
)

var errBoom = errors.New("boom")

func newApp(t *testing.T) *tasks.App {
	t.Helper()
	app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
	if err := app.Use("default", immediate.New()); err != nil {
		t.Fatalf("Use: %v", err)
	}
	return app
}

// run enqueues a task of that handler.
func run(t *testing.T, app *tasks.App, handler func(context.Context) (int, error), options ...tasks.Option) *tasks.Result[int] {
	t.Helper()
	task := tasks.Define(app, fmt.Sprint("task", len(app.TaskNames())), func(ctx context.Context, _ tasks.None) (int, error) { return handler(ctx) }, options...)
	res, err := task.Enqueue(t.Context(), tasks.None{})
	if err != nil {
		t.Fatalf("Enqueue: %v", err)
	}
	return res
}

func summary(r *tasks.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d", r.Status, r.Attempts())
	for _, e := range r.Errors {
		fmt.Fprintf(&b, " %d:%s", e.Attempt, e.Error())
	}
	return b.String() + " " + string(r.Value) + r.CancelReason
}

// A10: the order of statuses, hooks and the call, and the times.
func TestTheLifeOfARun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(t)
		var events []string
		hook := func(name string) func(context.Context, *tasks.Record) error {
			return func(_ context.Context, rec *tasks.Record) error {
				events = append(events, fmt.Sprintf("%s %s %d", name, rec.Status, rec.Attempts()))
				return nil
			}
		}
		app.AddHooks(tasks.Hooks{Enqueued: hook("enqueued"), Started: hook("started"), Finished: hook("finished")})
		res := run(t, app, func(ctx context.Context) (int, error) {
			info, _ := tasks.FromContext(ctx)
			events = append(events, fmt.Sprint("run ", info.Attempt))
			time.Sleep(time.Second)
			if info.Attempt == 1 {
				return 0, errBoom
			}
			return 42, nil
		}, tasks.MaxAttempts(3))
		want := []string{"enqueued READY 0", "started RUNNING 1", "run 1", "started RUNNING 2", "run 2", "finished SUCCESSFUL 2"}
		if !slices.Equal(events, want) {
			t.Errorf("events:\n got %q\nwant %q", events, want)
		}
		if got := summary(&res.Record); got != "SUCCESSFUL 2 1:*errors.errorString: boom 42" {
			t.Errorf("result: got %s", got)
		}
		if v, err := res.ReturnValue(); v != 42 || err != nil {
			t.Errorf("ReturnValue: got %v, %v, want 42", v, err)
		}
		// Retries follow at once, whatever the policy's delay; R5.
		if d := res.StartedAt.Sub(res.EnqueuedAt); d != 0 {
			t.Errorf("StartedAt: got %v after EnqueuedAt, want 0", d)
		}
		if d := res.LastAttemptedAt.Sub(res.StartedAt); d != time.Second {
			t.Errorf("LastAttemptedAt: got %v after StartedAt, want 1s", d)
		}
		if d := res.FinishedAt.Sub(res.LastAttemptedAt); d != time.Second {
			t.Errorf("FinishedAt: got %v after LastAttemptedAt, want 1s", d)
		}
		if w := res.WorkerIDs; w[0] != w[1] || !strings.HasPrefix(w[0], "immediate-") || len(w[0]) > tasks.MaxID {
			t.Errorf("WorkerIDs: got %q, want the backend's id twice", w)
		}
	})
}

// That a task fails is no error of Enqueue.
func TestHowRunsEnd(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler func(context.Context) (int, error)
		options []tasks.Option
		want    string
	}{
		{"success", func(context.Context) (int, error) { return 1, nil }, nil, "SUCCESSFUL 1 1"},
		{"error", func(context.Context) (int, error) { return 1, errBoom }, nil, "FAILED 1 1:*errors.errorString: boom "},
		{
			"attempts used up", func(context.Context) (int, error) { return 0, errBoom },
			[]tasks.Option{tasks.MaxAttempts(2), tasks.Backoff(tasks.Constant(time.Hour))},
			"FAILED 2 1:*errors.errorString: boom 2:*errors.errorString: boom ",
		},
		{"NoRetry", func(context.Context) (int, error) { return 0, tasks.NoRetry(errBoom) }, []tasks.Option{tasks.MaxAttempts(2)}, "FAILED 1 1:*errors.errorString: boom "},
		{
			"RetryIn", func(context.Context) (int, error) { return 0, tasks.RetryIn(time.Hour, errBoom) },
			[]tasks.Option{tasks.MaxAttempts(2)},
			"FAILED 2 1:*errors.errorString: boom 2:*errors.errorString: boom ",
		},
		{"Cancel", func(context.Context) (int, error) { return 0, tasks.Cancel("enough") }, nil, "CANCELLED 1 enough"},
		{
			"Snooze", func(context.Context) (int, error) { return 0, tasks.Snooze(time.Minute) },
			[]tasks.Option{tasks.MaxAttempts(2)},
			"FAILED 1 1:unsupported: the task snoozed for 1m0s, which the immediate backend can't do ",
		},
		{"panic", func(context.Context) (int, error) { panic("boom") }, nil, "FAILED 1 1:panic: boom "},
		{
			"Goexit", func(context.Context) (int, error) { runtime.Goexit(); return 0, nil },
			[]tasks.Option{tasks.MaxAttempts(2)},
			"FAILED 2 1:goexit: tasks: handler called runtime.Goexit 2:goexit: tasks: handler called runtime.Goexit ",
		},
		{
			"timeout", func(ctx context.Context) (int, error) { <-ctx.Done(); return 0, ctx.Err() },
			[]tasks.Option{tasks.Timeout(time.Second)},
			"FAILED 1 1:timeout: tasks: task timed out after 1s ",
		},
		{
			"timeout ignored", func(context.Context) (int, error) { time.Sleep(time.Minute); return 1, nil },
			[]tasks.Option{tasks.Timeout(time.Second)},
			"FAILED 1 1:timeout: tasks: task timed out after 1s ",
		},
		{"just in time", func(context.Context) (int, error) { time.Sleep(time.Second - 1); return 1, nil }, []tasks.Option{tasks.Timeout(time.Second)}, "SUCCESSFUL 1 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				res := run(t, newApp(t), tt.handler, tt.options...)
				if got := summary(&res.Record); got != tt.want {
					t.Errorf("result:\n got %s\nwant %s", got, tt.want)
				}
				if waited := time.Since(start); waited > time.Minute {
					t.Errorf("Enqueue: took %v, want no waiting between attempts", waited)
				}
			})
		})
	}
}

func TestTheHandlersContextIsTheCallers(t *testing.T) {
	type key struct{}
	app := newApp(t)
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "v"))
	task := tasks.Define(app, "t", func(ctx context.Context, _ tasks.None) (any, error) {
		cancel()
		return ctx.Value(key{}), ctx.Err()
	})
	results, err := app.EnqueueMany(ctx, task.With(tasks.None{}), task.With(tasks.None{}))
	if err != nil {
		t.Fatalf("EnqueueMany: %v", err)
	}
	for i, res := range results { // the second still runs, with a context that has ended
		if got := summary(&res.Record); got != "FAILED 1 1:*errors.errorString: context canceled " {
			t.Errorf("result %d: got %s, want the handler's own error", i, got)
		}
	}
	if _, err := task.Enqueue(ctx, tasks.None{}); !errors.Is(err, context.Canceled) {
		t.Errorf("Enqueue: got error %v, want context.Canceled", err)
	}
	b, err := app.Backend("default")
	if err != nil {
		t.Fatalf("Backend: %v", err)
	}
	if err := b.Enqueue(ctx, []*tasks.Record{{ID: "x", Task: "t", MaxAttempts: 1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("the backend's Enqueue: got error %v, want context.Canceled", err)
	}
}

func TestEnqueueManyRunsInOrderAndOneIDOnce(t *testing.T) {
	app := newApp(t)
	var ran []int
	task := tasks.Define(app, "t", func(_ context.Context, n int) (int, error) { ran = append(ran, n); return n, nil })
	same := task.Using(tasks.ID("same"))
	results, err := app.EnqueueMany(t.Context(), task.With(1), same.With(2), same.With(3), task.With(4))
	if err != nil {
		t.Fatalf("EnqueueMany: %v", err)
	}
	if !slices.Equal(ran, []int{1, 2, 4}) {
		t.Errorf("ran: got %v, want 1, 2, 4", ran)
	}
	if !results[2].Duplicate || string(results[2].Value) != "2" || results[1].Duplicate {
		t.Errorf("results: got %+v and %+v, want the second a duplicate of the first", results[1].Record, results[2].Record)
	}
}

func TestATaskMayEnqueueAnother(t *testing.T) {
	app := newApp(t)
	var down *tasks.Task[int, int]
	down = tasks.Define(app, "down", func(ctx context.Context, n int) (int, error) {
		if n == 0 {
			return 0, nil
		}
		res, err := down.Enqueue(ctx, n-1)
		if err != nil {
			return 0, err
		}
		info, _ := tasks.FromContext(ctx)
		if info.ID == res.ID {
			t.Error("FromContext: has the inner run's id")
		}
		v, err := res.ReturnValue()
		return v + 1, err
	})
	res, err := down.Enqueue(t.Context(), 5)
	if err != nil {
		t.Fatalf("Enqueue: %v", err)
	}
	if v, err := res.ReturnValue(); v != 5 || err != nil {
		t.Errorf("ReturnValue: got %v, %v, want 5", v, err)
	}
}

// A goroutine that a handler leaves behind may use its context while the next
// attempt runs: for the race detector.
func TestAContextOutlivesItsAttempt(t *testing.T) {
	app := newApp(t)
	var wg sync.WaitGroup
	run(t, app, func(ctx context.Context) (int, error) {
		info, _ := tasks.FromContext(ctx)
		wg.Go(func() {
			for range 100 {
				if again, ok := tasks.FromContext(ctx); !ok || again.Attempt != info.Attempt {
					t.Errorf("FromContext: got attempt %d, want %d", again.Attempt, info.Attempt)
				}
			}
		})
		return 0, errBoom
	}, tasks.MaxAttempts(20))
	wg.Wait()
}

func TestAEnqueueRunsInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(t)
		task := tasks.Define(app, "t", func(ctx context.Context, n int) (int, error) {
			time.Sleep(time.Second)
			return n, ctx.Err()
		})
		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		future := task.AEnqueue(ctx, 1)
		cancel()
		if d := time.Since(start); d != 0 {
			t.Errorf("AEnqueue: took %v, want it to return at once", d)
		}
		res, err := future.Wait(t.Context())
		if err != nil || res.Status != tasks.Successful {
			t.Errorf("Wait: got %v, %v, want a SUCCESSFUL result", res, err)
		}
	})
}

func TestF3_CloseWaitsForWhatRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := newApp(t)
		b, err := app.Backend("default")
		if err != nil {
			t.Fatalf("Backend: %v", err)
		}
		task := tasks.Define(app, "t", func(context.Context, tasks.None) (int, error) { time.Sleep(time.Minute); return 1, nil })
		ended := make(chan error, 1)
		go func() {
			res, err := task.Enqueue(t.Context(), tasks.None{})
			if err == nil {
				_, err = res.ReturnValue()
			}
			ended <- err
		}()
		synctest.Wait()
		start := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Close(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Close with a short ctx: got error %v, want context.DeadlineExceeded", err)
		}
		if err := b.Enqueue(t.Context(), []*tasks.Record{{ID: "x"}}); !errors.Is(err, tasks.ErrClosed) {
			t.Errorf("Enqueue while closing: got error %v, want ErrClosed", err)
		}
		for range 2 {
			if err := app.Close(t.Context()); err != nil {
				t.Errorf("Close: %v", err)
			}
		}
		if d := time.Since(start); d != time.Minute {
			t.Errorf("Close: took %v, want the minute that the task takes", d)
		}
		if err := <-ended; err != nil {
			t.Errorf("the run that Close waited for: %v", err)
		}
		if _, err := b.GetResult(t.Context(), "x"); !errors.Is(err, tasks.ErrClosed) {
			t.Errorf("GetResult: got error %v, want ErrClosed", err)
		}
		if found := b.Check(t.Context()); len(found) != 1 || found[0].ID != "immediate.E001" {
			t.Errorf("Check: got %v, want immediate.E001", found)
		}
	})
}

func TestCAP2_WhatItCantDo(t *testing.T) {
	app := newApp(t)
	task := tasks.Define(app, "t", func(context.Context, tasks.None) (int, error) { t.Error("the task was run"); return 0, nil })
	for name, option := range map[string]tasks.Option{"defer": tasks.RunIn(1), "expire": tasks.ExpiresIn(1)} {
		if _, err := task.Using(option).Enqueue(t.Context(), tasks.None{}); !errors.Is(err, tasks.ErrUnsupported) || !strings.Contains(err.Error(), name) {
			t.Errorf("Enqueue: got error %v, want ErrUnsupported with %s", err, name)
		}
	}
	if _, err := task.GetResult(t.Context(), "x"); !errors.Is(err, tasks.ErrUnsupported) {
		t.Errorf("GetResult: got error %v, want ErrUnsupported", err)
	}
	b := immediate.New()
	if _, err := b.GetResult(t.Context(), "x"); !errors.Is(err, tasks.ErrUnsupported) {
		t.Errorf("the backend's GetResult: got error %v, want ErrUnsupported", err)
	}
	if err := b.Enqueue(t.Context(), nil); !errors.Is(err, tasks.ErrInvalidConfig) {
		t.Errorf("Enqueue without an App: got error %v, want ErrInvalidConfig", err)
	}
	if found := b.Check(t.Context()); len(found) != 0 {
		t.Errorf("Check: got %v, want nothing", found)
	}
	res := run(t, app, func(context.Context) (int, error) { return 1, nil }, tasks.Priority(100))
	if res.Priority != 100 || res.Status != tasks.Successful {
		t.Errorf("with a priority: got %+v, want it accepted", res.Record)
	}
}

func TestTheLogOfARun(t *testing.T) {
	var text strings.Builder
	app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "took" {
				return slog.Attr{}
			}
			return a
		},
	}))})
	if err := app.Use("default", immediate.New()); err != nil {
		t.Fatalf("Use: %v", err)
	}
	task := tasks.Define(app, "t", func(context.Context, string) (string, error) { return "secret", errBoom }, tasks.MaxAttempts(2))
	if _, err := task.Using(tasks.ID("i")).Enqueue(t.Context(), "secret"); err != nil {
		t.Fatalf("Enqueue: %v", err)
	}
	want := `level=DEBUG msg=Task id=i path=t state=enqueued backend=default
level=INFO msg=Task id=i path=t state=RUNNING attempt=1
level=WARN msg=Task id=i path=t state=READY attempt=1 error_type=*errors.errorString error=boom outcome=retry delay=0s
level=INFO msg=Task id=i path=t state=RUNNING attempt=2
level=ERROR msg=Task id=i path=t state=FAILED attempt=2 error_type=*errors.errorString error=boom
`
	if text.String() != want {
		t.Errorf("log:\n got %s\nwant %s", text.String(), want)
	}
}
