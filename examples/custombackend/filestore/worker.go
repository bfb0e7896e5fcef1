package filestore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// sweepLimit is how many records one Sweep changes at most, so that it doesn't keep others waiting.
const sweepLimit = 500

var errBadLease = errors.New("filestore: a lease lasts longer than 0")

// guide:begin claim

// Claim makes records RUNNING, in claim order.
func (s *Store) Claim(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
	if req.Lease <= 0 {
		return nil, errBadLease
	}
	var claimed []tasks.Claimed
	err := s.do(ctx, func(tx *tx) error {
		for _, rec := range tx.due(req.Selection) {
			if len(claimed) >= req.Limit {
				break
			}
			e := tx.get(rec.ID)
			if lifecycle.Expired(e.rec, tx.now) {
				lifecycle.Expire(e.rec, tx.now)
				if err := tx.put(e); err != nil {
					return err
				}
				continue
			}
			lifecycle.Claim(e.rec, req.Worker, tx.now)
			e.lease = tasks.Lease{
				ID: rec.ID, Attempt: e.rec.Attempts(), Token: rand.Text(),
				Deadline: tx.now.Add(req.Lease),
			}
			claimed = append(claimed, tasks.Claimed{Record: e.rec.Clone(), Lease: e.lease})
			if err := tx.put(e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return claimed, nil
}

// due returns what a claim may take, in claim order: priority, time, id.
func (tx *tx) due(sel tasks.Selection) []*tasks.Record {
	var due []*tasks.Record
	for _, e := range tx.store.entries {
		if tx.claimable(e.rec, sel) && lifecycle.Due(e.rec, tx.now) {
			due = append(due, e.rec)
		}
	}
	slices.SortFunc(due, func(a, b *tasks.Record) int {
		return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.DueAt().Compare(b.DueAt()), cmp.Compare(a.ID, b.ID))
	})
	return due
}

// claimable reports whether a claim may take the record, now or when it is due.
func (tx *tx) claimable(rec *tasks.Record, sel tasks.Selection) bool {
	return rec.Status == tasks.Ready && sel.Has(rec.Queue) && !tx.store.paused[rec.Queue]
}

// guide:end claim

// guide:begin settle

// Settle ends leases. An outcome that can't be stored leaves its record as it was, and
// is no reason not to store the others.
func (s *Store) Settle(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
	errs := make([]error, len(outs))
	err := s.do(ctx, func(tx *tx) error {
		for i, out := range outs {
			e := tx.leased(out.Lease)
			if e == nil {
				errs[i] = tasks.ErrLeaseLost
				continue
			}
			if errs[i] = checkKind(out.Kind); errs[i] != nil {
				continue
			}
			out.Value = slices.Clone(out.Value) // lifecycle.Settle puts it into the record as it is
			lifecycle.Settle(e.rec, out, tx.now)
			errs[i] = tx.put(e)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return errs, nil
}

// checkKind refuses a kind that is newer than this package.
func checkKind(kind tasks.OutcomeKind) error {
	switch kind {
	case tasks.OutcomeSuccess, tasks.OutcomeFailure, tasks.OutcomeRetry,
		tasks.OutcomeSnooze, tasks.OutcomeRelease, tasks.OutcomeCancel:
		return nil
	default:
		return fmt.Errorf("filestore: unknown kind of outcome %q", kind)
	}
}

// leased returns the entry if the lease is the live one. The deadline doesn't matter: until
// a sweep takes the record back, the worker may come late.
func (tx *tx) leased(lease tasks.Lease) *entry {
	e := tx.get(lease.ID)
	if e == nil || e.rec.Status != tasks.Running || e.lease.Token != lease.Token {
		return nil
	}
	return e
}

// guide:end settle

// guide:begin renew

// Renew moves the deadlines of leases.
func (s *Store) Renew(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
	if d <= 0 {
		return nil, errBadLease
	}
	states := make([]tasks.LeaseState, len(leases))
	err := s.do(ctx, func(tx *tx) error {
		for i, lease := range leases {
			e := tx.leased(lease)
			if e == nil {
				states[i].Lost = true
				continue
			}
			e.lease.Deadline = tx.now.Add(d)
			s.entries[lease.ID] = e // leases aren't on disk, so there is nothing to commit
			states[i] = tasks.LeaseState{
				CancelRequested: e.rec.CancelRequested, CancelReason: e.rec.CancelReason, Deadline: e.lease.Deadline,
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return states, nil
}

// guide:end renew

// guide:begin sweep

// Sweep takes lost records back, and cancels and deletes those whose time is over.
func (s *Store) Sweep(ctx context.Context) (tasks.Swept, error) {
	var swept tasks.Swept
	err := s.do(ctx, func(tx *tx) error {
		for id, old := range s.entries {
			if len(tx.entries) == sweepLimit {
				swept.More = true
				break
			}
			pruneAt, _ := s.retention.PruneAt(old.rec)
			e := tx.get(id)
			switch {
			case old.rec.Status == tasks.Running && old.lease.Deadline.Before(tx.now):
				lifecycle.Lose(e.rec, tx.now)
				swept.Lost++
			case old.rec.Status == tasks.Ready && lifecycle.Expired(old.rec, tx.now):
				lifecycle.Expire(e.rec, tx.now)
				swept.Expired++
			case old.rec.Status.Final() && !pruneAt.After(tx.now):
				tx.delete(id)
				swept.Pruned++
				continue
			default:
				continue
			}
			if err := tx.put(e); err != nil {
				return err
			}
		}
		for id, w := range s.workers {
			if !w.Alive(tx.now.Sub(w.BeatAt)) {
				delete(s.workers, id)
			}
		}
		return nil
	})
	if err != nil {
		return tasks.Swept{}, err
	}
	return swept, nil
}

// guide:end sweep

// guide:begin wait

// Wait returns when there is something to claim.
func (s *Store) Wait(ctx context.Context, sel tasks.Selection) error {
	for {
		wait := time.Duration(-1) // until the next record is due; negative if there is none
		var changed <-chan struct{}
		err := s.do(ctx, func(tx *tx) error {
			// Taken together with what is due, so that no change is missed in between.
			changed = s.changed
			for _, e := range s.entries {
				if !tx.claimable(e.rec, sel) {
					continue
				}
				if d := max(0, e.rec.RunAfter.Sub(tx.now)); wait < 0 || d < wait {
					wait = d
				}
			}
			return nil
		})
		if err != nil || wait == 0 {
			return err
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-due:
		case <-changed:
		case <-s.closed:
		case <-ctx.Done():
		}
	}
}

// guide:end wait
