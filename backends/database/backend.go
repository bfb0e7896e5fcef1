package database

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/internal/batch"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// Backend keeps records in a PostgreSQL database. It is a tasks.Store. Open and
// New make one; all methods are safe for concurrent use.
type Backend struct {
	pool   *pgxpool.Pool
	opened *sockets // the pool's, if it is ours to close; else nil
	schema string
	opts   Options
	keep   lifecycle.Retention
	sql    *queries

	queue  *batch.Queue[*op]
	hub    hub
	lent   lent
	turns  turns
	marks  marks
	listen sync.Once // starts the listener

	gate     sync.RWMutex // held for reading while a call enters
	closed   bool
	done     chan struct{} // closed with the backend
	inflight sync.WaitGroup

	closing  sync.Once
	released chan struct{} // closed when everything is
}

var (
	_ tasks.Store          = (*Backend)(nil)
	_ tasks.AsyncEnqueuer  = (*Backend)(nil)
	_ tasks.CancelNotifier = (*Backend)(nil)
)

func newBackend(pool *pgxpool.Pool, opened *sockets, o *Options) *Backend {
	b := &Backend{
		pool:     pool,
		opened:   opened,
		schema:   o.schema(),
		opts:     *o,
		keep:     o.retention(),
		sql:      newQueries(o.schema()),
		done:     make(chan struct{}),
		released: make(chan struct{}),
	}
	b.opts.URL = "" // it may have a password in it
	b.queue = batch.New(maxBatchBytes, func(o *op) int { return o.size }, b.flush)
	return b
}

// Capabilities implements tasks.Backend.
func (b *Backend) Capabilities() tasks.Capability {
	c := tasks.CapResults | tasks.CapDefer | tasks.CapPriority | tasks.CapExpire |
		tasks.CapWorker | tasks.CapDurable | tasks.CapShared | tasks.CapTransactional |
		tasks.CapList | tasks.CapInspect
	if !b.opts.PollOnly {
		c |= tasks.CapNotify
	}
	return c
}

// Pool returns the pool, for tables of your own and for EnqueueTx. A pool that Open
// opened is closed with the backend.
func (b *Backend) Pool() *pgxpool.Pool { return b.pool }

// Schema returns the name of the schema that the tables are in.
func (b *Backend) Schema() string { return b.schema }

// Close implements tasks.Backend. What was put in line before is stored. A pool that
// was lent to New stays open.
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
		return nil
	default:
	}
	select {
	case <-b.released:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// release waits for what is in flight and closes what the backend owns.
func (b *Backend) release() {
	defer close(b.released)
	b.queue.Drain()
	b.inflight.Wait()
	if b.opened != nil {
		b.pool.Close()
	}
}

// enter begins a call that Close waits for. If it returns nil, the caller calls
// b.inflight.Done in the end.
func (b *Backend) enter(ctx context.Context) error {
	b.gate.RLock()
	defer b.gate.RUnlock()
	if b.closed {
		return tasks.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	b.inflight.Add(1)
	return nil
}

func (b *Backend) alive() error {
	select {
	case <-b.done:
		return tasks.ErrClosed
	default:
		return nil
	}
}
