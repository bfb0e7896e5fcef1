package bolt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// farArgsSize is from how many bytes on arguments are kept apart, so that claim,
// renewal and settle don't write them again.
const farArgsSize = 1 << 10

var errNoArgs = errors.New("its arguments are missing")

// fresh is a record on its way in. The caller's goroutine encodes it; the writer
// only patches the times.
type fresh struct {
	in   tasks.Record // as it came, with Delay and TTL
	key  []byte
	buf  []byte
	args []byte // if they are kept apart
	out  tasks.Record
}

func prepare(recs []*tasks.Record) (all []fresh, size int, err error) {
	all = make([]fresh, len(recs))
	for i, rec := range recs {
		if err := fits(rec); err != nil {
			return nil, 0, err
		}
		f := &all[i]
		f.in = *rec
		f.key = []byte(rec.ID)
		e := envelope{rec: *rec, farArgs: len(rec.Args) > farArgsSize}
		// Clears what only later events set; the writer does it again for the times.
		lifecycle.Enqueue(&e.rec, e.rec.EnqueuedAt)
		if e.farArgs {
			f.args = append([]byte(nil), rec.Args...)
		}
		f.buf = e.encode(make([]byte, 0, min(sizeHint(rec), farArgsSize+256)))
		size += len(f.buf) + len(f.args) + 128
	}
	return all, size, nil
}

// fits refuses what the key layout can't hold. The App has checked the rest.
func fits(rec *tasks.Record) error {
	switch {
	case rec.ID == "" || len(rec.ID) > 255:
		return fmt.Errorf("%w: an id has 1 to 255 bytes here, not %d", tasks.ErrInvalidTask, len(rec.ID))
	case len(rec.Queue) > 255:
		return fmt.Errorf("%w: a queue name has up to 255 bytes here, not %d", tasks.ErrInvalidTask, len(rec.Queue))
	case len(rec.Task) > 4096:
		return fmt.Errorf("%w: a task name has up to 4096 bytes here, not %d", tasks.ErrInvalidTask, len(rec.Task))
	case rec.Priority < tasks.MinPriority || rec.Priority > tasks.MaxPriority:
		return fmt.Errorf("%w: priority %d is not within %d…%d", tasks.ErrInvalidTask, rec.Priority, tasks.MinPriority, tasks.MaxPriority)
	case len(rec.Args) > math.MaxInt32/2:
		return fmt.Errorf("%w: %d bytes of arguments", tasks.ErrTooLarge, len(rec.Args))
	}
	return nil
}

func enqueueOp(all []fresh, size int) *op {
	return &op{size: size, fresh: all, apply: func(t *txn) error { return t.enqueue(all) }}
}

// enqueue writes the records. It is the apply of an op.
func (t *txn) enqueue(all []fresh) error {
	// Reading first: a stored record that can't be read fails the op without a trace.
	for i := range all {
		f := &all[i]
		f.out = tasks.Record{}
		if t.get(inRecords, f.key) != nil {
			rec, err := t.whole(f.in.ID)
			if err != nil {
				return err
			}
			f.out = *rec
			f.out.Duplicate = true
		}
	}
	for i := range all {
		f := &all[i]
		if f.out.Duplicate {
			continue
		}
		if i > 0 && t.get(inRecords, f.key) != nil { // twice in this batch
			rec, err := t.whole(f.in.ID)
			if err != nil {
				return err
			}
			f.out = *rec
			f.out.Duplicate = true
			continue
		}
		if err := t.add(f); err != nil {
			return err
		}
	}
	return nil
}

// stamp completes a record that is stored now.
func (f *fresh) stamp(now time.Time) {
	f.out = f.in
	r := &f.out
	lifecycle.Enqueue(r, now)
	h := head(f.buf)
	h.patch(offEnqueued, r.EnqueuedAt)
	h.patch(offRunAfter, r.RunAfter)
	h.patch(offExpires, r.ExpiresAt)
}

func (t *txn) add(f *fresh) error {
	f.stamp(t.now)
	return t.place(f)
}

// place writes a record that is complete and isn't there yet.
func (t *txn) place(f *fresh) error {
	if err := t.index(&envelope{rec: f.out}); err != nil {
		return err
	}
	if len(f.args) > 0 {
		if err := t.put(inArgs, f.key, f.args); err != nil {
			return err
		}
	}
	return t.put(inRecords, f.key, f.buf)
}

// fill tells the caller what the store decided.
func fill(recs []*tasks.Record, all []fresh) {
	for i, rec := range recs {
		*rec = all[i].out
	}
}

// Enqueue implements tasks.Backend.
func (b *Backend) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(recs) == 0 {
		return b.alive()
	}
	all, size, err := prepare(recs)
	if err != nil {
		return err
	}
	err = b.do(ctx, enqueueOp(all, size))
	if err == nil {
		fill(recs, all)
	}
	return err
}

// AEnqueue implements tasks.AsyncEnqueuer. No goroutine waits: the writer calls
// done.
func (b *Backend) AEnqueue(ctx context.Context, recs []*tasks.Record, done func(error)) {
	if err := ctx.Err(); err != nil {
		done(err)
		return
	}
	all, size, err := prepare(recs)
	if err != nil {
		done(err)
		return
	}
	o := enqueueOp(all, size)
	stop := func() bool { return true }
	o.finish = func(err error) {
		stop()
		if err == nil {
			fill(recs, all)
		}
		done(err)
	}
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, func() {
			switch {
			case o.state.CompareAndSwap(opWaiting, opLeft):
				done(ctx.Err())
			case o.state.CompareAndSwap(opTaken, opLeft):
				done(unknown(context.Cause(ctx)))
			}
		})
	}
	if err := b.submit(o); err != nil && o.state.CompareAndSwap(opWaiting, opLeft) {
		stop()
		done(err)
	}
}

// GetResult implements tasks.Backend.
func (b *Backend) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	// A pending one is read from memory: a commit for it would be a waste.
	if rec := b.journal.get(id); rec != nil {
		return rec, nil
	}
	var rec *tasks.Record
	err := b.read(func(t *txn) (err error) {
		rec, err = t.whole(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return rec, nil
}
