package worker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

func nothing(context.Context, int) (int, error) { return 0, nil }

func TestRunsTasks(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		double := tasks.Define(e.app, "double", func(_ context.Context, n int) (int, error) { return 2 * n, nil })
		id := enqueue(t, double, 21)
		s := e.runBatch(worker.Options{WorkerID: "w1"})
		rec := e.status(id, tasks.Successful)
		equal(t, "value", string(rec.Value), "42")
		equal(t, "workers", strings.Join(rec.WorkerIDs, ","), "w1")
		equal(t, "stats", s, worker.Stats{Claimed: 1, Succeeded: 1})
	})
}

func TestConcurrencyIsLimited(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		var now, most atomic.Int64
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for {
				m := most.Load()
				if n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			time.Sleep(time.Second)
			return 0, nil
		})
		for range 100 {
			enqueue(t, task, 0)
		}
		start := time.Now()
		s := e.runBatch(worker.Options{Concurrency: 7})
		equal(t, "most at a time", most.Load(), 7)
		equal(t, "succeeded", s.Succeeded, 100)
		if took := time.Since(start); took < 15*time.Second || took > 16*time.Second {
			t.Fatalf("100 tasks of 1 s by 7: took %v, want 15 s", took)
		}
	})
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		fn        func(context.Context, int) (int, error)
		errorType string
		message   string
	}{
		{"error", func(context.Context, int) (int, error) { return 0, errors.New("no luck") }, "*errors.errorString", "no luck"},
		{"panic", func(context.Context, int) (int, error) { panic("ouch") }, tasks.ErrorTypePanic, "ouch"},
		{"panic nil", func(context.Context, int) (int, error) { panic(nil) }, tasks.ErrorTypePanic, "nil"}, //nolint:govet // it's what the case is about
		{"goexit", func(context.Context, int) (int, error) { runtime.Goexit(); return 0, nil }, tasks.ErrorTypeGoexit, "Goexit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *env) {
				bad := tasks.Define(e.app, "bad", tt.fn)
				good := tasks.Define(e.app, "good", nothing)
				id, after := enqueue(t, bad, 0), enqueue(t, good, 0)
				s := e.runBatch(worker.Options{Concurrency: 1})
				rec := e.status(id, tasks.Failed)
				equal(t, "errors", len(rec.Errors), 1)
				equal(t, "type", rec.Errors[0].Type, tt.errorType)
				if !strings.Contains(rec.Errors[0].Message, tt.message) {
					t.Fatalf("message: got %q, want it to have %q", rec.Errors[0].Message, tt.message)
				}
				e.status(after, tasks.Successful)
				equal(t, "stats", s, worker.Stats{Claimed: 2, Succeeded: 1, Failed: 1})
				line := e.logged(1, "ERROR Task", "state=FAILED", "error_type="+tt.errorType)[0]
				equal(t, "stack is logged", strings.Contains(line, "stack="), tt.errorType == tasks.ErrorTypePanic)
			})
		})
	}
}

func TestRetryUntilSuccess(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		var at []time.Time
		task := tasks.Define(e.app, "flaky", func(ctx context.Context, _ int) (string, error) {
			at = append(at, time.Now())
			info, _ := tasks.FromContext(ctx)
			if info.Attempt < 3 {
				return "", fmt.Errorf("attempt %d", info.Attempt)
			}
			return "done", nil
		}, tasks.MaxAttempts(5), tasks.Backoff(tasks.Constant(10*time.Second)))
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{})
		time.Sleep(time.Minute)
		rec := e.status(id, tasks.Successful)
		equal(t, "attempts", rec.Attempts(), 3)
		equal(t, "errors", len(rec.Errors), 2)
		equal(t, "first wait", at[1].Sub(at[0]).Round(10*time.Millisecond), 10*time.Second)
		equal(t, "second wait", at[2].Sub(at[1]).Round(10*time.Millisecond), 10*time.Second)
		r.stop()
		e.logged(2, "WARN Task", "state=READY", "outcome=retry", "delay=10s", "error=attempt")
		equal(t, "stats", r.Stats(), worker.Stats{Claimed: 3, Succeeded: 1, Retried: 2})
	})
}

