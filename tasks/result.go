package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"
)

// Result is a client's snapshot of a record, as of the enqueue, GetResult or
// Refresh that made it: nothing but Refresh and Wait changes it. Those two must
// not be called while others use the same Result.
type Result[R any] struct {
	Record

	rt *Runtime
}

// RawResult is a result whose return value is JSON: that of a task whose type
// isn't known where it is read.
type RawResult = Result[json.RawMessage]

// ResultOf makes the result of the one record in p, which must not be used
// otherwise afterwards. If its id was stored already by another task, that is
// ErrResultMismatch. It is for backends; users have Task.GetResult.
func ResultOf[R any](p *Prepared) (*Result[R], error) {
	if err := p.sameTask(); err != nil {
		return nil, err
	}
	return &Result[R]{Record: *p.Records[0], rt: p.Runtime}, nil
}

// sameTask returns an error if the id of the first record was stored already by another task.
func (p *Prepared) sameTask() error {
	if rec := p.Records[0]; rec.Task != p.task {
		return &Error{
			Op: p.op, Alias: p.Runtime.alias, Task: p.task, ID: rec.ID,
			Err: fmt.Errorf("%w: the id is taken by %s", ErrResultMismatch, quote(rec.Task)),
		}
	}
	return nil
}

// GetResult reads the result of a run of this task from the backend that the task
// is on. Unknown ids give ErrResultNotFound, runs of other tasks
// ErrResultMismatch. Needs CapResults.
func (t *Task[A, R]) GetResult(ctx context.Context, id string) (*Result[R], error) {
	if t.def.app == nil {
		return nil, t.err
	}
	raw, err := t.def.app.GetResult(ctx, t.settings.alias, id)
	if err != nil {
		var e *Error
		if errors.As(err, &e) && e.Task == "" {
			named := *e
			named.Task = t.def.name
			return nil, &named
		}
		return nil, err
	}
	return t.Result(raw)
}

// Result gives a raw result this task's types. A run of another task gives
// ErrResultMismatch.
func (t *Task[A, R]) Result(raw *RawResult) (*Result[R], error) {
	if raw.Task != t.def.name {
		return nil, &Error{
			Op: "get result", Alias: raw.Alias, Task: t.def.name, ID: raw.ID,
			Err: fmt.Errorf("%w: %s", ErrResultMismatch, quote(raw.Task)),
		}
	}
	return &Result[R]{Record: raw.Record, rt: raw.rt}, nil
}

// GetResult reads any task's result from the backend of that alias. Unknown ids
// give ErrResultNotFound. Needs CapResults.
func (a *App) GetResult(ctx context.Context, alias, id string) (*RawResult, error) {
	rt, err := a.Runtime(alias)
	if err != nil {
		return nil, err
	}
	res := &RawResult{Record: Record{ID: id}, rt: rt}
	if err := res.Refresh(ctx); err != nil {
		return nil, err
	}
	return res, nil
}

// Refresh reads the record again. If it was deleted since, the error is
// ErrResultNotFound and the result is as it was.
func (r *Result[R]) Refresh(ctx context.Context) error {
	rec, err := r.read(ctx)
	if err != nil {
		return r.wrap("get result", err)
	}
	r.Record = *rec
	return nil
}

func (r *Result[R]) read(ctx context.Context) (*Record, error) {
	s := r.rt.slot
	if !s.caps.Has(CapResults) {
		return nil, fmt.Errorf("%w: results", ErrUnsupported)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return s.backend.GetResult(ctx, r.ID)
}

func (r *Result[R]) wrap(op string, err error) error {
	return &Error{Op: op, Alias: r.rt.alias, Task: r.Task, ID: r.ID, Err: err}
}

// ReturnValue returns the task's return value if the result is SUCCESSFUL. If it
// is FAILED the error is ErrTaskFailed and wraps the last *AttemptError; if it is
// CANCELLED, ErrTaskCancelled; otherwise ErrNotFinished. It reads nothing.
func (r *Result[R]) ReturnValue() (R, error) {
	var value R
	switch r.Status {
	case Successful:
		if err := decode(r.Value, &value, hasAny(reflect.TypeFor[R]())); err != nil {
			return value, r.wrap("read the return value", fmt.Errorf("decode as %T: %w", value, err))
		}
		return value, nil
	case Failed:
		if last := r.LastError(); last != nil {
			return value, r.wrap("read the return value", fmt.Errorf("%w: %w", ErrTaskFailed, last))
		}
		return value, r.wrap("read the return value", ErrTaskFailed)
	case Cancelled:
		if r.CancelReason != "" {
			return value, r.wrap("read the return value", fmt.Errorf("%w: %s", ErrTaskCancelled, r.CancelReason))
		}
		return value, r.wrap("read the return value", ErrTaskCancelled)
	case Ready, Running:
	}
	return value, r.wrap("read the return value", fmt.Errorf("%w: it is %s", ErrNotFinished, r.Status))
}

// Wait refreshes the result until it is final, and then returns what ReturnValue
// does; or it returns ctx's error. On backends without a ResultWaiter it polls, at
// intervals from 5 ms to 1 s.
func (r *Result[R]) Wait(ctx context.Context) (R, error) {
	for pause := 5 * time.Millisecond; !r.Status.Final(); pause = min(pause*3/2, time.Second) {
		rec, err := r.waitOnce(ctx, pause)
		if err != nil {
			var zero R
			return zero, r.wrap("wait for result", err)
		}
		r.Record = *rec
	}
	return r.ReturnValue()
}

func (r *Result[R]) waitOnce(ctx context.Context, pause time.Duration) (rec *Record, err error) {
	if waiter := r.rt.slot.waiter; waiter != nil {
		rec, err = waiter.WaitResult(ctx, r.ID)
	} else {
		rec, err = r.read(ctx)
	}
	// A waiter that returns too early is polled like any other.
	if err != nil || rec.Status.Final() {
		return rec, err
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return rec, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
