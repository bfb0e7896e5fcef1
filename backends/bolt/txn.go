package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// txn is a transaction on our bucket. It keeps the indexes and counters in step
// with the records, and gathers what is to be announced once it is committed.
type txn struct {
	tx   *bbolt.Tx
	file string
	keep lifecycle.Retention
	now  time.Time

	top    *bbolt.Bucket
	key    []byte // for full
	writes int    // Put and Delete calls, to know whether an op has left a trace
	counts map[string]int64
	news   news
	log    logState // as of the end, if it was written
}

// fillPercent is how full a page is left when it is split. Most keys are added in
// ascending order, so that pages aren't filled up later; but records grow.
const fillPercent = 0.8

// news is what others wait for and a commit makes true.
type news struct {
	ready   bool // a record became READY or a queue was resumed
	finals  []*envelope
	gone    []string // ids of records that were deleted before they were final
	cancels []cancelNote
}

type cancelNote struct{ id, reason string }

// bucket returns the one bucket. Its absence is a panic, as bbolt itself does for
// damage: it ends up as ErrDamaged.
func (t *txn) bucket() *bbolt.Bucket {
	if t.top == nil {
		if t.top = t.tx.Bucket([]byte(topBucket)); t.top == nil {
			panic(fmt.Sprintf("the bucket %q is missing", topBucket))
		}
		t.top.FillPercent = fillPercent
	}
	return t.top
}

// full returns the key with its space before it, until the next call.
func (t *txn) full(in space, key []byte) []byte {
	t.key = append(append(t.key[:0], byte(in)), key...)
	return t.key
}

func (t *txn) get(in space, key []byte) []byte { return t.bucket().Get(t.full(in, key)) }

func (t *txn) put(in space, key, value []byte) error {
	t.writes++
	return t.damage(t.bucket().Put(t.full(in, key), value)) // bbolt copies the key, not the value
}

// damage names what can only come of a damaged page: a bucket where there is none of ours.
func (t *txn) damage(err error) error {
	if errors.Is(err, bolterrors.ErrIncompatibleValue) {
		return fmt.Errorf("%w: %s: %w", tasks.ErrDamaged, t.file, err)
	}
	return err
}

func (t *txn) del(in space, key []byte) error {
	t.writes++
	return t.damage(t.bucket().Delete(t.full(in, key)))
}

// cursor walks one space. Writing makes it invalid.
func (t *txn) cursor(in space) *cursor { return &cursor{c: t.bucket().Cursor(), in: in} }

type cursor struct {
	c   *bbolt.Cursor
	in  space
	key []byte
	at  []byte // the key that it stands on, with its space
}

// strip ends the walk where the space ends.
func (c *cursor) strip(k, v []byte) ([]byte, []byte) {
	c.at = k
	if len(k) == 0 || k[0] != byte(c.in) {
		return nil, nil
	}
	return k[1:], v
}

// order panics, as bbolt does when it meets damage, unless a is before b: on pages
// whose keys are out of order a walk could go round in circles.
func order(a, b []byte) {
	if a != nil && b != nil && bytes.Compare(a, b) >= 0 {
		panic("keys are out of order")
	}
}

func (c *cursor) seek(key []byte) (k, v []byte) {
	c.key = append(append(c.key[:0], byte(c.in)), key...)
	k, v = c.c.Seek(c.key)
	if k != nil && bytes.Compare(k, c.key) < 0 {
		panic("keys are out of order")
	}
	return c.strip(k, v)
}

func (c *cursor) first() (k, v []byte) { return c.seek(nil) }

func (c *cursor) next() (k, v []byte) {
	was := c.at
	k, v = c.c.Next()
	order(was, k)
	return c.strip(k, v)
}

func (c *cursor) prev() (k, v []byte) {
	was := c.at
	k, v = c.c.Prev()
	order(k, was)
	return c.strip(k, v)
}

func (c *cursor) last() (k, v []byte) {
	if k, _ := c.c.Seek([]byte{byte(c.in) + 1}); k == nil {
		return c.strip(c.c.Last())
	}
	return c.strip(c.c.Prev())
}

// each calls fn with every key of a space, and its value, until fn returns an error.
func (t *txn) each(in space, fn func(k, v []byte) error) error {
	c := t.cursor(in)
	for k, v := c.first(); k != nil; k, v = c.next() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return nil
}

// load reads a record, or returns nil if there is none.
func (t *txn) load(id string) (*envelope, error) {
	b := t.raw(id)
	if b == nil {
		return nil, nil
	}
	e, err := decode(id, b)
	if err != nil {
		return nil, t.damaged(id, err)
	}
	return e, nil
}

// raw returns the stored form of a record, which is only valid in this
// transaction and until the record is written.
func (t *txn) raw(id string) []byte {
	if id == "" || len(id) > bbolt.MaxKeySize {
		return nil
	}
	return t.get(inRecords, []byte(id))
}

