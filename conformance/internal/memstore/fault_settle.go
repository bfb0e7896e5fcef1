package memstore

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func settleFaults() []Fault {
	return []Fault{
		{Name: "settle-stale", Doc: "a lease that isn't the live one is settled while another attempt runs (River: WHERE id and state only)", rules: func(_ *Place, r *rules) {
			sound := r.held
			r.held = func(e *entry, l tasks.Lease) bool {
				return sound(e, l) || e.rec.Status == tasks.Running && l.Token != ""
			}
		}},
		{Name: "settle-twice", Doc: "a record that is final can be settled again with its last lease", rules: func(_ *Place, r *rules) {
			r.held = func(e *entry, l tasks.Lease) bool { return e.token == l.Token && e.rec.Status != tasks.Ready }
		}},
		{Name: "settle-after-return", Doc: "a record that went back to READY can be settled with its last lease", rules: func(_ *Place, r *rules) {
			r.held = func(e *entry, l tasks.Lease) bool {
				return e.token == l.Token && e.token != "" && !e.rec.Status.Final()
			}
		}},
		{Name: "settle-forged", Doc: "a lease without a token is settled", rules: func(_ *Place, r *rules) {
			sound := r.held
			r.held = func(e *entry, l tasks.Lease) bool {
				return sound(e, l) || e.rec.Status == tasks.Running && l.Token == ""
			}
		}},
		{Name: "settle-past-deadline", Doc: "a lease past its deadline can't be settled though nobody has taken it back", rules: func(p *Place, r *rules) {
			sound := r.held
			r.held = func(e *entry, l tasks.Lease) bool { return sound(e, l) && e.deadline.After(p.rules.now()) }
		}},
		{Name: "settle-stale-silent", Doc: "settling with a lease that isn't the live one is no error, and does nothing", methods: verdicts(func(_ []tasks.Outcome, errs []error) []error {
			for i, err := range errs {
				if errors.Is(err, tasks.ErrLeaseLost) {
					errs[i] = nil
				}
			}
			return errs
		})},
		{Name: "settle-stale-other-error", Doc: "settling with a lease that isn't the live one gives another error than ErrLeaseLost", methods: verdicts(func(_ []tasks.Outcome, errs []error) []error {
			for i, err := range errs {
				if err != nil {
					errs[i] = errors.New("0 rows affected")
				}
			}
			return errs
		})},
		{Name: "settle-reversed", Doc: "the verdicts of a batch come in the wrong order", methods: verdicts(func(_ []tasks.Outcome, errs []error) []error {
			slices.Reverse(errs)
			return errs
		})},
		{Name: "settle-failures-only", Doc: "only the verdicts that are errors come back", methods: verdicts(func(_ []tasks.Outcome, errs []error) []error {
			return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
		})},
		{Name: "settle-all-or-none", Doc: "one lease that isn't the live one keeps its whole batch from being settled", methods: func(s *Store, m *methods) {
			m.settle = func(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
				for _, out := range outs {
					if !s.p.holds(out.Lease) {
						return nil, tasks.ErrLeaseLost
					}
				}
				return s.Settle(ctx, outs)
			}
		}},
		{Name: "settle-stops-at-bad", Doc: "one lease that isn't the live one keeps those behind it in the batch from being settled", methods: func(s *Store, m *methods) {
			m.settle = func(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
				bad := slices.IndexFunc(outs, func(out tasks.Outcome) bool { return !s.p.holds(out.Lease) })
				if bad < 0 {
					return s.Settle(ctx, outs)
				}
				errs, err := s.Settle(ctx, outs[:bad+1])
				for len(errs) > 0 && len(errs) < len(outs) {
					errs = append(errs, tasks.ErrLeaseLost)
				}
				return errs, err
			}
		}},
		{Name: "settle-nothing-fails", Doc: "settling no outcomes is an error", methods: func(s *Store, m *methods) {
			m.settle = func(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
				if len(outs) == 0 {
					return nil, errNothing
				}
				return s.Settle(ctx, outs)
			}
		}},
		{Name: "settle-hostile", Doc: "a NUL byte in an error's text makes the whole batch fail, for ever (River 0.51.1: 22P05)", methods: func(s *Store, m *methods) {
			m.settle = func(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
				for _, out := range outs {
					if out.Error != nil && strings.ContainsRune(out.Error.Message+out.Error.Type+out.Error.Stack, 0) {
						return nil, errors.New("unsupported Unicode escape sequence (SQLSTATE 22P05)")
					}
				}
				return s.Settle(ctx, outs)
			}
		}},
		{Name: "settle-aliases", Doc: "the store keeps the outcome's value, so what the worker does to it later changes what is stored", methods: func(s *Store, m *methods) {
			m.settle = func(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
				errs, err := s.Settle(ctx, outs)
				s.p.mu.Lock()
				defer s.p.mu.Unlock()
				for _, out := range outs {
					if e := s.p.entries[out.Lease.ID]; e != nil && e.rec.Status == tasks.Successful {
						e.rec.Value = out.Value
					}
				}
				return errs, err
			}
		}},
		{Name: "settle-ctx-ignored", Doc: "a settle whose context is over is done all the same, without an error", methods: func(s *Store, m *methods) {
			m.settle = func(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
				return s.Settle(context.WithoutCancel(ctx), outs)
			}
		}},
	}
}

