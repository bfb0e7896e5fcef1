package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/sideman-go/sideman/internal/newid"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// Enqueues that come while another is on its way go together in one script.

const (
	maxBatchBytes = 4 << 20
	minWriteSize  = maxBatchBytes / 2000
	maxArgs       = 256 << 20 // half of what Redis takes as one argument, and a quarter of one command
	// longestFlush bounds one flush, also with a client that doesn't: the next callers wait
	// behind it.
	longestFlush = 10 * time.Second
)

// argsEach is how many arguments the script has for each record.
const argsEach = 3

// write is one call of Enqueue. It has nothing of the caller's records, which may be gone or
// changed by the time that it is sent.
type write struct {
	encoded []encoded
	one     [1]encoded // where that of a single record is
	append  bool       // it's one record that can be appended
	fresh   bool       // it's one record whose id can't be there
	shard   int
	size    int

	// What the store decided: when the records were enqueued, and by their places what there was of
	// those that weren't stored.
	at    time.Time
	there map[int]found

	// How the caller is told, unless it has left: by finish, or else by done, which has room for it.
	done   chan error
	finish func(error)
	state  atomic.Int32
	err    error
}

// found is a record that an enqueue came upon: the caller's own, with the time of an earlier try
// that has stored it, or else another one.
type found struct {
	at  time.Time
	rec *tasks.Record
}

var errNothing = fmt.Errorf("%w: enqueue: a record is there and isn't", tasks.ErrDamaged)

// The states of a write.
const (
	writeWaiting  = iota // in line
	writeTaken           // on its way
	writeFinished        // its caller is told
	writeLeft            // its caller has left: before it was taken, it isn't sent
)

// reuse keeps a write for a later call of Enqueue. Nobody has it any more: it was stored by its
// caller, or that was told.
func (b *Backend) reuse(w *write) {
	*w = write{done: w.done}
	b.spare.Put(w)
}

// prepare makes an empty write that of the records.
func (b *Backend) prepare(w *write, recs []*tasks.Record) error {
	if len(recs) == 1 {
		w.encoded = w.one[:]
	} else {
		w.encoded = make([]encoded, len(recs))
	}
	for i, rec := range recs {
		if err := fits(rec); err != nil {
			return err
		}
		shard := b.shard(rec.ID)
		if i > 0 && shard != w.shard {
			return fmt.Errorf("%w: a batch is stored all or none in one shard, and the records %q and %q are in different ones of the %d: "+
				"enqueue them one by one, or give them ids that end in the same %d bytes",
				tasks.ErrUnsupported, recs[0].ID, rec.ID, b.shards, tailBytes)
		}
		w.shard = shard
	}
	w.append = len(recs) == 1 && canAppend(recs[0])
	for i, rec := range recs {
		var err error
		if w.encoded[i], err = encode(rec, w.append); err != nil {
			return err
		}
		w.size += len(rec.ID) + len(w.encoded[i].text)
	}
	w.append = w.append && w.size <= maxAppendSize
	if w.size > maxArgs {
		return fmt.Errorf("%w: a batch of %d bytes", tasks.ErrTooLarge, w.size)
	}
	w.size = max(w.size, minWriteSize*len(recs))
	return nil
}

// fits refuses what the layout can't hold. The App has checked the rest.
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
	case len(rec.Args) > maxArgs:
		return fmt.Errorf("%w: %d bytes of arguments", tasks.ErrTooLarge, len(rec.Args))
	}
	return nil
}