// loadArgs completes a record whose arguments are kept apart.
func (t *txn) loadArgs(e *envelope) error {
	if !e.farArgs || e.rec.Args != nil {
		return nil
	}
	args := t.get(inArgs, []byte(e.rec.ID))
	if args == nil {
		return t.damaged(e.rec.ID, errNoArgs)
	}
	e.rec.Args = append([]byte{}, args...)
	return nil
}

func (t *txn) damaged(id string, err error) error {
	return fmt.Errorf("%w: record %q in %s: %w", tasks.ErrDamaged, id, t.file, err)
}

// whole loads a record with its arguments, for a reader.
func (t *txn) whole(id string) (*tasks.Record, error) {
	e, err := t.load(id)
	if err != nil {
		return nil, err
	}
	if e == nil {
		return nil, tasks.ErrResultNotFound
	}
	if err := t.loadArgs(e); err != nil {
		return nil, err
	}
	return &e.rec, nil
}

// update changes a stored record and moves it in the indexes. change gets the
// record as it is, and reports whether it is to be deleted.
func (t *txn) update(e *envelope, change func(r *tasks.Record) (gone bool)) error {
	if err := t.unindex(e); err != nil {
		return err
	}
	was := e.rec.Status
	gone := change(&e.rec)
	final := e.rec.Status.Final()
	if final && !was.Final() {
		if at, atOnce := t.keep.PruneAt(&e.rec); atOnce {
			gone = true
		} else {
			e.until = at
		}
		if gone {
			_ = t.loadArgs(e) // for who waits for it: there will be nothing to read
		}
		t.news.finals = append(t.news.finals, e)
	} else if gone && !was.Final() {
		t.news.gone = append(t.news.gone, e.rec.ID)
	}
	if gone {
		return t.remove(e)
	}
	return t.store(e)
}

// store writes a record that isn't in the indexes, and its place in them.
func (t *txn) store(e *envelope) error {
	if !e.rec.Status.Final() && e.rec.Status != tasks.Running {
		e.until = time.Time{}
	}
	if err := t.index(e); err != nil {
		return err
	}
	return t.put(inRecords, []byte(e.rec.ID), e.encode(make([]byte, 0, sizeHint(&e.rec))))
}

// remove deletes a record that isn't in the indexes.
func (t *txn) remove(e *envelope) error {
	if e.farArgs {
		if err := t.del(inArgs, []byte(e.rec.ID)); err != nil {
			return err
		}
	}
	return t.del(inRecords, []byte(e.rec.ID))
}

func (t *txn) index(e *envelope) error {
	r := &e.rec
	t.count(r.Queue, statusCode(r.Status), r.Task, 1)
	switch r.Status {
	case tasks.Ready:
		t.news.ready = true
		if err := t.put(inReady, readyKey(r.Queue, levelOf(r.Priority), r.DueAt(), r.ID), nil); err != nil {
			return err
		}
		if canExpire(r) {
			return t.put(inExpiry, timeKey(r.ExpiresAt, r.ID), nil)
		}
		return nil
	case tasks.Running:
		return t.put(inLeases, timeKey(e.until, r.ID), nil)
	default:
		return t.put(inFinal, timeKey(e.until, r.ID), finalValue(r))
	}
}

func (t *txn) unindex(e *envelope) error {
	r := &e.rec
	t.count(r.Queue, statusCode(r.Status), r.Task, -1)
	switch r.Status {
	case tasks.Ready:
		if err := t.del(inReady, readyKey(r.Queue, levelOf(r.Priority), r.DueAt(), r.ID)); err != nil {
			return err
		}
		if canExpire(r) {
			return t.del(inExpiry, timeKey(r.ExpiresAt, r.ID))
		}
		return nil
	case tasks.Running:
		return t.del(inLeases, timeKey(e.until, r.ID))
	default:
		return t.del(inFinal, timeKey(e.until, r.ID))
	}
}

// canExpire says whether a READY record belongs in the expiry index: what
// lifecycle.Expired says, apart from the time.
func canExpire(r *tasks.Record) bool { return !r.ExpiresAt.IsZero() && len(r.WorkerIDs) == 0 }

// count notes a change of a counter; writeCounts writes them all at the end.
func (t *txn) count(queue string, status byte, task string, n int64) {
	if t.counts == nil {
		t.counts = make(map[string]int64, 4)
	}
	t.counts[string(countKey(queue, status, task))] += n
}

func (t *txn) writeCounts() error {
	for k, n := range t.counts {
		if n == 0 {
			continue
		}
		key := []byte(k)
		if old := t.get(inCounts, key); len(old) == 8 {
			n += int64(binary.BigEndian.Uint64(old))
		}
		var err error
		if n == 0 {
			err = t.del(inCounts, key)
		} else {
			err = t.put(inCounts, key, binary.BigEndian.AppendUint64(nil, uint64(n)))
		}
		if err != nil {
			return err
		}
	}
	t.counts = nil
	return nil
}

// sizeHint is about the length of a stored record.
func sizeHint(r *tasks.Record) int {
	n := 160 + len(r.Args) + len(r.Value) + 48*len(r.WorkerIDs)
	for i := range r.Errors {
		n += 64 + len(r.Errors[i].Message) + len(r.Errors[i].Stack)
	}
	return n
}
