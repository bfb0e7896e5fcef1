package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// callTimeout bounds one call on the store, so that a connection that was cut
// without a word is noticed.
const callTimeout = 15 * time.Second

// outage makes one log line of the many failures that a store that is away
// causes, and one when it is back.
type outage struct {
	w     *Worker
	mu    sync.Mutex
	since time.Time
	ops   map[string]bool // the operations whose last call failed
}

// down notes that a call failed.
func (o *outage) down(op string, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ops[op] {
		return
	}
	if len(o.ops) == 0 {
		o.since = time.Now()
		o.w.log.Error("store unavailable, trying again until it is back",
			"worker_id", o.w.opts.WorkerID, "backend", o.w.opts.Backend, "op", op, "error", err)
	}
	if o.ops == nil {
		o.ops = make(map[string]bool)
	}
	o.ops[op] = true
}

// up notes that a call succeeded.
func (o *outage) up(op string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ops[op] {
		return
	}
	delete(o.ops, op)
	if len(o.ops) == 0 {
		o.w.log.Info("store is back",
			"worker_id", o.w.opts.WorkerID, "backend", o.w.opts.Backend, "after", time.Since(o.since))
	}
}

// is reports whether the store is away.
func (o *outage) is() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.ops) > 0
}

// transient reports whether trying the same again may help.
func transient(err error) bool {
	return errors.Is(err, tasks.ErrUnavailable) || errors.Is(err, tasks.ErrUnknownOutcome) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

// unknown reports whether a write that ended with err may have been stored.
func unknown(err error) bool {
	return errors.Is(err, tasks.ErrUnknownOutcome) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 5 * time.Second
)

// backoff gives growing intervals with jitter. Its zero value begins at the first.
type backoff struct{ n int }

func (b *backoff) next() time.Duration {
	d := min(firstBackoff<<min(b.n, 10), lastBackoff)
	b.n++
	return d/2 + rand.N(d/2)
}

func (b *backoff) reset() { b.n = 0 }