// Enqueue implements tasks.Backend. With several shards, the records of one call are all in
// the same one, or the call is refused with tasks.ErrUnsupported.
func (b *Backend) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	if err := b.ready(ctx); err != nil || len(recs) == 0 {
		return err
	}
	w, _ := b.spare.Get().(*write)
	if w == nil {
		w = &write{done: make(chan error, 1)}
	}
	if err := b.prepare(w, recs); err != nil {
		return err
	}
	w.fresh = len(recs) == 1 && newid.Take(ctx, recs[0].ID)
	if alone, err := b.storeAlone(ctx, w); alone || err != nil {
		w.fill(recs, err)
		b.reuse(w)
		return err
	}
	if err := b.submit(w); err != nil {
		return err
	}
	var err error
	select {
	case err = <-w.done:
		w.fill(recs, err)
		b.reuse(w)
		return err
	case <-ctx.Done():
	}
	if w.state.CompareAndSwap(writeWaiting, writeLeft) {
		return ctx.Err()
	}
	grace := time.NewTimer(outcomeGrace)
	defer grace.Stop()
	select {
	case err = <-w.done:
	case <-grace.C:
		if w.state.CompareAndSwap(writeTaken, writeLeft) {
			return unknown(context.Cause(ctx))
		}
		err = <-w.done
	}
	w.fill(recs, err)
	return err
}

// AEnqueue implements tasks.AsyncEnqueuer. No goroutine waits: the one that sends calls done.
func (b *Backend) AEnqueue(ctx context.Context, recs []*tasks.Record, done func(error)) {
	if err := b.ready(ctx); err != nil || len(recs) == 0 {
		done(err)
		return
	}
	w := new(write)
	if err := b.prepare(w, recs); err != nil {
		done(err)
		return
	}
	w.fresh = len(recs) == 1 && newid.Take(ctx, recs[0].ID)
	stop := func() bool { return true }
	w.finish = func(err error) {
		stop()
		w.fill(recs, err)
		done(err)
	}
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, func() {
			if w.state.CompareAndSwap(writeWaiting, writeLeft) {
				done(ctx.Err())
				return
			}
			time.AfterFunc(outcomeGrace, func() {
				if w.state.CompareAndSwap(writeTaken, writeLeft) {
					done(unknown(context.Cause(ctx)))
				}
			})
		})
	}
	if err := b.submit(w); err != nil && w.state.CompareAndSwap(writeWaiting, writeLeft) {
		stop()
		done(err)
	}
}

// submit puts a write in line.
func (b *Backend) submit(w *write) error {
	b.gate.RLock()
	defer b.gate.RUnlock()
	if b.closed {
		return tasks.ErrClosed
	}
	b.writes.Add(w)
	return nil
}

// fill brings the caller's records up to what the store decided.
func (w *write) fill(recs []*tasks.Record, err error) {
	if err != nil {
		return
	}
	for i, rec := range recs {
		at := w.at
		if f, ok := w.there[i]; ok {
			if f.rec != nil {
				*rec = *f.rec
				rec.Duplicate = true
				continue
			}
			at = f.at
		}
		lifecycle.Enqueue(rec, at)
		rec.RunAfter, rec.ExpiresAt = lifecycle.Time(rec.RunAfter), lifecycle.Time(rec.ExpiresAt)
	}
}

// tell gives the caller its error.
func (w *write) tell() {
	if w.finish != nil {
		w.finish(w.err)
		return
	}
	w.done <- w.err
}

// flush sends the writes that have gathered, one script for each shard.
func (b *Backend) flush(all []*write) {
	groups := make(map[int][]*write, 1)
	for _, w := range all {
		if w.state.CompareAndSwap(writeWaiting, writeTaken) {
			groups[w.shard] = append(groups[w.shard], w)
		}
	}
	for shard, group := range groups {
		err := b.storeGroup(shard, group)
		for _, w := range group {
			if w.err == nil {
				w.err = err
			}
			if w.state.CompareAndSwap(writeTaken, writeFinished) {
				w.tell()
			}
		}
	}
}

