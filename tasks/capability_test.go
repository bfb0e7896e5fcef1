package tasks_test

import (
	"context"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/tasks"
)

// CAP2: a call that needs what the backend doesn't declare is refused, and the
// backend isn't called at all. The backend could do it all: only the declaration counts.
func TestCAP2_UndeclaredCapabilitiesAreRefused(t *testing.T) {
	type app struct {
		*tasks.App

		task *tasks.Task[string, string]
	}
	enqueue := func(options ...tasks.Option) func(context.Context, app) error {
		return func(ctx context.Context, a app) error {
			_, err := a.task.Using(options...).Enqueue(ctx, "x")
			return err
		}
	}
	admin := func(do func(context.Context, *tasks.Admin) error) func(context.Context, app) error {
		return func(ctx context.Context, a app) error {
			admin, err := a.Admin("main")
			if err != nil {
				return err
			}
			return do(ctx, admin)
		}
	}
	for _, tt := range []struct {
		name string
		cap  tasks.Capability
		do   func(context.Context, app) error
	}{
		{"RunAfter", tasks.CapDefer, enqueue(tasks.RunAfter(epoch))},
		{"RunIn", tasks.CapDefer, enqueue(tasks.RunIn(time.Second))},
		{"ExpiresAt", tasks.CapExpire, enqueue(tasks.ExpiresAt(epoch))},
		{"ExpiresIn", tasks.CapExpire, enqueue(tasks.ExpiresIn(time.Second))},
		{"Priority", tasks.CapPriority, enqueue(tasks.Priority(-1))},
		{"AEnqueue", tasks.CapPriority, func(ctx context.Context, a app) error {
			_, err := a.task.Using(tasks.Priority(1)).AEnqueue(ctx, "x").Wait(ctx)
			return err
		}},
		{"one of EnqueueMany", tasks.CapDefer, func(ctx context.Context, a app) error {
			_, err := a.EnqueueMany(ctx, a.task.With("a"), a.task.Using(tasks.RunIn(1)).With("b"))
			return err
		}},
		{"App.GetResult", tasks.CapResults, func(ctx context.Context, a app) error {
			_, err := a.GetResult(ctx, "main", "id")
			return err
		}},
		{"Task.GetResult", tasks.CapResults, func(ctx context.Context, a app) error {
			_, err := a.task.GetResult(ctx, "id")
			return err
		}},
		{"Admin", tasks.CapList, admin(func(context.Context, *tasks.Admin) error { return nil })},
		{"Cancel", tasks.CapInspect, admin(func(ctx context.Context, a *tasks.Admin) error { _, err := a.Cancel(ctx, "id", ""); return err })},
		{"Retry", tasks.CapInspect, admin(func(ctx context.Context, a *tasks.Admin) error { _, err := a.Retry(ctx, "id"); return err })},
		{"Delete", tasks.CapInspect, admin(func(ctx context.Context, a *tasks.Admin) error { return a.Delete(ctx, "id") })},
		{"Reschedule", tasks.CapInspect, admin(func(ctx context.Context, a *tasks.Admin) error { _, err := a.Reschedule(ctx, "id", epoch); return err })},
		{"Pause", tasks.CapInspect, admin(func(ctx context.Context, a *tasks.Admin) error { return a.Pause(ctx, "q") })},
		{"Resume", tasks.CapInspect, admin(func(ctx context.Context, a *tasks.Admin) error { return a.Resume(ctx, "q") })},
		{"Queues", tasks.CapInspect, admin(func(ctx context.Context, a *tasks.Admin) error { _, err := a.Queues(ctx); return err })},
		{"Workers", tasks.CapInspect, admin(func(ctx context.Context, a *tasks.Admin) error { _, err := a.Workers(ctx); return err })},
		{"AlterMatching", tasks.CapInspect, admin(func(ctx context.Context, a *tasks.Admin) error {
			_, err := a.AlterMatching(ctx, tasks.Change{Kind: tasks.ChangeDelete}, tasks.Filter{}, tasks.Bulk{})
			return err
		})},
		{"Prune", tasks.CapInspect, admin(func(ctx context.Context, a *tasks.Admin) error {
			_, err := a.Prune(ctx, tasks.PruneRequest{}, tasks.Bulk{})
			return err
		})},
		{"Store", tasks.CapWorker, func(_ context.Context, a app) error {
			rt, err := a.Runtime("main")
			if err == nil {
				_, err = rt.Store()
			}
			return err
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newStore()
			b.caps = (allCaps | tasks.CapInspect) &^ tt.cap
			a := app{App: tasks.NewApp()}
			use(t, a.App, "main", b)
			a.task = tasks.Define(a.App, "t", echo, tasks.OnBackend("main"))
			wantErr(t, tt.name, tt.do(t.Context(), a), tasks.ErrUnsupported, `"main"`, tt.cap.String())
			equalSlices(t, "calls of the backend", b.Calls(), nil)
		})
	}
}

// What asks for nothing special is never refused.
func TestCAP2_ABackendThatCanDoNothingTakesPlainTasks(t *testing.T) {
	b := newSpy(0)
	app, _ := newApp(t, b)
	_, err := tasks.Define(app, "t", echo).Using(tasks.RunIn(0), tasks.RunAfter(time.Time{}), tasks.Priority(0), tasks.ExpiresAt(time.Time{})).Enqueue(t.Context(), "x")
	wantNil(t, "Enqueue", err)
	equalSlices(t, "calls of the backend", b.Calls(), []string{"enqueue"})
}

func TestCapabilityNames(t *testing.T) {
	all := tasks.Capabilities()
	var union tasks.Capability
	for _, c := range all {
		if union.Has(c) || c.String() == "none" {
			t.Errorf("capability %d: got name %q, want one bit with a name", c, c)
		}
		union |= c
	}
	equal(t, "all", union.String(), "results,defer,priority,worker,durable,shared,transactional,notify,list,inspect,expire")
	equal(t, "none", tasks.Capability(0).String(), "none")
	equal(t, "Has needs all", tasks.CapDefer.Has(tasks.CapDefer|tasks.CapResults), false)
}

// wrapper is a backend around another, as for tracing.
type wrapper struct{ tasks.Backend }

func (w wrapper) Unwrap() tasks.Backend { return w.Backend }

func TestOptionalInterfacesAreFoundThroughWrappers(t *testing.T) {
	inner := dummy.New()
	if got, ok := tasks.As[tasks.Lister](wrapper{wrapper{inner}}); !ok || got != tasks.Lister(inner) {
		t.Errorf("As[Lister]: got %v, %v, want the inner backend", got, ok)
	}
	if _, ok := tasks.As[tasks.Inspector](wrapper{inner}); ok {
		t.Error("As[Inspector] of a dummy: got ok, want none")
	}
	if _, ok := tasks.As[tasks.Lister](nil); ok {
		t.Error("As[Lister](nil): got ok, want none")
	}
}
