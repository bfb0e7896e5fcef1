package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// outcome is that of one attempt, the n-th of most, of a task with these options.
func outcome(t *testing.T, handler func(context.Context) (any, error), n, most int, options ...tasks.Option) tasks.Outcome {
	t.Helper()
	app, rt, _ := bound(t)
	tasks.Define(app, "t", func(ctx context.Context, _ tasks.None) (any, error) { return handler(ctx) }, options...)
	return execute(t, t.Context(), rt, running(rt, "t", "null", n, most))
}

func fails(err error) func(context.Context) (any, error) {
	return func(context.Context) (any, error) { return nil, err }
}

func TestT1_WhatAHandlersErrorAsksFor(t *testing.T) {
	seven := tasks.Backoff(tasks.Constant(7 * time.Second))
	for _, tt := range []struct {
		name    string
		err     error
		n, most int
		want    string // kind, delay, reason, and the error's type and message
	}{
		{"plain error, attempts left", errBoom, 1, 2, "retry 7s  *errors.errorString: boom"},
		{"plain error, none left", errBoom, 2, 2, "failure 0s  *errors.errorString: boom"},
		{"plain error, over the number", errBoom, 3, 2, "failure 0s  *errors.errorString: boom"},
		{"NoRetry", tasks.NoRetry(errBoom), 1, 9, "failure 0s  *errors.errorString: boom"},
		{"NoRetry, wrapped", fmt.Errorf("outer: %w", tasks.NoRetry(errBoom)), 1, 9, "failure 0s  *errors.errorString: outer: boom"},
		{"NoRetry(nil)", tasks.NoRetry(nil), 1, 9, "success 0s  "},
		{"RetryIn", tasks.RetryIn(time.Minute, errBoom), 1, 2, "retry 1m0s  *errors.errorString: boom"},
		{"RetryIn below 0", tasks.RetryIn(-time.Minute, errBoom), 1, 2, "retry 0s  *errors.errorString: boom"},
		{"RetryIn(nil)", tasks.RetryIn(time.Minute, nil), 1, 9, "success 0s  "},
		// The store makes this FAILED (lifecycle.Settle).
		{"RetryIn, none left", tasks.RetryIn(time.Minute, errBoom), 2, 2, "retry 1m0s  *errors.errorString: boom"},
		{"Snooze", tasks.Snooze(time.Hour), 1, 1, "snooze 1h0m0s  "},
		{"Snooze below 0", tasks.Snooze(-1), 1, 1, "snooze 0s  "},
		{"Cancel", tasks.Cancel("no such user"), 1, 9, "cancel 0s no such user "},
		{"Cancel, hostile", tasks.Cancel("a\x00\xff"), 1, 9, "cancel 0s a␀\uFFFD "},
		{"Cancel, wrapped", fmt.Errorf("outer: %w", tasks.Cancel("")), 1, 9, "cancel 0s  "},
		{"the outermost wish counts", tasks.NoRetry(tasks.RetryIn(1, errBoom)), 1, 9, "failure 0s  *errors.errorString: boom"},
		{"type below the texts", fmt.Errorf("a: %w", fmt.Errorf("b: %w", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist})), 1, 1, "failure 0s  *fs.PathError: a: b: open x: file does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := outcome(t, fails(tt.err), tt.n, tt.most, seven)
			got := fmt.Sprintf("%s %v %s ", out.Kind, out.Delay, out.Reason)
			if out.Error != nil {
				got += out.Error.Error()
			}
			equal(t, "outcome", got, tt.want)
		})
	}
	if err := tasks.NoRetry(errBoom); !errors.Is(err, errBoom) || err.Error() != "boom" {
		t.Errorf("NoRetry: got %v, want it to wrap boom", err)
	}
	wantNil(t, "Cancel matches ErrTaskCancelled", map[bool]error{false: errBoom}[errors.Is(tasks.Cancel("x"), tasks.ErrTaskCancelled)])
}

