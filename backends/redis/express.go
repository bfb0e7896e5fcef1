package redis

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// express is a connection of its own for enqueues, of which one or one batch is on its way at a
// time: it's there without a pool being asked, and eager. A call of Enqueue that comes alone waits for
// the answer itself, which spares two hand-overs between goroutines. go-redis doesn't obey a
// cancellation while it waits, so the connection is closed under it.
type express struct {
	client *redis.Client
	conn   *redis.Conn // nil if the next call is to take one
	used   time.Time   // when it was used last

	mu    sync.Mutex
	conns []net.Conn // those that may be in use, the newest last; most often one
	call  uint64     // the number of the call that is under way, or of the next
	cut   bool       // that call is to end
}

// maxConns is how many connections are remembered. There is only one at a time, unless dialling
// takes longer than its caller waits.
const maxConns = 4

// errCut is what a dial returns whose caller has left: like any failed dial, it has sent nothing.
func errCut() error { return &net.OpError{Op: "dial", Err: errors.New("the caller has left")} }

// newExpress makes one that connects as a client does, at its first call.
func newExpress(like *redis.Client) *express {
	e := &express{}
	o := *like.Options()
	dial := o.Dialer
	o.Protocol = 2 // nothing is pushed here, and so nothing is looked for before each answer
	o.PoolSize, o.MinIdleConns, o.MaxIdleConns, o.MaxActiveConns = 1, 0, 0, 0
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return e.keep(conn)
	}
	e.client = redis.NewClient(&o)
	return e
}

// keep remembers a new connection, unless nobody wants it any more.
func (e *express) keep(conn net.Conn) (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.cut {
		_ = conn.Close()
		return nil, errCut()
	}
	if len(e.conns) == maxConns {
		e.conns = slices.Delete(e.conns, 0, 1)
	}
	e.conns = append(e.conns, conn)
	return eagerly(conn), nil
}

// heldFor is for how long a connection is used again without a look whether the server has closed it.
const heldFor = time.Second

// Process implements processor. It keeps the connection as long as all goes well, so that there is
// no pool to ask for it each time. Only the one who is storing calls it.
func (e *express) Process(ctx context.Context, cmd redis.Cmder) error {
	now := time.Now()
	if e.conn != nil && now.Sub(e.used) > heldFor {
		e.release()
	}
	if e.conn == nil {
		e.conn = e.client.Conn()
	}
	e.used = now
	err := e.conn.Process(ctx, cmd)
	if err != nil {
		e.release() // after some errors, which the server's READONLY is one of, it only repeats that error
	}
	return err
}

// release gives the connection back to the pool, which closes it if it is broken.
func (e *express) release() {
	if e.conn != nil {
		_ = e.conn.Close()
		e.conn = nil
	}
}

// close closes it, when nobody calls it any more.
func (e *express) close() error {
	e.release()
	return e.client.Close()
}

// begin begins a call and returns its number. There is one at a time.
func (e *express) begin() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cut = false
	return e.call
}

// end ends it and reports whether it was interrupted.
func (e *express) end() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.call++
	return e.cut
}

// interrupt makes the call with that number fail at once, if it is still under way. It reports
// whether it is.
func (e *express) interrupt(call uint64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.call != call {
		return false
	}
	e.cut = true
	for _, conn := range e.conns {
		_ = conn.Close()
	}
	e.conns = nil
	return true
}

// storeAlone stores a write on its caller's goroutine, if that is possible: nobody else is
// storing anything, and the end of ctx can be obeyed. It reports whether it did. It did not if
// the server has certainly not had the write: where there is no connection, b.client may have
// one. go-redis also remembers failed dials, as many as a pool has connections, and then doesn't
// dial for up to a second: with a pool of one, each.
func (b *Backend) storeAlone(ctx context.Context, w *write) (bool, error) {
	if ctx.Done() != nil && b.express == nil {
		return false, nil
	}
	b.gate.RLock()
	closed := b.closed
	alone := !closed && b.writes.Enter() // Close waits for it from here on
	b.gate.RUnlock()
	if !alone {
		return false, nil // submit says the rest
	}
	defer b.writes.Leave()
	if b.express == nil {
		inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestFlush)
		defer cancel()
		return true, b.storeOne(inner, b.client, w)
	}
	inner := &until{context.WithoutCancel(ctx), time.Now().Add(longestFlush), make(chan struct{})}
	call := b.express.begin()
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(outcomeGrace, func() {
			if b.express.interrupt(call) {
				close(inner.done)
			}
		})
	})
	defer stop()
	err := b.storeOne(inner, b.express, w) //nolint:contextcheck // the end of ctx is obeyed by interrupt
	cut := b.express.end()
	switch {
	case err == nil:
		return true, nil
	case classify(err).notRun():
		return false, nil // if ctx has ended, that is seen next
	case cut:
		return true, unknown(context.Cause(ctx))
	}
	return true, err
}

func (b *Backend) storeOne(ctx context.Context, c processor, w *write) error {
	if err := b.store(ctx, c, w.shard, []*write{w}); err != nil {
		return err
	}
	return w.err
}

// until is a context with a deadline that starts no timer: whoever waits looks at the deadline.
type until struct {
	context.Context //nolint:containedctx // it is one

	at   time.Time
	done chan struct{} // closed to cancel it
}

// Deadline implements context.Context.
func (u *until) Deadline() (time.Time, bool) { return u.at, true }

// Done implements context.Context.
func (u *until) Done() <-chan struct{} { return u.done }

// Err implements context.Context.
func (u *until) Err() error {
	select {
	case <-u.done:
		return context.Canceled
	default:
	}
	if time.Now().After(u.at) {
		return context.DeadlineExceeded
	}
	return nil
}
