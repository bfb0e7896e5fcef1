package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// Alter implements tasks.Inspector.
func (b *Backend) Alter(ctx context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.inflight.Done()
	if len(ids) == 0 {
		return nil, nil
	}
	answers := make([]tasks.Altered, len(ids))
	todo := make([]int, len(ids))
	for i := range ids {
		todo[i] = i
	}
	wrote := false
	for try := 0; len(todo) > 0; {
		n := min(len(todo), maxSettle)
		left, changed, err := b.alter(ctx, change, ids, todo[:n], answers)
		if err == nil && changed == 0 && len(left) > 0 {
			try++
			err = contend(ctx, try)
		}
		if err != nil {
			if wrote && !errors.Is(err, tasks.ErrUnknownOutcome) {
				err = unknown(err)
			}
			return nil, err
		}
		wrote = wrote || changed > 0
		todo = append(left, todo[n:]...)
	}
	return answers, nil
}

// alter changes the records of ids[at] for each at, and returns which are left: those
// that somebody else has changed in between, and the second of an id.
func (b *Backend) alter(ctx context.Context, change tasks.Change, ids []string, at []int, answers []tasks.Altered) (left []int, wrote int, err error) {
	first := make(map[string]int, len(at))
	ask := make([]string, 0, len(at))
	for _, i := range at {
		id := ids[i]
		if !isText(id) || id == "" {
			answers[i] = tasks.Altered{Err: tasks.ErrResultNotFound}
			continue
		}
		if _, ok := first[id]; ok {
			left = append(left, i)
			continue
		}
		first[id] = i
		ask = append(ask, id)
	}
	if len(ask) == 0 {
		return left, 0, nil
	}
	rows, now, err := b.lookup(ctx, ask)
	if err != nil {
		return nil, 0, err
	}
	var todo []changed
	cancelled := false
	for _, id := range ask {
		r, i := rows[id], first[id]
		switch {
		case r == nil:
			answers[i] = tasks.Altered{Err: tasks.ErrResultNotFound}
			continue
		case r.damage != nil && change.Kind == tasks.ChangeDelete:
			todo = append(todo, changed{row: r, gone: true})
			continue
		case r.damage != nil:
			answers[i] = tasks.Altered{Err: r.damage}
			continue
		}
		was := r.rec.Status
		gone, err := lifecycle.Alter(r.rec, change, atLeast(atLeast(now, r.rec.LastAttemptedAt), r.rec.FinishedAt))
		if err != nil {
			answers[i] = tasks.Altered{Status: was, Err: err}
			continue
		}
		c := changed{row: r, gone: true}
		if !gone {
			c = b.settled(r)
		}
		if was == tasks.Running && change.Kind == tasks.ChangeCancel {
			cancelled = true
		}
		todo = append(todo, c)
	}
	if len(todo) == 0 {
		return left, 0, nil
	}
	written, err := b.swap(ctx, todo, cancelled)
	if err != nil {
		return nil, 0, err
	}
	for _, c := range todo {
		i := first[c.row.rec.ID]
		switch {
		case !written[c.row.rec.ID]:
			left = append(left, i)
		case c.gone:
			answers[i] = tasks.Altered{}
		default:
			answers[i] = tasks.Altered{Status: c.row.rec.Status}
		}
	}
	return left, len(written), nil
}

// sqlPruneWhere deletes final records by an operator's wish.
//
// In: $1 the id to start behind, $2 statuses, $3 queues or an empty list for all, $4 for
// how many microseconds they must have been finished, $5 how many to delete, $6 how many
// to look at. Out: how many were deleted, the last id of those that were to be.
//
// It walks the primary key: the index of final records is by when they go, which says
// nothing about when they finished. What a worker's sweep has locked is skipped: it's
// being deleted.
const sqlPruneWhere = `WITH pick AS MATERIALIZED (
	SELECT s.id FROM (
		SELECT t.id, t.status, t.queue, t.finished_at FROM @.tasks t WHERE t.id > $1::text ORDER BY t.id LIMIT $6::int8
	) s
	WHERE s.status = ANY ($2::int2[]) AND (cardinality($3::text[]) = 0 OR s.queue = ANY ($3::text[]))
		AND s.finished_at <= <now> - $4::int8 * interval '1 microsecond'
	ORDER BY s.id LIMIT $5::int8
), locked AS MATERIALIZED (
	SELECT t.id FROM @.tasks t WHERE t.id IN (SELECT p.id FROM pick p) AND t.status = ANY ($2::int2[]) FOR UPDATE SKIP LOCKED
), gone AS (
	DELETE FROM @.tasks t USING locked l WHERE t.id = l.id AND t.status = ANY ($2::int2[]) RETURNING 1
)
SELECT (SELECT count(*) FROM gone), (SELECT count(*) FROM pick), (SELECT max(p.id) FROM pick p)`

// sqlPruneBound returns the id at which a walk of bounded length ends, if it does before
// the end of the table. In: $1 the id to start behind, $2 the length.
const sqlPruneBound = `SELECT t.id FROM @.tasks t WHERE t.id > $1::text ORDER BY t.id OFFSET $2::int8 - 1 LIMIT 1`

// maxLooked bounds how many records one batch of a prune looks at.
const maxLooked = 50_000

var errCursor = errors.New("database: PruneRequest.After isn't the Next of a Prune")

// Prune implements tasks.Inspector.
func (b *Backend) Prune(ctx context.Context, req tasks.PruneRequest) (p tasks.Pruned, err error) {
	if err := b.enter(ctx); err != nil {
		return p, err
	}
	defer b.inflight.Done()
	statuses := []int16{}
	for _, s := range req.Statuses {
		if !s.Final() {
			return p, fmt.Errorf("database: only final records can be pruned, not %s ones", s)
		}
		statuses = append(statuses, statusCode(s))
	}
	if len(statuses) == 0 {
		statuses = []int16{stSuccessful, stFailed, stCancelled}
	}
	if !isText(req.After) {
		return p, errCursor
	}
	if req.Limit <= 0 {
		req.Limit = tasks.DefaultPruneBatch
	}
	queues := texts(req.Queues)
	if len(req.Queues) > 0 && len(queues) == 0 {
		return p, nil // no queue has such a name
	}
	older := micros(req.OlderThan)
	if req.OlderThan%time.Microsecond > 0 {
		older++ // what is younger by a part of one isn't deleted
	}
	var picked int
	var last *string
	err = b.write(ctx, b.sql.pruneWhere, []any{
		req.After, statuses, queues, older, int64(req.Limit), int64(maxLooked),
	}, func(scan func(...any) error) error { return scan(&p.Deleted, &picked, &last) })
	if err != nil {
		return tasks.Pruned{}, err
	}
	if picked >= req.Limit && last != nil {
		p.Next = *last
		return p, nil
	}
	p.Next, err = b.bound(ctx, b.sql.pruneBound, req.After, maxLooked)
	if err != nil {
		p.Next = req.After // what was deleted is; go on from where this began
		if p.Next == "" || p.Deleted == 0 {
			return tasks.Pruned{}, unknownIf(p.Deleted > 0, err)
		}
	}
	return p, nil
}

func unknownIf(wrote bool, err error) error {
	if wrote {
		return unknown(err)
	}
	return err
}

// bound returns the id at which a walk of so many records from behind an id was cut off, or "".
func (b *Backend) bound(ctx context.Context, query, after string, looked int) (id string, err error) {
	err = b.read(ctx, query, []any{after, int64(looked)}, func() { id = "" }, func(scan func(...any) error) error { return scan(&id) })
	return id, err
}
