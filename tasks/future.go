package tasks

import (
	"context"
	"sync/atomic"
)

// Future is an enqueue that goes on in the background. It is safe for concurrent
// use.
type Future[R any] struct {
	done chan struct{}
	res  *Result[R]
	err  error
}

// Done returns a channel that is closed when the enqueue has ended, for select.
func (f *Future[R]) Done() <-chan struct{} { return f.done }

// Wait returns what Enqueue would have returned, once it has ended, or ctx's error
// if that ends first; the enqueue then goes on.
func (f *Future[R]) Wait(ctx context.Context) (*Result[R], error) {
	select {
	case <-f.done:
		return f.res, f.err
	default:
	}
	select {
	case <-f.done:
		return f.res, f.err
	case <-ctx.Done():
		return nil, &Error{Op: "wait for enqueue", Err: context.Cause(ctx)}
	}
}

// AEnqueue validates and encodes, starts the write and returns at once. The write
// doesn't depend on ctx any more: it is stored, or has its error, also when ctx
// ends, and App.Close waits for it. When AppOptions.MaxPending writes are under
// way, AEnqueue waits for room, or for ctx. It never returns nil.
//
// It is Django's aenqueue, with a Future where Python has an awaitable.
func (t *Task[A, R]) AEnqueue(ctx context.Context, arg A) *Future[R] {
	f := &Future[R]{done: make(chan struct{})}
	c := t.call(arg)
	p, err := prepare(ctx, nil, &c)
	if err == nil {
		err = p.Runtime.app.async.enter(ctx, p)
	}
	if err != nil {
		f.err = err
		close(f.done)
		return f
	}
	var told atomic.Bool
	p.start(context.WithoutCancel(ctx), func(err error) {
		if told.Swap(true) {
			return // a backend that says it twice
		}
		if f.err = err; err == nil {
			f.res, f.err = ResultOf[R](p)
		}
		close(f.done) // first, so that a Close that has returned leaves no Future open
		p.Runtime.app.async.leave()
	})
	return f
}

// start writes the records in the background. It takes no goroutine where the
// backend can do without and nothing of the user's is to be run.
func (p *Prepared) start(ctx context.Context, done func(error)) {
	app := p.Runtime.app
	if async := p.Runtime.slot.async; async != nil && !app.wrapsEnqueue() {
		async.AEnqueue(p.mark(ctx), p.Records, func(err error) {
			if err == nil && app.hooked() {
				go func() { // hooks may take their time
					defer done(nil) // also when one calls runtime.Goexit
					p.Stored(ctx)
				}()
				return
			}
			done(p.finish(ctx, err))
		})
		return
	}
	go func() {
		err := ErrGoexit // unless the write returns, which middleware may prevent
		defer func() {
			if p.stored {
				err = nil
			}
			defer func() { done(err) }() // also when a hook calls runtime.Goexit
			err = p.finish(ctx, err)
		}()
		err = safely(func() error { return p.write(ctx) })
	}()
}

// pending counts the AEnqueue calls under way: each holds a place in room.
type pending struct{ room chan struct{} }

func (n *pending) enter(ctx context.Context, p *Prepared) error {
	fail := func(err error) error {
		rec := p.Records[0]
		return &Error{Op: p.op, Alias: p.Runtime.alias, Task: rec.Task, ID: rec.ID, Err: err}
	}
	select {
	case n.room <- struct{}{}:
	default:
		select {
		case n.room <- struct{}{}:
		case <-ctx.Done():
			return fail(context.Cause(ctx))
		case <-p.Runtime.app.closing:
			return fail(ErrClosed)
		}
	}
	if p.Runtime.app.isClosing() {
		n.leave()
		return fail(ErrClosed)
	}
	return nil
}

func (n *pending) leave() { <-n.room }

// drain takes every place, so it returns when nothing is under way any more.
func (n *pending) drain(ctx context.Context) error {
	for range cap(n.room) {
		select {
		case n.room <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
