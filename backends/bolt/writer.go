package bolt

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/sideman-go/sideman/tasks"
)

// Every write is an op. One goroutine at a time takes the ops that have gathered
// and applies them in one bbolt transaction, or logs them (journal.go), so that they
// share its fsync.

// The bounds of one transaction, so that no caller waits for ever for a crowd.
const (
	maxBatchBytes   = 8 << 20
	maxBatchRecords = 4096
	minOpSize       = maxBatchBytes / maxBatchRecords
)

// outcomeGrace is how much longer a caller whose ctx has ended waits to learn what
// became of a write that is in flight.
const outcomeGrace = 100 * time.Millisecond

type op struct {
	// apply writes. It may run more than once, each time in a fresh transaction, so
	// it leaves its results where only the owner of a finished op looks.
	apply func(t *txn) error
	size  int
	fresh []fresh // if it is an enqueue: apply writes these
	// finish tells the caller, unless it has left.
	finish func(error)
	// orphan, if set, is called when the op was stored and its caller has left.
	orphan func()

	state atomic.Int32
	err   error
	doubt bool // it may be in the log though it failed
}

// The states of an op.
const (
	opWaiting  = iota // in line
	opTaken           // in a transaction
	opFinished        // its caller is told
	opLeft            // its caller has left: before it was taken, it isn't applied
)

// do applies a write and waits for it.
func (b *Backend) do(ctx context.Context, o *op) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if ctx.Done() == nil {
		return b.now(o)
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
	if o.state.CompareAndSwap(opTaken, opLeft) {
		return unknown(context.Cause(ctx))
	}
	return <-done
}

// now applies an op of a caller that waits whatever happens: on its own goroutine
// if there is no other op to share a commit with, which saves handing it over
// twice.
func (b *Backend) now(o *op) error {
	done := make(chan error, 1)
	o.finish = func(err error) { done <- err }
	if b.active.Add(1) > 1 {
		b.active.Add(-1)
		if err := b.submit(o); err != nil {
			return err
		}
		return <-done
	}
	defer b.active.Add(-1)
	if !b.enter() {
		return tasks.ErrClosed
	}
	defer b.inline.Done()
	b.flush([]*op{o})
	return <-done
}

// enter reports whether the backend is open; if so, Close waits for inline.Done.
func (b *Backend) enter() bool {
	b.gate.RLock()
	defer b.gate.RUnlock()
	if b.closed {
		return false
	}
	b.inline.Add(1)
	return true
}

// unknown reports a write of which the caller can't know whether it was stored.
func unknown(cause error) error { return fmt.Errorf("%w: %w", tasks.ErrUnknownOutcome, cause) }

// submit puts an op in line.
func (b *Backend) submit(o *op) error {
	o.size = max(o.size, minOpSize)
	b.gate.RLock()
	defer b.gate.RUnlock()
	if b.closed {
		return tasks.ErrClosed
	}
	b.active.Add(1)
	b.queue.Add(o)
	return nil
}

// run is the queue's flush.
func (b *Backend) run(ops []*op) {
	defer b.active.Add(-int64(len(ops)))
	growStack(len(ops))
	b.flush(ops)
}

// growStack makes the stack of a new goroutine large enough for a commit at once,
// while it is all but empty. Growing bit by bit, deep within bbolt, copies and
// adjusts every frame each time.
//
//go:noinline
func growStack(i int) byte {
	var room [16 << 10]byte
	return room[i%len(room)]
}

// flush applies a batch. Ops that fail for their own sake don't hurt the others:
// one that wrote something before it failed is left out of a second try.
func (b *Backend) flush(ops []*op) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	b.writing.Lock()
	defer b.writing.Unlock()
	live := make([]*op, 0, len(ops))
	if b.journal.held() != nil {
		// What was acknowledged comes first, and alone: what shares its transaction
		// might be what can't be written.
		if err := b.commitPending(); err != nil {
			b.tell(take(ops, live), err)
			return
		}
	}
	if b.log(ops) {
		return
	}
	for taken := false; ; taken = true {
		t, err := b.begin(true)
		if !taken {
			// Only now that the transaction is open are the ops beyond recall.
			live = take(ops, live)
		}
		if err != nil {
			b.tell(live, err)
			return
		}
		bad := b.apply(t, live)
		if bad < 0 {
			b.commit(t, live)
			return
		}
		_ = b.rollback(t)
		b.tell(live[bad:bad+1], live[bad].err)
		live = append(live[:bad], live[bad+1:]...)
	}
}

// take appends the ops that are to be applied to live.
func take(ops, live []*op) []*op {
	for _, o := range ops {
		if o.state.CompareAndSwap(opWaiting, opTaken) || o.doubt {
			live = append(live, o)
		}
	}
	return live
}

