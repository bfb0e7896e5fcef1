package tasks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/tasks"
)

// around is enqueue middleware of a before and an after; either may be nil.
func around(before func([]*tasks.Record) error, after func() error) tasks.EnqueueMiddleware {
	return func(next tasks.EnqueueFunc) tasks.EnqueueFunc {
		return func(ctx context.Context, alias string, recs []*tasks.Record) error {
			if before != nil {
				if err := before(recs); err != nil {
					return err
				}
			}
			if err := next(ctx, alias, recs); err != nil || after == nil {
				return err
			}
			return after()
		}
	}
}

func TestK4_EnqueueMiddlewareRefusesBefore(t *testing.T) {
	for name, end := range badEnds {
		b := newSpy(allCaps)
		app, _ := newApp(t, b)
		app.AroundEnqueue(around(nil, nil))
		app.AroundEnqueue(around(func([]*tasks.Record) error { return end() }, nil))
		_, err := tasks.Define(app, "t", echo).Enqueue(t.Context(), "x")
		if err == nil || !strings.Contains(err.Error(), "enqueue middleware: ") {
			t.Errorf("%s: got error %v, want one of the middleware", name, err)
		}
		wantErr(t, name, err, map[bool]error{true: errBoom, false: tasks.ErrPanicked}[strings.HasSuffix(name, "err") || name == "error"], `enqueue task "t"`)
		equalSlices(t, name+": calls of the backend", b.Calls(), nil)
	}
	b := newSpy(allCaps)
	app, _ := newApp(t, b)
	app.AroundEnqueue(func(tasks.EnqueueFunc) tasks.EnqueueFunc {
		return func(context.Context, string, []*tasks.Record) error { return nil }
	})
	_, err := tasks.Define(app, "t", echo).Enqueue(t.Context(), "x")
	wantErr(t, "not calling next", err, tasks.ErrInvalidTask, "didn't call next")
	equalSlices(t, "calls of the backend", b.Calls(), nil)
	app, _ = newApp(t, b)
	app.AroundEnqueue(nil)
	_, err = tasks.Define(app, "t", echo).Enqueue(t.Context(), "x")
	wantErr(t, "nil middleware", err, tasks.ErrPanicked)
}

func TestK4_EnqueueMiddlewareCantUndoWhatIsStored(t *testing.T) {
	for name, end := range badEnds {
		b := dummy.New()
		app, log := newApp(t, b)
		app.AroundEnqueue(around(nil, end))
		res := mustEnqueue(t, tasks.Define(app, "t", echo), "x")
		equal(t, name, res.Status, tasks.Ready)
		b.AssertCount(t, 1)
		equal(t, name+": log lines", len(log.Lines("ERROR Enqueue middleware failed after the tasks were stored", "boom"))+
			len(log.Lines("ERROR Enqueue middleware failed after the tasks were stored", "nil")), 1)
	}
	// Nor can it hide that they weren't.
	b := newSpy(allCaps)
	b.enqueue = func(context.Context, []*tasks.Record) error { return tasks.ErrUnavailable }
	app, _ := newApp(t, b)
	app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc {
		return func(ctx context.Context, alias string, recs []*tasks.Record) error {
			_ = next(ctx, alias, recs)
			return nil
		}
	})
	_, err := tasks.Define(app, "t", echo).Enqueue(t.Context(), "x")
	wantErr(t, "an error that middleware hides", err, tasks.ErrUnavailable)
}

func TestK4_EnqueueMiddlewareMayTryAgainAfterAnError(t *testing.T) {
	b := newSpy(allCaps)
	b.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
		if len(b.calls) < 2 {
			return tasks.ErrUnavailable
		}
		return b.Backend.Enqueue(ctx, recs)
	}
	app, _ := newApp(t, b)
	app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc {
		return func(ctx context.Context, alias string, recs []*tasks.Record) error {
			for range 5 {
				_ = next(ctx, alias, recs)
			}
			return nil
		}
	})
	res := mustEnqueue(t, tasks.Define(app, "t", echo), "x")
	equal(t, "Duplicate", res.Duplicate, false)
	equalSlices(t, "calls of the backend", b.Calls(), []string{"enqueue", "enqueue"})
}

func TestK4_EnqueueMiddlewareOrderAndMetadata(t *testing.T) {
	b := dummy.New()
	app, _ := newApp(t, b)
	var order []string
	for _, name := range []string{"outer", "inner"} {
		app.AroundEnqueue(around(func(recs []*tasks.Record) error {
			order = append(order, name)
			for _, r := range recs {
				r.Metadata = map[string]string{"trace": r.Metadata["trace"] + name}
			}
			return nil
		}, func() error { order = append(order, "after "+name); return nil }))
	}
	res := mustEnqueue(t, tasks.Define(app, "t", echo), "x")
	equalSlices(t, "order", order, []string{"outer", "inner", "after inner", "after outer"})
	equal(t, "result's metadata", res.Metadata["trace"], "outerinner")
	equal(t, "stored metadata", b.Results()[0].Metadata["trace"], "outerinner")
}

