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
	EXISTS (SELECT FROM @.leases l WHERE l.until <= <now>),
	EXISTS (SELECT FROM @.tasks t WHERE t.stage = 0 AND t.expires_at IS NOT NULL AND t.expires_at <= <now>),
	EXISTS (SELECT FROM @.finals f WHERE f.until <= <now>),
	EXISTS (SELECT FROM @.workers w WHERE w.forget <= <now>)`

// dueRows makes the table due(at, ids, n) of the rows of leases or finals that are to be looked
// at: the first, until they have $1 ids or more.
const dueRows = `due AS MATERIALIZED (
	SELECT d.at, d.ids, d.n FROM (
		SELECT r.ctid AS at, r.ids, r.n, sum(r.n) OVER (ORDER BY r.until, r.ctid) - r.n AS before
		FROM <rows> r WHERE r.until <= <now> ORDER BY r.until, r.ctid LIMIT $1::int8
	) d WHERE d.before < $1::int8
)`

// sqlLost reads records whose lease is past its deadline. In: $1 how many. Out: as
// sqlLookup. It locks nothing: sqlSwap changes only what is still as it was read, so of
// two sweeps one does it, and a renewal in between wins.
const sqlLost = `WITH <due leases>
SELECT <short>, t.xmin::text, <now> FROM @.tasks t
WHERE t.id IN (SELECT unnest(d.ids) FROM due d) AND <running> AND t.until <= <now> ORDER BY t.until LIMIT $1::int8`

// sqlRearm brings the rows of leases up to date that sqlLost has looked at: those whose records
// don't run any more are deleted, and the others are to be looked at again when the first of
// their records that run is due.
//
// In: $1 as sqlLost. Out: how many records the rows were of.
//
// A record that doesn't run doesn't do so again without a row of the claim that made it, so
// what is seen here not to run can be left out. A renewal in between sets the
// deadline later, or leaves a row of its own: until is never too late. Of two sweeps
// each skips the rows that the other has locked.
const sqlRearm = `WITH <due leases>,
held AS MATERIALIZED (
	SELECT l.ctid AS at, l.ids FROM due d JOIN @.leases l ON l.ctid = d.at WHERE l.until <= <now> FOR UPDATE OF l SKIP LOCKED
),
live AS MATERIALIZED (
	SELECT h.at, min(t.until) AS until, count(*) AS n, array_agg(t.id) AS ids
	FROM held h CROSS JOIN unnest(h.ids) AS i(id) JOIN @.tasks t ON t.id = i.id
	WHERE <running> AND t.until IS NOT NULL GROUP BY h.at
),
gone AS (
	DELETE FROM @.leases l USING held h WHERE l.ctid = h.at AND NOT EXISTS (SELECT FROM live v WHERE v.at = h.at)
),
kept AS (
	UPDATE @.leases l SET until = v.until, n = v.n, ids = v.ids FROM live v WHERE l.ctid = v.at
)
SELECT coalesce(sum(d.n), 0) FROM due d`

// sqlExpired reads READY records that weren't started in time. As sqlLost.
const sqlExpired = `SELECT <short>, t.xmin::text, <now> FROM @.tasks t
WHERE t.stage = 0 AND t.expires_at IS NOT NULL AND t.expires_at <= <now>
ORDER BY t.expires_at LIMIT $1::int8`

// sqlPrune deletes final records whose retention is over. In: $1 about how many. Out: how many
// were deleted, and how many the rows of finals were of. Two sweeps at once share the work: each
// skips what the other has locked. Records of a row that are to be kept for longer, or
// that somebody has locked, get a new row.
const sqlPrune = `WITH <due finals>,
held AS MATERIALIZED (
	SELECT f.ctid AS at, f.ids FROM due d JOIN @.finals f ON f.ctid = d.at WHERE f.until <= <now> FOR UPDATE OF f SKIP LOCKED
),
theirs AS MATERIALIZED (
	SELECT t.id FROM @.tasks t WHERE t.id IN (SELECT unnest(h.ids) FROM held h)
		AND t.status IN (2, 3, 4) AND t.until IS NOT NULL AND t.until <= <now> FOR UPDATE SKIP LOCKED
),
gone AS (
	DELETE FROM @.tasks t USING theirs k WHERE t.id = k.id RETURNING t.id
),
kept AS (
	INSERT INTO @.finals (until, n, ids)
	SELECT min(t.until), count(*), array_agg(t.id) FROM @.tasks t
	WHERE t.id IN (SELECT unnest(h.ids) FROM held h) AND t.status IN (2, 3, 4) AND t.until IS NOT NULL
		AND t.id NOT IN (SELECT g.id FROM gone g) HAVING count(*) > 0
),
over AS (
	DELETE FROM @.finals f USING held h WHERE f.ctid = h.at
)
SELECT (SELECT count(*) FROM gone), (SELECT coalesce(sum(d.n), 0) FROM due d)`

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
		looked := 0
		err = b.write(ctx, b.sql.rearm, []any{int64(sweepLimit)}, func(scan func(...any) error) error { return scan(&looked) })
		if err != nil {
			return s, err
		}
		s.More = s.More || more || looked >= sweepLimit
	}
	if expired {
		if s.Expired, more, err = b.expire(ctx); err != nil {
			return s, err
		}
		s.More = s.More || more
	}
	if prune {
		looked := 0
		err = b.write(ctx, b.sql.prune, []any{int64(sweepLimit)}, func(scan func(...any) error) error { return scan(&s.Pruned, &looked) })
		if err != nil {
			return s, err
		}
		s.More = s.More || looked >= sweepLimit
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
		change(r.rec, atLeast(now, r.rec.LastAttemptedAt))
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
