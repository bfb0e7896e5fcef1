package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/tasks"
)

func TestUseRefusesWhatCantBeUsed(t *testing.T) {
	app, _ := newApp(t, dummy.New())
	wantErr(t, "nil backend", app.Use("x", nil), tasks.ErrInvalidConfig, `"x"`, "nil backend")
	wantErr(t, "alias taken", app.Use("default", dummy.New()), tasks.ErrInvalidConfig, `"default"`, "in use already")
	once := immediate.New()
	wantNil(t, "Use", app.Use("once", once))
	wantErr(t, "immediate under two aliases", app.Use("twice", once), tasks.ErrInvalidConfig, "in use already")
	other, _ := newApp(t, dummy.New())
	wantErr(t, "immediate in two Apps", other.Use("once", once), tasks.ErrInvalidConfig)
	equalSlices(t, "Aliases", app.Aliases(), []string{"default", "once"})
	b, err := app.Backend("once")
	wantNil(t, "Backend", err)
	equal(t, "Backend", b, tasks.Backend(once))
	_, err = app.Backend("nope")
	wantErr(t, "Backend", err, tasks.ErrUnknownBackend, `"nope"`)
	wantNil(t, "Close", app.Close(t.Context()))
	wantErr(t, "Use after Close", app.Use("late", dummy.New()), tasks.ErrClosed)
}

// binder asks its Runtime as much as it can while it's being bound.
type binder struct {
	*spy

	bind func(*tasks.Runtime) error
}

func (b *binder) Bind(rt *tasks.Runtime) error { return b.bind(rt) }

func TestBindMayUseTheRuntime(t *testing.T) {
	app, _ := newApp(t, dummy.New())
	tasks.Define(app, "t", echo)
	asked := ""
	b := &binder{spy: newSpy(0), bind: func(rt *tasks.Runtime) error {
		asked = fmt.Sprint(rt.Alias(), rt.Defined("t"), rt.Hooked(), rt.Validate(), rt.Queues(), rt.Backend() != nil, rt.Logger() != nil)
		return nil
	}}
	wantNil(t, "Use", app.Use("bound", wrapper{b}))
	equal(t, "asked", asked, "boundtrue false <nil> [default] true true")
	wantErr(t, "Use", app.Use("unbound", &binder{spy: newSpy(0), bind: func(*tasks.Runtime) error { return errBoom }}), errBoom, `"unbound"`)
	equalSlices(t, "Aliases", app.Aliases(), []string{"bound", "default"})
}

func TestF3_CloseIsIdempotentAndConcurrent(t *testing.T) {
	b, broken := newSpy(allCaps), newSpy(allCaps)
	broken.close = func(context.Context) error { return errBoom }
	app, _ := newApp(t, b)
	use(t, app, "broken", broken)
	task := tasks.Define(app, "t", echo)
	res := mustEnqueue(t, task, "x")
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { wantErr(t, "Close", app.Close(t.Context()), errBoom, `close on backend "broken"`) })
	}
	wg.Wait()
	equalSlices(t, "calls of the backend", b.Calls(), []string{"enqueue", "close"})
	equalSlices(t, "calls of the other backend", broken.Calls(), []string{"close"})

	_, err := task.Enqueue(t.Context(), "x")
	wantErr(t, "Enqueue", err, tasks.ErrClosed)
	_, err = app.EnqueueMany(t.Context(), task.With("x"))
	wantErr(t, "EnqueueMany", err, tasks.ErrClosed)
	_, err = task.GetResult(t.Context(), res.ID)
	wantErr(t, "GetResult", err, tasks.ErrClosed)
	wantErr(t, "Refresh", res.Refresh(t.Context()), tasks.ErrClosed)
	_, err = res.Wait(t.Context())
	wantErr(t, "Wait", err, tasks.ErrClosed)
	equal(t, "b's records", len(b.Results()), 1)

	empty := tasks.NewApp()
	wantNil(t, "Close of an App without backends", empty.Close(t.Context()))
	_, err = tasks.Define(empty, "t", echo).Enqueue(t.Context(), "x")
	wantErr(t, "Enqueue", err, tasks.ErrClosed)
}

