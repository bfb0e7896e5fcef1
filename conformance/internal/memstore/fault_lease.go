package memstore

import (
	"context"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func leaseFaults() []Fault {
	renewing := func(change func(s *Store, leases []tasks.Lease, d *time.Duration, states []tasks.LeaseState)) func(*Store, *methods) {
		return func(s *Store, m *methods) {
			m.renew = func(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
				change(s, leases, &d, nil)
				states, err := s.Renew(ctx, leases, d)
				if err == nil {
					change(s, leases, &d, states)
				}
				return states, err
			}
		}
	}
	return []Fault{
		{Name: "lease-never-expires", Doc: "a lease that ran out is never taken back (asynq #1144: active without a lease is orphaned)", rules: func(_ *Place, r *rules) {
			r.lost = func(*entry, time.Time) bool { return false }
		}},
		{Name: "lease-expires-early", Doc: "a lease is taken back at half its length", rules: func(_ *Place, r *rules) {
			r.deadline = func(now time.Time, d time.Duration) time.Time { return lifecycle.Time(now.Add(d / 2)) }
		}},
		{Name: "lease-swept-early", Doc: "a sweep takes back leases before the deadline that the worker was told", rules: func(_ *Place, r *rules) {
			r.lost = func(e *entry, now time.Time) bool { return !e.deadline.After(now.Add(time.Minute)) }
		}},
		{Name: "lease-swept-all", Doc: "a sweep takes back every lease", rules: func(_ *Place, r *rules) {
			r.lost = func(*entry, time.Time) bool { return true }
		}},
		{
			Name: "lease-token-constant", Doc: "every lease of a record has the same token, so a stale one passes for the live one (faktory: ack by id)",
			rules: func(_ *Place, r *rules) {
				r.held = func(e *entry, _ tasks.Lease) bool { return e.rec.Status == tasks.Running }
			},
			methods: func(s *Store, m *methods) {
				m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
					got, err := s.Claim(ctx, req)
					for i := range got {
						got[i].Lease.Token = got[i].Record.ID
					}
					return got, err
				}
			},
		},
		{
			Name: "lease-token-guessable", Doc: "the token is made of the id and the attempt",
			rules: func(_ *Place, r *rules) {
				r.held = func(e *entry, l tasks.Lease) bool {
					return e.rec.Status == tasks.Running && l.Token == l.ID+"/"+string(rune('0'+e.rec.Attempts()))
				}
			},
			methods: func(s *Store, m *methods) {
				m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
					got, err := s.Claim(ctx, req)
					for i := range got {
						got[i].Lease.Token = got[i].Record.ID + "/" + string(rune('0'+got[i].Record.Attempts()))
					}
					return got, err
				}
			},
		},
		{
			Name: "lease-attempt-zero", Doc: "the lease of the first attempt has number 0",
			methods: func(s *Store, m *methods) {
				m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
					got, err := s.Claim(ctx, req)
					for i := range got {
						got[i].Lease.Attempt--
					}
					return got, err
				}
			},
		},
		{Name: "renew-stale", Doc: "a lease that isn't the live one can be renewed", methods: renewing(func(_ *Store, _ []tasks.Lease, _ *time.Duration, states []tasks.LeaseState) {
			for i := range states {
				states[i].Lost = false
			}
		})},
		{Name: "renew-past-deadline", Doc: "a lease past its deadline can't be renewed though nobody has taken it back", methods: renewing(func(s *Store, leases []tasks.Lease, _ *time.Duration, states []tasks.LeaseState) {
			if states != nil {
				return
			}
			s.p.mu.Lock()
			defer s.p.mu.Unlock()
			for _, l := range leases {
				if e := s.p.held(l); e != nil && e.deadline.Before(time.Now()) {
					e.token = "over"
				}
			}
		})},
		{Name: "renew-in-vain", Doc: "a renewal doesn't move the deadline (taskq: a sweep goes by when the attempt began)", methods: func(s *Store, m *methods) {
			m.renew = func(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
				deadlines := make(map[string]time.Time)
				s.p.mu.Lock()
				for id, e := range s.p.entries {
					deadlines[id] = e.deadline
				}
				s.p.mu.Unlock()
				states, err := s.Renew(ctx, leases, d)
				s.p.mu.Lock()
				defer s.p.mu.Unlock()
				for id, e := range s.p.entries {
					e.deadline = deadlines[id]
				}
				return states, err
			}
		}},
		{Name: "renew-nothing-fails", Doc: "renewing no leases is an error", methods: func(s *Store, m *methods) {
			m.renew = func(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
				if len(leases) == 0 {
					return nil, errNothing
				}
				return s.Renew(ctx, leases, d)
			}
		}},
		{Name: "renew-adds", Doc: "a renewal adds to the old deadline instead of to the store's time", methods: func(s *Store, m *methods) {
			m.renew = func(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
				s.p.mu.Lock()
				old := make([]time.Time, len(leases))
				for i, l := range leases {
					if e := s.p.held(l); e != nil {
						old[i] = e.deadline
					}
				}
				s.p.mu.Unlock()
				states, err := s.Renew(ctx, leases, d)
				s.p.mu.Lock()
				defer s.p.mu.Unlock()
				for i := range states {
					if e := s.p.held(leases[i]); e != nil {
						e.deadline = old[i].Add(d)
						states[i].Deadline = e.deadline
					}
				}
				return states, err
			}
		}},
		{Name: "renew-first-only", Doc: "of several leases only the first is renewed", methods: func(s *Store, m *methods) {
			m.renew = func(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
				states, err := s.Renew(ctx, leases[:min(1, len(leases))], d)
				for len(states) > 0 && len(states) < len(leases) {
					states = append(states, states[0])
				}
				return states, err
			}
		}},
		{Name: "renew-all-or-none", Doc: "one lease that is lost makes all the others of the renewal lost", methods: renewing(func(_ *Store, _ []tasks.Lease, _ *time.Duration, states []tasks.LeaseState) {
			lost := false
			for _, st := range states {
				lost = lost || st.Lost
			}
			for i := range states {
				if lost {
					states[i] = tasks.LeaseState{Lost: true}
				}
			}
		})},
		{Name: "renew-tells-old-deadline", Doc: "a renewal reports the deadline that the lease had before", methods: renewing(func(_ *Store, leases []tasks.Lease, _ *time.Duration, states []tasks.LeaseState) {
			for i := range states {
				if !states[i].Lost {
					states[i].Deadline = leases[i].Deadline
				}
			}
		})},
		{Name: "renew-hides-cancel", Doc: "a renewal doesn't tell that a cancellation was requested", methods: renewing(func(_ *Store, _ []tasks.Lease, _ *time.Duration, states []tasks.LeaseState) {
			for i := range states {
				states[i].CancelRequested, states[i].CancelReason = false, ""
			}
		})},
		{Name: "renew-hides-reason", Doc: "a renewal tells that a cancellation was requested, but not why", methods: renewing(func(_ *Store, _ []tasks.Lease, _ *time.Duration, states []tasks.LeaseState) {
			for i := range states {
				states[i].CancelReason = ""
			}
		})},
	}
}

