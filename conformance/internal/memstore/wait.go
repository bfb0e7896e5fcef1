package memstore

import (
	"context"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// Wait returns when a claim may succeed.
func (s *Store) Wait(ctx context.Context, sel tasks.Selection) error {
	for {
		var sleep time.Duration // until the first record is due; negative if there is none
		var changed chan struct{}
		err := s.do(ctx, func(p *Place, now time.Time) error {
			sleep, changed = p.untilDue(sel, now), p.changed
			return nil
		})
		if err != nil || sleep == 0 {
			return err
		}
		s.pause(ctx, changed, sleep)
	}
}

// untilDue is how long it takes until a record of the selection is due: 0 if one
// is, negative if none will be.
func (p *Place) untilDue(sel tasks.Selection, now time.Time) time.Duration {
	if len(p.claimable(sel, now)) > 0 {
		return 0
	}
	first := time.Duration(-1)
	for _, e := range p.entries {
		if e.rec.Status != tasks.Ready || !p.rules.selects(sel, e.rec.Queue) || p.rules.paused(e.rec.Queue) {
			continue
		}
		if d := e.rec.RunAfter.Sub(now); d > 0 && (first < 0 || d < first) {
			first = d
		}
	}
	return first
}

// pause returns at the next change, after d unless that is negative, and when ctx or
// the store ends.
func (s *Store) pause(ctx context.Context, changed <-chan struct{}, d time.Duration) {
	var over <-chan time.Time
	if d >= 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-changed:
	case <-over:
	case <-s.done:
	case <-ctx.Done():
	}
}

// WaitResult returns the record once it is final.
func (s *Store) WaitResult(ctx context.Context, id string) (*tasks.Record, error) {
	for {
		var rec *tasks.Record
		var changed chan struct{}
		err := s.do(ctx, func(p *Place, _ time.Time) error {
			e := p.entries[id]
			if e == nil {
				return tasks.ErrResultNotFound
			}
			rec, changed = p.rules.copyOut(e.rec), p.changed
			return nil
		})
		if err != nil {
			return nil, err
		}
		if rec.Status.Final() {
			return rec, nil
		}
		s.pause(ctx, changed, -1)
	}
}

// NotifyCancel tells of requests to cancel RUNNING records.
func (s *Store) NotifyCancel(ctx context.Context, fn func(id, reason string)) error {
	told := -1 // how many of the place's notes are known
	for {
		var news []cancelNote
		var changed chan struct{}
		err := s.do(ctx, func(p *Place, _ time.Time) error {
			if told >= 0 {
				news = p.cancels[told:]
			}
			told, changed = len(p.cancels), p.changed
			return nil
		})
		if err != nil {
			return err
		}
		for _, n := range news {
			fn(n.id, n.reason)
		}
		s.pause(ctx, changed, -1)
	}
}