func TestSnoozeDoesNotCount(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		runs := 0
		task := tasks.Define(e.app, "later", func(context.Context, int) (int, error) {
			if runs++; runs <= 3 {
				return 0, tasks.Snooze(time.Minute)
			}
			return runs, nil
		})
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{})
		time.Sleep(4 * time.Minute)
		rec := e.status(id, tasks.Successful)
		equal(t, "attempts", rec.Attempts(), 1)
		r.stop()
		equal(t, "stats", r.Stats(), worker.Stats{Claimed: 4, Succeeded: 1, Snoozed: 3})
	})
}

func TestHooksAreCalledInOrder(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		var mu sync.Mutex
		var seen []string
		note := func(s string) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, s)
		}
		hook := func(point string) func(context.Context, *tasks.Record) error {
			return func(_ context.Context, rec *tasks.Record) error {
				note(fmt.Sprintf("%s %s stored=%s", point, rec.Status, e.store.get(t, rec.ID).Status))
				if point == "started" {
					panic("hook")
				}
				return errors.New("hook")
			}
		}
		e.app.AddHooks(tasks.Hooks{Enqueued: hook("enqueued"), Started: hook("started"), Finished: hook("finished")})
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) {
			note("handler")
			return 7, nil
		})
		failing := tasks.Define(e.app, "f", func(ctx context.Context, _ int) (int, error) {
			if info, _ := tasks.FromContext(ctx); info.Attempt == 1 {
				return 0, errors.New("first")
			}
			return 0, tasks.NoRetry(errors.New("second"))
		}, tasks.MaxAttempts(3), tasks.Backoff(tasks.Constant(0)))
		e.app.AddHooks(tasks.Hooks{Finished: func(_ context.Context, rec *tasks.Record) error {
			note(fmt.Sprintf("value=%s errors=%d", rec.Value, len(rec.Errors)))
			return nil
		}})
		enqueue(t, task, 0)
		s := e.runBatch(worker.Options{})
		equal(t, "seen", strings.Join(seen, "; "), "enqueued READY stored=READY; started RUNNING stored=RUNNING; handler; "+
			"finished SUCCESSFUL stored=SUCCESSFUL; value=7 errors=0")
		equal(t, "succeeded", s.Succeeded, 1)

		seen = nil
		enqueue(t, failing, 0)
		e.runBatch(worker.Options{})
		equal(t, "seen", strings.Join(seen, "; "), "enqueued READY stored=READY; started RUNNING stored=RUNNING; "+
			"started RUNNING stored=RUNNING; finished FAILED stored=FAILED; value= errors=2")
	})
}

func TestUnknownTasksArePutBack(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		other := tasks.NewApp()
		if err := other.Use("default", e.store); err != nil {
			t.Fatal(err)
		}
		there := tasks.Define(other, "elsewhere", nothing)
		here := tasks.Define(e.app, "here", nothing)
		id, id2 := enqueue(t, there, 0), enqueue(t, there, 0)
		known := enqueue(t, here, 0)
		r := e.start(worker.Options{UnknownDelay: 10 * time.Second})
		time.Sleep(55 * time.Second)
		e.status(known, tasks.Successful)
		for _, id := range []string{id, id2} {
			rec := e.status(id, tasks.Ready)
			equal(t, "attempts", rec.Attempts(), 0)
			if wait := time.Until(rec.RunAfter); wait <= 0 || wait > 10*time.Second {
				t.Fatalf("due in %v, want within 10 s", wait)
			}
		}
		equal(t, "released", r.Stats().Released, 12)
		e.logged(1, "WARN Task isn't defined here", "path=elsewhere")
		time.Sleep(time.Minute)
		e.logged(2, "WARN Task isn't defined here", "path=elsewhere")
		r.stop()
	})
}

func TestBatchEndsWhenNothingIsDue(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		var ran []int
		var task *tasks.Task[int, int]
		task = tasks.Define(e.app, "t", func(ctx context.Context, n int) (int, error) {
			ran = append(ran, n)
			time.Sleep(time.Second)
			if n == 1 {
				_, err := task.Enqueue(ctx, 2) // due at once, while another one runs
				return 0, err
			}
			return 0, nil
		})
		retry := tasks.Define(e.app, "r", func(context.Context, int) (int, error) { return 0, errors.New("no") },
			tasks.MaxAttempts(2), tasks.Backoff(tasks.Constant(time.Hour)))
		enqueue(t, task, 1)
		deferred := enqueue(t, task, 9, tasks.RunIn(time.Hour))
		later := enqueue(t, retry, 0)
		start := time.Now()
		e.runBatch(worker.Options{WorkerID: "me"})
		equal(t, "ran", fmt.Sprint(ran), "[1 2]")
		e.status(deferred, tasks.Ready)
		e.status(later, tasks.Ready)
		if took := time.Since(start); took > 3*time.Second {
			t.Fatalf("took %v, want 2 s", took)
		}
		e.logged(1, "INFO No more tasks to run for worker_id=me - exiting gracefully.")
	})
}

