package redis

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/internal/batch"
	"github.com/sideman-go/sideman/tasks"
)

// Backend keeps records in a Redis server. It is a tasks.Store. Open and New make one; all
// methods are safe for concurrent use.
type Backend struct {
	client    redis.UniversalClient
	owned     bool
	namespace string
	channel   string
	shards    int
	// routes are the keys of each shard that every script has, and the channel: arguments, made once.
	routes  [][3]any
	keep    [3]string // retention of SUCCESSFUL, FAILED, CANCELLED
	scripts *scripts

	laidOut atomic.Bool
	turn    atomic.Uint32 // the shard that the next claim starts with
	writes  *batch.Queue[*write]
	spare   sync.Pool // of writes
	// appended is about how many records of each shard this backend has left to be indexed later.
	appended []atomic.Int64
	tidy     tidy
	express  *express // nil for some clients
	hub      hub

	gate     sync.RWMutex // held for reading while a call is counted
	closed   bool
	inflight sync.WaitGroup
	done     chan struct{} // closed with the backend

	closing  sync.Once
	released chan struct{} // closed when nothing is in flight any more
	closeErr error
}

var (
	_ tasks.Store          = (*Backend)(nil)
	_ tasks.AsyncEnqueuer  = (*Backend)(nil)
	_ tasks.ResultWaiter   = (*Backend)(nil)
	_ tasks.CancelNotifier = (*Backend)(nil)
)

// Capabilities implements tasks.Backend.
func (b *Backend) Capabilities() tasks.Capability {
	return tasks.CapResults | tasks.CapDefer | tasks.CapPriority | tasks.CapExpire |
		tasks.CapWorker | tasks.CapDurable | tasks.CapShared | tasks.CapNotify |
		tasks.CapList | tasks.CapInspect
}

// Client returns the client, for commands of your own. Every key of this package starts with
// "{namespace:"; leave those alone. A client that Open made is closed with the backend.
func (b *Backend) Client() redis.UniversalClient { return b.client }

// prefix is what the keys of a shard start with, its hash tag first.
func (b *Backend) prefix(shard int) string {
	return "{" + b.namespace + ":" + strconv.Itoa(shard) + "}:"
}

// keys are where a record is: its head, what never changes, its value, and more.
func (b *Backend) keys(id string) (head, envelope, value, more string) {
	prefix := b.prefix(b.shard(id))
	return prefix + "h:" + id, prefix + "e:" + id, prefix + "v:" + id, prefix + "x:" + id
}

// tailBytes is how many bytes at the end of an id say in which shard it is.
const tailBytes = 4

// shard is where the record with that id is.
func (b *Backend) shard(id string) int {
	if b.shards == 1 {
		return 0
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(id[max(0, len(id)-tailBytes):]))
	return int(h.Sum32() % uint32(b.shards))
}

// byShard calls fn with each shard that has some of the n things, and their numbers, in
// pieces of at most most. It stops at the first error.
func (b *Backend) byShard(n, most int, id func(int) string, fn func(shard int, which []int) error) error {
	groups := make([][]int, b.shards)
	for i := range n {
		s := b.shard(id(i))
		groups[s] = append(groups[s], i)
	}
	for shard, which := range groups {
		for len(which) > 0 {
			piece := which[:min(most, len(which))]
			if err := fn(shard, piece); err != nil {
				return err
			}
			which = which[len(piece):]
		}
	}
	return nil
}

// Close implements tasks.Backend. A client that was lent to New stays open.
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
	b.writes.Drain()
	b.inflight.Wait()
	if b.express != nil {
		b.closeErr = b.express.close()
	}
	if b.owned {
		b.closeErr = errors.Join(b.closeErr, b.client.Close())
	}
}

// enter reports whether the backend is open; if so, Close waits for inflight.Done.
func (b *Backend) enter() bool {
	b.gate.RLock()
	defer b.gate.RUnlock()
	if b.closed {
		return false
	}
	b.inflight.Add(1)
	return true
}

// ready says whether a call may go on.
func (b *Backend) ready(ctx context.Context) error {
	select {
	case <-b.done:
		return tasks.ErrClosed
	default:
		return ctx.Err()
	}
}

const (
	// outcomeGrace is how much longer a caller whose ctx has ended waits to learn what
	// became of its command.
	outcomeGrace = 100 * time.Millisecond
	// longestCall bounds a call whose ctx has no deadline.
	longestCall = time.Minute
)

// result is what a call returns.
type result[T any] struct {
	value T
	err   error
}

// run calls fn and returns soon after ctx ends, even if fn doesn't: go-redis obeys deadlines
// when told to, but never a cancellation while it waits for an answer. What fn returns after
// that is lost. writes says that fn may have changed something by then.
func run[T any](ctx context.Context, b *Backend, writes bool, fn func(ctx context.Context) (T, error)) (T, error) {
	var zero T
	if !b.enter() {
		return zero, tasks.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		b.inflight.Done()
		return zero, err
	}
	limit := longestCall
	if deadline, ok := ctx.Deadline(); ok {
		limit = min(limit, time.Until(deadline)+outcomeGrace)
	}
	inner, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	if ctx.Done() == nil {
		defer b.inflight.Done()
		defer cancel()
		return fn(inner)
	}
	ch := make(chan result[T], 1)
	go func() {
		defer b.inflight.Done()
		defer cancel()
		v, err := fn(inner)
		ch <- result[T]{v, err}
	}()
	select {
	case r := <-ch:
		return r.value, r.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(outcomeGrace)
	defer grace.Stop()
	select {
	case r := <-ch:
		return r.value, outlived(ctx, r.err)
	case <-grace.C:
	}
	cancel()
	if writes {
		return zero, unknown(context.Cause(ctx))
	}
	return zero, ctx.Err()
}

// outlived is what a call returns that has come to an end shortly after its ctx.
func outlived(ctx context.Context, err error) error {
	if errors.Is(err, tasks.ErrUnavailable) || errors.Is(err, tasks.ErrUnknownOutcome) {
		return fmt.Errorf("%w (%w)", err, ctx.Err())
	}
	return err
}
