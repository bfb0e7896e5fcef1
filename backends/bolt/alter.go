package bolt

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// Alter implements tasks.Inspector.
func (b *Backend) Alter(ctx context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
	if err := b.ready(ctx); err != nil || len(ids) == 0 {
		return nil, err
	}
	ids = slices.Clone(ids)
	var answers []tasks.Altered
	err := b.do(ctx, &op{size: 512 * len(ids), apply: func(t *txn) (err error) {
		answers = make([]tasks.Altered, len(ids))
		for i, id := range ids {
			if answers[i], err = t.alter(change, id); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return answers, nil
}

func (t *txn) alter(change tasks.Change, id string) (tasks.Altered, error) {
	e, err := t.load(id)
	switch {
	case err != nil && change.Kind == tasks.ChangeDelete && t.get(inDamaged, []byte(id)) != nil:
		return tasks.Altered{}, t.discard(id)
	case err != nil:
		return tasks.Altered{Err: err}, nil
	case e == nil:
		return tasks.Altered{Err: tasks.ErrResultNotFound}, nil
	}
	// Ask with a copy: update must not be begun for a change that isn't one.
	try := e.rec
	if _, err := lifecycle.Alter(&try, change, t.now); err != nil {
		return tasks.Altered{Status: e.rec.Status, Err: err}, nil
	}
	var gone bool
	err = t.update(e, func(r *tasks.Record) bool {
		gone, _ = lifecycle.Alter(r, change, t.now)
		return gone
	})
	if err != nil {
		return tasks.Altered{}, err
	}
	if gone {
		return tasks.Altered{}, nil
	}
	if e.rec.Status == tasks.Running && change.Kind == tasks.ChangeCancel {
		t.news.cancels = append(t.news.cancels, cancelNote{id, e.rec.CancelReason})
	}
	// Retain(0) may have deleted what the change made final.
	status := e.rec.Status
	if t.raw(id) == nil {
		status = ""
	}
	return tasks.Altered{Status: status}, nil
}

// discard deletes a record that can't be decoded.
func (t *txn) discard(id string) error {
	for _, i := range []space{inArgs, inDamaged, inRecords} {
		if err := t.del(i, []byte(id)); err != nil {
			return err
		}
	}
	return nil
}

var errCursor = errors.New("bolt: PruneRequest.After isn't the Next of a Prune")

// Prune implements tasks.Inspector. It walks the index of final records, which is
// ordered by when they are due to be pruned.
func (b *Backend) Prune(ctx context.Context, req tasks.PruneRequest) (tasks.Pruned, error) {
	if err := b.ready(ctx); err != nil {
		return tasks.Pruned{}, err
	}
	for _, s := range req.Statuses {
		if !s.Final() {
			return tasks.Pruned{}, fmt.Errorf("bolt: only final records can be pruned, not %s ones", s)
		}
	}
	if req.Limit <= 0 {
		req.Limit = tasks.DefaultPruneBatch
	}
	from, err := hex.DecodeString(req.After)
	if err != nil {
		return tasks.Pruned{}, errCursor
	}
	req.Statuses, req.Queues = slices.Clone(req.Statuses), slices.Clone(req.Queues)
	var pruned tasks.Pruned
	err = b.do(ctx, &op{size: 512 * min(req.Limit, maxBatchRecords), apply: func(t *txn) (err error) {
		pruned, err = t.prune(&req, from)
		return err
	}})
	if err != nil {
		return tasks.Pruned{}, err
	}
	return pruned, nil
}

func (t *txn) prune(req *tasks.PruneRequest, from []byte) (p tasks.Pruned, err error) {
	before := lifecycle.Time(t.now.Add(-req.OlderThan))
	var keys [][]byte
	c := t.cursor(inFinal)
	k, v := c.seek(from)
	for looked := 0; k != nil; k, v = c.next() {
		if bytes.Equal(k, from) {
			continue
		}
		if len(keys) == req.Limit || looked == maxLooked {
			p.Next = hex.EncodeToString(from)
			break
		}
		looked++
		from = bytes.Clone(k)
		status, finished, queue, ok := splitFinalValue(v)
		if ok && !finished.After(before) && oneOf(req.Queues, queue) &&
			(len(req.Statuses) == 0 || slices.Contains(req.Statuses, statusOf(status))) {
			keys = append(keys, from)
		}
	}
	for _, k := range keys {
		_, id, ok := splitTimeKey(k)
		if !ok {
			continue
		}
		e, err := t.load(string(id))
		switch {
		case err != nil:
			continue // Check tells
		case e == nil || !e.rec.Status.Final():
			err = t.del(inFinal, k)
		default:
			p.Deleted++
			err = t.update(e, func(*tasks.Record) bool { return true })
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}