func TestMaxTasks(t *testing.T) {
	t.Parallel()
	for _, concurrency := range []int{1, 3, 50} {
		t.Run(strconv.Itoa(concurrency), func(t *testing.T) {
			bubble(t, func(t *testing.T, e *env) {
				var ran atomic.Int64
				task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { ran.Add(1); return 0, nil })
				other := tasks.NewApp()
				if err := other.Use("default", e.store); err != nil {
					t.Fatal(err)
				}
				unknown := tasks.Define(other, "unknown", nothing)
				enqueue(t, unknown, 0, tasks.Priority(100))
				for range 100 {
					enqueue(t, task, 0)
				}
				r := e.start(worker.Options{MaxTasks: 5, WorkerID: "me", Concurrency: concurrency})
				if err := r.end(); err != nil {
					t.Fatal(err)
				}
				equal(t, "ran", ran.Load(), 5)
				equal(t, "claimed", r.Stats().Claimed, 6) // the unknown one doesn't count
				e.logged(1, "INFO Run maximum tasks (5) on worker=me - exiting gracefully.")
			})
		})
	}
}

func TestLogHasDjangosWords(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "app.greet", func(context.Context, string) (string, error) { return "secret value", nil })
		cancelled := tasks.Define(e.app, "app.no", func(context.Context, string) (string, error) { return "", tasks.Cancel("not wanted") })
		id := enqueue(t, task, "secret argument", tasks.Metadata("key", "secret metadata"))
		enqueue(t, cancelled, "")
		e.runBatch(worker.Options{WorkerID: "me", Concurrency: 4})
		e.logged(1, "INFO Starting worker", "worker_id=me", "queues=*", "backend=default", "concurrency=4")
		e.logged(1, "INFO Task id="+id+" path=app.greet state=RUNNING")
		e.logged(1, "INFO Task id="+id+" path=app.greet state=SUCCESSFUL")
		e.logged(1, "INFO Task", "path=app.no state=CANCELLED", "reason=not wanted")
		e.logged(1, "INFO Stopped worker", "worker_id=me", "claimed=2", "succeeded=1", "cancelled=1")
		e.logged(0, "secret")
	})
}

func TestRunOnlyOnce(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		r := e.start(worker.Options{})
		synctest.Wait()
		if err := r.Run(t.Context()); err == nil {
			t.Fatal("Run while it runs: got nil, want an error")
		}
		r.stop()
		if err := r.Run(t.Context()); err == nil {
			t.Fatal("Run again: got nil, want an error")
		}
	})
}

func TestHeartbeats(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { time.Sleep(time.Minute); return 0, nil })
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{WorkerID: "me", Lease: 30 * time.Second, Concurrency: 3})
		synctest.Wait()
		time.Sleep(35 * time.Second)
		e.store.set(func(m *memory) {
			w := m.workers["me"]
			equal(t, "interval", w.Interval, 10*time.Second)
			equal(t, "concurrency", w.Concurrency, 3)
			equal(t, "running", w.Running, 1)
			equal(t, "running ids", strings.Join(w.RunningIDs, ","), id)
			equal(t, "beats", m.calls["heartbeat"], 4)
			equal(t, "stopping", w.Stopping, false)
		})
		r.Stop()
		synctest.Wait()
		e.store.set(func(m *memory) { equal(t, "stopping", m.workers["me"].Stopping, true) })
		r.stop()
		e.store.set(func(m *memory) { equal(t, "stopped", strings.Join(m.stopped, ","), "me") })
	})
}

func TestSweepsAndLogsWhatWasLost(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", nothing, tasks.MaxAttempts(2))
		id := enqueue(t, task, 0)
		// Another worker claims it and dies.
		if _, err := e.store.Claim(t.Context(), tasks.ClaimRequest{Worker: "dead", Limit: 1, Lease: 20 * time.Second}); err != nil {
			t.Fatal(err)
		}
		r := e.start(worker.Options{SweepInterval: 5 * time.Second, WorkerID: "me"})
		time.Sleep(26 * time.Second)
		rec := e.status(id, tasks.Successful)
		equal(t, "workers", strings.Join(rec.WorkerIDs, ","), "dead,me")
		e.logged(1, "WARN Swept the store", "lost=1")
		if n := e.store.count("sweep"); n < 5 || n > 7 {
			t.Fatalf("sweeps in 26 s: got %d, want about 6", n)
		}
		r.stop()
	})
}