// What middleware makes of a record is checked as if the caller had.
func TestK4_EnqueueMiddlewareThatMakesARecordInvalid(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(recs []*tasks.Record) []*tasks.Record
		target error
		part   string
	}{
		"priority":     {one(func(r *tasks.Record) { r.Priority = 500 }), tasks.ErrInvalidTask, "priority is 500"},
		"queue":        {one(func(r *tasks.Record) { r.Queue = "nope" }), tasks.ErrInvalidTask, `queue "nope"`},
		"capability":   {one(func(r *tasks.Record) { r.Delay = 1 }), tasks.ErrUnsupported, "defer"},
		"id":           {one(func(r *tasks.Record) { r.ID = strings.Repeat("x", 64) }), tasks.ErrInvalidTask, "id: name"},
		"no id":        {one(func(r *tasks.Record) { r.ID = "" }), tasks.ErrInvalidTask, "id"},
		"alias":        {one(func(r *tasks.Record) { r.Alias = "mail" }), tasks.ErrInvalidTask, `backend to "mail"`},
		"task":         {one(func(r *tasks.Record) { r.Task = "other" }), tasks.ErrInvalidTask, `task to "other"`},
		"args":         {one(func(r *tasks.Record) { r.Args = []byte("{") }), tasks.ErrNotSerializable, "arguments"},
		"no args":      {one(func(r *tasks.Record) { r.Args = nil }), tasks.ErrNotSerializable, "arguments"},
		"bytes":        {one(func(r *tasks.Record) { r.Args = []byte("\"\xff\"") }), tasks.ErrNotSerializable, "arguments"},
		"large args":   {one(func(r *tasks.Record) { r.Args = []byte(`"` + strings.Repeat("x", 1<<20) + `"`) }), tasks.ErrTooLarge, "arguments"},
		"large meta":   {one(func(r *tasks.Record) { r.Metadata = map[string]string{"k": strings.Repeat("x", 1<<15)} }), tasks.ErrTooLarge, "metadata"},
		"NUL in meta":  {one(func(r *tasks.Record) { r.Metadata = map[string]string{"k": "\x00"} }), tasks.ErrInvalidTask, "metadata"},
		"no attempts":  {one(func(r *tasks.Record) { r.MaxAttempts = 0 }), tasks.ErrInvalidTask, "max attempts"},
		"nil record":   {func(recs []*tasks.Record) []*tasks.Record { return []*tasks.Record{nil} }, tasks.ErrInvalidTask, "nil record"},
		"fewer":        {func(recs []*tasks.Record) []*tasks.Record { return nil }, tasks.ErrInvalidTask, "0 records of 1"},
		"more":         {func(recs []*tasks.Record) []*tasks.Record { return append(recs, recs[0]) }, tasks.ErrInvalidTask, "2 records of 1"},
		"still a good": {one(func(r *tasks.Record) { r.Args = []byte(`"y"`) }), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := newSpy(0)
			app, _ := newApp(t, b)
			app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc {
				return func(ctx context.Context, alias string, recs []*tasks.Record) error {
					return next(ctx, alias, tt.change(recs))
				}
			})
			res, err := tasks.Define(app, "t", echo).Enqueue(t.Context(), "x")
			if tt.target == nil {
				wantNil(t, "Enqueue", err)
				equal(t, "Args", string(res.Args), `"y"`)
				return
			}
			wantErr(t, "Enqueue", err, tt.target, tt.part)
			equalSlices(t, "calls of the backend", b.Calls(), nil)
		})
	}
}

func one(change func(*tasks.Record)) func([]*tasks.Record) []*tasks.Record {
	return func(recs []*tasks.Record) []*tasks.Record {
		change(recs[0])
		return recs
	}
}

// runs gives the outcome of one attempt of a handler under run middleware.
func runs(t *testing.T, handler func() (string, error), chain ...tasks.RunMiddleware) (tasks.Outcome, *logs) {
	t.Helper()
	app, rt, log := bound(t)
	for _, m := range chain {
		app.AroundRun(m)
	}
	tasks.Define(app, "t", func(context.Context, tasks.None) (string, error) { return handler() })
	return execute(t, t.Context(), rt, running(rt, "t", "null", 1, 3)), log
}

func after(change func(error) error) tasks.RunMiddleware {
	return func(next tasks.RunFunc) tasks.RunFunc {
		return func(ctx context.Context, rec *tasks.Record) (json.RawMessage, error) {
			value, err := next(ctx, rec)
			return value, change(err)
		}
	}
}

