package redis

import (
	"context"
	"sync/atomic"
	"time"
)

// What enqueues have appended is indexed when they pause, so that the one who comes next finds it
// done: a worker that starts after a burst claims at once.

const (
	// tidyFrom is how many records are worth it: as many as one script indexes on its way.
	tidyFrom = 1000
	// It's a pause if no more than fewCome have come within pauseFor.
	pauseFor = 100 * time.Millisecond
	fewCome  = 100
	// tidyRest is for how long others have the server to themselves between two pieces.
	tidyRest = 5 * time.Millisecond
)

// tidy is what the goroutine that indexes works by.
type tidy struct {
	busy atomic.Bool   // there is one
	come atomic.Uint64 // that many records were appended
	most int64         // that may be left: maxAppended, less in tests
}

// startTidying starts the goroutine, unless there is one or the backend is closed.
func (b *Backend) startTidying() {
	if b.tidy.busy.Load() || !b.enter() {
		return
	}
	if !b.tidy.busy.CompareAndSwap(false, true) {
		b.inflight.Done()
		return
	}
	go func() {
		defer b.inflight.Done()
		err := b.tidyUp(context.Background())
		b.tidy.busy.Store(false)
		if err == nil && b.untidy() >= 0 { // come since it has looked
			b.startTidying()
		}
	}()
}

// tidyUp waits for a pause and indexes, until there is little left. It ends with the backend, and
// when the server doesn't do it.
func (b *Backend) tidyUp(ctx context.Context) error {
	for wait := pauseFor; ; {
		before := b.tidy.come.Load()
		if err := sleep(ctx, b.done, wait); err != nil {
			return err
		}
		if b.tidy.come.Load()-before > fewCome {
			wait = pauseFor
			continue
		}
		shard := b.untidy()
		if shard < 0 {
			return nil
		}
		if err := b.tidyPiece(ctx, shard); err != nil {
			return err
		}
		wait = tidyRest
	}
}

func (b *Backend) tidyPiece(ctx context.Context, shard int) error {
	ctx, cancel := context.WithTimeout(ctx, longestFlush)
	defer cancel()
	return b.admit(ctx, b.client, shard)
}

// untidy returns a shard in which there is enough to index, or -1.
func (b *Backend) untidy() int {
	for shard := range b.appended {
		if b.appended[shard].Load() >= tidyFrom {
			return shard
		}
	}
	return -1
}
