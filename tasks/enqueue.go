package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Enqueue stores a run of the task and returns its result, READY; on immediate it
// runs the task and returns the final one. When it returns nil the record can be
// read on any handle of the same store.
//
// An error means that nothing was stored, unless it is ErrUnknownOutcome. Trying
// again after that may store a second run, but not with the option ID.
func (t *Task[A, R]) Enqueue(ctx context.Context, arg A) (*Result[R], error) {
	return EnqueueOne(ctx, t.With(arg))
}

// EnqueueOne enqueues one invocation; see Task.Enqueue.
func EnqueueOne[R any](ctx context.Context, inv *Invocation[R]) (*Result[R], error) {
	p, err := PrepareOne(ctx, inv)
	if err != nil {
		return nil, err
	}
	if err := p.store(ctx); err != nil {
		return nil, err
	}
	return ResultOf[R](p)
}

// EnqueueMany stores runs of any tasks of the app in one write, all or none, and
// returns their results in order. The tasks are on one backend. With no calls it
// does nothing.
func (a *App) EnqueueMany(ctx context.Context, calls ...Call) ([]*RawResult, error) {
	if len(calls) == 0 {
		return nil, nil
	}
	p, err := Prepare(ctx, calls...)
	if err != nil {
		return nil, err
	}
	if p.Runtime.app != a {
		return nil, &Error{Op: "enqueue", Task: p.Records[0].Task, Err: fmt.Errorf("%w: the task belongs to another App", ErrInvalidTask)}
	}
	if err := p.store(ctx); err != nil {
		return nil, err
	}
	return p.Results(), nil
}

// Prepared are validated records for one backend, not stored yet. It is what a
// backend's EnqueueTx starts from; users don't need it.
type Prepared struct {
	// Runtime is of the backend that the records are for.
	Runtime *Runtime
	// Records are READY and complete, apart from what the store fills in.
	Records []*Record

	op   string
	task string // of the first record, before a duplicate may have replaced it
}

// Prepare validates and encodes calls, at least one, of one app and one backend.
func Prepare(ctx context.Context, calls ...Call) (*Prepared, error) {
	if len(calls) == 0 {
		return nil, &Error{Op: "enqueue", Err: fmt.Errorf("%w: nothing to enqueue", ErrInvalidTask)}
	}
	bound := make([]*call, len(calls))
	for i, c := range calls {
		if c == nil {
			return nil, &Error{Op: "enqueue", Err: fmt.Errorf("%w: call %d is nil", ErrInvalidTask, i)}
		}
		bound[i] = c.bound()
	}
	return prepare(ctx, bound...)
}

// PrepareOne is Prepare for one invocation.
func PrepareOne[R any](ctx context.Context, inv *Invocation[R]) (*Prepared, error) {
	return prepare(ctx, &inv.call)
}

func prepare(ctx context.Context, calls ...*call) (*Prepared, error) {
	first := calls[0]
	alias := first.settings.alias
	fail := func(c *call, err error) error {
		var wrapped *Error
		if errors.As(err, &wrapped) && wrapped.Task == c.def.name {
			return err
		}
		return &Error{Op: "enqueue", Alias: alias, Task: c.def.name, ID: c.settings.id, Err: err}
	}
	if first.err != nil {
		return nil, fail(first, first.err)
	}
	if ctx.Err() != nil {
		return nil, fail(first, context.Cause(ctx))
	}
	app := first.def.app
	slot, err := app.slot(alias)
	if err != nil {
		return nil, fail(first, err)
	}
	if app.isClosing() {
		return nil, fail(first, ErrClosed)
	}
	p := &Prepared{
		Runtime: &Runtime{app: app, alias: alias, slot: slot},
		Records: make([]*Record, len(calls)),
		op:      "enqueue",
		task:    first.def.name,
	}
	for i, c := range calls {
		switch {
		case c.err != nil:
			err = c.err
		case c.def.app != app:
			err = fmt.Errorf("%w: tasks of two Apps in one write", ErrInvalidTask)
		case c.settings.alias != alias:
			err = fmt.Errorf("%w: tasks of two backends in one write: %s and %s", ErrInvalidTask, quote(alias), quote(c.settings.alias))
		default:
			p.Records[i], err = c.record(slot)
		}
		if err != nil {
			return nil, fail(c, err)
		}
	}
	return p, nil
}

func (a *App) isClosing() bool {
	select {
	case <-a.closing:
		return true
	default:
		return false
	}
}

// store writes the records through the middleware and tells the hooks.
func (p *Prepared) store(ctx context.Context) error {
	return p.finish(ctx, p.write(ctx))
}

func (p *Prepared) write(ctx context.Context) error {
	slot := p.Runtime.slot
	inner := func(ctx context.Context, alias string, recs []*Record) error {
		return slot.backend.Enqueue(ctx, recs)
	}
	if p.Runtime.app.wrapsEnqueue() {
		inner = p.Runtime.app.enqueueChain(p.recheck(inner))
	}
	return inner(ctx, slot.alias, p.Records)
}

// recheck validates records that middleware may have changed.
func (p *Prepared) recheck(next EnqueueFunc) EnqueueFunc {
	return func(ctx context.Context, alias string, recs []*Record) error {
		if len(recs) != len(p.Records) {
			return fmt.Errorf("%w: middleware passed on %d records of %d", ErrInvalidTask, len(recs), len(p.Records))
		}
		for i, r := range recs {
			s := settings{
				alias: r.Alias, queue: r.Queue, priority: r.Priority, runAfter: r.RunAfter, delay: r.Delay,
				expiresAt: r.ExpiresAt, ttl: r.TTL, maxAttempts: r.MaxAttempts, timeout: r.Timeout,
				id: r.ID, metadata: r.Metadata,
			}
			if err := errors.Join(s.check(), p.Runtime.slot.accepts(&s)); err != nil {
				return err
			}
			p.Records[i] = r
		}
		return next(ctx, alias, recs)
	}
}

// finish wraps a write's error, or logs and tells the hooks.
func (p *Prepared) finish(ctx context.Context, err error) error {
	if err != nil {
		e := &Error{Op: p.op, Alias: p.Runtime.alias, Err: err}
		if len(p.Records) == 1 {
			e.Task, e.ID = p.Records[0].Task, p.Records[0].ID
		}
		return e
	}
	p.Stored(ctx)
	return nil
}

// Stored logs and tells the hooks that the records are stored. A backend's
// EnqueueTx calls it after the commit.
func (p *Prepared) Stored(ctx context.Context) {
	app := p.Runtime.app
	hooked := app.hooked()
	logger := app.logger()
	logs := logger.Enabled(ctx, slog.LevelDebug)
	if !hooked && !logs {
		return
	}
	for _, rec := range p.Records {
		// Immediate has told of its records itself, and they are beyond READY.
		if rec.Duplicate || rec.Status != Ready {
			continue
		}
		if logs {
			logger.LogAttrs(ctx, slog.LevelDebug, "Task", slog.String("id", rec.ID), slog.String("path", rec.Task),
				slog.String("state", "enqueued"), slog.String("backend", rec.Alias))
		}
		if hooked {
			app.fire(ctx, hookEnqueued, rec)
		}
	}
}

// Results returns the records as results.
func (p *Prepared) Results() []*RawResult {
	results := make([]*RawResult, len(p.Records))
	for i, rec := range p.Records {
		results[i] = &RawResult{Record: *rec, rt: p.Runtime}
	}
	return results
}

func (a *App) wrapsEnqueue() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.onWrite) > 0
}