func TestSweepsAgainWhileThereIsMore(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		e.store.more = 7
		r := e.start(worker.Options{SweepInterval: time.Hour})
		time.Sleep(time.Minute)
		equal(t, "sweeps", e.store.count("sweep"), 8)
		e.store.set(func(m *memory) { m.more = 1 << 30 }) // for ever
		time.Sleep(90 * time.Minute)
		if n := e.store.count("sweep"); n > 100 {
			t.Fatalf("%d sweeps, want them bounded", n)
		}
		r.stop()
	})
}

func TestOptionsAreChecked(t *testing.T) {
	for _, tt := range []struct {
		o    worker.Options
		want []string
	}{
		{worker.Options{Concurrency: -1, MaxTasks: -2}, []string{"concurrency", "-1", "max_tasks", "-2"}},
		{
			worker.Options{Lease: -1, PollInterval: -1, Grace: -1, SweepInterval: -1, UnknownDelay: -1},
			[]string{"lease", "poll_interval", "grace", "sweep_interval", "unknown_delay"},
		},
		{worker.Options{Lease: time.Millisecond}, []string{"lease", "100ms"}},
		{worker.Options{WorkerID: strings.Repeat("x", 65)}, []string{"worker_id", "64", "65"}},
		{worker.Options{Order: "random"}, []string{"order", "random", "weighted"}},
		{worker.Options{Order: worker.OrderStrict, Queues: []string{"*"}}, []string{"strict", "*"}},
		{worker.Options{Queues: []string{"a", "nope"}}, []string{"nope", "known are a, b"}},
		{worker.Options{Queues: []string{" "}}, []string{"queues", "empty"}},
		{worker.Options{Queues: []string{"a"}, Exclude: []string{"b"}}, []string{"exclude can only be used with queues=*"}},
		{worker.Options{Weights: map[string]int{"a": 1}}, []string{"weights", "order=weighted"}},
		{worker.Options{Queues: []string{"a"}, Order: worker.OrderWeighted, Weights: map[string]int{"b": 0}}, []string{"at least 1"}},
		{worker.Options{Backend: "other"}, []string{"other"}},
	} {
		app := tasks.NewApp()
		if err := app.UseWith("default", newMemory(), tasks.UseOptions{Queues: []string{"a", "b"}}); err != nil {
			t.Fatal(err)
		}
		tasks.Define(app, "", nothing) // a fault of the App is told too
		err := worker.New(app, tt.o).Run(t.Context())
		for _, want := range append(tt.want, "empty") {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%+v: got %v, want an error with %q", tt.o, err, want)
			}
		}
	}
}

func TestBackendWithoutWorkers(t *testing.T) {
	t.Parallel()
	app := tasks.NewApp()
	if err := app.Use("default", dummy.New()); err != nil {
		t.Fatal(err)
	}
	if err := worker.New(app, worker.Options{}).Run(t.Context()); !errors.Is(err, tasks.ErrUnsupported) {
		t.Fatalf("Run on dummy: got %v, want ErrUnsupported", err)
	}
}

func TestDefaultWorkerID(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		a, b := e.start(worker.Options{}), e.start(worker.Options{})
		time.Sleep(time.Second)
		all, _ := e.store.Workers(t.Context())
		equal(t, "workers", len(all), 2)
		for _, w := range all {
			if len(w.ID) < 1 || len(w.ID) > 64 {
				t.Errorf("id %q: want 1 to 64 bytes", w.ID)
			}
		}
		a.stop()
		b.stop()
	})
}

func TestContextHasValuesOfRun(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		type key struct{}
		task := tasks.Define(e.app, "t", func(ctx context.Context, _ int) (any, error) { return ctx.Value(key{}), nil })
		id := enqueue(t, task, 0)
		ctx := context.WithValue(t.Context(), key{}, "here")
		if err := worker.New(e.app, worker.Options{Batch: true}).Run(ctx); err != nil {
			t.Fatal(err)
		}
		equal(t, "value", string(e.status(id, tasks.Successful).Value), `"here"`)
	})
}
