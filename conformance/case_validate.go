package conformance

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func validateCases() []Case {
	return append([]Case{
		{
			Name: "Validate/Definitions", Clauses: []string{"V1"},
			What: "an empty name, a name used twice and a nil function must be reported together, and can't be enqueued",
			run:  validateDefinitions,
		},
		{
			Name: "Validate/Defaults", Clauses: []string{"V2"},
			What: "a task without options must be stored in queue default, on alias default, with priority 0, one attempt and no run_after",
			run:  validateDefaults,
		},
		{
			Name: "Validate/Options", Clauses: []string{"V2", "V3", "V5"},
			What: "an option out of range must be refused by Using and again by each enqueue, before anything is stored or run",
			run:  validateOptions,
		},
		{
			Name: "Validate/Middleware", Clauses: []string{"V5"},
			What: "what enqueue middleware made of a record must be checked before the backend gets it",
			run:  validateMiddleware,
		},
		{
			Name: "Validate/Using", Clauses: []string{"V4"},
			What: "Using must change a copy: the task, and what was made of it before, stay as they were, and Clear takes options back",
			run:  validateUsing,
		},
		{
			Name: "Validate/PastRunAfter", Clauses: []string{"V4"}, Needs: tasks.CapDefer | tasks.CapWorker,
			What: "a run_after in the past must be claimable at once",
			run: func(e *env) {
				h := e.connect()
				first := e.record()
				e.enqueue(h, first) // for a time by the store's clock
				e.settle(h, e.claimOne(h), success("1"))
				task := echo[int](h, "past")
				for _, option := range []tasks.Option{
					tasks.RunAfter(first.EnqueuedAt.Add(-time.Hour)), tasks.RunAfter(time.Unix(0, 0)),
					tasks.RunIn(0), tasks.RunIn(-time.Hour),
				} {
					res, err := task.Using(option).Enqueue(e.ctx, 1)
					e.must(err, "enqueue with a run_after in the past")
					got := e.claim(h, 2)
					if len(got) != 1 || got[0].Record.ID != res.ID {
						e.Fatalf("a record with run_after %v, enqueued at %v, isn't claimed: got %d records", res.RunAfter, res.EnqueuedAt, len(got))
					}
					e.settle(h, got[0], success("1"))
				}
			},
		},
	}, append(validateQueueCases(), validateEncodingCases()...)...)
}

func validateDefinitions(e *env) {
	h := e.connect()
	fn := func(context.Context, int) (int, error) { return 0, nil }
	good := tasks.Define(h.app, "good", fn)
	bad := map[string]*tasks.Task[int, int]{
		"an empty name":         tasks.Define(h.app, "", fn),
		"a name used twice":     tasks.Define(h.app, "good", fn),
		"a nil function":        tasks.Define[int, int](h.app, "nil", nil),
		"a name of 129 bytes":   tasks.Define(h.app, strings.Repeat("n", tasks.MaxName+1), fn),
		"a name with a newline": tasks.Define(h.app, "two\nlines", fn),
		"a name with a NUL":     tasks.Define(h.app, "n\x00", fn),
		"a name not in UTF-8":   tasks.Define(h.app, "\xff", fn),
		"a priority of 101":     tasks.Define(h.app, "urgent", fn, tasks.Priority(tasks.MaxPriority+1)),
	}
	all := h.app.Validate()
	e.wantErr(all, tasks.ErrInvalidTask, "Validate")
	for what, task := range bad {
		e.wantErr(task.Err(), tasks.ErrInvalidTask, "Err of a task with %s", what)
		if all != nil && task.Err() != nil && !strings.Contains(all.Error(), task.Err().Error()) {
			e.Errorf("Validate doesn't report the task with %s (%v), but only: %v", what, task.Err(), all)
		}
		_, err := task.Enqueue(e.ctx, 1)
		e.wantErr(err, tasks.ErrInvalidTask, "Enqueue of a task with %s", what)
	}
	e.empty(h, "enqueues of tasks with faults")
	if _, err := good.Enqueue(e.ctx, 1); err != nil {
		e.Errorf("the task without a fault can't be enqueued: %v", err)
	}
}

