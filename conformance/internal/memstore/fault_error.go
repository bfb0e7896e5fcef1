package memstore

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func errorFaults() []Fault {
	// newest makes a fault of what is done to the error that an attempt has added.
	newest := func(spoil func(e *tasks.AttemptError)) func(*Place, *rules) {
		return settled(func(rec, was *tasks.Record, _ tasks.Outcome, _ time.Time) {
			if len(rec.Errors) > len(was.Errors) {
				spoil(&rec.Errors[len(rec.Errors)-1])
			}
		})
	}
	return []Fault{
		{Name: "errors-last-only", Doc: "only the newest error is kept (asynq)", rules: settled(func(rec, _ *tasks.Record, _ tasks.Outcome, _ time.Time) {
			if n := len(rec.Errors); n > 1 {
				rec.Errors = rec.Errors[n-1:]
			}
		})},
		{Name: "errors-reversed", Doc: "the newest error comes first", rules: readBack(func(rec *tasks.Record) {
			rec.Errors = slices.Clone(rec.Errors)
			slices.Reverse(rec.Errors)
		})},
		{Name: "errors-lost", Doc: "errors aren't stored", rules: settled(func(rec, was *tasks.Record, _ tasks.Outcome, _ time.Time) { rec.Errors = was.Errors })},
		{Name: "error-text-lost", Doc: "the error's text isn't stored", rules: newest(func(e *tasks.AttemptError) { e.Message = "" })},
		{Name: "error-text-cut", Doc: "the error's text is cut at 255 bytes", rules: newest(func(e *tasks.AttemptError) { e.Message = e.Message[:min(len(e.Message), 255)] })},
		{Name: "error-text-ascii", Doc: "letters of the error's text that aren't ASCII become question marks", rules: newest(func(e *tasks.AttemptError) {
			e.Message = strings.Map(func(r rune) rune {
				if r > 127 {
					return '?'
				}
				return r
			}, e.Message)
		})},
		{Name: "error-stack-lost", Doc: "the stack of a panic isn't stored", rules: newest(func(e *tasks.AttemptError) { e.Stack = "" })},
		{Name: "error-type-lost", Doc: "the error's type isn't stored", rules: newest(func(e *tasks.AttemptError) { e.Type = "" })},
		{Name: "error-attempt-from-zero", Doc: "the attempt's number in an error counts from 0", rules: newest(func(e *tasks.AttemptError) { e.Attempt-- })},
		{Name: "error-worker-lost", Doc: "an error doesn't name its worker", rules: newest(func(e *tasks.AttemptError) { e.Worker = "" })},
		{Name: "error-first-worker", Doc: "an error names the worker of the first attempt", rules: settled(func(rec, was *tasks.Record, _ tasks.Outcome, _ time.Time) {
			if n := len(rec.Errors); n > len(was.Errors) && len(rec.WorkerIDs) > 0 {
				rec.Errors[n-1].Worker = rec.WorkerIDs[0]
			}
		})},
		{Name: "error-time-lost", Doc: "an error has no time", rules: newest(func(e *tasks.AttemptError) { e.At = time.Time{} })},
		{Name: "error-callers-facts", Doc: "an error's attempt, time and worker are those that the worker sent", rules: settled(func(rec, was *tasks.Record, out tasks.Outcome, _ time.Time) {
			if n := len(rec.Errors); n > len(was.Errors) && out.Error != nil {
				rec.Errors[n-1] = *out.Error
			}
		})},
	}
}

