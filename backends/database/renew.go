package database

import (
	"context"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// sqlRenew moves deadlines.
//
// In: $1 ids, $2 tokens, $3 the lease in microseconds. Out: the id of each lease that is
// live, its token, its new deadline, whether a cancellation is requested and why. What somebody
// else has locked is left out, so that a renewal and a settle of the same records never
// wait for one another in a circle. Leases that end sooner than before get a row of their
// own, for the sweeps; for the others that of the claim does, which is looked at earlier.
const sqlRenew = `WITH locked AS MATERIALIZED (
	SELECT t.id, t.until FROM unnest($1::text[], $2::bytea[]) AS n(id, token) JOIN @.tasks t ON t.id = n.id
	WHERE <running> AND t.claim = n.token
	FOR UPDATE OF t SKIP LOCKED
),
renewed AS (
	UPDATE @.tasks t SET until = <now> + $3::int8 * interval '1 microsecond'
	FROM locked l WHERE t.id = l.id
	RETURNING t.id, t.claim, t.until, l.until AS was, t.cancel_requested, t.cancel_reason
),
sooner AS (
	INSERT INTO @.leases (until, n, key, ids)
	SELECT min(r.until), count(*), '', array_agg(r.id) FROM renewed r WHERE r.until < r.was HAVING count(*) > 0
)
SELECT r.id, r.claim, r.until, r.cancel_requested, r.cancel_reason FROM renewed r`

// sqlStillHeld returns those of the leases that are live. In: $1 ids, $2 tokens.
const sqlStillHeld = `SELECT t.id, t.claim, t.until, t.cancel_requested, t.cancel_reason
FROM unnest($1::text[], $2::bytea[]) AS n(id, token) JOIN @.tasks t ON t.id = n.id
WHERE <running> AND t.claim = n.token`

// renewTries bounds how often a renewal is tried of records that somebody else has
// locked; then they are reported as held, by their old deadline.
const renewTries = 5

// Renew implements tasks.Store.
func (b *Backend) Renew(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.inflight.Done()
	if len(leases) == 0 {
		return nil, nil
	}
	if d <= 0 {
		return nil, errLease
	}
	type key struct{ id, token string }
	var (
		states = make([]tasks.LeaseState, len(leases))
		todo   = make(map[key][]int, len(leases))
		found  map[key]tasks.LeaseState
	)
	for i, l := range leases {
		states[i].Lost = true
		if isText(l.ID) {
			k := key{l.ID, string(parseToken(l.ID, l.Token).key)}
			todo[k] = append(todo[k], i)
		}
	}
	each := func(scan func(...any) error) error {
		var k key
		var s tasks.LeaseState
		var token, reason []byte
		if err := scan(&k.id, &token, &s.Deadline, &s.CancelRequested, &reason); err != nil {
			return err
		}
		s.Deadline = s.Deadline.UTC()
		if s.CancelRequested {
			s.CancelReason = string(reason)
		}
		k.token = string(token)
		found[k] = s
		return nil
	}
	args := func() []any {
		ids, tokens := make([]string, 0, len(todo)), make([][]byte, 0, len(todo))
		for k := range todo {
			ids, tokens = append(ids, k.id), append(tokens, []byte(k.token))
		}
		return []any{ids, tokens}
	}
	for try := 1; len(todo) > 0; try++ {
		found = make(map[key]tasks.LeaseState, len(todo))
		if err := b.write(ctx, b.sql.renew, append(args(), micros(d)), each); err != nil {
			return nil, err
		}
		for k, s := range found {
			for _, i := range todo[k] {
				states[i] = s
			}
			delete(todo, k)
		}
		if len(todo) == 0 {
			break
		}
		// The rest is lost, or somebody has it locked just now.
		if err := b.read(ctx, b.sql.stillHeld, args(), func() { clear(found) }, each); err != nil {
			return nil, err
		}
		for k, at := range todo {
			s, ok := found[k]
			switch {
			case !ok:
			case try < renewTries:
				continue
			default:
				for _, i := range at {
					states[i] = s
				}
			}
			delete(todo, k)
		}
		if len(todo) > 0 {
			if err := contend(ctx, try); err != nil {
				return nil, err
			}
		}
	}
	return states, nil
}
