package conformance

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func capabilityCases() []Case {
	return append([]Case{
		{
			Name: "Capability/DeferRefused", Clauses: []string{"CAP2"}, Lacks: tasks.CapDefer,
			What: "a task with run_after must be refused where defer isn't declared, and leave no trace",
			run: func(e *env) {
				e.refused(tasks.CapDefer, tasks.RunIn(time.Hour))
				e.refused(tasks.CapDefer, tasks.RunAfter(time.Now().Add(-time.Hour)))
			},
		},
		{
			Name: "Capability/ExpireRefused", Clauses: []string{"CAP2"}, Lacks: tasks.CapExpire,
			What: "a task with an expiry must be refused where expire isn't declared, and leave no trace",
			run: func(e *env) {
				e.refused(tasks.CapExpire, tasks.ExpiresIn(time.Hour))
				e.refused(tasks.CapExpire, tasks.ExpiresAt(time.Now().Add(time.Hour)))
			},
		},
		{
			Name: "Capability/PriorityRefused", Clauses: []string{"CAP2"}, Lacks: tasks.CapPriority,
			What: "a task with a priority must be refused where priority isn't declared, and leave no trace",
			run: func(e *env) {
				e.refused(tasks.CapPriority, tasks.Priority(1))
				e.refused(tasks.CapPriority, tasks.Priority(-1))
			},
		},
		{
			Name: "Capability/ResultsRefused", Clauses: []string{"CAP2"}, Lacks: tasks.CapResults,
			What: "reading a result must be refused where results isn't declared, and the result in hand stays as it was",
			run:  resultsRefused,
		},
		{
			Name: "Capability/WorkerRefused", Clauses: []string{"CAP2"}, Lacks: tasks.CapWorker,
			What: "a worker must be refused where worker isn't declared",
			run: func(e *env) {
				h := e.connect()
				rt, err := h.app.Runtime(tasks.DefaultAlias)
				e.must(err, "runtime")
				_, err = rt.Store()
				e.unsupported(err, "the store of a worker", tasks.CapWorker)
			},
		},
		{
			Name: "Capability/ListRefused", Clauses: []string{"CAP2"}, Lacks: tasks.CapList,
			What: "an operator's view must be refused where list isn't declared",
			run: func(e *env) {
				_, err := e.connect().app.Admin(tasks.DefaultAlias)
				e.unsupported(err, "Admin", tasks.CapList)
			},
		},
		{
			Name: "Capability/InspectRefused", Clauses: []string{"CAP2"}, Needs: tasks.CapList, Lacks: tasks.CapInspect,
			What: "each of an operator's calls but List must be refused where inspect isn't declared, and change nothing",
			run:  inspectRefused,
		},
	}, capabilityWorksCases()...)
}

// refused enqueues a task with an option that needs a capability which isn't
// declared, on every road, and wants the sentinel, the names in the message, and
// no trace.
func (e *env) refused(missing tasks.Capability, option tasks.Option) {
	e.Helper()
	h := e.connect()
	ran := make(chan struct{}, 10)
	task := tasks.Define(h.app, "refused", func(context.Context, int) (int, error) { ran <- struct{}{}; return 0, nil })
	asked := task.Using(option)
	e.unsupported(asked.Err(), "Using", missing)

	ids := []string{e.ids.New(), e.ids.New(), e.ids.New(), e.ids.New()}
	_, err := asked.Using(tasks.ID(ids[0])).Enqueue(e.ctx, 1)
	e.unsupported(err, "Enqueue", missing)
	_, err = asked.Using(tasks.ID(ids[1])).AEnqueue(e.ctx, 1).Wait(e.ctx)
	e.unsupported(err, "AEnqueue", missing)
	// The one in the batch that could be stored must not be.
	_, err = h.app.EnqueueMany(e.ctx, task.Using(tasks.ID(ids[2])).With(1), asked.Using(tasks.ID(ids[3])).With(1))
	e.unsupported(err, "EnqueueMany", missing)

	// Middleware has records in its hands behind the first check.
	h.app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc {
		return func(ctx context.Context, alias string, recs []*tasks.Record) error {
			switch missing { //nolint:exhaustive // the others are not what a record asks for
			case tasks.CapDefer:
				recs[0].Delay = time.Hour
			case tasks.CapExpire:
				recs[0].TTL = time.Hour
			case tasks.CapPriority:
				recs[0].Priority = 1
			}
			return next(ctx, alias, recs)
		}
	})
	ids = append(ids, e.ids.New())
	_, err = task.Using(tasks.ID(ids[4])).Enqueue(e.ctx, 1)
	e.unsupported(err, "Enqueue through middleware that asks for it", missing)

	if len(ran) > 0 {
		e.Errorf("%d tasks ran though they were refused", len(ran))
	}
	e.absent(h, ids...)
	e.empty(h, "the refusals")
	e.close(h)
}

