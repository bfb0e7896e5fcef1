package database

import (
	"context"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

const (
	// sweepLimit bounds each kind of work of one sweep.
	sweepLimit = 1000
	// forgetWorkers is for how long a worker is silent until it is forgotten, if that
	// is longer than ten of its intervals.
	forgetWorkers = time.Hour
)

// sqlSweepDue says which kinds of upkeep there are to do. Each is one look at the
// head of a small index.
const sqlSweepDue = `SELECT
	EXISTS (SELECT FROM @.tasks t WHERE t.status = 1 AND t.until <= <now>),
	EXISTS (SELECT FROM @.tasks t WHERE t.status = 0 AND t.attempts = 0 AND t.expires_at IS NOT NULL AND t.expires_at <= <now>),
	EXISTS (SELECT FROM @.tasks t WHERE t.status IN (2, 3, 4) AND t.until IS NOT NULL AND t.until <= <now>),
	EXISTS (SELECT FROM @.workers w WHERE w.forget <= <now>)`

// sqlLost reads records whose lease is past its deadline. In: $1 how many. Out: as
// sqlLookup. It locks nothing: sqlSwap changes only what is still as it was read, so of
// two sweeps one does it, and a renewal in between wins.
const sqlLost = `SELECT <short>, t.xmin::text, <now> FROM @.tasks t
WHERE t.status = 1 AND t.until <= <now> ORDER BY t.until LIMIT $1::int8`

// sqlExpired reads READY records that weren't started in time. As sqlLost.
const sqlExpired = `SELECT <short>, t.xmin::text, <now> FROM @.tasks t
WHERE t.status = 0 AND t.attempts = 0 AND t.expires_at IS NOT NULL AND t.expires_at <= <now>
ORDER BY t.expires_at LIMIT $1::int8`

// sqlPrune deletes final records whose retention is over. In: $1 how many. Out: how many
// were deleted. Two sweeps at once share the work: each skips what the other has locked.
const sqlPrune = `WITH gone AS (
	DELETE FROM @.tasks t WHERE t.id IN (
		SELECT f.id FROM @.tasks f WHERE f.status IN (2, 3, 4) AND f.until IS NOT NULL AND f.until <= <now>
		ORDER BY f.until LIMIT $1::int8 FOR UPDATE SKIP LOCKED
	) RETURNING 1
) SELECT count(*) FROM gone`

// sqlForget deletes workers that have been silent for long.
const sqlForget = `WITH gone AS (DELETE FROM @.workers w WHERE w.forget <= <now> RETURNING 1) SELECT count(*) FROM gone`

// Sweep implements tasks.Store. Any worker may sweep at any time; there is no leader. A
// sweep that finds nothing to do doesn't write.
func (b *Backend) Sweep(ctx context.Context) (tasks.Swept, error) {
	var s tasks.Swept
	if err := b.enter(ctx); err != nil {
		return s, err
	}
	defer b.inflight.Done()
	var lost, expired, prune, forget bool
	err := b.read(ctx, b.sql.sweepDue, nil, func() {}, func(scan func(...any) error) error {
		return scan(&lost, &expired, &prune, &forget)
	})
	if err != nil {
		return s, err
	}
	more := false
	if lost {
		if s.Lost, more, err = b.sweep(ctx, b.sql.lost, lifecycle.Lose); err != nil {
			return s, err
		}
		s.More = s.More || more
	}
	if expired {
		if s.Expired, more, err = b.expire(ctx); err != nil {
			return s, err
		}
		s.More = s.More || more
	}
	if prune {
		if s.Pruned, err = b.count(ctx, b.sql.prune, int64(sweepLimit)); err != nil {
			return s, err
		}
		s.More = s.More || s.Pruned == sweepLimit
	}
	if forget {
		if _, err = b.count(ctx, b.sql.forget); err != nil {
			return s, err
		}
	}
	return s, nil
}

// expire cancels READY records that weren't started in time.
func (b *Backend) expire(ctx context.Context) (n int, more bool, err error) {
	return b.sweep(ctx, b.sql.expired, lifecycle.Expire)
}

// sweep changes the records that a statement finds, as far as nobody else does.
func (b *Backend) sweep(ctx context.Context, query string, change func(*tasks.Record, time.Time)) (n int, more bool, err error) {
	rows, now, err := b.find(ctx, query, int64(sweepLimit))
	if err != nil {
		return 0, false, err
	}
	todo := make([]changed, 0, len(rows))
	var damaged []string
	for _, r := range rows {
		if r.damage != nil {
			damaged = append(damaged, r.rec.ID)
			continue
		}
		change(&r.rec, atLeast(now, r.rec.LastAttemptedAt))
		todo = append(todo, b.settled(r))
	}
	if len(damaged) > 0 {
		if err := b.write(ctx, b.sql.quarantineOverdue, []any{damaged}, ignore); err != nil {
			return 0, false, err
		}
	}
	if len(todo) == 0 {
		return 0, len(rows) == sweepLimit, nil
	}
	written, err := b.swap(ctx, todo, false)
	return len(written), len(rows) == sweepLimit, err
}

// count runs a statement that changes something and returns one number.
func (b *Backend) count(ctx context.Context, query string, args ...any) (n int, err error) {
	err = b.write(ctx, query, args, func(scan func(...any) error) error { return scan(&n) })
	return n, err
}
