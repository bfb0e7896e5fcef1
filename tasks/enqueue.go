package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"unicode/utf8"

	"github.com/sideman-go/sideman/internal/newid"
)

// Enqueue stores a run of the task and returns its result, READY; on immediate it
// runs the task and returns the final one. When it returns nil the record can be
// read on any handle of the same store.
//
// An error means that nothing was stored, unless it is ErrUnknownOutcome. Trying
// again after that may store a second run, but not with the option ID.
func (t *Task[A, R]) Enqueue(ctx context.Context, arg A) (*Result[R], error) {
	c := t.call(arg)
	return enqueueOne[R](ctx, &c)
}

// EnqueueOne enqueues one invocation; see Task.Enqueue.
func EnqueueOne[R any](ctx context.Context, inv *Invocation[R]) (*Result[R], error) {
	return enqueueOne[R](ctx, inv.bound())
}

func enqueueOne[R any](ctx context.Context, c *call) (*Result[R], error) {
	res := &Result[R]{}
	p, err := prepare(ctx, &res.Record, c)
	if err != nil {
		return nil, err
	}
	if err := p.store(ctx); err != nil {
		return nil, err
	}
	if p.seen || p.Records[0] != &res.Record || res.Status != Ready {
		return ResultOf[R](p) // middleware, or a handler that has run at once, may have kept the record
	}
	if err := p.sameTask(); err != nil {
		return nil, err
	}
	res.rt = p.Runtime
	return res, nil
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

	one    [1]*Record // where Records of a single one are
	op     string
	task   string // of the first record, before a duplicate may have replaced it
	stored bool   // the backend has stored them
	seen   bool   // middleware has seen them
	made   bool   // their ids are the App's own
}

// Prepare validates and encodes calls, at least one, of one app and one backend.
func Prepare(ctx context.Context, calls ...Call) (*Prepared, error) {
	if len(calls) == 0 {
		return nil, &Error{Op: "enqueue", Err: fmt.Errorf("%w: nothing to enqueue", ErrInvalidTask)}
	}
	bound := make([]*call, len(calls))
	for i, c := range calls {
		if c != nil {
			bound[i] = c.bound()
		}
	}
	return prepare(ctx, nil, bound...)
}

// PrepareOne is Prepare for one invocation.
func PrepareOne[R any](ctx context.Context, inv *Invocation[R]) (*Prepared, error) {
	return prepare(ctx, nil, inv.bound())
}

// prepare makes records, the first of them in the one given, unless that is nil.
func prepare(ctx context.Context, rec *Record, calls ...*call) (*Prepared, error) {
	for i, c := range calls {
		if c == nil || c.def == nil {
			return nil, &Error{Op: "enqueue", Err: fmt.Errorf("%w: call %d is nil, or wasn't made by Task.With", ErrInvalidTask, i)}
		}
	}
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
	p := &Prepared{Runtime: slot.runtime, op: "enqueue", task: first.def.name, made: true}
	if p.Records = p.one[:]; len(calls) > 1 {
		p.Records = make([]*Record, len(calls))
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
			if rec == nil {
				rec = new(Record)
			}
			err = c.record(slot, rec)
			p.made = p.made && c.settings.id == ""
			p.Records[i], rec = rec, nil
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
	if !p.Runtime.app.wrapsEnqueue() {
		return p.hand(p.mark(ctx), slot.alias, p.Records)
	}
	p.seen = true
	return p.Runtime.app.enqueueChain(p.recheck(p.hand))(ctx, slot.alias, p.Records)
}

// mark tells the backend, by the context of its call, that the id of a single record is new.
func (p *Prepared) mark(ctx context.Context) context.Context {
	if p.made && len(p.Records) == 1 {
		return newid.With(ctx, p.Records[0].ID)
	}
	return ctx
}

// hand is what all middleware is around.
func (p *Prepared) hand(ctx context.Context, _ string, recs []*Record) error {
	err := p.Runtime.slot.backend.Enqueue(ctx, recs)
	p.stored = err == nil
	return err
}

// recheck validates records that middleware may have changed.
func (p *Prepared) recheck(next EnqueueFunc) EnqueueFunc {
	names := make([]string, len(p.Records))
	for i, r := range p.Records {
		names[i] = r.Task
	}
	return func(ctx context.Context, alias string, recs []*Record) error {
		if len(recs) != len(names) {
			return fmt.Errorf("%w: middleware passed on %d records of %d", ErrInvalidTask, len(recs), len(names))
		}
		for i, r := range recs {
			if err := p.recheckOne(r, names[i]); err != nil {
				return err
			}
		}
		copy(p.Records, recs)
		return next(ctx, alias, recs)
	}
}

func (p *Prepared) recheckOne(r *Record, task string) error {
	slot, app := p.Runtime.slot, p.Runtime.app
	switch {
	case r == nil:
		return fmt.Errorf("%w: middleware passed on a nil record", ErrInvalidTask)
	case r.Task != task:
		return fmt.Errorf("%w: middleware changed the task to %s", ErrInvalidTask, quote(r.Task))
	case r.Alias != slot.alias:
		return fmt.Errorf("%w: middleware changed the backend to %s", ErrInvalidTask, quote(r.Alias))
	case r.ID == "":
		return fmt.Errorf("%w: middleware removed the id", ErrInvalidTask)
	case !json.Valid(r.Args) || !utf8.Valid(r.Args):
		return fmt.Errorf("%w: arguments as middleware changed them", ErrNotSerializable)
	}
	s := settings{
		alias: r.Alias, queue: r.Queue, priority: r.Priority, runAfter: r.RunAfter, delay: r.Delay,
		expiresAt: r.ExpiresAt, ttl: r.TTL, maxAttempts: r.MaxAttempts, timeout: r.Timeout,
		id: r.ID, metadata: r.Metadata,
	}
	return errors.Join(s.check(), slot.accepts(&s), checkSize("arguments", len(r.Args), app.options.MaxArgs), app.checkMetadata(r.Metadata))
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
	if !app.hooked() && !app.logger().Enabled(ctx, slog.LevelDebug) {
		return
	}
	for _, rec := range p.Records {
		// Immediate has told of its records itself, and they are beyond READY.
		if !rec.Duplicate && rec.Status == Ready {
			app.enqueued(ctx, rec)
		}
	}
}

// enqueued logs and tells the hooks of one record.
func (a *App) enqueued(ctx context.Context, rec *Record) {
	a.logger().LogAttrs(ctx, slog.LevelDebug, "Task", slog.String("id", rec.ID), slog.String("path", rec.Task),
		slog.String("state", "enqueued"), slog.String("backend", rec.Alias))
	a.fire(ctx, hookEnqueued, rec)
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
