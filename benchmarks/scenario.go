package main

import (
	"context"
	"time"
)

// scenario is one thing that is measured on a pair's store: of both contenders in turn, or of
// Sideman alone under several circumstances in turn.
type scenario struct {
	name string
	unit string
	// low says that less is better.
	low bool
	// run measures a contender whose store has just been emptied.
	run runner
	// sides are what is measured in turn, if that isn't Sideman and its peer by run.
	sides func(p *pair) []side
	// most is how many runs are enough; 0 for as many as are asked for.
	most int
	// goals by pair: what Sideman is to reach, as a ratio to what it's held against or as an
	// absolute. A pair that isn't named hasn't the scenario.
	goals map[string]goal
}

// alone says that it's of Sideman, and has nothing to do with its peer.
func (sc *scenario) alone() bool { return sc.sides != nil }

// runner measures a contender whose store is ready for it.
type runner func(ctx context.Context, c contender, size sizes) (measured, error)

// side is one of those that are measured in turn, whose figures make a row.
type side struct {
	// name tells it from the others of its scenario; "" if the scenario's name will do.
	name string
	c    contender
	run  runner
	// against names the side that it's held against, if there is one.
	against string
	// base: it's only there for others to be held against, and has no row of its own.
	base bool
	// free: the scenario's goal isn't meant for it.
	free bool
}

// of returns what a scenario measures on a pair.
func (sc *scenario) of(p *pair) []side {
	if sc.alone() {
		return sc.sides(p)
	}
	peer := p.peer.name()
	return []side{{c: p.ours, run: sc.run, against: peer}, {name: peer, c: p.peer, run: sc.run, base: true}}
}

// measured is what one run has shown: the figure, and others that belong to it.
type measured struct {
	value float64
	more  map[string]float64
}

// goal is a bound on Sideman's figure.
type goal struct {
	// ratio is how many times the other figure is wanted, at least (or at most, if less is
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
	enqueueMany                     int
	batches                         int
	pickups, deferred, results      int
	wal                             int
	// Of Sideman alone: what a drain has, and one by several processes, what an enqueue has, how
	// many finished records there are beside them, and how many tasks are queued while its memory
	// is watched. Several processes have so many that their start doesn't weigh.
	own, crew, ownEnqueue, finished, queued int
}

func fullSizes() sizes {
	return sizes{
		drain: 100_000, drainDefaults: 20_000, drainMany: 500_000, enqueueFor: 2 * time.Second, enqueueMany: 1_000_000, batches: 10,
		pickups: 300, deferred: 100, results: 100, wal: 20_000,
		own: 100_000, crew: 400_000, ownEnqueue: 40_000, finished: 1_000_000, queued: 1_000_000,
	}
}

func quickSizes() sizes {
	return sizes{
		drain: 3_000, drainDefaults: 500, drainMany: 10_000, enqueueFor: 300 * time.Millisecond, enqueueMany: 20_000, batches: 2,
		pickups: 5, deferred: 10, results: 5, wal: 2_000,
		own: 5_000, crew: 5_000, ownEnqueue: 2_000, finished: 10_000, queued: 20_000,
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
	perSecond := func(name string, run runner, database, redis, bolt float64) scenario {
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
		// So many that Redis can't index all of them afterwards.
		{name: "enqueue many, 16 goroutines", unit: "tasks/s", run: enqueueMany(16), goals: map[string]goal{onRedis: {}}},
		perSecond("enqueue, batches of 5000", enqueueBatches(2), 1, 2, 0),
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
