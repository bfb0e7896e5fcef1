package database

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// hasExpired says that a record that is to be claimed has expired instead.
const hasExpired = `(t.attempts = 0 AND t.expires_at IS NOT NULL AND t.expires_at <= <now>)`

// sqlClaim makes records RUNNING, and those CANCELLED that have expired instead.
//
// In: $1 the queues, $2 those to leave out, $3 how many, $4 the worker as an entry of
// workers, $5 the claim's key, $6 the lease in microseconds, $7 for how many nanoseconds
// cancelled records are kept, below 0 for ever, $8 the reason of the expired, $9 and $10 the
// places and keys of claims that are over: all their records are settled. If it
// begins at marks, those are the rest.
// Out: the records, nearly in claim order, and the place of the row of the claim.
//
// If there are several levels it looks first, without locks, at what would come first over
// all of them (head), which gives the share of each. Then it locks as many in each level, and skips what
// others have locked: so the order is exact if nobody else claims, two claims never
// wait for one another or get the same record, and a crowd of claims moves on down the
// level rather than fight for its head. A record that was claimed between the look of
// the statement and its lock is seen not to be READY any more when the lock is had; one
// that was changed otherwise is somewhere else by then (at), and is left for the next claim.
// Nothing that is deferred is looked at: a level ends where due is in the future.
//
// The records are written by their places, all in one scan: joined with them, each would be a
// scan of its own. What is the same for all is in a SELECT, which is computed once. Writing them
// is the statement itself: a record is on its way while the next is written, and none is put by.
//
// The row of the claim is written by the same statement as the records become RUNNING, and
// so is that of the final ones: a sweep never misses one. They are made from what is locked, and so
// may name a record that was somewhere else: who goes by them looks at the record. A row of
// another claim at the place of one that is over has another key.
const sqlClaim = `WITH RECURSIVE <queues>, <levels>,
single AS MATERIALIZED (SELECT count(*) = 1 AS one FROM level),
head AS MATERIALIZED (
	SELECT l.queue, l.priority, l.first, l.id
	FROM level l CROSS JOIN LATERAL (
		SELECT t.due, t.id FROM @.tasks t
		WHERE t.stage < 2 AND t.queue = l.queue AND t.priority = l.priority AND (t.due, t.id) >= (l.first, l.id) AND t.due <= <now>
		ORDER BY t.due, t.id LIMIT $3::int8
	) c
	WHERE NOT (SELECT o.one FROM single o)
	ORDER BY l.priority DESC, c.due, c.id LIMIT $3::int8
),
share AS (
	SELECT h.queue, h.priority, h.first, h.id, count(*) AS n FROM head h GROUP BY h.queue, h.priority, h.first, h.id
	UNION ALL
	SELECT l.queue, l.priority, l.first, l.id, $3::int8 FROM level l WHERE (SELECT o.one FROM single o)
),
taken AS MATERIALIZED (
	SELECT c.at, c.id, c.expired, c.retain
	FROM share s CROSS JOIN LATERAL (
		SELECT t.ctid AS at, t.id, <expired> AS expired, t.retain FROM @.tasks t
		WHERE t.stage < 2 AND t.queue = s.queue AND t.priority = s.priority AND (t.due, t.id) >= (s.first, s.id) AND t.due <= <now>
		ORDER BY t.due, t.id LIMIT s.n FOR UPDATE SKIP LOCKED
	) c
),
leased AS (
	INSERT INTO @.leases AS l (until, n, key, ids)
	SELECT <now> + $6::int8 * interval '1 microsecond', count(*), $5::bytea, array_agg(k.id) FROM taken k WHERE NOT k.expired HAVING count(*) > 0
	RETURNING l.ctid AS at
),
ended AS (
	INSERT INTO @.finals (until, n, ids)
	SELECT <now> + min(coalesce(k.retain, $7::int8)) / 1000 * interval '1 microsecond', count(*), array_agg(k.id)
	FROM taken k WHERE k.expired AND coalesce(k.retain, $7::int8) >= 0 HAVING count(*) > 0
),
over AS (
	DELETE FROM @.leases l USING unnest($9::tid[], $10::bytea[]) AS o(at, key) WHERE l.ctid = o.at AND l.key = o.key
)
UPDATE @.tasks t SET
	status           = CASE WHEN <expired> THEN 4 ELSE 1 END,
	stage            = 2,
	attempts         = t.attempts + CASE WHEN <expired> THEN 0 ELSE 1 END,
	workers          = CASE WHEN <expired> THEN t.workers ELSE coalesce(t.workers, '') || $4::bytea END,
	started_at       = CASE WHEN <expired> THEN t.started_at ELSE coalesce(t.started_at, <now>) END,
	attempted_at     = CASE WHEN <expired> THEN t.attempted_at ELSE <now> END,
	claim            = CASE WHEN <expired> THEN NULL ELSE $5::bytea END,
	finished_at      = CASE WHEN <expired> THEN <now> END,
	cancel_requested = false,
	cancel_reason    = CASE WHEN <expired> THEN $8::bytea ELSE t.cancel_reason END,
	until            = CASE
		WHEN NOT <expired> THEN (SELECT <now> + $6::int8 * interval '1 microsecond')
		WHEN coalesce(t.retain, $7::int8) >= 0 THEN <now> + coalesce(t.retain, $7::int8) / 1000 * interval '1 microsecond'
		END
WHERE t.ctid = ANY (ARRAY(SELECT k.at FROM taken k))
RETURNING <claimed>, (SELECT l.at FROM leased l)`

