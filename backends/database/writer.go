package database

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/tasks"
)

// Every enqueue is an op. One goroutine at a time takes the ops that have gathered
// and stores them by one statement, so that they share its round trip and its fsync.

// The bounds of one statement, so that no caller waits for ever for a crowd.
const (
	maxBatchBytes   = 8 << 20
	maxBatchRecords = 4096
	minOpSize       = maxBatchBytes / maxBatchRecords
)

// flushTimeout is when a write is given up whose callers have no deadline, so that a
// connection that was cut without a word doesn't hold up the rest for ever.
const flushTimeout = 30 * time.Second

type op struct {
	all  []fresh
	size int
	// finish tells the caller, unless it has left.
	finish func(error)

	state  atomic.Int32
	flight *flight // set before the op is taken
}

// The states of an op.
const (
	opWaiting  = iota // in line
	opTaken           // in a statement
	opFinished        // its caller is told
	opLeft            // its caller has left: before it was taken, it isn't stored
)

// flight is one statement on its way. When everyone who waits for it has left, it is
// cancelled, so that the next isn't kept waiting.
type flight struct {
	aboard atomic.Int32
	cancel context.CancelFunc
}

// do stores an op and waits for it.
func (b *Backend) do(ctx context.Context, o *op) error {
	if alone, err := b.now(ctx, o); alone {
		return err
	}
	done := make(chan error, 1)
	o.finish = func(err error) { done <- err }
	if err := b.submit(o); err != nil {
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if o.state.CompareAndSwap(opWaiting, opLeft) {
		return ctx.Err()
	}
	grace := time.NewTimer(outcomeGrace)
	defer grace.Stop()
	select {
	case err := <-done:
		return err
	case <-grace.C:
	}
	if err := o.leave(ctx); err != nil {
		return err
	}
	return <-done
}

// now stores an op on the caller's goroutine, if no other is on its way or in line, which
// spares it being handed over twice.
func (b *Backend) now(ctx context.Context, o *op) (alone bool, err error) {
	b.gate.RLock()
	alone = !b.closed && b.queue.Enter()
	b.gate.RUnlock()
	if !alone {
		return false, nil
	}
	defer b.queue.Leave()
	bounded, stop := context.WithTimeout(ctx, flushTimeout)
	defer stop()
	conn, err := b.acquire(bounded)
	if err != nil {
		if ctx.Err() == nil && bounded.Err() != nil {
			err = errNoConnection()
		}
		return true, err
	}
	late, cancel := graced(bounded)
	defer cancel()
	todo := make([]*fresh, len(o.all))
	for i := range o.all {
		todo[i] = &o.all[i]
	}
	refused, err := b.storeAll(late, conn, todo)
	switch {
	case refused:
		err = fmt.Errorf("%w: the server refuses it: %w", tasks.ErrInvalidTask, err)
	case err != nil && err == late.Err() && ctx.Err() != nil: //nolint:errorlint // it alone, and not what wraps it
		err = ctx.Err() // late is cancelled also where a deadline has passed
	}
	return true, err
}

// errNoConnection is what callers get who waited flushTimeout for the pool.
func errNoConnection() error {
	return unavailable(errors.New("database: no connection could be had"))
}

// leave gives an op up, and returns what that means; nil if it has finished.
func (o *op) leave(ctx context.Context) error {
	switch {
	case o.state.CompareAndSwap(opWaiting, opLeft):
		return ctx.Err()
	case o.state.CompareAndSwap(opTaken, opLeft):
		if o.flight.aboard.Add(-1) == 0 {
			o.flight.cancel()
		}
		return unknown(context.Cause(ctx))
	}
	return nil
}

// submit puts an op in line.
func (b *Backend) submit(o *op) error {
	o.size = max(o.size, minOpSize*len(o.all), 1)
	b.gate.RLock()
	defer b.gate.RUnlock()
	if b.closed {
		return tasks.ErrClosed
	}
	b.queue.Add(o)
	return nil
}

// flush is the queue's.
func (b *Backend) flush(ops []*op) {
	ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
	defer cancel()
	f := &flight{cancel: cancel}
	for _, o := range ops {
		o.flight = f
	}
	conn, err := b.acquire(ctx)
	// Only now that there is a connection are the ops beyond recall.
	live := make([]*op, 0, len(ops))
	f.aboard.Store(int32(len(ops)))
	for _, o := range ops {
		if o.state.CompareAndSwap(opWaiting, opTaken) {
			live = append(live, o)
		} else if f.aboard.Add(-1) == 0 {
			cancel()
		}
	}
	switch {
	case err != nil:
		if errors.Is(err, context.DeadlineExceeded) {
			err = errNoConnection()
		}
		tell(live, err)
	case len(live) == 0:
		conn.Release()
	default:
		b.store(ctx, conn, live)
	}
}

// store stores ops by one statement, on conn, which it releases. If the server refuses
// it for what is in it, it is split until only the op fails that is the reason.
func (b *Backend) store(ctx context.Context, conn *pgxpool.Conn, live []*op) {
	var todo []*fresh
	for _, o := range live {
		for i := range o.all {
			todo = append(todo, &o.all[i])
		}
	}
	refused, err := b.storeAll(ctx, conn, todo)
	switch {
	case !refused:
		tell(live, err)
	case len(live) == 1:
		tell(live, fmt.Errorf("%w: the server refuses it: %w", tasks.ErrInvalidTask, err))
	default:
		half := len(live) / 2
		b.store(ctx, nil, live[:half])
		b.store(ctx, nil, live[half:])
	}
}

// storeAll stores records and reads back those that were there already. The server may
// refuse the statement for what is in it; then nothing is stored. A nil conn is taken
// from the pool.
func (b *Backend) storeAll(ctx context.Context, conn *pgxpool.Conn, todo []*fresh) (refused bool, err error) {
	defer func() {
		if conn != nil {
			conn.Release()
		}
	}()
	for wrote, try := false, 1; len(todo) > 0; try++ {
		if conn == nil {
			if conn, err = b.acquire(ctx); err != nil {
				if wrote {
					err = unknown(err)
				}
				return false, err
			}
		}
		dups, err := b.put(ctx, conn, todo)
		if err != nil {
			what := judge(err)
			switch {
			case what == faultAgain && try < maxTries && ctx.Err() == nil:
				conn.Release()
				conn = nil
				continue
			case wrote:
				return false, unknown(err)
			case what == faultData:
				return true, err
			}
			return false, writeError(ctx, err)
		}
		wrote, todo = true, nil
		if len(dups) > 0 {
			// The rest of the statement is stored, whatever becomes of these.
			if todo, err = b.readDups(ctx, tunedRunner{conn: conn, tuning: tuning}, dups); err != nil {
				return false, unknown(err)
			}
		}
	}
	return false, nil
}

// tell finishes ops.
func tell(ops []*op, err error) {
	for _, o := range ops {
		if o.state.CompareAndSwap(opTaken, opFinished) {
			o.finish(err)
		}
	}
}
