package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// running says that a record is RUNNING.
const running = `t.status = 1`

// sqlSuccess makes RUNNING records SUCCESSFUL whose token is right.
//
// In: $1 ids, $2 tokens, $3 values, $4 for how many nanoseconds successful records are
// kept, below 0 for ever. Out: how many were settled, and if not all, which, counted from 1. Records that aren't to be kept
// at all are left for sqlSwap, which can delete.
//
// The token is compared with the row as it is when its lock is had, so a lease that was
// taken away the moment before isn't settled. The stage of what runs is that of what is final, and so
// isn't written: no column of an index changes. The row of finals is written by the same statement, so
// that a sweep never misses a record.
const sqlSuccess = `WITH done AS (
	UPDATE @.tasks t SET
		status = 2, value = n.value, finished_at = <now>, claim = NULL, cancel_requested = false, cancel_reason = NULL,
		until = CASE
			WHEN t.retain IS NULL THEN (SELECT CASE WHEN $4::int8 >= 0 THEN <now> + $4::int8 / 1000 * interval '1 microsecond' END)
			WHEN t.retain > 0 THEN <now> + t.retain / 1000 * interval '1 microsecond'
			END
	FROM unnest($1::text[], $2::bytea[], $3::bytea[]) WITH ORDINALITY AS n(id, token, value, at)
	WHERE t.id = n.id AND <running> AND t.claim = n.token AND t.retain IS DISTINCT FROM 0
	RETURNING n.at, t.id, t.until
),
ended AS (
	INSERT INTO @.finals (until, n, ids)
	SELECT min(d.until), count(*), array_agg(d.id) FROM done d WHERE d.until IS NOT NULL HAVING count(*) > 0
)
SELECT count(*), CASE WHEN count(*) < cardinality($1::text[]) THEN array_agg(d.at) END FROM done d`

// settling is an outcome on its way.
type settling struct {
	out   *tasks.Outcome
	lease lease
	// at is where its verdict goes.
	at int
}

// The bounds of one statement of a settle.
const (
	maxSettle      = 2000
	maxSettleBytes = 8 << 20
)

// Settle implements tasks.Store.
func (b *Backend) Settle(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.inflight.Done()
	if len(outs) == 0 {
		return nil, nil
	}
	verdicts := make([]error, len(outs))
	quick, slow := make([]settling, 0, len(outs)), []settling(nil)
	seen := make(map[string]bool, len(outs)) // tokens that are right, each of which is one record's only
	for i := range outs {
		out := &outs[i]
		s := settling{out: out, at: i, lease: parseToken(out.Lease.ID, out.Lease.Token)}
		switch {
		case !known(out.Kind):
			verdicts[i] = fmt.Errorf("database: unknown kind of outcome %q", out.Kind)
			continue
		case !isText(out.Lease.ID) || s.lease.ours() && seen[out.Lease.Token]:
			verdicts[i] = tasks.ErrLeaseLost
			continue
		case out.Kind == tasks.OutcomeSuccess:
			quick = append(quick, s)
		default:
			slow = append(slow, s)
		}
		if s.lease.ours() {
			seen[out.Lease.Token] = true
		}
	}
	wrote := false
	err := eachChunk(quick, func(chunk []settling) error {
		left, err := b.settleSuccess(ctx, chunk, verdicts)
		if err == nil {
			wrote = wrote || len(left) < len(chunk)
			slow = append(slow, left...)
		}
		return err
	})
	if err == nil {
		err = eachChunk(slow, func(chunk []settling) error {
			err := b.settleSlow(ctx, chunk, verdicts)
			wrote = wrote || err == nil
			return err
		})
	}
	if err != nil {
		if wrote && !errors.Is(err, tasks.ErrUnknownOutcome) {
			err = unknown(err) // some of it is stored
		}
		return nil, err
	}
	b.lent.settled(quick, verdicts)
	b.lent.settled(slow, verdicts)
	return verdicts, nil
}