// unsupported wants ErrUnsupported, and the alias and the capability in the text,
// without which nobody can tell what to change in the configuration.
func (e *env) unsupported(err error, what string, missing tasks.Capability) {
	e.Helper()
	if !errors.Is(err, tasks.ErrUnsupported) {
		e.Errorf("%s without %v: got error %v, want ErrUnsupported", what, missing, err)
		return
	}
	for _, part := range []string{tasks.DefaultAlias, missing.String()} {
		if !strings.Contains(err.Error(), part) {
			e.Errorf("%s without %v: the error %q doesn't name %q", what, missing, err, part)
		}
	}
}

func resultsRefused(e *env) {
	h := e.connect()
	task := echo[int](h, "echo")
	res, err := task.Enqueue(e.ctx, 7)
	e.must(err, "enqueue")
	before := res.Record.Clone()

	_, err = h.app.GetResult(e.ctx, tasks.DefaultAlias, res.ID)
	e.unsupported(err, "App.GetResult", tasks.CapResults)
	_, err = task.GetResult(e.ctx, res.ID)
	e.unsupported(err, "Task.GetResult", tasks.CapResults)
	_, err = task.GetResult(e.ctx, "")
	e.unsupported(err, "Task.GetResult of the empty id", tasks.CapResults)
	e.unsupported(res.Refresh(e.ctx), "Refresh", tasks.CapResults)
	e.same("after the refusals", &res.Record, before)
	if !res.Status.Final() {
		ctx, cancel := e.soon(e.timing.Notice)
		defer cancel()
		_, err = res.Wait(ctx)
		e.unsupported(err, "Wait", tasks.CapResults)
	}
	// Below the App, where nothing is kept, nothing is found; it is for the backend to
	// say which of the two.
	if rec, err := h.b.GetResult(e.ctx, res.ID); !errors.Is(err, tasks.ErrUnsupported) && !errors.Is(err, tasks.ErrResultNotFound) {
		e.Errorf("Backend.GetResult: got %s, error %v; want ErrUnsupported or ErrResultNotFound", brief(rec), err)
	}
}

func inspectRefused(e *env) {
	h := e.connect()
	rec := e.record()
	e.enqueue(h, rec)
	admin, err := h.app.Admin(tasks.DefaultAlias)
	e.must(err, "Admin, for which %v is enough", tasks.CapList)
	calls := []struct {
		name string
		call func() error
	}{
		{"Queues", func() error { _, err := admin.Queues(e.ctx); return err }},
		{"Workers", func() error { _, err := admin.Workers(e.ctx); return err }},
		{"Pause", func() error { return admin.Pause(e.ctx, rec.Queue) }},
		{"Resume", func() error { return admin.Resume(e.ctx, rec.Queue) }},
		{"Cancel", func() error { _, err := admin.Cancel(e.ctx, rec.ID, "why"); return err }},
		{"Retry", func() error { _, err := admin.Retry(e.ctx, rec.ID); return err }},
		{"Delete", func() error { return admin.Delete(e.ctx, rec.ID) }},
		{"Reschedule", func() error { _, err := admin.Reschedule(e.ctx, rec.ID, rec.EnqueuedAt); return err }},
		{"Alter of nothing", func() error { _, err := admin.Alter(e.ctx, tasks.Change{Kind: tasks.ChangeDelete}); return err }},
		{"AlterMatching", func() error {
			_, err := admin.AlterMatching(e.ctx, tasks.Change{Kind: tasks.ChangeDelete}, tasks.Filter{}, tasks.Bulk{})
			return err
		}},
		{"Prune", func() error { _, err := admin.Prune(e.ctx, tasks.PruneRequest{}, tasks.Bulk{}); return err }},
	}
	for _, c := range calls {
		e.step("%s without %v", c.name, tasks.CapInspect)
		e.unsupported(c.call(), c.name, tasks.CapInspect)
	}
	page, err := admin.List(e.ctx, tasks.ListRequest{})
	e.must(err, "List")
	if len(page.Records) != 1 {
		e.Fatalf("after the refusals List gives %d records, want 1", len(page.Records))
	}
	e.same("after the refusals", page.Records[0], rec)
}
