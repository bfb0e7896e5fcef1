package bolt

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// maxSkipped bounds how many records one claim looks at that it can't give out:
// expired, damaged. What is left is for the next claim.
const maxSkipped = 1000

// stream walks the due records of one queue in claim order.
type stream struct {
	c      *cursor
	prefix []byte
	now    time.Time

	key   []byte // the record it stands on, valid while nothing is written
	level byte
	due   time.Time
	id    []byte
}

// open moves to the queue's first due record and reports whether there is one.
func (s *stream) open() bool {
	k, _ := s.c.seek(s.prefix)
	return s.settle(k)
}

func (s *stream) next() bool {
	k, _ := s.c.next()
	return s.settle(k)
}

// settle goes from key k on to a due record: the rest of a level whose head lies
// in the future is skipped in one step.
func (s *stream) settle(k []byte) bool {
	for bytes.HasPrefix(k, s.prefix) {
		_, level, due, id, ok := splitReadyKey(k)
		switch {
		case !ok:
			k, _ = s.c.next()
			continue
		case !due.After(s.now):
			s.key, s.level, s.due, s.id = k, level, due, id
			return true
		}
		k, _ = s.c.seek(append(slices.Clip(s.prefix), level+1))
	}
	return false
}

func (s *stream) before(o *stream) bool {
	if s.level != o.level {
		return s.level < o.level
	}
	if !s.due.Equal(o.due) {
		return s.due.Before(o.due)
	}
	return bytes.Compare(s.id, o.id) < 0
}

// earliest returns when the queue's first record is due: the earliest of the
// heads of its levels.
func earliest(c *cursor, queue string) (first time.Time, found bool) {
	prefix := queuePrefix(queue)
	for k, _ := c.seek(prefix); bytes.HasPrefix(k, prefix); {
		_, level, due, _, ok := splitReadyKey(k)
		if !ok {
			k, _ = c.next()
			continue
		}
		if !found || due.Before(first) {
			first, found = due, true
		}
		k, _ = c.seek(append(slices.Clip(prefix), level+1))
	}
	return first, found
}

// eachQueue calls fn with each queue of the selection that has READY records and
// isn't paused, until fn returns false.
func (t *txn) eachQueue(sel tasks.Selection, fn func(queue string) bool) {
	if !sel.All() {
		for i, q := range sel.Queues {
			if q == "" || !sel.Has(q) || slices.Contains(sel.Queues[:i], q) || t.get(inPaused, []byte(q)) != nil {
				continue
			}
			if !fn(q) {
				return
			}
		}
		return
	}
	c := t.cursor(inReady)
	for k, _ := c.first(); k != nil; {
		queue, _, _, _, ok := splitReadyKey(k)
		if !ok {
			k, _ = c.next()
			continue
		}
		name := string(queue)
		if sel.Has(name) && t.get(inPaused, queue) == nil && !fn(name) {
			return
		}
		if k, _ = c.seek(after(queuePrefix(name))); k == nil {
			return
		}
	}
}

// picked is a record that a claim has come to.
type picked struct {
	e   *envelope
	id  string
	key []byte // in the ready index
	err error  // it can't be decoded
}

// pick looks for records to claim, without writing: cursors and writes on one
// bucket don't go together.
func (t *txn) pick(sel tasks.Selection, limit int) []picked {
	var streams []*stream
	t.eachQueue(sel, func(queue string) bool {
		s := &stream{c: t.cursor(inReady), prefix: queuePrefix(queue), now: lifecycle.Time(t.now)}
		if s.open() {
			streams = append(streams, s)
		}
		return true
	})
	var all []picked
	for claims, skipped := 0, 0; len(streams) > 0 && claims < limit && skipped < maxSkipped; {
		first := 0
		for i := 1; i < len(streams); i++ {
			if streams[i].before(streams[first]) {
				first = i
			}
		}
		s := streams[first]
		p := picked{id: string(s.id), key: bytes.Clone(s.key)}
		if p.e, p.err = t.load(p.id); p.e != nil {
			p.err = t.loadArgs(p.e)
		}
		if p.e != nil && p.err == nil && !lifecycle.Expired(&p.e.rec, t.now) {
			claims++
		} else {
			skipped++
		}
		all = append(all, p)
		if !s.next() {
			streams = append(streams[:first], streams[first+1:]...)
		}
	}
	return all
}

// claim is the apply of a claim.
func (t *txn) claim(req *tasks.ClaimRequest) ([]tasks.Claimed, error) {
	all := t.pick(req.Selection, req.Limit)
	if len(all) == 0 {
		return nil, nil
	}
	tokens := make([]byte, sizeToken*len(all))
	_, _ = rand.Read(tokens) // never fails
	claimed := make([]tasks.Claimed, 0, min(len(all), req.Limit))
	for i := range all {
		p := &all[i]
		var err error
		switch {
		case p.err != nil:
			err = t.quarantine(p)
		case p.e == nil || p.e.rec.Status != tasks.Ready:
			err = t.del(inReady, p.key) // an entry without its record
		case lifecycle.Expired(&p.e.rec, t.now):
			err = t.update(p.e, func(r *tasks.Record) bool {
				lifecycle.Expire(r, t.now)
				return false
			})
		default:
			e := p.e
			err = t.update(e, func(r *tasks.Record) bool {
				lifecycle.Claim(r, req.Worker, t.now)
				copy(e.token[:], tokens[sizeToken*i:])
				e.until = lifecycle.Time(t.now.Add(req.Lease))
				return false
			})
			claimed = append(claimed, tasks.Claimed{Record: &e.rec, Lease: e.lease()})
		}
		if err != nil {
			return nil, err
		}
	}
	return claimed, nil
}

// quarantine takes a record out of the way of claims. It stays readable as far
// as it can be, and Check reports it.
func (t *txn) quarantine(p *picked) error {
	if err := t.del(inReady, p.key); err != nil {
		return err
	}
	return t.put(inDamaged, []byte(p.id), []byte(p.err.Error()))
}

func (e *envelope) lease() tasks.Lease {
	return tasks.Lease{ID: e.rec.ID, Attempt: e.rec.Attempts(), Token: tokenString(e.token[:]), Deadline: e.until}
}

var errLease = errors.New("bolt: the length of a lease must be positive")

// Claim implements tasks.Store.
func (b *Backend) Claim(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
	if err := b.ready(ctx); err != nil || req.Limit < 1 {
		return nil, err
	}
	if req.Lease <= 0 {
		return nil, errLease
	}
	var claimed []tasks.Claimed
	if err := b.do(ctx, b.claimOp(req, &claimed)); err != nil {
		return nil, err
	}
	return claimed, nil
}

func (b *Backend) claimOp(req tasks.ClaimRequest, claimed *[]tasks.Claimed) *op {
	return &op{
		size: min(req.Limit, maxBatchRecords) * minOpSize / 4,
		apply: func(t *txn) (err error) {
			*claimed, err = t.claim(&req)
			return err
		},
		// Nobody would run what was claimed for a caller that has left.
		orphan: func() {
			outs := make([]tasks.Outcome, len(*claimed))
			for i, c := range *claimed {
				outs[i] = tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeRelease}
			}
			b.settleLater(outs)
		},
	}
}