func TestT1_TheBackoffPolicyDecides(t *testing.T) {
	var asked []string
	policy := func(attempt int, err error) (time.Duration, bool) {
		asked = append(asked, fmt.Sprint(attempt, " ", err))
		return -time.Second, attempt < 3
	}
	out := outcome(t, fails(errBoom), 2, 5, tasks.Backoff(policy))
	equal(t, "attempt 2", fmt.Sprint(out.Kind, out.Delay), "retry0s")
	out = outcome(t, fails(errBoom), 3, 5, tasks.Backoff(policy))
	equal(t, "attempt 3", out.Kind, tasks.OutcomeFailure)
	outcome(t, fails(errBoom), 5, 5, tasks.Backoff(policy))
	equalSlices(t, "asked", asked, []string{"2 boom", "3 boom"})

	for range 50 { // without a policy: Exponential(1s, 10m)
		if out := outcome(t, fails(errBoom), 2, 3); out.Kind != tasks.OutcomeRetry || out.Delay <= 0 || out.Delay > 2*time.Second {
			t.Errorf("default policy, attempt 2: got %s in %v, want a retry in at most 2s", out.Kind, out.Delay)
		}
	}
	out = outcome(t, fails(errBoom), 1, 3, tasks.Backoff(func(int, error) (time.Duration, bool) { panic("bad policy") }))
	if out.Kind != tasks.OutcomeRetry || out.Delay > time.Second || out.Error.Message != "boom" {
		t.Errorf("policy that panics: got %+v, want the default policy's retry", out)
	}
	out = outcome(t, fails(errBoom), 1, 3, tasks.Backoff(func(int, error) (time.Duration, bool) { runtime.Goexit(); return 0, false }))
	equal(t, "policy that calls Goexit", out.Kind, tasks.OutcomeFailure)
}

// T3, T4, K1: the cause of the context says what an error means.
func TestT3T4_TheCauseOfTheContextClassifies(t *testing.T) {
	own := errors.New("own")
	ctxErr := func(ctx context.Context) (any, error) { return nil, fmt.Errorf("read: %w", ctx.Err()) }
	cause := func(ctx context.Context) (any, error) { return nil, fmt.Errorf("read: %w", context.Cause(ctx)) }
	done := func(context.Context) (any, error) { return 1, nil }
	panicked := func(context.Context) (any, error) { panic("late") }
	for _, tt := range []struct {
		name    string
		cause   error
		handler func(context.Context) (any, error)
		want    string
	}{
		{"timeout, ctx's error", tasks.ErrTimeout, ctxErr, "retry timeout: tasks: task timed out after 5s"},
		{"timeout, its cause", tasks.ErrTimeout, cause, "retry timeout: tasks: task timed out after 5s: read: tasks: task timed out"},
		{"timeout, own error", tasks.ErrTimeout, fails(own), "retry timeout: tasks: task timed out after 5s: own"},
		{"timeout, success too late", tasks.ErrTimeout, done, "retry timeout: tasks: task timed out after 5s"},
		{"timeout, NoRetry doesn't count", tasks.ErrTimeout, fails(tasks.NoRetry(own)), "retry timeout: tasks: task timed out after 5s: own"},
		{"timeout, panic", tasks.ErrTimeout, panicked, "retry timeout: tasks: task timed out after 5s: panic: late"},
		{"cancelled, ctx's error", tasks.ErrTaskCancelled, ctxErr, "cancel"},
		{"cancelled, its cause", tasks.ErrTaskCancelled, cause, "cancel"},
		{"cancelled, own error", tasks.ErrTaskCancelled, fails(own), "cancel *errors.errorString: own"},
		{"cancelled, success before", tasks.ErrTaskCancelled, done, "success"},
		{"cancelled, panic", tasks.ErrTaskCancelled, panicked, "cancel panic: late"},
		{"stopping, ctx's error", tasks.ErrWorkerStopping, ctxErr, "retry interrupted: read: context canceled"},
		{"stopping, its cause", tasks.ErrWorkerStopping, cause, "retry interrupted: read: tasks: worker is stopping"},
		{"stopping, own error", tasks.ErrWorkerStopping, fails(own), "retry *errors.errorString: own"},
		{"stopping, own NoRetry", tasks.ErrWorkerStopping, fails(tasks.NoRetry(own)), "failure *errors.errorString: own"},
		{"stopping, success", tasks.ErrWorkerStopping, done, "success"},
		{"another cause", own, ctxErr, "retry *errors.errorString: read: context canceled"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app, rt, _ := bound(t)
			tasks.Define(app, "t", func(ctx context.Context, _ tasks.None) (any, error) { return tt.handler(ctx) })
			ctx, cancel := context.WithCancelCause(t.Context())
			cancel(tt.cause)
			rec := running(rt, "t", "null", 1, 3)
			rec.Timeout = 5 * time.Second
			out := execute(t, ctx, rt, rec)
			got := string(out.Kind)
			if out.Error != nil {
				got += " " + out.Error.Error()
			}
			equal(t, "outcome", got, tt.want)
		})
	}
}