// claimed are the columns of a claim: NULL is what the records of a claim have in common, and what is
// nearly always the same, since sending it costs more than a tenth of the claim. scanner.complete
// knows it again. A status is there if it isn't RUNNING.
func claimedColumns() string {
	return strings.NewReplacer(
		"t.status", "nullif(t.status, 1)",
		"t.started_at", "nullif(t.started_at, t.attempted_at)",
		"t.until", "NULL::timestamptz",
		"t.claim", "NULL::bytea",
		"t.cancel_requested", "NULL::boolean",
		"t.workers", "CASE WHEN t.status <> 1 OR t.attempts > 1 THEN t.workers END",
	).Replace(columns("t", false))
}

// selection picks the statement for a selection and returns its first two arguments.
func (b *Backend) selection(sel tasks.Selection, all, some string) (query string, queues, exclude []string) {
	text := func(names []string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return !isText(n) })
	}
	exclude = append([]string{}, text(sel.Exclude)...)
	if sel.All() {
		return all, []string{}, exclude
	}
	return some, append([]string{}, text(sel.Queues)...), exclude
}

var errLease = errors.New("database: the length of a lease must be positive")

const (
	// maxClaim bounds one claim.
	maxClaim = 10_000
	// claimRounds bounds how often a claim that met expired records goes on.
	claimRounds = 4
	// firstClaimed is for how many records there is room before there are any.
	firstClaimed = 64
)

// Claim implements tasks.Store.
func (b *Backend) Claim(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.inflight.Done()
	if req.Limit < 1 {
		return nil, nil
	}
	if req.Lease <= 0 {
		return nil, errLease
	}
	limit := min(req.Limit, maxClaim)
	var claimed []tasks.Claimed
	for round := 1; ; round++ {
		got, expired, missed, err := b.claim(ctx, &req, limit-len(claimed))
		if claimed == nil {
			claimed = got
		} else {
			claimed = append(claimed, got...)
		}
		if err != nil {
			if len(claimed) > 0 {
				break // these are the worker's; the error comes again
			}
			return nil, err
		}
		if (expired == 0 && !missed) || len(claimed) >= limit || round == claimRounds {
			break
		}
		if expired > 0 {
			// They were in the way. There may be many: clear them first.
			if _, _, err := b.expire(ctx); err != nil {
				break
			}
		}
	}
	if !slices.IsSortedFunc(claimed, inOrder) {
		slices.SortFunc(claimed, inOrder)
	}
	return claimed, nil
}

// inOrder is the order of a claim. No two are equal, since ids are not.
func inOrder(a, c tasks.Claimed) int {
	x, y := a.Record, c.Record
	return cmp.Or(cmp.Compare(y.Priority, x.Priority), x.DueAt().Compare(y.DueAt()), strings.Compare(x.ID, y.ID))
}

