package tasks_test

import (
	"context"
	"errors"
	"testing"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/tasks"
)

var errBoom = errors.New("boom")

// badEnds are the ways in which a hook or middleware may go wrong.
var badEnds = map[string]func() error{
	"error":     func() error { return errBoom },
	"panic":     func() error { panic("boom") },
	"panic nil": func() error { panic(nil) },
	"panic err": func() error { panic(errBoom) },
}

// K4: a hook that goes wrong at any point changes no outcome and stops no other
// hook; it is logged.
func TestK4_FailingHooksChangeNothing(t *testing.T) {
	for point, status := range map[string]tasks.Status{"enqueued": tasks.Ready, "started": tasks.Running, "finished": tasks.Successful} {
		for name, end := range badEnds {
			t.Run(point+" "+name, func(t *testing.T) {
				app, log := newApp(t, immediate.New())
				var told []tasks.Status
				hook := func(fn func() error) tasks.Hooks {
					one := func(_ context.Context, rec *tasks.Record) error { told = append(told, rec.Status); return fn() }
					return map[string]tasks.Hooks{"enqueued": {Enqueued: one}, "started": {Started: one}, "finished": {Finished: one}}[point]
				}
				app.AddHooks(hook(end))
				app.AddHooks(tasks.Hooks{})
				app.AddHooks(hook(func() error { return nil }))
				res := mustEnqueue(t, tasks.Define(app, "t", echo), "x")
				got, err := res.ReturnValue()
				wantNil(t, "ReturnValue", err)
				equal(t, "value", got, "x")
				equalSlices(t, "hooks called with", told, []tasks.Status{status, status})
				equal(t, "log lines", len(log.Lines("ERROR Hook failed", "hook="+point, "id="+res.ID, "path=t")), 1)
			})
		}
	}
}

func TestK4_HooksGetCopies(t *testing.T) {
	b := dummy.New()
	app, _ := newApp(t, b)
	app.AddHooks(tasks.Hooks{Enqueued: func(_ context.Context, rec *tasks.Record) error {
		rec.Args[1], rec.Metadata["k"], rec.Status = 'X', "X", tasks.Failed
		return nil
	}})
	app.AddHooks(tasks.Hooks{Enqueued: func(_ context.Context, rec *tasks.Record) error {
		equal(t, "second hook", string(rec.Args)+rec.Metadata["k"]+string(rec.Status), `"abc"vREADY`)
		return nil
	}})
	res := mustEnqueue(t, tasks.Define(app, "t", echo, tasks.Metadata("k", "v")), "abc")
	equal(t, "result", string(res.Args)+res.Metadata["k"]+string(res.Status), `"abc"vREADY`)
}

func TestK4_EnqueuedFiresAfterStorageForEachRecord(t *testing.T) {
	b := dummy.New()
	app, _ := newApp(t, b)
	var told []string
	app.AddHooks(tasks.Hooks{Enqueued: func(ctx context.Context, rec *tasks.Record) error {
		if _, err := b.GetResult(ctx, rec.ID); err != nil {
			t.Errorf("GetResult in the hook: %v", err)
		}
		told = append(told, string(rec.Args))
		return nil
	}})
	task := tasks.Define(app, "t", echo)
	_, err := app.EnqueueMany(t.Context(), task.With("a"), task.With("b"))
	wantNil(t, "EnqueueMany", err)
	equalSlices(t, "hooks", told, []string{`"a"`, `"b"`})
}