func cancelFaults() []Fault {
	return []Fault{
		{Name: "cancel-final-at-once", Doc: "cancelling a RUNNING record makes it CANCELLED while its handler runs", rules: func(_ *Place, r *rules) {
			r.alter = func(rec *tasks.Record, change tasks.Change, now time.Time) (bool, error) {
				if change.Kind == tasks.ChangeCancel && rec.Status == tasks.Running {
					lifecycle.Settle(rec, tasks.Outcome{Kind: tasks.OutcomeCancel, Reason: change.Reason}, now)
					return false, nil
				}
				return lifecycle.Alter(rec, change, now)
			}
		}},
		{Name: "cancel-running-ignored", Doc: "a request to cancel a RUNNING record is lost", rules: altered(tasks.ChangeCancel, func(rec, was *tasks.Record, _ tasks.Change, _ time.Time) {
			if was.Status == tasks.Running {
				rec.CancelRequested, rec.CancelReason = false, ""
			}
		})},
		{Name: "cancel-running-refused", Doc: "a RUNNING record can't be cancelled", rules: func(_ *Place, r *rules) {
			r.alter = func(rec *tasks.Record, change tasks.Change, now time.Time) (bool, error) {
				if change.Kind == tasks.ChangeCancel && rec.Status == tasks.Running {
					return false, tasks.ErrNoChange
				}
				return lifecycle.Alter(rec, change, now)
			}
		}},
		{Name: "cancel-ready-waits", Doc: "cancelling a READY record only notes the request", rules: altered(tasks.ChangeCancel, func(rec, was *tasks.Record, _ tasks.Change, _ time.Time) {
			if was.Status == tasks.Ready {
				rec.Status, rec.FinishedAt, rec.CancelRequested = tasks.Ready, time.Time{}, true
			}
		})},
		{Name: "cancel-deletes", Doc: "cancelling a READY record deletes it", rules: func(_ *Place, r *rules) {
			r.alter = func(rec *tasks.Record, change tasks.Change, now time.Time) (bool, error) {
				if change.Kind == tasks.ChangeCancel && rec.Status == tasks.Ready {
					return true, nil
				}
				return lifecycle.Alter(rec, change, now)
			}
		}},
		{Name: "cancel-fails", Doc: "a cancelled record is FAILED", rules: altered(tasks.ChangeCancel, func(rec, _ *tasks.Record, _ tasks.Change, _ time.Time) {
			if rec.Status == tasks.Cancelled {
				rec.Status = tasks.Failed
			}
		})},
		{Name: "cancel-final", Doc: "a final record can be cancelled", rules: func(_ *Place, r *rules) {
			r.alter = func(rec *tasks.Record, change tasks.Change, now time.Time) (bool, error) {
				if change.Kind == tasks.ChangeCancel && rec.Status.Final() {
					rec.Status, rec.CancelReason = tasks.Cancelled, change.Reason
					return false, nil
				}
				return lifecycle.Alter(rec, change, now)
			}
		}},
		{Name: "cancel-final-silent", Doc: "cancelling a final record changes nothing and says that it did", rules: func(_ *Place, r *rules) {
			r.alter = func(rec *tasks.Record, change tasks.Change, now time.Time) (bool, error) {
				if change.Kind == tasks.ChangeCancel && rec.Status.Final() {
					return false, nil
				}
				return lifecycle.Alter(rec, change, now)
			}
		}},
		{Name: "cancel-reason-lost", Doc: "the reason of a cancellation isn't stored", rules: altered(tasks.ChangeCancel, func(rec, _ *tasks.Record, _ tasks.Change, _ time.Time) {
			rec.CancelReason = ""
		})},
		{Name: "cancel-last-reason", Doc: "a second request to cancel replaces the reason of the first", rules: altered(tasks.ChangeCancel, func(rec, _ *tasks.Record, change tasks.Change, _ time.Time) {
			rec.CancelReason = change.Reason
		})},
		{Name: "cancel-beats-success", Doc: "a record whose handler has succeeded is CANCELLED because that was requested", rules: settled(func(rec, was *tasks.Record, out tasks.Outcome, _ time.Time) {
			if was.CancelRequested && out.Kind == tasks.OutcomeSuccess {
				rec.Status, rec.CancelReason, rec.Value = tasks.Cancelled, was.CancelReason, nil
			}
		})},
		{Name: "cancel-sticks-to-success", Doc: "a SUCCESSFUL record still says that its cancellation was requested", rules: settled(func(rec, was *tasks.Record, _ tasks.Outcome, _ time.Time) {
			rec.CancelRequested = was.CancelRequested
		})},
		{Name: "cancel-forgotten-at-retry", Doc: "a record whose cancellation was requested is tried again", rules: uncancelled(tasks.OutcomeRetry)},
		{Name: "cancel-forgotten-at-failure", Doc: "a record whose cancellation was requested becomes FAILED", rules: uncancelled(tasks.OutcomeFailure)},
		{Name: "cancel-forgotten-at-snooze", Doc: "a record whose cancellation was requested is snoozed", rules: uncancelled(tasks.OutcomeSnooze)},
		{Name: "cancel-forgotten-at-release", Doc: "a record whose cancellation was requested is released", rules: uncancelled(tasks.OutcomeRelease)},
		{Name: "cancel-outcome-reason-lost", Doc: "the reason that a handler gives for its cancellation isn't stored", rules: settled(func(rec, _ *tasks.Record, out tasks.Outcome, _ time.Time) {
			if out.Kind == tasks.OutcomeCancel {
				rec.CancelReason = ""
			}
		})},
		{Name: "cancel-outcome-error-lost", Doc: "the error that comes with a handler's cancellation isn't stored", rules: settled(func(rec, was *tasks.Record, out tasks.Outcome, _ time.Time) {
			if out.Kind == tasks.OutcomeCancel {
				rec.Errors = was.Errors
			}
		})},
		{Name: "cancel-unnotified", Doc: "NotifyCancel never tells", methods: func(s *Store, m *methods) {
			m.notifyCancel = func(ctx context.Context, _ func(id, reason string)) error {
				return s.NotifyCancel(ctx, func(string, string) {})
			}
		}},
		{Name: "cancel-notified-once", Doc: "NotifyCancel tells of one request only", methods: func(s *Store, m *methods) {
			m.notifyCancel = func(ctx context.Context, fn func(id, reason string)) error {
				told := false
				return s.NotifyCancel(ctx, func(id, reason string) {
					if !told {
						fn(id, reason)
					}
					told = true
				})
			}
		}},
		{Name: "cancel-notified-ready", Doc: "NotifyCancel tells of READY records too", methods: func(s *Store, m *methods) {
			m.alter = func(ctx context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
				got, err := s.Alter(ctx, change, ids)
				s.p.mu.Lock()
				defer s.p.mu.Unlock()
				for i := range got {
					if change.Kind == tasks.ChangeCancel && got[i].Status == tasks.Cancelled {
						s.p.cancels = append(s.p.cancels, cancelNote{ids[i], change.Reason})
					}
				}
				s.p.announce()
				return got, err
			}
		}},
		{Name: "cancel-notify-deaf", Doc: "NotifyCancel doesn't return when its context ends", methods: func(s *Store, m *methods) {
			m.notifyCancel = func(ctx context.Context, fn func(id, reason string)) error {
				long, stop := context.WithTimeout(context.WithoutCancel(ctx), Stuck)
				defer stop()
				return s.NotifyCancel(long, fn)
			}
		}},
		{Name: "cancel-notify-ends", Doc: "NotifyCancel returns at once, without an error", methods: func(_ *Store, m *methods) {
			m.notifyCancel = func(context.Context, func(id, reason string)) error { return nil }
		}},
	}
}

// uncancelled makes a fault of forgetting the request to cancel at an outcome.
func uncancelled(kind tasks.OutcomeKind) func(*Place, *rules) {
	return func(_ *Place, r *rules) {
		r.settle = func(rec *tasks.Record, out tasks.Outcome, now time.Time) {
			if out.Kind == kind {
				rec.CancelRequested, rec.CancelReason = false, ""
			}
			lifecycle.Settle(rec, out, now)
		}
	}
}
