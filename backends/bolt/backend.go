package bolt

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/internal/batch"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// Backend keeps records in a bbolt file. It is a tasks.Store. Open and New make
// one; all methods are safe for concurrent use.
type Backend struct {
	db   *bbolt.DB
	path string
	file *os.File // if the backend owns the database
	keep lifecycle.Retention

	recovered int

	queue  *batch.Queue[*op]
	active atomic.Int64   // ops that are in line or being applied
	inline sync.WaitGroup // ops that their callers apply
	hub    hub

	writing sync.Mutex // held by who writes
	journal journal
	lent    atomic.Bool // DB was called
	remarks []string    // what Open has to tell of the log

	gate   sync.RWMutex // held for reading while an op is put in line
	closed bool
	done   chan struct{} // closed with the backend

	closing  sync.Once
	released chan struct{} // closed when the database is
	closeErr error
}

var (
	_ tasks.Store          = (*Backend)(nil)
	_ tasks.AsyncEnqueuer  = (*Backend)(nil)
	_ tasks.ResultWaiter   = (*Backend)(nil)
	_ tasks.CancelNotifier = (*Backend)(nil)
	_ tasks.Binder         = (*Backend)(nil)
)

func newBackend(db *bbolt.DB, path string, o *Options) *Backend {
	b := &Backend{
		db:       db,
		path:     path,
		keep:     o.retention(),
		done:     make(chan struct{}),
		released: make(chan struct{}),
	}
	b.hub.init()
	b.queue = batch.New(maxBatchBytes, func(o *op) int { return o.size }, b.run)
	return b
}

// Capabilities implements tasks.Backend.
func (b *Backend) Capabilities() tasks.Capability {
	return tasks.CapResults | tasks.CapDefer | tasks.CapPriority | tasks.CapExpire |
		tasks.CapWorker | tasks.CapDurable | tasks.CapTransactional | tasks.CapNotify |
		tasks.CapList | tasks.CapInspect
}

// DB returns the database, for buckets of your own and for EnqueueTx. Everything
// of this package is in one top-level bucket named "sideman": leave that alone.
// A database that Open opened is closed with the backend.
//
// From the first call on, the backend works without its log, as with Options.NoLog: so
// that a transaction on the database sees everything that is stored, and none has to
// wait for another. That call may take as long as a commit.
func (b *Backend) DB() *bbolt.DB {
	if b.file != nil && !b.lent.Load() {
		b.lend()
	}
	return b.db
}

// Recovered returns how many records Open found RUNNING, left behind by a process
// that ended without settling them, and took back.
func (b *Backend) Recovered() int { return b.recovered }

// Bind implements tasks.Binder. All there is to log is what Open has done.
func (b *Backend) Bind(rt *tasks.Runtime) error {
	for _, remark := range b.remarks {
		rt.Logger().Warn(remark, "backend", rt.Alias(), "file", b.path)
	}
	if b.recovered > 0 {
		rt.Logger().Warn("Took back tasks that a process left RUNNING",
			"backend", rt.Alias(), "file", b.path, "count", b.recovered)
	}
	return nil
}

// Close implements tasks.Backend. What was put in line before is stored. A
// database that was lent to New stays open.
func (b *Backend) Close(ctx context.Context) error {
	b.gate.Lock()
	b.closed = true
	b.gate.Unlock()
	b.closing.Do(func() {
		close(b.done)
		go b.release()
	})
	select {
	case <-b.released:
		return b.closeErr
	default:
	}
	select {
	case <-b.released:
		return b.closeErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release waits for what is in flight and closes what the backend owns.
func (b *Backend) release() {
	defer close(b.released)
	b.queue.Drain()
	b.inline.Wait()
	if b.file == nil {
		return
	}
	b.closeErr = b.guard(func() error {
		err := b.finishLog()
		b.saveFreelist()
		return errors.Join(err, b.db.Close())
	})
}

// saveFreelist writes the list of free pages, which no commit does, so that the
// next Open needn't look at every page. If that fails, it looks.
func (b *Backend) saveFreelist() {
	tx, err := b.db.Begin(true)
	if err != nil {
		return
	}
	b.db.NoFreelistSync = false
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
	}
}

// ready says whether a call may go on.
func (b *Backend) ready(ctx context.Context) error {
	if err := b.alive(); err != nil {
		return err
	}
	return ctx.Err()
}

func (b *Backend) alive() error {
	select {
	case <-b.done:
		return tasks.ErrClosed
	default:
		return nil
	}
}
