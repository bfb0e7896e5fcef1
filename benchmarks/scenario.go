package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// scenario is one thing that is measured of two contenders in turn.
type scenario struct {
	name string
	unit string
	// low says that less is better.
	low bool
	// run measures a contender whose store has just been emptied.
	run func(ctx context.Context, c contender, size sizes) (measured, error)
	// goals by pair: what Sideman is to reach, as a ratio to its peer or as an absolute.
	goals map[string]goal
}

// measured is what one run has shown: the figure, and others that belong to it.
type measured struct {
	value float64
	more  map[string]float64
}

// goal is a bound on Sideman's figure.
type goal struct {
	// ratio is how many times the peer's figure is wanted, at least (or at most, if less is
	// better); 0 if that isn't asked.
	ratio float64
	// most is the most that the figure may be, and most99 its 99th percentile; 0 for none.
	most, most99 float64
}

// The pairs.
const (
	onPostgres = "database"
	onRedis    = "redis"
	onFile     = "bolt"
)

// sizes are how much is run.
type sizes struct {
	drain, drainDefaults, drainMany int
	enqueueFor                      time.Duration
	batches                         int
	pickups, deferred, results      int
	wal                             int
}

func fullSizes() sizes {
	return sizes{
		drain: 100_000, drainDefaults: 20_000, drainMany: 500_000, enqueueFor: 2 * time.Second, batches: 10,
		pickups: 300, deferred: 100, results: 100, wal: 20_000,
	}
}

func quickSizes() sizes {
	return sizes{
		drain: 10_000, drainDefaults: 2_000, drainMany: 20_000, enqueueFor: 300 * time.Millisecond, batches: 2,
		pickups: 10, deferred: 10, results: 10, wal: 2_000,
	}
}

// on returns the sizes for a pair: backlite runs hundreds of tasks a second, not thousands.
func (s sizes) on(pair string) sizes {
	if pair == onFile {
		s.drain, s.drainDefaults = min(s.drain, 5000), min(s.drainDefaults, 1000)
	}
	return s
}

// batchSize is that of Enqueue in batches.
const batchSize = 5000

// scenarios are what is measured side by side.
func scenarios() []scenario {
	perSecond := func(name string, run func(context.Context, contender, sizes) (measured, error), database, redis, bolt float64) scenario {
		return scenario{name: name, unit: "tasks/s", run: run, goals: map[string]goal{
			onPostgres: {ratio: database}, onRedis: {ratio: redis}, onFile: {ratio: bolt},
		}}
	}
	return []scenario{
		perSecond("drain, tuned", drainOf(tuned, func(s sizes) int { return s.drain }), 2.5, 5, 5),
		perSecond("drain, defaults", drainOf(defaults, func(s sizes) int { return s.drainDefaults }), 20, 5, 5),
		{
			name: "drain many, tuned", unit: "tasks/s", run: drainOf(tuned, func(s sizes) int { return s.drainMany }),
			goals: map[string]goal{onPostgres: {ratio: 3}, onRedis: {ratio: 5}},
		},
		perSecond("enqueue, 1 goroutine", enqueueBy(1), 2, 1, 1),
		perSecond("enqueue, 16 goroutines", enqueueBy(16), 5, 2, 5),
		perSecond("enqueue, batches of 5000", enqueueBatches, 1, 2, 0),
		{name: "pickup at defaults", unit: "ms", low: true, run: pickup, goals: map[string]goal{
			onPostgres: {most: 2, most99: 10}, onRedis: {most: 1, most99: 5}, onFile: {most: 5},
		}},
		{name: "deferred, lateness at defaults", unit: "ms", low: true, run: lateness, goals: map[string]goal{
			onPostgres: {most99: 100}, onRedis: {most99: 100}, onFile: {most99: 100},
		}},
		{name: "result visible at defaults", unit: "ms", low: true, run: visible, goals: map[string]goal{
			onPostgres: {most99: 20}, onRedis: {most99: 10}, onFile: {most99: 20},
		}},
		{name: "WAL a task", unit: "B", low: true, run: wal, goals: map[string]goal{onPostgres: {ratio: 0.4, most: 1200}}},
	}
}

// drainOf measures how fast a worker gets through a queue of no-ops: from its start until the
// end of the last one is stored.
func drainOf(how settings, size func(sizes) int) func(context.Context, contender, sizes) (measured, error) {
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
func enqueueBy(goroutines int) func(context.Context, contender, sizes) (measured, error) {
	return func(ctx context.Context, c contender, s sizes) (measured, error) {
		var wg sync.WaitGroup
		var stored atomic.Int64
		errs := make([]error, goroutines)
		from := time.Now()
		for g := range goroutines {
			wg.Go(func() {
				for time.Since(from) < s.enqueueFor {
					if errs[g] = c.enqueue(ctx, noted); errs[g] != nil {
						return
					}
					stored.Add(1)
				}
			})
		}
		wg.Wait()
		took := time.Since(from)
		for _, err := range errs {
			if err != nil {
				return measured{}, fmt.Errorf("%s: enqueue: %w", c.name(), err)
			}
		}
		return measured{value: float64(stored.Load()) / took.Seconds()}, nil
	}
}

func enqueueBatches(ctx context.Context, c contender, s sizes) (measured, error) {
	n := s.batches * batchSize
	from := time.Now()
	err := fill(ctx, c, n)
	return measured{value: float64(n) / time.Since(from).Seconds()}, err
}

// spread reports the median, and the 99th percentile and the most beside it, in milliseconds.
func spread(all []time.Duration) measured {
	slices.Sort(all)
	ms := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	at := func(q float64) time.Duration { return all[min(int(q*float64(len(all))), len(all)-1)] }
	return measured{value: ms(at(0.5)), more: map[string]float64{"p99": ms(at(0.99)), "max": ms(all[len(all)-1])}}
}
