package conformance

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"

	"github.com/sideman-go/sideman/tasks"
)

// The hooks of workers are in the group Worker.
func hookCases() []Case {
	return append(bothRoads(
		Case{
			Name: "Hook/Enqueued", Clauses: []string{"K4", "E2"},
			What: "the enqueued hook must be called once for each record, after it is stored, on every road",
			run:  hookEnqueued,
		},
		Case{
			Name: "Hook/Broken", Clauses: []string{"K4"},
			What: "hooks that fail, panic or scribble on their record must change no outcome and keep no other hook from being called",
			run:  hookBroken,
		},
		Case{
			Name: "Hook/NotForRefused", Clauses: []string{"K4", "E3"},
			What: "the enqueued hook must not be called for what wasn't stored: a refused record, a duplicate",
			run:  hookNotForRefused,
		},
		Case{
			Name: "Hook/Middleware", Clauses: []string{"K4"},
			What: "middleware that fails before the write must refuse it without a trace, and after it change nothing",
			run:  hookMiddleware,
		},
	), Case{
		Name: "Hook/RunsInside", Clauses: []string{"K4"}, Lacks: tasks.CapWorker,
		What: "a backend that runs tasks inside Enqueue must call all three hooks once, in order, whatever they do",
		run:  hookRunsInside,
	})
}

// calls notes which records a hook was called with.
type calls struct {
	mu   sync.Mutex
	recs []*tasks.Record
}

func (c *calls) note(_ context.Context, rec *tasks.Record) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.recs = append(c.recs, rec)
	return nil
}

// ids returns the ids of the calls, sorted.
func (c *calls) ids() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var ids []string
	for _, rec := range c.recs {
		ids = append(ids, rec.ID)
	}
	slices.Sort(ids)
	return ids
}

func hookEnqueued(e *env) {
	h := e.connect()
	var seen calls
	h.app.AddHooks(tasks.Hooks{Enqueued: func(ctx context.Context, rec *tasks.Record) error {
		if rec.Status != tasks.Ready || rec.EnqueuedAt.IsZero() || rec.Task != "hooked" || string(rec.Args) != "1" {
			e.Errorf("the enqueued hook got %s, enqueued at %v", brief(rec), rec.EnqueuedAt)
		}
		if h.caps.Has(tasks.CapResults) {
			stored, err := h.b.GetResult(ctx, rec.ID)
			if err != nil {
				e.Errorf("in the enqueued hook the record isn't found: %v", err)
			} else {
				e.same("in the enqueued hook", stored, rec)
			}
		}
		return seen.note(ctx, rec)
	}})
	task := echo[int](h, "hooked")
	var want []string
	one, err := task.Enqueue(e.ctx, 1)
	e.must(err, "enqueue")
	want = append(want, one.ID)
	if got := seen.ids(); !slices.Equal(got, want) {
		e.Errorf("when Enqueue has returned the hook was called for %v, want %v", got, want)
	}
	async, err := task.AEnqueue(e.ctx, 1).Wait(e.ctx)
	e.must(err, "wait for AEnqueue")
	want = append(want, async.ID)
	many, err := h.app.EnqueueMany(e.ctx, task.With(1), task.With(1))
	e.must(err, "enqueue many")
	want = append(want, many[0].ID, many[1].ID)
	slices.Sort(want)
	if got := seen.ids(); !slices.Equal(got, want) {
		e.Errorf("the enqueued hook was called for %v, want once for each of %v", got, want)
	}
}

func hookBroken(e *env) {
	h := e.connect()
	var last calls
	for _, broken := range []func(context.Context, *tasks.Record) error{
		func(context.Context, *tasks.Record) error { return errors.New("broken hook") },
		func(context.Context, *tasks.Record) error { panic("broken hook") },
		func(context.Context, *tasks.Record) error { panic(nil) }, //nolint:govet // on purpose
		func(_ context.Context, rec *tasks.Record) error {
			scribble(rec)
			rec.ID, rec.Duplicate = "scribbled", true
			return nil
		},
		last.note,
	} {
		h.app.AddHooks(tasks.Hooks{Enqueued: broken})
	}
	task := echo[int](h, "hooked", tasks.Metadata("k", "v"))
	one, err := task.Enqueue(e.ctx, 1)
	e.must(err, "Enqueue with broken hooks")
	async, err := task.AEnqueue(e.ctx, 1).Wait(e.ctx)
	e.must(err, "AEnqueue with broken hooks")
	many, err := h.app.EnqueueMany(e.ctx, task.With(1))
	e.must(err, "EnqueueMany with broken hooks")
	for _, rec := range []*tasks.Record{&one.Record, &async.Record, &many[0].Record} {
		if rec.ID == "scribbled" || rec.Duplicate || rec.Queue != "default" || string(rec.Args) != "1" || rec.Metadata["k"] != "v" || len(rec.Metadata) != 1 {
			e.Errorf("a hook changed the result: %s, metadata %v", brief(rec), rec.Metadata)
		}
		if h.caps.Has(tasks.CapResults) {
			e.same("stored with broken hooks", e.get(h, rec.ID), rec)
		}
	}
	want := []string{one.ID, async.ID, many[0].ID}
	slices.Sort(want)
	if got := last.ids(); !slices.Equal(got, want) {
		e.Errorf("behind broken hooks the last one was called for %v, want %v", got, want)
	}
	for _, rec := range last.recs {
		if rec.Queue != "default" || string(rec.Args) != "1" {
			e.Errorf("the last hook got a record that another one changed: %s", brief(rec))
		}
	}
}

