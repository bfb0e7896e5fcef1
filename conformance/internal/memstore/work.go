package memstore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// sweepLimit bounds one sweep.
const sweepLimit = 1000

// forgetWorkers is for how long a worker is silent until a sweep forgets it, if
// that is longer than ten of its intervals.
const forgetWorkers = time.Hour

var errLease = errors.New("memstore: the length of a lease must be positive")

// Claim makes records RUNNING.
func (s *Store) Claim(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
	if req.Limit >= 1 && req.Lease <= 0 {
		return nil, errLease
	}
	var claimed []tasks.Claimed
	err := s.change(ctx, func(p *Place, now time.Time) error {
		claimed = p.claim(req, now)
		return nil
	})
	return claimed, err
}

func (p *Place) claim(req tasks.ClaimRequest, now time.Time) (claimed []tasks.Claimed) {
	for _, e := range p.claimable(req.Selection, now) {
		switch {
		case len(claimed) >= req.Limit:
			return claimed
		case p.rules.expired(e.rec, now):
			p.rules.expire(e.rec, now)
			p.finished(e)
		default:
			p.rules.claim(e.rec, req.Worker, now)
			e.token, e.deadline = rand.Text(), p.rules.deadline(now, req.Lease)
			claimed = append(claimed, tasks.Claimed{Record: p.rules.copyOut(e.rec), Lease: e.lease()})
		}
	}
	return claimed
}

func (e *entry) lease() tasks.Lease {
	return tasks.Lease{ID: e.rec.ID, Attempt: e.rec.Attempts(), Token: e.token, Deadline: e.deadline}
}

// claimable returns what a claim may take, in claim order.
func (p *Place) claimable(sel tasks.Selection, now time.Time) []*entry {
	var list []*entry
	for _, e := range p.sorted() {
		if p.rules.due(e.rec, now) && p.rules.selects(sel, e.rec.Queue) && !p.rules.paused(e.rec.Queue) {
			list = append(list, e)
		}
	}
	slices.SortStableFunc(list, func(a, b *entry) int { return p.rules.order(a.rec, b.rec) })
	return list
}

// finished deletes a record that has become final and isn't to be kept.
func (p *Place) finished(e *entry) {
	if !e.rec.Status.Final() {
		return
	}
	if _, atOnce := p.rules.pruneAt(e.rec); atOnce {
		p.remove(e.rec.ID)
	}
}

// held returns the entry whose live lease l is, or nil.
func (p *Place) held(l tasks.Lease) *entry {
	if e := p.entries[l.ID]; e != nil && p.rules.held(e, l) {
		return e
	}
	return nil
}

// Renew moves deadlines.
func (s *Store) Renew(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
	if d <= 0 {
		return nil, errLease
	}
	states := make([]tasks.LeaseState, len(leases))
	err := s.change(ctx, func(p *Place, now time.Time) error {
		for i, l := range leases {
			e := p.held(l)
			if e == nil {
				states[i].Lost = true
				continue
			}
			e.deadline = p.rules.deadline(now, d)
			states[i].Deadline = e.deadline
			if e.rec.CancelRequested {
				states[i].CancelRequested, states[i].CancelReason = true, e.rec.CancelReason
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return states, nil
}

// Settle ends leases.
func (s *Store) Settle(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
	verdicts := make([]error, len(outs))
	err := s.change(ctx, func(p *Place, now time.Time) error {
		for i, out := range outs {
			verdicts[i] = p.settle(out, now)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

func (p *Place) settle(out tasks.Outcome, now time.Time) error {
	switch out.Kind {
	case tasks.OutcomeSuccess, tasks.OutcomeFailure, tasks.OutcomeRetry,
		tasks.OutcomeSnooze, tasks.OutcomeRelease, tasks.OutcomeCancel:
	default: // lifecycle.Settle would do nothing
		return fmt.Errorf("memstore: unknown kind of outcome %q", out.Kind)
	}
	e := p.held(out.Lease)
	if e == nil {
		return tasks.ErrLeaseLost
	}
	out.Value = slices.Clone(out.Value)
	p.rules.settle(e.rec, out, now)
	p.finished(e)
	return nil
}

// Sweep does upkeep, on sweepLimit records at most.
func (s *Store) Sweep(ctx context.Context) (tasks.Swept, error) {
	var swept tasks.Swept
	err := s.change(ctx, func(p *Place, now time.Time) error {
		swept = p.sweep(now)
		return nil
	})
	return swept, err
}

func (p *Place) sweep(now time.Time) (swept tasks.Swept) {
	for _, e := range p.sorted() {
		if swept.Lost+swept.Expired+swept.Pruned == sweepLimit {
			swept.More = true
			return swept
		}
		switch {
		case e.rec.Status == tasks.Running && p.rules.lost(e, now):
			p.rules.lose(e.rec, now)
			p.finished(e)
			swept.Lost++
		case p.rules.expired(e.rec, now):
			p.rules.expire(e.rec, now)
			p.finished(e)
			swept.Expired++
		case e.rec.Status.Final():
			if at, _ := p.rules.pruneAt(e.rec); !at.After(now) {
				p.remove(e.rec.ID)
				swept.Pruned++
			}
		}
	}
	for id, w := range p.workers {
		if now.Sub(w.BeatAt) > max(forgetWorkers, 10*w.Interval) {
			delete(p.workers, id)
		}
	}
	return swept
}