// verdicts makes a fault of what becomes of the verdicts of a settle.
func verdicts(change func(outs []tasks.Outcome, errs []error) []error) func(*Store, *methods) {
	return func(s *Store, m *methods) {
		m.settle = func(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
			errs, err := s.Settle(ctx, outs)
			return change(outs, errs), err
		}
	}
}

func (p *Place) holds(l tasks.Lease) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held(l) != nil
}

func outcomeFaults() []Fault {
	on := func(kind tasks.OutcomeKind, spoil func(rec, was *tasks.Record, now time.Time)) func(*Place, *rules) {
		return settled(func(rec, was *tasks.Record, out tasks.Outcome, now time.Time) {
			if out.Kind == kind {
				spoil(rec, was, now)
			}
		})
	}
	instead := func(kind, other tasks.OutcomeKind) func(*Place, *rules) {
		return func(_ *Place, r *rules) {
			r.settle = func(rec *tasks.Record, out tasks.Outcome, now time.Time) {
				if out.Kind == kind {
					out.Kind = other
				}
				lifecycle.Settle(rec, out, now)
			}
		}
	}
	undelayed := func(kind tasks.OutcomeKind) func(*Place, *rules) {
		return func(_ *Place, r *rules) {
			r.settle = func(rec *tasks.Record, out tasks.Outcome, now time.Time) {
				if out.Kind == kind {
					out.Delay = 0
				}
				lifecycle.Settle(rec, out, now)
			}
		}
	}
	return []Fault{
		{Name: "success-on-last-fails", Doc: "a success on the last attempt becomes FAILED (neoq: the limit is looked at before the error)", rules: on(tasks.OutcomeSuccess, func(rec, was *tasks.Record, _ time.Time) {
			if was.Attempts() >= was.MaxAttempts {
				rec.Status, rec.Value = tasks.Failed, nil
			}
		})},
		{Name: "success-value-lost", Doc: "the value of a success isn't stored", rules: on(tasks.OutcomeSuccess, func(rec, _ *tasks.Record, _ time.Time) {
			rec.Value = json.RawMessage("null")
		})},
		{Name: "success-clears-errors", Doc: "a success deletes the errors of earlier attempts", rules: on(tasks.OutcomeSuccess, func(rec, _ *tasks.Record, _ time.Time) {
			rec.Errors = nil
		})},
		{Name: "failure-retried", Doc: "a failure that is final is tried again while attempts are left", rules: instead(tasks.OutcomeFailure, tasks.OutcomeRetry)},
		{Name: "retry-fails", Doc: "a retry makes the record FAILED", rules: instead(tasks.OutcomeRetry, tasks.OutcomeFailure)},
		{Name: "retry-unlimited", Doc: "a record is tried again though its attempts are used up", rules: on(tasks.OutcomeRetry, func(rec, _ *tasks.Record, now time.Time) {
			if rec.Status == tasks.Failed {
				rec.Status, rec.FinishedAt, rec.RunAfter = tasks.Ready, time.Time{}, lifecycle.Time(now)
			}
		})},
		{Name: "retry-one-more", Doc: "a record has one attempt more than MaxAttempts", rules: on(tasks.OutcomeRetry, func(rec, was *tasks.Record, now time.Time) {
			if rec.Status == tasks.Failed && was.Attempts() == was.MaxAttempts {
				rec.Status, rec.FinishedAt, rec.RunAfter = tasks.Ready, time.Time{}, lifecycle.Time(now)
			}
		})},
		{Name: "retry-one-less", Doc: "a record has one attempt less than MaxAttempts", rules: on(tasks.OutcomeRetry, func(rec, was *tasks.Record, now time.Time) {
			if rec.Status == tasks.Ready && was.Attempts() == was.MaxAttempts-1 {
				rec.Status, rec.FinishedAt = tasks.Failed, lifecycle.Time(now)
			}
		})},
		{Name: "retry-at-once", Doc: "the delay of a retry is ignored", rules: undelayed(tasks.OutcomeRetry)},
		{Name: "retry-forgets-attempts", Doc: "a retry starts counting attempts anew", rules: on(tasks.OutcomeRetry, func(rec, _ *tasks.Record, _ time.Time) {
			if rec.Status == tasks.Ready {
				rec.WorkerIDs = nil
			}
		})},
		{Name: "retry-finished", Doc: "a record that waits for its next attempt has a FinishedAt", rules: on(tasks.OutcomeRetry, func(rec, _ *tasks.Record, now time.Time) {
			rec.FinishedAt = lifecycle.Time(now)
		})},
		{Name: "retry-from-enqueue", Doc: "the delay of a retry is counted from the enqueue", rules: on(tasks.OutcomeRetry, func(rec, _ *tasks.Record, now time.Time) {
			if rec.Status == tasks.Ready {
				rec.RunAfter = rec.EnqueuedAt.Add(rec.RunAfter.Sub(now))
			}
		})},
		{Name: "snooze-counts", Doc: "a snooze counts as an attempt", rules: on(tasks.OutcomeSnooze, func(rec, was *tasks.Record, _ time.Time) { rec.WorkerIDs = was.WorkerIDs })},
		{Name: "snooze-at-once", Doc: "the delay of a snooze is ignored", rules: undelayed(tasks.OutcomeSnooze)},
		{Name: "snooze-forgets-attempts", Doc: "a snooze takes back all attempts", rules: on(tasks.OutcomeSnooze, func(rec, _ *tasks.Record, _ time.Time) { rec.WorkerIDs = nil })},
		{Name: "snooze-is-error", Doc: "a snooze is recorded as an error", rules: on(tasks.OutcomeSnooze, func(rec, _ *tasks.Record, now time.Time) {
			rec.Errors = append(rec.Errors, tasks.AttemptError{Attempt: 1, Type: "snooze", At: lifecycle.Time(now)})
		})},
		{Name: "release-counts", Doc: "a release counts as an attempt", rules: on(tasks.OutcomeRelease, func(rec, was *tasks.Record, _ time.Time) { rec.WorkerIDs = was.WorkerIDs })},
		{Name: "release-to-the-end", Doc: "a released record goes to the end of its queue", rules: on(tasks.OutcomeRelease, func(rec, _ *tasks.Record, now time.Time) {
			if rec.RunAfter.Before(now) {
				rec.RunAfter = lifecycle.Time(now)
			}
		})},
		{Name: "release-at-once", Doc: "the delay of a release is ignored", rules: undelayed(tasks.OutcomeRelease)},
		{Name: "release-keeps-start", Doc: "a record that was released before it started has a StartedAt", rules: on(tasks.OutcomeRelease, func(rec, was *tasks.Record, _ time.Time) {
			rec.StartedAt, rec.LastAttemptedAt = was.StartedAt, was.LastAttemptedAt
		})},
		{Name: "unfinished", Doc: "a final record has no FinishedAt", rules: settled(func(rec, _ *tasks.Record, _ tasks.Outcome, _ time.Time) { rec.FinishedAt = time.Time{} })},
		{Name: "finished-at-start", Doc: "FinishedAt is when the attempt started", rules: settled(func(rec, _ *tasks.Record, _ tasks.Outcome, _ time.Time) {
			if rec.Status.Final() {
				rec.FinishedAt = rec.LastAttemptedAt
			}
		})},
		{Name: "kind-ignored", Doc: "an outcome of an unknown kind is taken for a success", methods: func(s *Store, m *methods) {
			m.settle = func(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
				outs = slices.Clone(outs)
				for i := range outs {
					switch outs[i].Kind {
					case tasks.OutcomeSuccess, tasks.OutcomeFailure, tasks.OutcomeRetry,
						tasks.OutcomeSnooze, tasks.OutcomeRelease, tasks.OutcomeCancel:
					default:
						outs[i].Kind = tasks.OutcomeSuccess
					}
				}
				return s.Settle(ctx, outs)
			}
		}},
	}
}
