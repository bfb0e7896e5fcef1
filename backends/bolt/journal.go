package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// A commit of bbolt syncs the file twice. A batch that is nothing but a few enqueues is
// written to the log instead, which is one sync, and its callers are told. Its records
// are pending then: they are in the log and in memory, and the next transaction, of
// whatever kind, begins with them. Readers and the rest of the writers come by way of
// such a transaction, so that nobody sees the store without them.
//
// Only a backend that owns its file has a log, and only until the program asks for the
// database: who has it might hold a transaction that would have to be waited for, and
// would miss what is pending.
const (
	// maxPending bounds how many records a transaction begins with.
	maxPending = 1024
	// pendingFor is about how long records are pending if nobody asks for them.
	pendingFor = 100 * time.Millisecond
	// logRoom is how much below Options.MaxSize the file must be for records to be
	// accepted that will need room only later.
	logRoom = 64 << 20
)

// logState is what the database knows of its log.
type logState struct {
	id   logID
	seq  uint64 // of the last frame whose records are in the database
	open bool   // frames may follow
}

func (s logState) encode() []byte {
	b := binary.BigEndian.AppendUint64(append(make([]byte, 0, 25), s.id[:]...), s.seq)
	if s.open {
		return append(b, 1)
	}
	return append(b, 0)
}

// logState returns the zero state where there never was a log.
func (t *txn) logState() (s logState) {
	if v := t.get(inMeta, []byte(keyLog)); len(v) == 25 {
		s = logState{id: logID(v[:16]), seq: binary.BigEndian.Uint64(v[16:]), open: v[24] != 0}
	}
	return s
}

// journal is the log with what it stands for. Who holds Backend.writing may write.
type journal struct {
	path   string // "" for no log, not even one to be made
	file   *logFile
	state  logState // what the next commit says
	stored logState // what the last one said
	frame  []byte   // the last one, whose memory is used again
	fault  error    // why there is no log any more
	armed  atomic.Bool

	mu      sync.Mutex // for the following, which others read
	pending []*entry
	byID    map[string]*entry
	due     map[string]time.Time // when the first pending record of a queue is due
	stuck   error                // why the pending ones can't be committed
}

// entry is a pending record.
type entry struct {
	*fresh
	seq uint64
}

func (j *journal) len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.pending)
}

// add makes records pending.
func (j *journal) add(all []fresh, seq uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.byID == nil {
		j.byID, j.due = make(map[string]*entry), make(map[string]time.Time)
	}
	for i := range all {
		e := &entry{&all[i], seq}
		r := &e.out
		j.pending = append(j.pending, e)
		j.byID[r.ID] = e
		if due, ok := j.due[r.Queue]; !ok || r.DueAt().Before(due) {
			j.due[r.Queue] = r.DueAt()
		}
	}
}

// get returns a copy of a pending record, or nil.
func (j *journal) get(id string) *tasks.Record {
	j.mu.Lock()
	e := j.byID[id]
	j.mu.Unlock()
	if e == nil {
		return nil
	}
	env, err := decode(id, e.buf)
	if err != nil {
		return nil // the transaction says what is wrong
	}
	if env.farArgs {
		env.rec.Args = append([]byte{}, e.args...)
	}
	return &env.rec
}

// heads returns when the first pending record of each queue is due.
func (j *journal) heads() map[string]time.Time {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.pending) == 0 {
		return nil
	}
	due := make(map[string]time.Time, len(j.due))
	for q, at := range j.due {
		due[q] = at
	}
	return due
}

// held returns why pending records can't be committed, if it is so.
func (j *journal) held() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.stuck
}

func (j *journal) setStuck(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.pending) > 0 {
		j.stuck = fmt.Errorf("%d enqueues that are in the log can't be written to the database: %w", len(j.pending), err)
	}
}