func validateDefaults(e *env) {
	h := e.connect()
	res, err := echo[int](h, "plain").Enqueue(e.ctx, 1)
	e.must(err, "enqueue")
	recs := map[string]*tasks.Record{"Enqueue's result": &res.Record}
	if h.caps.Has(tasks.CapResults) {
		recs["GetResult's"] = e.get(h, res.ID)
	}
	for whose, rec := range recs {
		if rec.Queue != "default" || rec.Alias != "default" || rec.Priority != 0 || rec.MaxAttempts != 1 ||
			!rec.RunAfter.IsZero() || !rec.ExpiresAt.IsZero() || rec.Timeout != 0 || rec.Retain != nil || len(rec.Metadata) > 0 {
			e.Errorf("%s has not the defaults: %+v", whose, *rec)
		}
		if rec.Task != "plain" || len(rec.ID) < 16 || len(rec.ID) > tasks.MaxID {
			e.Errorf("%s has task %q and id %q", whose, rec.Task, rec.ID)
		}
	}
}

func validateOptions(e *env) {
	h := e.connect()
	ran := make(chan struct{}, 100)
	task := tasks.Define(h.app, "checked", func(context.Context, int) (int, error) { ran <- struct{}{}; return 0, nil })
	for what, option := range map[string]tasks.Option{
		"priority 101":             tasks.Priority(tasks.MaxPriority + 1),
		"priority -101":            tasks.Priority(tasks.MinPriority - 1),
		"no attempts":              tasks.MaxAttempts(0),
		"a negative timeout":       tasks.Timeout(-1),
		"an empty queue":           tasks.Queue(""),
		"a queue of 129 bytes":     tasks.Queue(strings.Repeat("q", tasks.MaxName+1)),
		"a queue with a tab":       tasks.Queue("a\tb"),
		"a queue not in UTF-8":     tasks.Queue("\xc3"),
		"an empty id":              tasks.ID(""),
		"an id of 64 bytes":        tasks.ID(strings.Repeat("i", tasks.MaxID+1)),
		"an id with a NUL":         tasks.ID("i\x00d"),
		"an id not in UTF-8":       tasks.ID("\xf0\x9f"),
		"metadata with NUL":        tasks.Metadata("key", "a\x00b"),
		"metadata not in UTF-8":    tasks.Metadata("key", "\xff"),
		"an empty key in metadata": tasks.Metadata("", "value"),
		"the year 10000":           tasks.RunAfter(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)),
		"backoff in Using":         tasks.Backoff(tasks.Constant(time.Second)),
		"a nil option":             nil,
		"an unknown field":         tasks.Clear("colour"),
	} {
		wrong := task.Using(option)
		e.wantErr(wrong.Err(), tasks.ErrInvalidTask, "Using with %s", what)
		_, err := wrong.Enqueue(e.ctx, 1)
		e.wantErr(err, tasks.ErrInvalidTask, "Enqueue with %s", what)
		_, err = wrong.AEnqueue(e.ctx, 1).Wait(e.ctx)
		e.wantErr(err, tasks.ErrInvalidTask, "AEnqueue with %s", what)
		_, err = h.app.EnqueueMany(e.ctx, task.With(1), wrong.With(1))
		e.wantErr(err, tasks.ErrInvalidTask, "EnqueueMany with %s", what)
	}
	_, err := task.Using(tasks.OnBackend("elsewhere")).Enqueue(e.ctx, 1)
	e.wantErr(err, tasks.ErrUnknownBackend, "Enqueue on an alias that isn't there")
	if len(ran) > 0 {
		e.Errorf("%d tasks ran though they were refused", len(ran))
	}
	e.empty(h, "refused enqueues")
}