type badError struct{ inner error }

func (e *badError) Error() string { return "bad: " + e.inner.Error() } // a nil e panics
func (e *badError) Unwrap() error { return e.inner }                   // and so here

type badIs struct{}

func (badIs) Error() string   { return "bad is" }
func (badIs) Is(error) bool   { panic("no comparing") }
func (badIs) As(any) bool     { panic("no conversion") }
func (badIs) Unwrap() []error { panic("no looking inside") }

// T6: whatever ends a handler, done is called once with a failed attempt.
func TestT6_EveryBadEndIsAFailedAttempt(t *testing.T) {
	var (
		nilError *badError
		nothing  any
		noMap    map[string]int
	)
	for _, tt := range []struct {
		name    string
		handler func(context.Context) (any, error)
		want    string // of the error; a stack must be there for a panic
	}{
		{"panic", func(context.Context) (any, error) { panic("boom") }, "panic: boom"},
		{"panic(nil)", func(context.Context) (any, error) { panic(nothing) }, "panic: panic called with nil argument"},
		{"panic(error)", func(context.Context) (any, error) { panic(tasks.NoRetry(errBoom)) }, "panic: boom"},
		{"panic(bad error)", func(context.Context) (any, error) { panic(nilError) }, "panic: <nil>"},
		{"panic(error with a bad Is)", func(context.Context) (any, error) { panic(badIs{}) }, "panic: bad is"},
		{"nil map", func(context.Context) (any, error) { noMap["x"] = 1; return nil, nil }, "panic: assignment to entry in nil map"},
		{"Goexit", func(context.Context) (any, error) { runtime.Goexit(); return nil, nil }, "goexit: tasks: handler called runtime.Goexit"},
		{"nil pointer as error", func(context.Context) (any, error) { return nil, nilError }, "*tasks_test.badError: (the Error method of *tasks_test.badError panicked"},
		{"Error method that panics", fails(&badError{}), "*tasks_test.badError: (the Error method of *tasks_test.badError panicked"},
		{"Is, As and Unwrap that panic", fails(badIs{}), "tasks_test.badIs: bad is (and one of its Is, As and Unwrap methods: panic: no "},
		{"return value that panics", func(context.Context) (any, error) { return panics{}, nil }, "*fmt.wrapError"},
		{"context's error of its own", fails(context.Canceled), "*errors.errorString: context canceled"},
	} {
		for name, cause := range map[string]error{"": nil, ", stopping": tasks.ErrWorkerStopping} {
			t.Run(tt.name+name, func(t *testing.T) {
				if cause != nil && strings.HasPrefix(tt.name, "context") {
					t.Skip("that is an interruption")
				}
				app, rt, _ := bound(t)
				tasks.Define(app, "t", func(ctx context.Context, _ tasks.None) (any, error) { return tt.handler(ctx) })
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if cause != nil {
					cancel(cause)
				}
				out := execute(t, ctx, rt, running(rt, "t", "null", 1, 2))
				if out.Kind != tasks.OutcomeRetry || out.Error == nil {
					t.Fatalf("outcome: got %+v, want a failed attempt", out)
				}
				if tt.want != "*fmt.wrapError" && !strings.HasPrefix(out.Error.Error(), tt.want) {
					t.Errorf("error: got %q, want %q", out.Error.Error(), tt.want)
				}
				isPanic := strings.HasPrefix(tt.want, "panic")
				if strings.Contains(out.Error.Stack, "execute_test.go") != isPanic {
					t.Errorf("Stack: got %q, want the handler's place for a panic only", out.Error.Stack)
				}
			})
		}
	}
}