// eachChunk calls fn with bounded parts.
func eachChunk(all []settling, fn func([]settling) error) error {
	for len(all) > 0 {
		n, size := 0, 0
		for n < len(all) && n < maxSettle && (n == 0 || size < maxSettleBytes) {
			out := all[n].out
			size += len(out.Value)
			if out.Error != nil {
				size += len(out.Error.Message) + len(out.Error.Stack)
			}
			n++
		}
		if err := fn(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return nil
}

// known says whether lifecycle.Settle knows the kind.
func known(kind tasks.OutcomeKind) bool {
	switch kind {
	case tasks.OutcomeSuccess, tasks.OutcomeFailure, tasks.OutcomeRetry,
		tasks.OutcomeSnooze, tasks.OutcomeRelease, tasks.OutcomeCancel:
		return true
	}
	return false
}

// settleSuccess settles successes by one statement and returns those that it didn't:
// the lease is lost, or the record isn't to be kept.
func (b *Backend) settleSuccess(ctx context.Context, all []settling, verdicts []error) (left []settling, err error) {
	ids, tokens, values := make([]string, len(all)), make([][]byte, len(all)), make([][]byte, len(all))
	for i, s := range all {
		ids[i], tokens[i], values[i] = s.out.Lease.ID, s.lease.key, s.out.Value
		if len(values[i]) == 0 {
			values[i] = []byte("null")
		}
	}
	var settled int
	var places []int
	sent, err := b.change(ctx, b.sql.success, []any{ids, tokens, values, int64(b.keep.Successful)}, func(scan func(...any) error) error {
		return scan(&settled, &places)
	})
	switch {
	case err == nil:
	case !sent:
		return nil, err
	case judge(err) == faultData:
		return nil, b.split(all, verdicts, err, func(half []settling) error {
			more, err := b.settleSuccess(ctx, half, verdicts)
			left = append(left, more...)
			return err
		})
	default:
		return nil, writeError(ctx, err)
	}
	if settled == len(all) {
		return nil, nil
	}
	done := make([]bool, len(all))
	for _, place := range places {
		done[place-1] = true
	}
	for i, s := range all {
		if !done[i] {
			left = append(left, s)
		}
	}
	return left, nil
}

// split settles the halves of a batch that the server refused for what is in it, until
// only the outcome fails that is the reason.
func (b *Backend) split(all []settling, verdicts []error, refused error, settle func([]settling) error) error {
	if len(all) == 1 {
		verdicts[all[0].at] = fmt.Errorf("database: the server refuses the outcome: %w", refused)
		return nil
	}
	half := len(all) / 2
	if err := settle(all[:half]); err != nil {
		return err
	}
	if err := settle(all[half:]); err != nil {
		return unknown(err) // the first half is stored
	}
	return nil
}

// settleSlow settles outcomes of any kind.
func (b *Backend) settleSlow(ctx context.Context, all []settling, verdicts []error) error {
	wrote := false
	for try := 0; len(all) > 0; try++ {
		if try > 0 {
			if err := contend(ctx, try); err != nil {
				if wrote {
					err = unknown(err)
				}
				return err
			}
		}
		var again []settling
		ids := make([]string, 0, len(all))
		first := make(map[string]bool, len(all))
		now := all
		for i, s := range all {
			if first[s.out.Lease.ID] {
				// Another outcome of the same record: afterwards.
				now, again = append([]settling(nil), all[:i]...), append([]settling(nil), all[i:]...)
				break
			}
			first[s.out.Lease.ID] = true
			ids = append(ids, s.out.Lease.ID)
		}
		left, err := b.settleOnce(ctx, ids, now, verdicts)
		if err != nil {
			if wrote && !errors.Is(err, tasks.ErrUnknownOutcome) {
				err = unknown(err)
			}
			return err
		}
		wrote = wrote || len(left) < len(now)
		all = append(left, again...)
	}
	return nil
}

// settleOnce looks the records up and writes them back, and returns the outcomes whose
// records were changed by somebody else in between.
func (b *Backend) settleOnce(ctx context.Context, ids []string, all []settling, verdicts []error) (left []settling, err error) {
	rows, now, err := b.lookup(ctx, ids)
	if err != nil {
		return nil, err
	}
	var todo []changed
	var live []settling
	for _, s := range all {
		r := rows[s.out.Lease.ID]
		switch {
		case r == nil || r.rec.Status != tasks.Running || string(r.token) != string(s.lease.key):
			verdicts[s.at] = tasks.ErrLeaseLost
			continue
		case r.damage != nil:
			verdicts[s.at] = r.damage
			continue
		}
		lifecycle.Settle(r.rec, *s.out, atLeast(now, r.rec.LastAttemptedAt))
		todo = append(todo, b.settled(r))
		live = append(live, s)
	}
	if len(todo) == 0 {
		return nil, nil
	}
	written, err := b.swap(ctx, todo, false)
	if err != nil {
		if !errors.Is(err, tasks.ErrUnknownOutcome) && judge(err) == faultData {
			return nil, b.split(live, verdicts, err, func(half []settling) error {
				ids := make([]string, len(half))
				for i, s := range half {
					ids[i] = s.out.Lease.ID
				}
				more, err := b.settleOnce(ctx, ids, half, verdicts)
				left = append(left, more...)
				return err
			})
		}
		return nil, err
	}
	for _, s := range live {
		if !written[s.out.Lease.ID] {
			left = append(left, s)
		}
	}
	return left, nil
}

// atLeast returns the later of two times: statements can overtake one another by
// microseconds, and no record is to end before it began.
func atLeast(now, least time.Time) time.Time {
	if now.Before(least) {
		return least
	}
	return now
}