func hookNotForRefused(e *env) {
	h := e.connect()
	var seen calls
	task := echo[int](h, "hooked")
	stored := 0
	if h.caps.Has(tasks.CapResults) {
		_, err := task.Using(tasks.ID("stored")).Enqueue(e.ctx, 1)
		e.must(err, "enqueue")
		stored = 1
	}
	h.app.AddHooks(tasks.Hooks{Enqueued: seen.note})
	over, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err := task.Enqueue(over, 1)
	e.wantErr(err, context.Canceled, "Enqueue with a ctx that is over")
	_, err = task.Using(tasks.Priority(1000)).Enqueue(e.ctx, 1)
	e.wantErr(err, tasks.ErrInvalidTask, "Enqueue with priority 1000")
	if stored > 0 {
		for range 2 {
			_, err = task.Using(tasks.ID("stored")).Enqueue(e.ctx, 2)
			e.must(err, "enqueue of a duplicate")
			_, err = task.Using(tasks.ID("stored")).AEnqueue(e.ctx, 2).Wait(e.ctx)
			e.must(err, "AEnqueue of a duplicate")
		}
	}
	if got := seen.ids(); len(got) > 0 {
		e.Errorf("the enqueued hook was called for %v, which weren't stored", got)
	}
}

func hookMiddleware(e *env) {
	h := e.connect()
	ran := make(chan struct{}, 10)
	task := tasks.Define(h.app, "wrapped", func(context.Context, int) (int, error) { ran <- struct{}{}; return 0, nil })
	var before, after func() error
	h.app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc {
		return func(ctx context.Context, alias string, recs []*tasks.Record) error {
			if err := before(); err != nil {
				return err
			}
			if err := next(ctx, alias, recs); err != nil {
				return err
			}
			return after()
		}
	})
	ok := func() error { return nil }
	no := errors.New("no")
	for what, broken := range map[string]func() error{
		"fails": func() error { return no }, "panics": func() error { panic(no) },
	} {
		ids := []string{e.ids.New(), e.ids.New(), e.ids.New(), e.ids.New()}
		before, after = broken, ok
		_, err := task.Using(tasks.ID(ids[0])).Enqueue(e.ctx, 1)
		e.wantErr(err, no, "Enqueue through middleware that %s before the write", what)
		_, err = task.Using(tasks.ID(ids[1])).AEnqueue(e.ctx, 1).Wait(e.ctx)
		e.wantErr(err, no, "AEnqueue through middleware that %s before the write", what)
		e.absent(h, ids[:2]...)
		if len(ran) > 0 {
			e.Fatalf("%d tasks ran though they were refused", len(ran))
		}

		before, after = ok, broken
		_, err = task.Using(tasks.ID(ids[2])).Enqueue(e.ctx, 1)
		e.must(err, "Enqueue through middleware that %s after the write", what)
		_, err = task.Using(tasks.ID(ids[3])).AEnqueue(e.ctx, 1).Wait(e.ctx)
		e.must(err, "AEnqueue through middleware that %s after the write", what)
		if h.caps.Has(tasks.CapResults) {
			e.get(h, ids[2])
			e.get(h, ids[3])
		}
		for len(ran) > 0 {
			<-ran
		}
	}
}

func hookRunsInside(e *env) {
	h := e.connect()
	var order []string
	var mu sync.Mutex
	hook := func(name string, want tasks.Status) func(context.Context, *tasks.Record) error {
		return func(_ context.Context, rec *tasks.Record) error {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, name)
			if want != "" && rec.Status != want || want == "" && !rec.Status.Final() {
				e.Errorf("the %s hook got a record that is %s", name, rec.Status)
			}
			scribble(rec)
			panic("broken hook")
		}
	}
	h.app.AddHooks(tasks.Hooks{Enqueued: hook("enqueued", tasks.Ready), Started: hook("started", tasks.Running), Finished: hook("finished", "")})
	for name, end := range map[string]func() error{
		string(tasks.Successful): func() error { return nil },
		string(tasks.Failed):     func() error { return errors.New("no") },
		string(tasks.Cancelled):  func() error { return tasks.Cancel("no") },
		"panic":                  func() error { panic("handler") },
		"goexit":                 func() error { runtime.Goexit(); return nil },
	} {
		order = nil
		task := tasks.Define(h.app, "ends as "+name, func(context.Context, int) (int, error) {
			mu.Lock()
			order = append(order, "handler")
			mu.Unlock()
			return 7, end()
		})
		res, err := task.Enqueue(e.ctx, 1)
		e.must(err, "enqueue")
		if !res.Status.Final() { // a backend that runs nothing
			if !slices.Equal(order, []string{"enqueued"}) {
				e.Errorf("the hooks were called as %v, want just enqueued", order)
			}
			continue
		}
		if want := tasks.Status(name); res.Status != want && (want.Valid() || res.Status != tasks.Failed) {
			e.Errorf("a task that ends as %s is %s", name, res.Status)
		}
		if !slices.Equal(order, []string{"enqueued", "started", "handler", "finished"}) {
			e.Errorf("the hooks of a task that ends as %s were called as %v", name, order)
		}
		if string(res.Args) != "1" || res.Queue != "default" {
			e.Errorf("a hook changed the result: %s", brief(&res.Record))
		}
	}
}
