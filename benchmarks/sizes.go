package main

import "time"

// sizes are how much is run.
type sizes struct {
	drain, drainDefaults, drainMany int
	enqueueFor                      time.Duration
	batches                         int
	pickups, deferred, results      int
	wal                             int
	// Of Sideman alone: what a drain has, what an enqueue has, how many finished records there
	// are beside them, and how many tasks are queued while its memory is watched.
	own, ownEnqueue, finished, queued int
}

func fullSizes() sizes {
	return sizes{
		drain: 100_000, drainDefaults: 20_000, drainMany: 500_000, enqueueFor: 2 * time.Second, batches: 10,
		pickups: 300, deferred: 100, results: 100, wal: 20_000,
		own: 100_000, ownEnqueue: 40_000, finished: 1_000_000, queued: 1_000_000,
	}
}

func quickSizes() sizes {
	return sizes{
		drain: 3_000, drainDefaults: 500, drainMany: 10_000, enqueueFor: 300 * time.Millisecond, batches: 2,
		pickups: 5, deferred: 10, results: 5, wal: 2_000,
		own: 5_000, ownEnqueue: 2_000, finished: 10_000, queued: 20_000,
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
