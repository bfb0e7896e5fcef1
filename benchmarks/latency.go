package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// patience bounds what is measured task by task, where a peer takes a second for each; there are
// at least a few.
const (
	patience = 10 * time.Second
	atLeast  = 5
)

// warmup is how long a worker at its defaults is left alone before it is measured.
const warmup = 500 * time.Millisecond

// starts gathers when handlers were called.
type starts struct {
	mu sync.Mutex
	at map[int]time.Time
	ch chan int
}

func newStarts(n int) *starts { return &starts{at: make(map[int]time.Time, n), ch: make(chan int, n)} }

func (s *starts) handler(num int) {
	now := time.Now()
	s.mu.Lock()
	s.at[num] = now
	s.mu.Unlock()
	s.ch <- num
}

func (s *starts) get(num int) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at[num]
}

// await waits for one more handler to be called.
func (s *starts) await(ctx context.Context, limit time.Duration) error {
	select {
	case <-s.ch:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(limit):
		return fmt.Errorf("a task wasn't started within %v", limit)
	}
}

// pickup measures, on an idle worker at its defaults, how long after the return of enqueue a
// handler is called: one task at a time, at odd intervals.
func pickup(ctx context.Context, c contender, s sizes) (measured, error) {
	seen := newStarts(s.pickups)
	stop, err := c.work(ctx, defaults, seen.handler)
	if err != nil {
		return measured{}, err
	}
	time.Sleep(warmup)
	took := make([]time.Duration, 0, s.pickups)
	from := time.Now()
	for num := range s.pickups {
		if num >= atLeast && time.Since(from) > patience {
			break
		}
		if err := c.enqueue(ctx, num); err != nil {
			return measured{}, err
		}
		stored := time.Now()
		if err := seen.await(ctx, 10*time.Second); err != nil {
			return measured{}, fmt.Errorf("%s: %w", c.name(), err)
		}
		// A handler may be called before enqueue has returned.
		took = append(took, max(seen.get(num).Sub(stored), 0))
		time.Sleep(time.Duration(2+rand.N(8)) * time.Millisecond)
	}
	return spread(took), stop()
}

// lateness measures how long after its time a deferred task starts, on a worker at its defaults.
func lateness(ctx context.Context, c contender, s sizes) (measured, error) {
	seen := newStarts(s.deferred)
	stop, err := c.work(ctx, defaults, seen.handler)
	if err != nil {
		return measured{}, err
	}
	time.Sleep(warmup)
	due := make([]time.Time, s.deferred)
	for num := range due {
		if due[num], err = c.enqueueIn(ctx, num, time.Second+rand.N(2*time.Second)); err != nil {
			return measured{}, err
		}
	}
	late := make([]time.Duration, s.deferred)
	for range due {
		if err := seen.await(ctx, 20*time.Second); err != nil {
			return measured{}, fmt.Errorf("%s: %w", c.name(), err)
		}
	}
	for num := range due {
		late[num] = seen.get(num).Sub(due[num])
		if late[num] < -2*time.Millisecond {
			return measured{}, fmt.Errorf("%s: a task was started %v before its time", c.name(), -late[num])
		}
		late[num] = max(late[num], 0)
	}
	return spread(late), stop()
}

// visible measures how long after its handler's return a task is stored as done, on a worker
// at its defaults.
func visible(ctx context.Context, c contender, s sizes) (measured, error) {
	if a, ok := c.(*asynqQueue); ok {
		// It deletes what has succeeded, and what is gone can't be asked for.
		a.retention = time.Hour
		defer func() { a.retention = 0 }()
	}
	seen := newStarts(s.results)
	stop, err := c.work(ctx, defaults, seen.handler)
	if err != nil {
		return measured{}, err
	}
	time.Sleep(warmup)
	took := make([]time.Duration, 0, s.results)
	from := time.Now()
	for num := range s.results {
		if num >= atLeast && time.Since(from) > patience {
			break
		}
		if err := c.enqueue(ctx, num); err != nil {
			return measured{}, err
		}
		if err := seen.await(ctx, 10*time.Second); err != nil {
			return measured{}, fmt.Errorf("%s: %w", c.name(), err)
		}
		for {
			done, err := c.isDone(ctx, num)
			if err != nil {
				return measured{}, err
			}
			if done {
				break
			}
			time.Sleep(200 * time.Microsecond)
		}
		took = append(took, time.Since(seen.get(num)))
		time.Sleep(time.Duration(1+rand.N(5)) * time.Millisecond)
	}
	return spread(took), stop()
}

// walMeter is a contender whose store writes a log ahead.
type walMeter interface {
	// walPosition is how many bytes have been written.
	walPosition(ctx context.Context) (float64, error)
}

var errNoWAL = errors.New("it has no WAL that can be measured")

// wal measures how many bytes of WAL a task takes from enqueue to its stored end.
func wal(ctx context.Context, c contender, s sizes) (measured, error) {
	m, ok := c.(walMeter)
	if !ok {
		return measured{}, errNoWAL
	}
	from, err := m.walPosition(ctx)
	if err != nil {
		return measured{}, err
	}
	if err := fill(ctx, c, s.wal); err != nil {
		return measured{}, err
	}
	if _, err := drain(ctx, c, tuned, s.wal); err != nil {
		return measured{}, err
	}
	to, err := m.walPosition(ctx)
	return measured{value: (to - from) / float64(s.wal)}, err
}
