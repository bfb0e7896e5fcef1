package bolt

import (
	"encoding/binary"
	"fmt"
	"maps"
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
	return maps.Clone(j.due)
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
	err := b.now(barrier())
	if held := b.journal.held(); held != nil {
		return held
	}
	if b.journal.len() == 0 {
		return nil // what failed was tried again and succeeded
	}
	return err
}
