package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// drainOf measures how fast a worker gets through a queue of no-ops: from its start until the
// end of the last one is stored.
func drainOf(how settings, size func(sizes) int) runner {
	return func(ctx context.Context, c contender, s sizes) (measured, error) {
		n := size(s)
		if err := fill(ctx, c, n); err != nil {
			return measured{}, err
		}
		took, err := drain(ctx, c, how, n)
		return measured{value: float64(n) / took.Seconds()}, err
	}
}

// fill enqueues n tasks in batches.
func fill(ctx context.Context, c contender, n int) error {
	for n > 0 {
		batch := min(n, batchSize)
		if err := c.enqueueMany(ctx, batch); err != nil {
			return fmt.Errorf("%s: enqueue: %w", c.name(), err)
		}
		n -= batch
	}
	return nil
}

// drain runs a worker until n tasks are stored as done. While handlers are still to be called
// the store isn't asked, so that the asking costs nobody anything.
func drain(ctx context.Context, c contender, how settings, n int) (time.Duration, error) {
	var called atomic.Int64
	all := make(chan struct{})
	from := time.Now()
	stop, err := c.work(ctx, how, func(int) {
		if called.Add(1) == int64(n) {
			close(all)
		}
	})
	if err != nil {
		return 0, fmt.Errorf("%s: work: %w", c.name(), err)
	}
	select {
	case <-all:
	case <-ctx.Done():
	case <-time.After(5 * time.Minute):
		_ = stop()
		return 0, fmt.Errorf("%s: after 5 minutes %d of %d tasks have been run", c.name(), called.Load(), n)
	}
	for {
		done, err := c.completed(ctx)
		if err != nil {
			return 0, fmt.Errorf("%s: count: %w", c.name(), err)
		}
		if done >= n {
			break
		}
		time.Sleep(time.Millisecond)
	}
	took := time.Since(from)
	if err := stop(); err != nil {
		return 0, fmt.Errorf("%s: stop: %w", c.name(), err)
	}
	if got := called.Load(); got != int64(n) {
		return 0, fmt.Errorf("%s: %d runs of %d tasks", c.name(), got, n)
	}
	return took, nil
}

// enqueueBy measures how many tasks so many goroutines store, one a call, in a fixed time.
func enqueueBy(goroutines int) runner {
	return func(ctx context.Context, c contender, s sizes) (measured, error) {
		from := time.Now()
		stored, err := enqueueWhile(ctx, c, goroutines, func(int64) bool { return time.Since(from) < s.enqueueFor })
		return measured{value: float64(stored) / time.Since(from).Seconds()}, err
	}
}

// enqueueMany is enqueueBy for a number of tasks instead of a time.
func enqueueMany(goroutines int) runner {
	return func(ctx context.Context, c contender, s sizes) (measured, error) {
		from := time.Now()
		stored, err := enqueueWhile(ctx, c, goroutines, func(begun int64) bool { return begun <= int64(s.enqueueMany) })
		return measured{value: float64(stored) / time.Since(from).Seconds()}, err
	}
}

// enqueueWhile has goroutines store tasks, one a call, as long as more says so of how many have
// been begun. It returns how many are stored.
func enqueueWhile(ctx context.Context, c contender, goroutines int, more func(begun int64) bool) (int64, error) {
	var wg sync.WaitGroup
	var begun, stored atomic.Int64
	errs := make([]error, goroutines)
	for g := range goroutines {
		wg.Go(func() {
			for more(begun.Add(1)) {
				if errs[g] = c.enqueue(ctx, noted); errs[g] != nil {
					return
				}
				stored.Add(1)
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return 0, fmt.Errorf("%s: enqueue: %w", c.name(), err)
	}
	return stored.Load(), nil
}

// enqueueBatches has so many callers store batches, one after the other each.
func enqueueBatches(callers int) runner {
	return func(ctx context.Context, c contender, s sizes) (measured, error) {
		n := s.batches * batchSize
		var left atomic.Int64
		left.Store(int64(s.batches))
		errs := make([]error, callers)
		var wg sync.WaitGroup
		from := time.Now()
		for i := range callers {
			wg.Go(func() {
				for errs[i] == nil && left.Add(-1) >= 0 {
					errs[i] = fill(ctx, c, batchSize)
				}
			})
		}
		wg.Wait()
		return measured{value: float64(n) / time.Since(from).Seconds()}, errors.Join(errs...)
	}
}

// spread reports the median, and the 99th percentile and the most beside it, in milliseconds.
func spread(all []time.Duration) measured {
	slices.Sort(all)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	at := func(q float64) time.Duration { return all[min(int(q*float64(len(all))), len(all)-1)] }
	return measured{value: ms(at(0.5)), more: map[string]float64{"p99": ms(at(0.99)), "max": ms(all[len(all)-1])}}
}