// claim is one statement. If it has missed something, there may be more that it didn't look at.
func (b *Backend) claim(ctx context.Context, req *tasks.ClaimRequest, limit int) (claimed []tasks.Claimed, expired int, missed bool, err error) {
	key := make([]byte, sizeKey)
	_, _ = rand.Read(key) // never fails
	from := b.marks.begin(limit)
	all, some := b.sql.claimAll, b.sql.claimSome
	if from.marked() {
		all, some = b.sql.claimAllMarked, b.sql.claimSomeMarked
	}
	query, queues, exclude := b.selection(req.Selection, all, some)
	var damaged, drop []string
	how := call{tuning: tuning, grace: true}
	if b.opts.AsyncClaims {
		how.tuning = asyncTuning
	}
	alone := how // without turns
	if limit >= turnFrom && b.turns.taken() {
		how.tuning, how.turn = how.tuning+turnTuning, b.sql.turn
	}
	over, overKeys := b.lent.take()
	var at pgtype.TID
	l := lease{key: key}
	s := newScanner(&at)
	s.claim = &claiming{worker: appendString(nil, req.Worker), key: key, lease: req.Lease}
	args := []any{
		queues, exclude, int64(limit), s.claim.worker, key, micros(req.Lease),
		int64(b.keep.Cancelled), []byte(lifecycle.ReasonExpired), over, overKeys,
	}
	if from.marked() {
		args = append(args, from.queues, from.priorities, from.dues, from.ids)
	}
	claimed = make([]tasks.Claimed, 0, min(limit, firstClaimed))
	taken := make([]*tasks.Record, 0, limit)
	each := func(scan func(...any) error) error {
		r, err := s.next(scan)
		if err != nil {
			return err
		}
		taken = append(taken, r.rec)
		switch {
		case r.damage != nil:
			damaged = append(damaged, r.rec.ID)
			l.index++
		case r.rec.Status == tasks.Running:
			if len(claimed) == cap(claimed) {
				claimed = slices.Grow(claimed, limit-len(claimed)) // so many will mostly be all
			}
			claimed = append(claimed, tasks.Claimed{Record: r.rec, Lease: r.lease(&l)})
			l.index++
		default:
			expired++
			if r.rec.Retain != nil && *r.rec.Retain == 0 {
				drop = append(drop, r.rec.ID)
			}
		}
		return nil
	}
	sent, err := b.on(ctx, how, query, args, each)
	for try := 1; how.turn != "" && waitedInVain(err); try++ {
		if try == turnTries || !b.turnMoves(ctx) {
			b.turns.pause()
			how = alone
		}
		sent, err = b.on(ctx, how, query, args, each)
	}
	if err != nil {
		if !sent {
			return nil, 0, false, err
		}
		if judge(err) == faultLost {
			b.giveBack(key, req.Lease) //nolint:contextcheck // it outlives the call
		}
		return nil, 0, false, writeError(ctx, err)
	}
	missed = b.marks.ended(from, limit, taken)
	if l.index > 0 {
		b.lent.add(key, at, int(l.index))
	}
	if len(damaged) > 0 {
		_ = b.write(ctx, b.sql.quarantine, []any{damaged, key}, ignore) // else its lease runs out, and it comes again
	}
	if len(drop) > 0 {
		_ = b.write(ctx, b.sql.retainNone, []any{drop}, ignore) // else a sweep does it
	}
	return claimed, expired, missed, nil
}

func ignore(func(...any) error) error { return nil }

// sqlQuarantine takes records that can't be decoded out of the way. In: $1 the ids, $2
// the key of the claim that came upon them.
const sqlQuarantine = `UPDATE @.tasks t SET status = 9, stage = 9, until = NULL, claim = NULL
WHERE t.id = ANY ($1::text[]) AND <running> AND t.claim = $2::bytea`

// sqlQuarantineOverdue does the same for a sweep, which has come upon them. In: $1 the ids.
const sqlQuarantineOverdue = `UPDATE @.tasks SET status = 9, stage = 9, until = NULL, claim = NULL
WHERE id = ANY ($1::text[]) AND ((status = 1 AND until <= <now>) OR (stage = 0 AND expires_at <= <now>))`

// sqlRetainNone deletes records that are final and aren't to be kept. In: $1 the ids.
const sqlRetainNone = `DELETE FROM @.tasks WHERE id = ANY ($1::text[]) AND status IN (2, 3, 4) AND retain = 0`