func lossFaults() []Fault {
	losing := func(lose func(rec *tasks.Record, now time.Time)) func(*Place, *rules) {
		return func(_ *Place, r *rules) { r.lose = lose }
	}
	return []Fault{
		{Name: "loss-unrecorded", Doc: "a lost attempt isn't recorded as an error", rules: losing(func(rec *tasks.Record, now time.Time) {
			was := rec.Errors
			lifecycle.Lose(rec, now)
			rec.Errors = was
		})},
		{Name: "loss-uncounted", Doc: "a lost attempt doesn't count, so a task that kills its worker runs for ever", rules: losing(func(rec *tasks.Record, now time.Time) {
			lifecycle.Settle(rec, tasks.Outcome{Kind: tasks.OutcomeSnooze}, now)
		})},
		{Name: "loss-other-type", Doc: "the error of a lost attempt isn't of the type lost", rules: losing(func(rec *tasks.Record, now time.Time) {
			lifecycle.Lose(rec, now)
			rec.Errors[len(rec.Errors)-1].Type = "error"
		})},
		{Name: "loss-beyond-limit", Doc: "a lost record goes back to READY though its attempts are used up", rules: losing(func(rec *tasks.Record, now time.Time) {
			lifecycle.Lose(rec, now)
			if rec.Status == tasks.Failed {
				rec.Status, rec.FinishedAt = tasks.Ready, time.Time{}
			}
		})},
		{Name: "loss-discards", Doc: "a lost record is FAILED at its first attempt of several (River #1105)", rules: losing(func(rec *tasks.Record, now time.Time) {
			lifecycle.Settle(rec, tasks.Outcome{
				Kind:  tasks.OutcomeFailure,
				Error: &tasks.AttemptError{Type: tasks.ErrorTypeLost, Message: lifecycle.LostMessage},
			}, now)
		})},
		{Name: "loss-vanishes", Doc: "a lost record is deleted (machinery, taskq: gone with its consumer)", methods: func(s *Store, m *methods) {
			m.sweep = func(ctx context.Context) (tasks.Swept, error) {
				lost := 0
				err := s.change(ctx, func(p *Place, now time.Time) error {
					for id, e := range p.entries {
						if e.rec.Status == tasks.Running && p.rules.lost(e, now) {
							p.remove(id)
							lost++
						}
					}
					return nil
				})
				if err != nil {
					return tasks.Swept{}, err
				}
				swept, err := s.Sweep(ctx)
				swept.Lost += lost
				return swept, err
			}
		}},
		{Name: "loss-cancel-forgotten", Doc: "a lost record whose cancellation was requested goes back to READY", rules: losing(func(rec *tasks.Record, now time.Time) {
			requested, reason := rec.CancelRequested, rec.CancelReason
			rec.CancelRequested = false
			lifecycle.Lose(rec, now)
			rec.CancelRequested, rec.CancelReason = requested && rec.Status == tasks.Running, reason
		})},
		{Name: "loss-delayed", Doc: "a lost record is due again only after a minute", rules: losing(func(rec *tasks.Record, now time.Time) {
			lifecycle.Lose(rec, now)
			rec.RunAfter = rec.RunAfter.Add(time.Minute)
		})},
		{Name: "sweep-counts-nothing", Doc: "a sweep doesn't say what it did", methods: func(s *Store, m *methods) {
			m.sweep = func(ctx context.Context) (tasks.Swept, error) {
				_, err := s.Sweep(ctx)
				return tasks.Swept{}, err
			}
		}},
		{Name: "sweep-stops-at-first", Doc: "a sweep takes one record back and says that no more is due (River 0.41: later stuck ones stay)", rules: func(_ *Place, r *rules) {
			var last time.Time
			sound := r.lost
			r.lost = func(e *entry, now time.Time) bool {
				if !sound(e, now) || now.Sub(last) < time.Second {
					return false
				}
				last = now
				return true
			}
		}},
	}
}