func TestT6_StacksAreBounded(t *testing.T) {
	var deep func(n int)
	deep = func(n int) {
		if n == 0 {
			panic("deep")
		}
		deep(n - 1)
	}
	out := outcome(t, func(context.Context) (any, error) { deep(90); return nil, nil }, 1, 1)
	if n := len(out.Error.Stack); n == 0 || n > 16<<10 {
		t.Errorf("Stack: got %d bytes, want up to 16 KiB", n)
	}
}

func TestW11_AnUnknownTaskIsAFailureWithoutRetry(t *testing.T) {
	_, rt, _ := bound(t)
	out := execute(t, t.Context(), rt, running(rt, "gone", "null", 1, 5))
	equal(t, "Kind", out.Kind, tasks.OutcomeFailure)
	if !strings.Contains(out.Error.Message, `unknown task "gone"`) {
		t.Errorf("Message: got %q, want the task's name", out.Error.Message)
	}
}

// A nil function can only get here past Validate.
func TestAFaultyDefinitionFailsItsAttempts(t *testing.T) {
	app, rt, _ := bound(t)
	tasks.Define[int, int](app, "nil", nil)
	out := execute(t, t.Context(), rt, running(rt, "nil", "1", 1, 1))
	equal(t, "Kind", out.Kind, tasks.OutcomeFailure)
	equal(t, "Type", out.Error.Type, tasks.ErrorTypePanic)
}

func TestRuntimeFailedDecidesForAnAttemptThatDidNotReturn(t *testing.T) {
	app, rt, _ := bound(t)
	tasks.Define(app, "t", nop, tasks.Backoff(tasks.Constant(time.Second)))
	rec := running(rt, "t", "null", 1, 2)
	rec.Timeout = time.Minute
	out := rt.Failed(rec, tasks.TimeoutError(rec))
	equal(t, "outcome", fmt.Sprint(out.Kind, out.Delay, " ", out.Error.Error()), "retry1s timeout: tasks: task timed out after 1m0s")
	rec.WorkerIDs = append(rec.WorkerIDs, "w2")
	equal(t, "last attempt", rt.Failed(rec, tasks.TimeoutError(rec)).Kind, tasks.OutcomeFailure)
}

// K5, and what a handler left behind may still ask.
func TestK5_FromContext(t *testing.T) {
	app, rt, log := bound(t)
	var left context.Context
	tasks.Define(app, "t", func(ctx context.Context, _ tasks.None) (json.RawMessage, error) {
		left = ctx //nolint:fatcontext // kept beyond the attempt, which is what is tested
		info, ok := tasks.FromContext(ctx)
		if !ok {
			t.Fatal("FromContext: not ok in a handler")
		}
		info.Logger.Info("hello", "n", 1)
		logger := info.Logger
		info.Logger = nil
		got := fmt.Sprintf("%+v", info)
		want := "{ID:id-1 Task:t Alias:default Queue:mail Priority:7 Attempt:2 MaxAttempts:3 Metadata:map[k:v] WorkerID:w2 Logger:<nil>}"
		equal(t, "Info", got, want)
		info.Metadata["k"] = "changed"
		_ = logger
		return nil, nil
	})
	rec := running(rt, "t", "null", 2, 3)
	rec.Queue, rec.Priority, rec.Metadata = "mail", 7, map[string]string{"k": "v"}
	execute(t, t.Context(), rt, rec)
	equal(t, "the record's metadata", rec.Metadata["k"], "v")
	equalSlices(t, "log", log.Lines("hello"), []string{"INFO hello id=id-1 path=t attempt=2 n=1"})
	rec.WorkerIDs = append(rec.WorkerIDs, "w3")
	if info, _ := tasks.FromContext(left); info.Attempt != 2 || info.WorkerID != "w2" {
		t.Errorf("FromContext after the next claim: got attempt %d of %s, want 2 of w2", info.Attempt, info.WorkerID)
	}
	if info, ok := tasks.FromContext(t.Context()); ok || info.ID != "" {
		t.Errorf("FromContext elsewhere: got %+v, %v, want nothing", info, ok)
	}
}