// log stores a batch by way of the log, and reports whether it did. If not, none of
// the ops has been told anything.
func (b *Backend) log(ops []*op) bool {
	j := &b.journal
	size, n := 0, 0
	for _, o := range ops {
		if o.fresh == nil {
			return false
		}
		n += len(o.fresh)
		size += frameSize(o.fresh)
	}
	if j.path == "" || size > maxFrame || n > maxPending/4 {
		return false
	}
	if j.file == nil {
		b.makeLog()
	}
	if j.file == nil || j.stored.id != j.file.id || !j.file.fits(size) || len(j.pending)+n > maxPending || !b.allNew(ops, n) {
		return false
	}
	live := take(ops, make([]*op, 0, len(ops)))
	if len(live) == 0 {
		return true
	}
	now, frame := time.Now(), newFrame(j.frame)
	for _, o := range live {
		for i := range o.fresh {
			o.fresh[i].stamp(now)
			frame = appendEntry(frame, &o.fresh[i])
		}
	}
	frame = seal(frame, j.file.id, j.state.seq+1)
	j.frame = frame
	j.state.seq++
	if err := j.file.append(frame); err != nil {
		// The frame may be there or not. If the transaction that is tried instead is
		// committed, it says that the frame is done with.
		for _, o := range live {
			o.doubt = true
		}
		b.endLog(err)
		return false
	}
	for _, o := range live {
		j.add(o.fresh, j.state.seq)
	}
	b.hub.publish(&news{ready: true})
	b.tell(live, nil)
	if j.armed.CompareAndSwap(false, true) {
		time.AfterFunc(pendingFor, b.commitLater)
	}
	return true
}

// allNew says whether no record has an id that is known, and the file has room for
// them. What it says holds, because nobody else writes.
func (b *Backend) allNew(ops []*op, n int) (all bool) {
	var seen map[string]bool
	if n > 1 {
		seen = make(map[string]bool, n)
	}
	known := func(t *txn, f *fresh) bool {
		if b.journal.byID[f.in.ID] != nil || seen[f.in.ID] || t.get(inRecords, f.key) != nil {
			return true
		}
		if seen != nil {
			seen[f.in.ID] = true
		}
		return false
	}
	err := b.read(func(t *txn) error {
		if most := int64(b.db.MaxSize); most > 0 && t.tx.Size()+logRoom > most {
			return nil
		}
		for _, o := range ops {
			for i := range o.fresh {
				if known(t, &o.fresh[i]) {
					return nil
				}
			}
		}
		all = true
		return nil
	})
	return all && err == nil
}

// makeLog makes the log. The next commit binds it to the database; it is in use from
// then on.
func (b *Backend) makeLog() {
	file, err := createLog(b.journal.path)
	if err != nil {
		b.endLog(err)
		return
	}
	b.journal.file = file
	b.journal.state = logState{id: file.id, open: true}
}

// endLog stops the use of the log. The next commit stores that.
func (b *Backend) endLog(why error) {
	b.journal.path = ""
	b.journal.fault = why
	b.journal.state.open = false
}

// catchUp writes the pending records, and how far the log is in the database then. It
// is how each write transaction begins.
func (b *Backend) catchUp(t *txn) error {
	j := &b.journal
	if j.state == j.stored && len(j.pending) == 0 {
		return nil
	}
	stored := t.logState()
	for _, e := range j.pending {
		if stored.id == j.state.id && e.seq <= stored.seq || t.get(inRecords, e.key) != nil {
			continue
		}
		if err := t.place(e.fresh); err != nil {
			return err
		}
	}
	t.news = news{} // published when they were logged
	t.log = j.state
	return t.put(inMeta, []byte(keyLog), j.state.encode())
}