func TestF3_ASecondCloseWaitsForTheFirstOrItsCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		b := newSpy(allCaps)
		b.close = func(context.Context) error { <-gate; return errBoom }
		app, _ := newApp(t, b)
		ctx := context.WithoutCancel(t.Context())
		first := make(chan error, 1)
		go func() { first <- app.Close(ctx) }()
		synctest.Wait()
		short, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		wantErr(t, "Close with a ctx that ends", app.Close(short), context.DeadlineExceeded, "close")
		close(gate)
		wantErr(t, "first Close", <-first, errBoom)
		wantErr(t, "third Close", app.Close(ctx), errBoom)
	})
}

func TestTheAppIsSafeForConcurrentUse(t *testing.T) {
	app, _ := newApp(t, dummy.New())
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			name := fmt.Sprint("t", i)
			task := tasks.Define(app, name, echo)
			if err := app.Use(name, dummy.New()); err != nil {
				t.Errorf("Use: %v", err)
			}
			app.AddHooks(tasks.Hooks{Enqueued: func(context.Context, *tasks.Record) error { return nil }})
			app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc { return next })
			app.AroundRun(func(next tasks.RunFunc) tasks.RunFunc { return next })
			for range 20 {
				if _, err := task.Using(tasks.OnBackend(name)).Enqueue(t.Context(), "x"); err != nil {
					t.Errorf("Enqueue: %v", err)
				}
				_ = app.Validate()
				_ = app.Check(t.Context())
				_ = app.TaskNames()
			}
		})
	}
	wg.Wait()
	equal(t, "tasks", len(app.TaskNames()), 8)
	equal(t, "aliases", len(app.Aliases()), 9)
}

func TestOnlyOneOfConcurrentUsesOfAnAliasWins(t *testing.T) {
	app := tasks.NewApp()
	won := make(chan bool, 8)
	var wg sync.WaitGroup
	for range 8 {
		b := &binder{spy: newSpy(0), bind: func(*tasks.Runtime) error {
			for range 1000 { // time for the others to come in between
				runtime.Gosched()
			}
			return nil
		}}
		wg.Go(func() { won <- app.Use("a", b) == nil })
	}
	wg.Wait()
	close(won)
	wins := 0
	for w := range won {
		if w {
			wins++
		}
	}
	equal(t, "wins", wins, 1)
}

func TestErrorText(t *testing.T) {
	for want, e := range map[string]*tasks.Error{
		`open: boom`: {Op: "open", Err: errBoom},
		`enqueue task "resize" on backend "default": boom`:         {Op: "enqueue", Task: "resize", Alias: "default", Err: errBoom},
		`cancel id "a\x00b" on backend "q\"": boom`:                {Op: "cancel", ID: "a\x00b", Alias: `q"`, Err: errBoom},
		`enqueue task "t" id "id-1" on backend "default": a: boom`: {Op: "enqueue", Task: "t", ID: "id-1", Alias: "default", Err: fmt.Errorf("a: %w", errBoom)},
	} {
		equal(t, "Error", e.Error(), want)
		equal(t, "wraps", errors.Is(e, errBoom), true)
	}
	equal(t, "AttemptError", (&tasks.AttemptError{Type: "*x.Y", Message: "m"}).Error(), "*x.Y: m")
	equal(t, "AttemptError without type", (&tasks.AttemptError{Message: "m"}).Error(), "m")
}

func TestRuntime(t *testing.T) {
	app, rt, _ := bound(t)
	_, err := rt.Store()
	wantErr(t, "Store of immediate", err, tasks.ErrUnsupported, "worker", `"default"`)
	equal(t, "Hooked", rt.Hooked(), false)
	app.AddHooks(tasks.Hooks{})
	equal(t, "Hooked", rt.Hooked(), true)
	equal(t, "Defined", rt.Defined("t"), false)
	tasks.Define(app, "t", echo)
	equal(t, "Defined", rt.Defined("t"), true)
	tasks.Define(app, "t", echo)
	wantErr(t, "Validate", rt.Validate(), tasks.ErrInvalidTask)
	_, err = app.Runtime("nope")
	wantErr(t, "Runtime", err, tasks.ErrUnknownBackend)
}
