package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"slices"
)

// Hooks are told of what happened. They change nothing: an error or panic in one
// is logged. Each gets a copy of the record of its own. A nil function is skipped.
//
// They are Django's task signals, with two differences: a failing receiver can't
// fail the task, and all three always come with the same kind of value.
type Hooks struct {
	// Enqueued is called after a READY record was stored, before Enqueue returns. A
	// duplicate and a record enqueued in the caller's transaction count once they
	// are stored: the first never again, the second after the commit.
	Enqueued func(ctx context.Context, rec *Record) error
	// Started is called after RUNNING was stored, just before the handler.
	Started func(ctx context.Context, rec *Record) error
	// Finished is called after a final status was stored by the worker that ran the
	// task. It isn't called for a record that is cancelled or expires unclaimed.
	Finished func(ctx context.Context, rec *Record) error
}

// EnqueueFunc stores the records on the backend of that alias, all or none.
type EnqueueFunc func(ctx context.Context, alias string, recs []*Record) error

// EnqueueMiddleware wraps the storing of records: for tracing, for adding metadata
// to them, for refusing them. It may change the records before it calls next, and
// what it changed is checked again.
//
// It can't change what happened: once next has returned, its result is the
// result, and a panic or another error afterwards is logged. A panic or error
// before that refuses the records, and so does not calling next. It may call next
// again after an error; after a success that does nothing more. The number, order
// and tasks of the records stay as they are, and so does their alias.
type EnqueueMiddleware func(next EnqueueFunc) EnqueueFunc

// RunFunc runs one attempt and returns the encoded value.
type RunFunc func(ctx context.Context, rec *Record) (json.RawMessage, error)

// RunMiddleware wraps the running of an attempt, in workers and in immediate. rec is
// for reading only.
//
// It may refuse the attempt before it calls next (an error or panic then fails
// the attempt), give the handler another context, and replace the handler's error
// by another, such as NoRetry of it. It can't make a failure of a success, or the
// reverse: that, and a panic after next has returned, is logged.
type RunMiddleware func(next RunFunc) RunFunc

// AddHooks adds hooks, called in the order in which they were added. Add them
// before work starts.
func (a *App) AddHooks(h Hooks) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hooks = append(slices.Clip(a.hooks), h)
}

// AroundEnqueue adds middleware around Enqueue, AEnqueue and EnqueueMany; the first
// added is the outermost. EnqueueTx is not wrapped, as there the caller's
// transaction does the storing. Add it before work starts.
func (a *App) AroundEnqueue(m EnqueueMiddleware) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.onWrite = append(slices.Clip(a.onWrite), m)
}

// AroundRun adds middleware around handlers; the first added is the outermost. Add
// it before work starts.
func (a *App) AroundRun(m RunMiddleware) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.onRun = append(slices.Clip(a.onRun), m)
}

type hookPoint string

const (
	hookEnqueued hookPoint = "enqueued"
	hookStarted  hookPoint = "started"
	hookFinished hookPoint = "finished"
)

func (a *App) hooked() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return len(a.hooks) > 0
}

func (a *App) fire(ctx context.Context, point hookPoint, rec *Record) {
	a.mu.RLock()
	hooks := a.hooks
	a.mu.RUnlock()
	for _, h := range hooks {
		fn := h.Enqueued
		switch point {
		case hookStarted:
			fn = h.Started
		case hookFinished:
			fn = h.Finished
		case hookEnqueued:
		}
		if fn == nil {
			continue
		}
		if err := safely(func() error { return fn(ctx, rec.Clone()) }); err != nil {
			a.logger().ErrorContext(ctx, "Hook failed", "hook", string(point), "id", rec.ID, "path", rec.Task, "error", err)
		}
	}
}

// safely turns a panic of fn into an error.
func safely(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = newPanicError(p)
		}
	}()
	return fn()
}

func (a *App) enqueueChain(inner EnqueueFunc) EnqueueFunc {
	a.mu.RLock()
	chain := a.onWrite
	a.mu.RUnlock()
	for _, m := range slices.Backward(chain) {
		inner = a.isolateEnqueue(m, inner)
	}
	return inner
}

func (a *App) isolateEnqueue(m EnqueueMiddleware, next EnqueueFunc) EnqueueFunc {
	return func(ctx context.Context, alias string, recs []*Record) error {
		var stored error
		called := false
		err := safely(func() error {
			return m(func(ctx context.Context, alias string, recs []*Record) error {
				if called && stored == nil {
					return nil // they are stored; once is enough
				}
				stored = next(ctx, alias, recs)
				called = true
				return stored
			})(ctx, alias, recs)
		})
		switch {
		case !called && err == nil:
			return fmt.Errorf("%w: enqueue middleware didn't call next, so nothing was stored", ErrInvalidTask)
		case !called:
			return fmt.Errorf("enqueue middleware: %w", err)
		case err != nil && stored == nil:
			a.logger().ErrorContext(ctx, "Enqueue middleware failed after the tasks were stored", "error", err)
		}
		return stored
	}
}

func (a *App) runChain(inner RunFunc) RunFunc {
	a.mu.RLock()
	chain := a.onRun
	a.mu.RUnlock()
	for _, m := range slices.Backward(chain) {
		inner = a.isolateRun(m, inner)
	}
	return inner
}

func (a *App) isolateRun(m RunMiddleware, next RunFunc) RunFunc {
	return func(ctx context.Context, rec *Record) (json.RawMessage, error) {
		var value json.RawMessage
		var ran error
		called := false
		err := safely(func() error {
			_, err := m(func(ctx context.Context, rec *Record) (json.RawMessage, error) {
				if called && ran == nil {
					return value, nil // it has succeeded; a success stays one
				}
				// A panic of the handler's is its own, not the middleware's.
				ran = safely(func() (err error) {
					value, err = next(ctx, rec)
					return err
				})
				called = true
				return value, ran
			})(ctx, rec)
			return err
		})
		switch {
		case !called && err == nil:
			return nil, fmt.Errorf("%w: run middleware didn't call next", ErrInvalidTask)
		case !called:
			return nil, err
		case ran == nil && err != nil, ran != nil && err == nil, ran != nil && isPanic(err) && !isPanic(ran):
			a.logger().ErrorContext(ctx, "Run middleware can't change the outcome", "id", rec.ID, "path", rec.Task,
				"handler_error", ran, "middleware_error", err)
		case ran != nil && !isPanic(err):
			return nil, err // replaced
		}
		return value, ran
	}
}

// panicError is a panic as an error, with where it happened.
type panicError struct {
	value any
	stack []byte
}

func newPanicError(value any) *panicError { return &panicError{value: value, stack: debug.Stack()} }

const panicPrefix = "panic: "

func (p *panicError) Error() string { return panicPrefix + fmt.Sprint(p.value) }

// Is makes a panic match ErrPanicked.
func (p *panicError) Is(target error) bool { return target == ErrPanicked }

// Unwrap gives the value if it is an error.
func (p *panicError) Unwrap() error {
	err, _ := p.value.(error)
	return err
}