// storeGroup stores what has gathered for a shard. Where the express has no connection, the client
// may have one.
func (b *Backend) storeGroup(shard int, group []*write) error {
	ctx, cancel := context.WithTimeout(context.Background(), longestFlush)
	defer cancel()
	if b.express != nil {
		b.express.begin()
		err := b.store(ctx, b.express, shard, group)
		b.express.end()
		if err == nil || !classify(err).notRun() {
			return err
		}
	}
	return b.store(ctx, b.client, shard, group)
}

// store appends the writes of a group if it can, or else stores them by enqueue, which is for
// everything. Its error is that of all those that have none yet.
func (b *Backend) store(ctx context.Context, c processor, shard int, group []*write) error {
	if err := b.layOut(ctx); err != nil {
		return err
	}
	if slices.ContainsFunc(group, func(w *write) bool { return !w.append }) {
		return b.storeIndexed(ctx, c, shard, group)
	}
	left, err := b.append(ctx, c, shard, group)
	if err != nil || len(left) == 0 {
		return err
	}
	err = b.storeIndexed(ctx, c, shard, left)
	for _, w := range left {
		if w.err == nil {
			w.err = err
		}
	}
	return nil
}

// storeIndexed sends one script, and hands its answers to the writes.
func (b *Backend) storeIndexed(ctx context.Context, c processor, shard int, group []*write) error {
	args := joinArgs(group)
	reply, err := b.send(ctx, c, &b.scripts.enqueue, shard, args)
	if err != nil {
		return err
	}
	first := 0
	at, others, err := readEnqueue(reply, len(args)/argsEach)
	if err != nil {
		return err
	}
	for _, w := range group {
		w.err = w.read(at, others, first)
		first += len(w.encoded)
	}
	return nil
}

// joinArgs returns the arguments of several records: most have the head of the one before, and
// then it is left out.
func joinArgs(group []*write) []any {
	n := 0
	for _, w := range group {
		n += len(w.encoded)
	}
	args := make([]any, 0, argsEach*n)
	last := ""
	for _, w := range group {
		for _, e := range w.encoded {
			head, envelope := e.parts()
			if head == last {
				head = ""
			} else {
				last = head
			}
			args = append(args, e.id, head, envelope)
		}
	}
	return args
}

// readEnqueue takes apart what the script says of n records: the time of those that it has
// stored, and by their places what there is of the others.
func readEnqueue(reply any, n int) (at time.Time, others map[int]any, err error) {
	if all, ok := reply.(string); ok {
		at, err = parseTime(all)
		return at, nil, err
	}
	answers := list(reply)
	if len(answers)%2 == 0 {
		return at, nil, fmt.Errorf("%w: enqueue: %d answers", tasks.ErrDamaged, len(answers))
	}
	if at, err = parseTime(text(answers[0])); err != nil {
		return at, nil, err
	}
	others = make(map[int]any, len(answers)/2)
	for i := 1; i < len(answers); i += 2 {
		place, ok := answers[i].(int64)
		if !ok || place < 0 || place >= int64(n) {
			return at, nil, fmt.Errorf("%w: enqueue: an answer for record %v of %d", tasks.ErrDamaged, answers[i], n)
		}
		others[int(place)] = answers[i+1]
	}
	return at, others, nil
}

// read takes what the script says of the records of a write; first is the place of its first one.
func (w *write) read(at time.Time, others map[int]any, first int) error {
	w.at, w.there = at, nil
	var faults []error
	for i := range w.encoded {
		other, ok := others[first+i]
		if !ok {
			continue
		}
		if w.there == nil {
			w.there = make(map[int]found)
		}
		if text, is := other.(string); is {
			t, err := parseTime(text)
			w.there[i] = found{at: t}
			faults = append(faults, err)
			continue
		}
		var f reading
		if values := list(other); len(values) == 4 {
			f = decodeFound(w.encoded[i].id, values, pairs(values[3]))
		}
		if f.rec == nil {
			faults = append(faults, cmp.Or(f.err, errNothing))
			continue
		}
		w.there[i] = found{rec: &f.rec.rec}
	}
	return errors.Join(faults...)
}
