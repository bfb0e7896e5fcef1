package memstore

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func alterFaults() []Fault {
	// allowing makes a fault of a change that is also done in other statuses.
	allowing := func(kind tasks.ChangeKind, status tasks.Status, do func(rec *tasks.Record, now time.Time) (gone bool)) func(*Place, *rules) {
		return func(_ *Place, r *rules) {
			r.alter = func(rec *tasks.Record, change tasks.Change, now time.Time) (bool, error) {
				if change.Kind == kind && rec.Status == status {
					return do(rec, now), nil
				}
				return lifecycle.Alter(rec, change, now)
			}
		}
	}
	again := func(rec *tasks.Record, now time.Time) bool {
		rec.Status, rec.RunAfter, rec.FinishedAt = tasks.Ready, lifecycle.Time(now), time.Time{}
		rec.MaxAttempts++
		return false
	}
	answering := func(change func(got []tasks.Altered) ([]tasks.Altered, error)) func(*Store, *methods) {
		return func(s *Store, m *methods) {
			m.alter = func(ctx context.Context, c tasks.Change, ids []string) ([]tasks.Altered, error) {
				got, err := s.Alter(ctx, c, ids)
				if err != nil {
					return got, err
				}
				return change(got)
			}
		}
	}
	return []Fault{
		{Name: "again-without-attempt", Doc: "a record that an operator retries has no further attempt, so it fails at its first error", rules: altered(tasks.ChangeRetry, func(rec, was *tasks.Record, _ tasks.Change, _ time.Time) {
			rec.MaxAttempts = was.MaxAttempts
		})},
		{Name: "again-from-scratch", Doc: "a record that an operator retries forgets its attempts", rules: altered(tasks.ChangeRetry, func(rec, _ *tasks.Record, _ tasks.Change, _ time.Time) {
			rec.WorkerIDs, rec.StartedAt = nil, time.Time{}
		})},
		{Name: "again-without-errors", Doc: "a record that an operator retries forgets its errors", rules: altered(tasks.ChangeRetry, func(rec, _ *tasks.Record, _ tasks.Change, _ time.Time) {
			rec.Errors = nil
		})},
		{Name: "again-finished", Doc: "a record that an operator retries keeps its FinishedAt", rules: altered(tasks.ChangeRetry, func(rec, was *tasks.Record, _ tasks.Change, _ time.Time) {
			rec.FinishedAt = was.FinishedAt
		})},
		{Name: "again-keeps-reason", Doc: "a cancelled record that an operator retries keeps its CancelReason", rules: altered(tasks.ChangeRetry, func(rec, was *tasks.Record, _ tasks.Change, _ time.Time) {
			rec.CancelReason = was.CancelReason
		})},
		{Name: "again-not-yet", Doc: "a record that an operator retries keeps its RunAfter, however late", rules: altered(tasks.ChangeRetry, func(rec, was *tasks.Record, _ tasks.Change, _ time.Time) {
			rec.RunAfter = was.RunAfter
		})},
		{Name: "again-expires", Doc: "an expired record that an operator retries expires again at once", rules: altered(tasks.ChangeRetry, func(rec, was *tasks.Record, _ tasks.Change, _ time.Time) {
			rec.ExpiresAt = was.ExpiresAt
		})},
		{Name: "again-failed-only", Doc: "an operator can't retry a CANCELLED record", rules: func(_ *Place, r *rules) {
			r.alter = func(rec *tasks.Record, change tasks.Change, now time.Time) (bool, error) {
				if change.Kind == tasks.ChangeRetry && rec.Status == tasks.Cancelled {
					return false, tasks.ErrNoChange
				}
				return lifecycle.Alter(rec, change, now)
			}
		}},
		{Name: "again-successful", Doc: "an operator can retry a SUCCESSFUL record", rules: allowing(tasks.ChangeRetry, tasks.Successful, again)},
		{Name: "again-running", Doc: "an operator can retry a RUNNING record, so that it runs twice at once", rules: allowing(tasks.ChangeRetry, tasks.Running, again)},
		{Name: "again-ready", Doc: "an operator can retry a READY record, so that a deferred one is due at once", rules: allowing(tasks.ChangeRetry, tasks.Ready, again)},
		{Name: "delete-running", Doc: "a RUNNING record can be deleted", rules: allowing(tasks.ChangeDelete, tasks.Running, func(*tasks.Record, time.Time) bool { return true })},
		{Name: "delete-in-vain", Doc: "a deleted record is still there", rules: func(_ *Place, r *rules) {
			r.alter = func(rec *tasks.Record, change tasks.Change, now time.Time) (bool, error) {
				_, err := lifecycle.Alter(rec, change, now)
				return false, err
			}
		}},
		{Name: "delete-final-only", Doc: "a READY record can't be deleted", rules: func(_ *Place, r *rules) {
			r.alter = func(rec *tasks.Record, change tasks.Change, now time.Time) (bool, error) {
				if change.Kind == tasks.ChangeDelete && rec.Status == tasks.Ready {
					return false, tasks.ErrNoChange
				}
				return lifecycle.Alter(rec, change, now)
			}
		}},
		{Name: "delete-blocks-id", Doc: "the id of a deleted record can't be used again (asynq: the archived task holds its id)", methods: func(s *Store, m *methods) {
			gone := make(map[string]bool)
			var mu sync.Mutex
			m.alter = func(ctx context.Context, c tasks.Change, ids []string) ([]tasks.Altered, error) {
				got, err := s.Alter(ctx, c, ids)
				mu.Lock()
				defer mu.Unlock()
				for i := range got {
					gone[ids[i]] = gone[ids[i]] || got[i].Err == nil && got[i].Status == ""
				}
				return got, err
			}
			isGone := func(id string) bool {
				mu.Lock()
				defer mu.Unlock()
				return gone[id]
			}
			m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
				for _, rec := range recs {
					if isGone(rec.ID) {
						return errors.New("task ID conflicts with another task")
					}
				}
				return s.Enqueue(ctx, recs)
			}
		}},
		{Name: "reschedule-ignored", Doc: "rescheduling changes nothing", rules: altered(tasks.ChangeReschedule, func(rec, was *tasks.Record, _ tasks.Change, _ time.Time) {
			rec.RunAfter = was.RunAfter
		})},
		{Name: "reschedule-delay-ignored", Doc: "rescheduling by a delay makes the record due at once", rules: altered(tasks.ChangeReschedule, func(rec, _ *tasks.Record, change tasks.Change, now time.Time) {
			if change.At.IsZero() {
				rec.RunAfter = lifecycle.Time(now)
			}
		})},
		{Name: "reschedule-later-only", Doc: "a record can't be rescheduled to an earlier time", rules: altered(tasks.ChangeReschedule, func(rec, was *tasks.Record, _ tasks.Change, _ time.Time) {
			if rec.RunAfter.Before(was.RunAfter) {
				rec.RunAfter = was.RunAfter
			}
		})},
		{Name: "reschedule-final", Doc: "a final record can be rescheduled, and so comes back", rules: allowing(tasks.ChangeReschedule, tasks.Failed, again)},
		{Name: "reschedule-running", Doc: "a RUNNING record can be rescheduled", rules: allowing(tasks.ChangeReschedule, tasks.Running, func(rec *tasks.Record, now time.Time) bool {
			rec.RunAfter = lifecycle.Time(now)
			return false
		})},
		{Name: "reschedule-unordered", Doc: "a rescheduled record keeps its old place in the order", rules: func(_ *Place, r *rules) {
			places := make(map[string]time.Time)
			sound := r.order
			r.order = func(a, b *tasks.Record) int {
				x, y := *a, *b
				for _, rec := range []*tasks.Record{&x, &y} {
					if at, moved := places[rec.ID]; moved {
						rec.RunAfter = at
					}
				}
				return sound(&x, &y)
			}
			altered(tasks.ChangeReschedule, func(rec, was *tasks.Record, _ tasks.Change, _ time.Time) {
				places[rec.ID] = was.DueAt()
			})(nil, r)
		}},
		{Name: "alter-unknown-silent", Doc: "changing an id that isn't there is no error", methods: answering(func(got []tasks.Altered) ([]tasks.Altered, error) {
			for i := range got {
				if errors.Is(got[i].Err, tasks.ErrResultNotFound) {
					got[i].Err = nil
				}
			}
			return got, nil
		})},
		{Name: "alter-unknown-fails-all", Doc: "one id that isn't there makes the whole change an error", methods: answering(func(got []tasks.Altered) ([]tasks.Altered, error) {
			for i := range got {
				if errors.Is(got[i].Err, tasks.ErrResultNotFound) {
					return nil, tasks.ErrResultNotFound
				}
			}
			return got, nil
		})},
		{Name: "alter-stops-at-bad", Doc: "one record that can't be changed keeps those behind it from being changed", methods: func(s *Store, m *methods) {
			m.alter = func(ctx context.Context, c tasks.Change, ids []string) (all []tasks.Altered, err error) {
				for _, id := range ids {
					got, err := s.Alter(ctx, c, []string{id})
					if err != nil {
						return nil, err
					}
					all = append(all, got[0])
					if got[0].Err != nil {
						break
					}
				}
				for len(all) < len(ids) {
					all = append(all, tasks.Altered{Err: tasks.ErrNoChange})
				}
				return all, nil
			}
		}},
		{Name: "alter-reversed", Doc: "the answers to a change come in the wrong order", methods: answering(func(got []tasks.Altered) ([]tasks.Altered, error) {
			slices.Reverse(got)
			return got, nil
		})},
		{Name: "alter-no-status", Doc: "the answer to a change doesn't have the status", methods: answering(func(got []tasks.Altered) ([]tasks.Altered, error) {
			for i := range got {
				got[i].Status = ""
			}
			return got, nil
		})},
	}
}