// caughtUp is called after each commit.
func (b *Backend) caughtUp(t *txn) {
	j := &b.journal
	if t.log == (logState{}) {
		return
	}
	j.stored = t.log
	if j.file != nil {
		j.file.restart()
		if !j.stored.open {
			j.file.remove()
			j.file = nil
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	clear(j.pending)
	clear(j.byID)
	clear(j.due)
	j.pending, j.stuck = j.pending[:0], nil
}

// commitPending commits nothing but what is pending. If that fails, it stays pending.
func (b *Backend) commitPending() error {
	j := &b.journal
	if j.state == j.stored && len(j.pending) == 0 {
		return nil
	}
	t, err := b.begin(true)
	if err != nil {
		return err
	}
	if err := b.end(t); err != nil {
		err = b.explain(err)
		j.setStuck(err)
		return err
	}
	return nil
}

// barrier is an op whose transaction has only what is pending.
func barrier() *op {
	return &op{apply: func(*txn) error { return nil }, finish: func(error) {}}
}

// commitLater is what the timer calls.
func (b *Backend) commitLater() {
	b.journal.armed.Store(false)
	if b.journal.len() > 0 {
		_ = b.submit(barrier()) // closed: Close commits
	}
}

// commitFirst lets a reader see what is pending.
func (b *Backend) commitFirst() error {
	switch {
	case b.journal.len() == 0:
		return nil
	case b.lent.Load():
		// It couldn't be committed when the database was lent, and the program may
		// be waiting for us within a transaction of its own now.
		return b.journal.held()
	}
	err := b.do(context.Background(), barrier())
	if held := b.journal.held(); held != nil {
		return held
	}
	if b.journal.len() == 0 {
		return nil // what failed was tried again and succeeded
	}
	return err
}

// lend commits what is pending and ends the log, since the program gets the database.
func (b *Backend) lend() {
	b.writing.Lock()
	defer b.writing.Unlock()
	if b.lent.Load() {
		return
	}
	b.endLog(nil)
	_ = b.commitPending() // or else the next write does
	b.lent.Store(true)
}

// finishLog is lend for Close.
func (b *Backend) finishLog() error {
	b.writing.Lock()
	defer b.writing.Unlock()
	b.endLog(nil)
	if b.commitPending() != nil {
		if b.journal.file != nil {
			b.journal.file.close()
		}
		if held := b.journal.held(); held != nil {
			return fmt.Errorf("%w; the next Open tries it again", held)
		}
	}
	return nil
}

// replay brings the records into the database that are only in the log that a process
// has left behind, and removes it. The database's lock must be held. With keep, a new
// log may be made then.
func (b *Backend) replay(keep bool) error {
	path, err := logPath(b.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil // a borrowed file that was removed, or isn't one
	}
	if err != nil {
		return fmt.Errorf("%w: %w", tasks.ErrUnavailable, err)
	}
	found, err := findLog(path)
	if err != nil {
		return err
	}
	j := &b.journal
	err = b.read(func(t *txn) error {
		j.stored = t.logState()
		return nil
	})
	if err != nil {
		return err
	}
	j.state = j.stored
	switch {
	case found.ok && found.id == j.stored.id:
		frames, err := found.after(j.stored.seq)
		if err != nil {
			return err
		}
		for _, f := range frames {
			all, err := f.entries()
			if err != nil {
				return fmt.Errorf("%w: %s: entry %d: %w", tasks.ErrDamaged, path, f.seq, err)
			}
			j.add(all, f.seq)
			j.state.seq = f.seq
		}
	case found.ok && found.used():
		aside := path + logAside
		if err := os.Rename(path, aside); err != nil {
			return fmt.Errorf("%w: %s belongs to another database: %w", tasks.ErrUnavailable, path, err)
		}
		b.remarks = append(b.remarks, fmt.Sprintf("%s belonged to another database and is now %s", path, aside))
	}
	if j.stored.open && (!found.ok || found.id != j.stored.id) {
		b.remarks = append(b.remarks, path+" is missing: what was enqueued just before the last process ended may be lost")
	}
	j.state.open = false
	if err := b.commitPending(); err != nil {
		return err
	}
	_ = os.Remove(path) // if it stays, no new one can be made: Check tells
	if keep {
		j.path = path
	}
	return nil
}
