package database

import (
	"context"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// Whatever changes a record in more than a simple way reads it, has package lifecycle
// change it, and writes it back if it is still as it was read. No lock is held
// between the two statements, so a process that hangs or dies in between is in
// nobody's way.

// sqlLookup reads records to be changed. In: $1 the ids. Out: the records without
// arguments and value, their version, the server's time.
const sqlLookup = `SELECT <short>, t.xmin::text, <now> FROM @.tasks t WHERE t.id = ANY ($1::text[])`

// sqlSwap writes records back, or deletes them, and says what there is to say.
//
// In: $1…$18 one array for each column, after the ids the versions; times as text and
// empty for NULL; a status below 0 deletes; a NULL value, of type bytea, leaves the
// value as it is. $19 the channel, $20 what to say on it if anything is written. Out:
// the ids that were written.
//
// A record of another version, or that somebody else has locked, is left alone, and
// its id isn't returned. Locks are never waited for, so this deadlocks with nothing. Nothing
// becomes RUNNING here, so no row of leases is wanted; what becomes final gets one of finals. Nothing
// becomes damaged, either: the stage is what the other statuses have.
const sqlSwap = `WITH n AS MATERIALIZED (
	SELECT * FROM unnest($1::text[], $2::text[], $3::int2[], $4::int4[], $5::int8[], $6::text[], $7::text[], $8::text[],
		$9::text[], $10::text[], $11::text[], $12::text[], $13::bytea[], $14::bytea[], $15::bytea[], $16::bool[], $17::bytea[], $18::bytea[])
		AS n(id, version, status, attempts, max_attempts, run_after, due, expires_at,
			started_at, attempted_at, finished_at, until, token, workers, errors, cancel_requested, cancel_reason, value)
), locked AS MATERIALIZED (
	SELECT n.* FROM n JOIN @.tasks t ON t.id = n.id WHERE t.xmin::text = n.version FOR UPDATE OF t SKIP LOCKED
), gone AS (
	DELETE FROM @.tasks t USING locked n WHERE t.id = n.id AND n.status < 0 RETURNING t.id
), written AS (
	UPDATE @.tasks t SET
		status = n.status, stage = CASE WHEN n.status > 0 THEN 2 WHEN n.attempts > 0 THEN 1 ELSE 0 END,
		attempts = n.attempts, max_attempts = n.max_attempts,
		run_after = nullif(n.run_after, '')::timestamptz, due = n.due::timestamptz,
		expires_at = nullif(n.expires_at, '')::timestamptz, started_at = nullif(n.started_at, '')::timestamptz,
		attempted_at = nullif(n.attempted_at, '')::timestamptz, finished_at = nullif(n.finished_at, '')::timestamptz,
		until = nullif(n.until, '')::timestamptz, claim = n.token, workers = n.workers, errors = n.errors,
		cancel_requested = n.cancel_requested, cancel_reason = n.cancel_reason, value = coalesce(n.value, t.value)
	FROM locked n WHERE t.id = n.id AND n.status >= 0
	RETURNING t.id, t.status, t.until
), ended AS (
	INSERT INTO @.finals (until, n, ids)
	SELECT min(w.until), count(*), array_agg(w.id) FROM written w WHERE w.status IN (2, 3, 4) AND w.until IS NOT NULL HAVING count(*) > 0
), w AS (SELECT id FROM gone UNION ALL SELECT id FROM written)
SELECT w.id, (SELECT count(pg_notify($19::text, p)) FROM unnest($20::text[]) p) FROM w`

// changed is a record to be written back.
type changed struct {
	row  *row
	gone bool
	// until as in the table: a RUNNING record's deadline, or when a final one goes.
	until time.Time
}

// settled works out what is to be stored of a record that lifecycle has changed: it
// is deleted if it is final and not to be kept.
func (b *Backend) settled(r *row) changed {
	c := changed{row: r}
	switch {
	case r.rec.Status == tasks.Running:
		c.until = r.until
	case r.rec.Status.Final():
		r.token = nil
		at, atOnce := b.keep.PruneAt(r.rec)
		c.gone = atOnce
		if !at.Equal(lifecycle.Forever()) {
			c.until = at
		}
	default:
		r.token = nil
	}
	return c
}

// lookup reads records by their ids, which are distinct, and the server's time.
func (b *Backend) lookup(ctx context.Context, ids []string) (rows map[string]*row, now time.Time, err error) {
	list, now, err := b.find(ctx, b.sql.lookup, ids)
	rows = make(map[string]*row, len(list))
	for _, r := range list {
		rows[r.rec.ID] = r
	}
	return rows, now, err
}

// find reads records by a statement that returns what sqlLookup does.
func (b *Backend) find(ctx context.Context, query string, args ...any) (rows []*row, now time.Time, err error) {
	var version string
	s := newScanner(&version, &now)
	err = b.read(ctx, query, args, func() { rows = nil }, func(scan func(...any) error) error {
		r, err := s.next(scan)
		if err != nil {
			return err
		}
		r.version = version
		rows = append(rows, &r)
		return nil
	})
	return rows, now, err
}

// swap writes records back by one statement, and returns the ids of those that were
// still as they had been read. cancelled says that the cancellation of RUNNING ones is
// requested.
func (b *Backend) swap(ctx context.Context, all []changed, cancelled bool) (map[string]bool, error) {
	n := len(all)
	var (
		ids, versions                = make([]string, n), make([]string, n)
		status                       = make([]int16, n)
		attempts                     = make([]int32, n)
		most                         = make([]int64, n)
		after, due, expires          = make([]string, n), make([]string, n), make([]string, n)
		started, attempted, finished = make([]string, n), make([]string, n), make([]string, n)
		until                        = make([]string, n)
		token, workers, errs         = make([][]byte, n), make([][]byte, n), make([][]byte, n)
		requested                    = make([]bool, n)
		reason, value                = make([][]byte, n), make([][]byte, n)
		ready                        = make(news)
		said                         []string
	)
	for i, c := range all {
		r := c.row.rec
		ids[i], versions[i] = r.ID, c.row.version
		status[i] = statusCode(r.Status)
		if c.gone {
			status[i] = -1
		}
		attempts[i], most[i] = int32(r.Attempts()), int64(r.MaxAttempts)
		after[i], due[i], expires[i] = timeText(r.RunAfter), timeText(r.DueAt()), timeText(r.ExpiresAt)
		started[i], attempted[i], finished[i] = timeText(r.StartedAt), timeText(r.LastAttemptedAt), timeText(r.FinishedAt)
		until[i] = timeText(c.until)
		token[i], workers[i], errs[i] = c.row.token, encodeStrings(r.WorkerIDs), encodeErrors(r.Errors)
		requested[i] = r.CancelRequested
		if r.CancelReason != "" {
			reason[i] = []byte(r.CancelReason)
		}
		value[i] = r.Value
		if r.Status == tasks.Ready {
			ready.add(r.Queue, false)
		}
	}
	if note := ready.payload(); note != "" {
		said = append(said, note)
	}
	if cancelled {
		said = append(said, string(rune(noteCancel)))
	}
	written := make(map[string]bool, n)
	err := b.write(ctx, b.sql.swap, []any{
		ids, versions, status, attempts, most, after, due, expires, started, attempted, finished, until,
		token, workers, errs, requested, reason, value, b.sql.channel, said,
	}, func(scan func(...any) error) error {
		var id string
		var notes *int64
		if err := scan(&id, &notes); err != nil {
			return err
		}
		written[id] = true
		return nil
	})
	if len(ready) > 0 {
		b.marks.back() // also if it isn't known whether it's written
	}
	if err != nil {
		return nil, err
	}
	return written, nil
}

// contend waits a little before a record is tried again that somebody else is changing.
func contend(ctx context.Context, try int) error {
	timer := time.NewTimer(min(time.Millisecond<<min(try, 10), 50*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
