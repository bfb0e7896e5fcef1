// Package batch joins concurrent callers into batches without a timer.
//
// While one flush is in flight the next items gather, and go together when it
// returns. So an idle system adds no latency, and a busy one gets large batches.
package batch

import (
	"runtime"
	"sync"
	"time"
)

// Queue gathers items and hands them to flush in batches, in order, from one
// goroutine at a time. That goroutine lives only while there are items.
type Queue[T any] struct {
	flush func([]T)
	max   int
	size  func(T) int

	mu      sync.Mutex
	flushed sync.Cond // signalled when done has grown
	added   uint64    // how many items there were
	done    uint64    // how many of them were flushed
	items   []T
	spare   []T // the last batch's memory, used again
	running bool
}

// New returns a queue. A batch ends before its sizes add up to more than max,
// but has at least one item; a nil size counts every item as 1. flush must return,
// and must not keep its slice.
func New[T any](most int, size func(T) int, flush func([]T)) *Queue[T] {
	q := &Queue[T]{flush: flush, max: most, size: size}
	q.flushed.L = &q.mu
	return q
}

// Add puts an item in line and returns at once.
func (q *Queue[T]) Add(item T) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.items = append(q.items, item)
	q.added++
	if !q.running {
		q.running = true
		go q.run()
	}
}

// Enter reports whether nothing is in flight and nothing waits: then the caller flushes one
// item itself, on its own goroutine, and calls Leave. What others add meanwhile gathers.
// It spares a caller that is alone being handed over twice.
func (q *Queue[T]) Enter() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.running {
		return false
	}
	q.running = true
	q.added++
	return true
}

// Leave ends what Enter began.
func (q *Queue[T]) Leave() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done++
	q.flushed.Broadcast()
	if len(q.items) > 0 {
		go q.run()
	} else {
		q.running = false
	}
}

// Len returns how many items wait, without those of the batch in flight.
func (q *Queue[T]) Len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items)
}

// Drain returns when every item added before the call has been flushed.
func (q *Queue[T]) Drain() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for upTo := q.added; q.done < upTo; {
		q.flushed.Wait()
	}
}

func (q *Queue[T]) run() {
	last, took := 0, time.Duration(0)
	for {
		q.gather(last, took)
		from := time.Now()
		q.mu.Lock()
		if len(q.items) == 0 {
			q.running = false
			q.mu.Unlock()
			return
		}
		items := q.items
		q.items = q.spare[:0]
		q.spare = nil
		q.mu.Unlock()

		for rest := items; len(rest) > 0; {
			n := q.cut(rest)
			q.flush(rest[:n])
			rest = rest[n:]
		}

		n := len(items)
		clear(items)
		q.mu.Lock()
		q.spare = items
		q.done += uint64(n)
		q.flushed.Broadcast()
		q.mu.Unlock()
		last, took = n, time.Since(from)
	}
}

// maxGather bounds how long a flush is put off for those whom the last one has released, and
// maxYields the same where time stands still.
const (
	maxGather = 50 * time.Microsecond
	maxYields = 256
)

// gather lets the callers that the last flush has released come back with their next
// items, so that they don't split into two crowds that take turns: for a small part of
// what a flush takes, and only if there were several.
func (q *Queue[T]) gather(last int, took time.Duration) {
	if last < 2 {
		return
	}
	from, limit := time.Now(), min(took/4, maxGather)
	all := q.Len() + last // also those that came meanwhile: if there are two crowds, they join
	for i := 0; i < maxYields && q.Len() < all && time.Since(from) < limit; i++ {
		runtime.Gosched()
	}
}

// cut returns how many of the items make the next batch.
func (q *Queue[T]) cut(items []T) int {
	if q.size == nil {
		return min(max(q.max, 1), len(items))
	}
	total := 0
	for i, item := range items {
		total += q.size(item)
		if total > q.max && i > 0 {
			return i
		}
	}
	return len(items)
}
