package tasks

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
)

// Runtime runs the records of one backend for those that need more than a user
// does: package worker, and backends that run tasks themselves (Binder). It is
// safe for concurrent use.
type Runtime struct {
	app   *App
	alias string
	slot  *slot
}

// Runtime returns the runtime of an alias, or ErrUnknownBackend.
func (a *App) Runtime(alias string) (*Runtime, error) {
	s, err := a.slot(alias)
	if err != nil {
		return nil, &Error{Op: "use", Alias: alias, Err: err}
	}
	return s.runtime, nil
}

// Alias returns the backend's alias.
func (r *Runtime) Alias() string { return r.alias }

// Backend returns the backend as it was put to use.
func (r *Runtime) Backend() Backend { return r.slot.backend }

// Store returns the backend as a Store, or ErrUnsupported if workers can't run on it.
func (r *Runtime) Store() (Store, error) {
	if store, ok := As[Store](r.slot.backend); ok && r.slot.caps.Has(CapWorker) {
		return store, nil
	}
	return nil, &Error{Op: "work", Alias: r.alias, Err: fmt.Errorf("%w: worker", ErrUnsupported)}
}

// Queues returns the queues that are configured for the alias, or nil if any
// name is allowed.
func (r *Runtime) Queues() []string { return slices.Clone(r.slot.queues) }

// Logger returns the App's logger.
func (r *Runtime) Logger() *slog.Logger { return r.app.logger() }

// Defined reports whether the App defines a task of that name.
func (r *Runtime) Defined(task string) bool { return r.app.lookup(task) != nil }

// Validate returns the App's definition faults; see App.Validate.
func (r *Runtime) Validate() error { return r.app.Validate() }

// Enqueued logs and tells the App's hooks that a READY record was stored. It is for
// backends whose Enqueue goes on to run the record; for others the App does it.
func (r *Runtime) Enqueued(ctx context.Context, rec *Record) { r.app.enqueued(ctx, rec) }

// Started tells the App's hooks that a record is RUNNING, just before its
// handler is called.
func (r *Runtime) Started(ctx context.Context, rec *Record) { r.app.fire(ctx, hookStarted, rec) }

// Finished tells the App's hooks that a record is final and stored.
func (r *Runtime) Finished(ctx context.Context, rec *Record) { r.app.fire(ctx, hookFinished, rec) }

// Hooked reports whether the App has any hooks, so that a caller can do without
// the records it would pass to them.
func (r *Runtime) Hooked() bool { return r.app.hooked() }

// Execute runs one attempt of a RUNNING record on the calling goroutine: it
// decodes the arguments, calls the handler through the middleware, and hands
// done the outcome, with no Lease, exactly once. It calls done also when the
// handler panics, and when it calls runtime.Goexit, after which the goroutine
// ends. It doesn't look at Record.Timeout: ctx does. The cause of ctx tells what
// an error means: ErrTimeout, ErrTaskCancelled, ErrWorkerStopping.
//
// A record whose task isn't defined gives an OutcomeFailure with ErrUnknownTask;
// workers release such records instead.
func (r *Runtime) Execute(ctx context.Context, rec *Record, done func(Outcome)) {
	r.app.execute(ctx, rec, done)
}