func TestK4_RunMiddlewareCantChangeTheOutcome(t *testing.T) {
	succeed := func() (string, error) { return "done", nil }
	fail := func() (string, error) { return "", errBoom }
	for name, end := range badEnds {
		out, log := runs(t, succeed, after(func(error) error { return end() }))
		equal(t, name+" after a success", string(out.Kind)+string(out.Value), `success"done"`)
		equal(t, name+": log lines", len(log.Lines("ERROR Run middleware can't change the outcome", "path=t")), 1)
		if !strings.HasPrefix(name, "panic") {
			continue
		}
		out, log = runs(t, fail, after(func(error) error { return end() }))
		equal(t, name+" after a failure", string(out.Kind)+out.Error.Type+out.Error.Message, "retry*errors.errorStringboom")
		equal(t, name+": log lines", len(log.Lines("ERROR Run middleware can't change the outcome", "panic")), 1)
	}
	out, log := runs(t, fail, after(func(error) error { return nil }))
	equal(t, "success of a failure", string(out.Kind)+out.Error.Message, "retryboom")
	equal(t, "log lines", len(log.Lines("ERROR Run middleware can't change the outcome")), 1)
}

func TestK4_RunMiddlewareMayReplaceTheError(t *testing.T) {
	out, log := runs(t, func() (string, error) { return "", errBoom }, after(tasks.NoRetry))
	equal(t, "NoRetry of it", string(out.Kind)+out.Error.Message, "failureboom")
	out, _ = runs(t, func() (string, error) { return "", errBoom }, after(func(err error) error { return fmt.Errorf("outer: %w", err) }))
	equal(t, "wrapped", out.Error.Message, "outer: boom")
	out, _ = runs(t, func() (string, error) { panic("at the disco") }, after(func(err error) error { return fmt.Errorf("outer: %w", err) }))
	equal(t, "a panic stays what it was", out.Error.Error(), "panic: at the disco")
	if !strings.Contains(out.Error.Stack, "middleware_test.go") {
		t.Errorf("Stack: got %q, want the place of the panic", out.Error.Stack)
	}
	equalSlices(t, "log", log.Lines("ERROR"), nil)
}

func TestK4_RunMiddlewareRefusesBefore(t *testing.T) {
	called := func() (string, error) { t.Error("the handler was called"); return "", nil }
	for name, end := range badEnds {
		out, _ := runs(t, called, func(tasks.RunFunc) tasks.RunFunc {
			return func(context.Context, *tasks.Record) (json.RawMessage, error) {
				return json.RawMessage(`"forged"`), end()
			}
		})
		equal(t, name, out.Kind, tasks.OutcomeRetry)
		equal(t, name+": Value", string(out.Value), "")
	}
	out, _ := runs(t, called, func(tasks.RunFunc) tasks.RunFunc {
		return func(context.Context, *tasks.Record) (json.RawMessage, error) { return json.RawMessage(`"forged"`), nil }
	})
	if out.Kind != tasks.OutcomeRetry || !strings.Contains(out.Error.Message, "didn't call next") {
		t.Errorf("not calling next: got %+v, want a failed attempt that says so", out)
	}
}

func TestK4_RunMiddlewareOrderContextAndSecondCall(t *testing.T) {
	type key struct{}
	var order []string
	mark := func(name string) tasks.RunMiddleware {
		return func(next tasks.RunFunc) tasks.RunFunc {
			return func(ctx context.Context, rec *tasks.Record) (json.RawMessage, error) {
				info, ok := tasks.FromContext(ctx)
				order = append(order, fmt.Sprint(name, " ", ok, info.Attempt))
				return next(context.WithValue(ctx, key{}, name), rec)
			}
		}
	}
	app, rt, _ := bound(t)
	app.AroundRun(mark("outer"))
	app.AroundRun(mark("inner"))
	app.AroundRun(func(next tasks.RunFunc) tasks.RunFunc { // calls next again and again
		return func(ctx context.Context, rec *tasks.Record) (json.RawMessage, error) {
			_, _ = next(ctx, rec)
			_, _ = next(ctx, rec)
			return next(ctx, rec)
		}
	})
	calls := 0
	tasks.Define(app, "t", func(ctx context.Context, _ tasks.None) (any, error) {
		if calls++; calls == 1 {
			return nil, errBoom // an error may be tried again, a success is one
		}
		return ctx.Value(key{}), nil
	})
	out := execute(t, t.Context(), rt, running(rt, "t", "null", 2, 3))
	equal(t, "outcome", string(out.Kind)+string(out.Value), `success"inner"`)
	equalSlices(t, "order", order, []string{"outer true 2", "inner true 2"})
	equal(t, "calls of the handler", calls, 2)
}
