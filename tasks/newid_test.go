package tasks_test

import (
	"context"
	"testing"

	"github.com/sideman-go/sideman/internal/newid"
	"github.com/sideman-go/sideman/tasks"
)

// marking is a backend that notes what it is told of the ids.
type marking struct {
	*spy

	fresh []bool
}

func (m *marking) note(ctx context.Context, recs []*tasks.Record) {
	other := newid.Take(ctx, "order-18")
	first := newid.Take(ctx, recs[0].ID)
	again := newid.Take(ctx, recs[0].ID)
	m.fresh = append(m.fresh, first)
	if other || again {
		m.fresh = append(m.fresh, other, again)
	}
}

func (m *marking) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	m.note(ctx, recs)
	return m.Backend.Enqueue(ctx, recs)
}

func (m *marking) AEnqueue(ctx context.Context, recs []*tasks.Record, done func(error)) {
	m.note(ctx, recs)
	done(m.Backend.Enqueue(ctx, recs))
}

// A backend is told, once for a call, that the id of a record has just been made: only of that id, and
// only if nobody but the App has had the record in hand.
func TestBackendIsToldOfNewIDs(t *testing.T) {
	for name, c := range map[string]struct {
		wrap bool
		want bool
		do   func(ctx context.Context, app *tasks.App, task *tasks.Task[string, string]) error
	}{
		"one": {want: true, do: func(ctx context.Context, _ *tasks.App, task *tasks.Task[string, string]) error {
			_, err := task.Enqueue(ctx, "x")
			return err
		}},
		"in the background": {want: true, do: func(ctx context.Context, _ *tasks.App, task *tasks.Task[string, string]) error {
			_, err := task.AEnqueue(ctx, "x").Wait(ctx)
			return err
		}},
		"many": {do: func(ctx context.Context, app *tasks.App, task *tasks.Task[string, string]) error {
			_, err := app.EnqueueMany(ctx, task.With("x"), task.With("y"))
			return err
		}},
		"a chosen id": {do: func(ctx context.Context, _ *tasks.App, task *tasks.Task[string, string]) error {
			_, err := task.Using(tasks.ID("order-17")).Enqueue(ctx, "x")
			return err
		}},
		"a chosen id in the background": {do: func(ctx context.Context, _ *tasks.App, task *tasks.Task[string, string]) error {
			_, err := task.Using(tasks.ID("order-17")).AEnqueue(ctx, "x").Wait(ctx)
			return err
		}},
		"a chosen id of many": {do: func(ctx context.Context, app *tasks.App, task *tasks.Task[string, string]) error {
			_, err := app.EnqueueMany(ctx, task.Using(tasks.ID("order-17")).With("x"), task.With("y"))
			return err
		}},
		"middleware": {wrap: true, do: func(ctx context.Context, _ *tasks.App, task *tasks.Task[string, string]) error {
			_, err := task.Enqueue(ctx, "x")
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			m := &marking{spy: newSpy(allCaps)}
			app, _ := newApp(t, m)
			task := tasks.Define(app, "task", func(context.Context, string) (string, error) { return "", nil })
			if c.wrap {
				app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc { return next })
			}
			if err := c.do(t.Context(), app, task); err != nil {
				t.Fatal(err)
			}
			if len(m.fresh) != 1 || m.fresh[0] != c.want {
				t.Errorf("told %v, want %v once", m.fresh, c.want)
			}
		})
	}
}