func validateMiddleware(e *env) {
	h := e.connect()
	ran := make(chan struct{}, 100)
	task := tasks.Define(h.app, "changed", func(context.Context, int) (int, error) { ran <- struct{}{}; return 0, nil })
	var change func(*tasks.Record)
	h.app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc {
		return func(ctx context.Context, alias string, recs []*tasks.Record) error {
			change(recs[0])
			return next(ctx, alias, recs)
		}
	})
	for _, c := range []struct {
		what   string
		change func(*tasks.Record)
		want   error
	}{
		{"priority 101", func(r *tasks.Record) { r.Priority = tasks.MaxPriority + 1 }, tasks.ErrInvalidTask},
		{"an empty queue", func(r *tasks.Record) { r.Queue = "" }, tasks.ErrInvalidTask},
		{"another task", func(r *tasks.Record) { r.Task = "other" }, tasks.ErrInvalidTask},
		{"no id", func(r *tasks.Record) { r.ID = "" }, tasks.ErrInvalidTask},
		{"a long id", func(r *tasks.Record) { r.ID = strings.Repeat("i", tasks.MaxID+1) }, tasks.ErrInvalidTask},
		{"metadata with NUL", func(r *tasks.Record) { r.Metadata = map[string]string{"k": "\x00"} }, tasks.ErrInvalidTask},
		{"arguments that aren't JSON", func(r *tasks.Record) { r.Args = []byte("{") }, tasks.ErrNotSerializable},
	} {
		change = c.change
		_, err := task.Enqueue(e.ctx, 1)
		e.wantErr(err, c.want, "Enqueue when middleware put %s in", c.what)
	}
	change = func(r *tasks.Record) { r.Metadata = map[string]string{"tenant": "7"} }
	res, err := task.Enqueue(e.ctx, 1)
	e.must(err, "enqueue through middleware that adds metadata")
	if h.caps.Has(tasks.CapResults) {
		if got := e.get(h, res.ID).Metadata; got["tenant"] != "7" || len(got) != 1 {
			e.Errorf("metadata added by middleware reads back as %q", got)
		}
	}
	if h.caps.Has(tasks.CapList) {
		if got := e.list(h, tasks.Filter{}); len(got) != 1 {
			e.Errorf("%d records are stored, want only the one that wasn't refused", len(got))
		}
	}
}

func validateUsing(e *env) {
	h := e.connect()
	task := echo[int](h, "base", tasks.Queue("mail"), tasks.MaxAttempts(3), tasks.Metadata("team", "a"))
	prepared := task.With(1)
	changed := task.Using(tasks.Queue("bulk"), tasks.MaxAttempts(5), tasks.Metadata("tenant", "7"), tasks.Timeout(time.Minute))
	cleared := changed.Using(tasks.Clear(tasks.FieldQueue, tasks.FieldMaxAttempts, tasks.FieldMetadata, tasks.FieldTimeout))
	check := func(what string, rec *tasks.Record, queue string, attempts int, timeout time.Duration, metadata map[string]string) {
		e.Helper()
		if h.caps.Has(tasks.CapResults) {
			rec = e.get(h, rec.ID)
		}
		if rec.Queue != queue || rec.MaxAttempts != attempts || rec.Timeout != timeout || !alike(rec.Metadata, metadata) || rec.Task != "base" {
			e.Errorf("%s: got task %s, queue %s, %d attempts, timeout %v, metadata %v; want base, %s, %d, %v, %v",
				what, rec.Task, rec.Queue, rec.MaxAttempts, rec.Timeout, rec.Metadata, queue, attempts, timeout, metadata)
		}
	}
	var errs [3]error
	var results [3]*tasks.Result[int]
	for i, t := range []*tasks.Task[int, int]{changed, task, cleared} {
		results[i], errs[i] = t.Enqueue(e.ctx, 1)
	}
	e.must(errors.Join(errs[:]...), "enqueue")
	check("the changed copy", &results[0].Record, "bulk", 5, time.Minute, map[string]string{"team": "a", "tenant": "7"})
	check("the task itself", &results[1].Record, "mail", 3, 0, map[string]string{"team": "a"})
	check("the cleared copy", &results[2].Record, "default", 1, 0, nil)
	many, err := h.app.EnqueueMany(e.ctx, prepared)
	e.must(err, "enqueue what was bound before")
	check("what was bound before", &many[0].Record, "mail", 3, 0, map[string]string{"team": "a"})
}