// apply applies the ops, and returns the index of one that failed halfway, or -1.
func (b *Backend) apply(t *txn, live []*op) int {
	for i, o := range live {
		before := t.writes
		o.err = b.guard(func() error { return o.apply(t) })
		if o.err != nil && t.writes != before {
			return i
		}
	}
	return -1
}

// commit ends the transaction and tells every caller.
func (b *Backend) commit(t *txn, live []*op) {
	if t.writes == 0 {
		b.tell(live, b.rollback(t))
		return
	}
	id := t.tx.ID()
	err := b.end(t)
	if err == nil {
		b.hub.publish(&t.news)
		b.tell(live, nil)
		return
	}
	if errors.Is(err, tasks.ErrDamaged) && len(live) > 1 {
		_ = b.commitPending()
		// A damaged page may concern one of them only.
		for i := range live {
			b.alone(live[i])
		}
		return
	}
	err = b.commitError(id, err)
	_ = b.commitPending()
	b.tell(live, err)
}

// end commits a transaction, or rolls it back if that fails.
func (b *Backend) end(t *txn) error {
	err := b.guard(func() error {
		if err := t.writeCounts(); err != nil {
			return err
		}
		return t.tx.Commit()
	})
	if err == nil {
		b.caughtUp(t)
	} else {
		_ = b.rollback(t) // harmless if Commit has done it
	}
	return err
}

// alone applies an op in a transaction of its own.
func (b *Backend) alone(o *op) {
	t, err := b.begin(true)
	if err == nil {
		if b.apply(t, []*op{o}) < 0 {
			b.commit(t, []*op{o})
			return
		}
		_ = b.rollback(t)
	}
	b.tell([]*op{o}, err)
}

// commitError says what a failed commit means. The transaction counts if, and
// only if, its meta page can be read: then it is there for readers now, though
// nobody knows whether it would survive a crash.
func (b *Backend) commitError(id int, err error) error {
	stored := false
	if !errors.Is(err, tasks.ErrDamaged) {
		_ = b.read(func(t *txn) error {
			stored = t.tx.ID() >= id
			return nil
		})
	}
	err = b.explain(err)
	if stored {
		return unknown(err)
	}
	return err
}

// tell finishes ops: with err, or else each with its own.
func (b *Backend) tell(ops []*op, err error) {
	for _, o := range ops {
		if o.err == nil {
			o.err = err
		}
		if o.doubt && o.err != nil && !errors.Is(o.err, tasks.ErrUnknownOutcome) {
			o.err = unknown(o.err)
		}
		switch {
		case o.state.CompareAndSwap(opTaken, opFinished):
			o.finish(o.err)
		case o.err == nil && o.orphan != nil:
			o.orphan()
		}
	}
}

// begin opens a transaction. One that writes begins with what is pending.
func (b *Backend) begin(write bool) (*txn, error) {
	var t *txn
	err := b.guard(func() error {
		tx, err := b.db.Begin(write)
		if err == nil {
			t = b.txn(tx)
		}
		return err
	})
	if err == nil && write {
		if err = b.guard(func() error { return b.catchUp(t) }); err != nil {
			_ = b.rollback(t)
			b.journal.setStuck(b.explain(err))
		}
	}
	if err != nil {
		return nil, b.explain(err)
	}
	return t, nil
}

func (b *Backend) txn(tx *bbolt.Tx) *txn {
	return &txn{tx: tx, file: b.path, keep: b.keep, now: time.Now()}
}

func (b *Backend) rollback(t *txn) error {
	return b.guard(func() error {
		if err := t.tx.Rollback(); err != nil && !errors.Is(err, bolterrors.ErrTxClosed) {
			return err
		}
		return nil
	})
}

// view runs fn in a read transaction that sees every write that was acknowledged.
func (b *Backend) view(fn func(t *txn) error) error {
	if err := b.commitFirst(); err != nil {
		return err
	}
	return b.read(fn)
}

// read is view without what is pending.
func (b *Backend) read(fn func(t *txn) error) error {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	t, err := b.begin(false)
	if err != nil {
		return err
	}
	err = b.guard(func() error { return fn(t) })
	if end := b.rollback(t); err == nil {
		err = end
	}
	return err
}

// guard turns a panic of bbolt, which is how it meets damaged pages, into an
// error. Faults while reading the mapped file are panics too, where
// debug.SetPanicOnFault is set.
func (b *Backend) guard(fn func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %s: %v", tasks.ErrDamaged, b.path, p)
		}
	}()
	return fn()
}

// explain turns bbolt's errors into the framework's.
func (b *Backend) explain(err error) error {
	switch {
	case err == nil, errors.Is(err, tasks.ErrDamaged), errors.Is(err, tasks.ErrUnavailable):
		return err
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return tasks.ErrClosed
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum), errors.Is(err, bolterrors.ErrInvalidMapping):
		return fmt.Errorf("%w: %s: %w", tasks.ErrDamaged, b.path, err)
	}
	return fmt.Errorf("%w: %s: %w", tasks.ErrUnavailable, b.path, err)
}
