// Package lifecycle is the life of a record as pure functions: what each event
// does to it, on every store. Stores in Go call them; stores that run SQL or Lua
// say the same in their words, and the conformance suite holds them against this.
//
// The caller passes the store's time and stores the record afterwards, in one
// atomic step with the read before it. Times are kept in UTC to the microsecond.
// No function checks a lease: that is the caller's part.
package lifecycle

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// ReasonExpired is the CancelReason of a record that wasn't started in time.
const ReasonExpired = "expired"

// LostMessage is the message of the error that Lose records.
const LostMessage = "the lease ran out: the worker was killed, cut off or stuck"

// Time returns t as records keep it.
func Time(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// Enqueue makes rec READY at its enqueue: it stamps EnqueuedAt, turns Delay and
// TTL into times, and clears what only later events set.
func Enqueue(rec *tasks.Record, now time.Time) {
	now = Time(now)
	rec.Status = tasks.Ready
	rec.EnqueuedAt = now
	rec.RunAfter = Time(rec.RunAfter)
	rec.ExpiresAt = Time(rec.ExpiresAt)
	if rec.Delay > 0 {
		rec.RunAfter = Time(now.Add(rec.Delay))
	}
	if rec.TTL > 0 {
		rec.ExpiresAt = Time(now.Add(rec.TTL))
	}
	rec.Delay, rec.TTL, rec.Duplicate = 0, 0, false
	rec.StartedAt, rec.LastAttemptedAt, rec.FinishedAt = time.Time{}, time.Time{}, time.Time{}
	rec.WorkerIDs, rec.Errors, rec.Value = nil, nil, nil
	rec.CancelRequested, rec.CancelReason = false, ""
}

// Due reports whether rec is READY and its time has come. Whether its queue is
// selected and not paused is another question, and so is Expired, which comes first.
func Due(rec *tasks.Record, now time.Time) bool {
	return rec.Status == tasks.Ready && !rec.RunAfter.After(Time(now))
}

// Expired reports whether rec must be cancelled instead of claimed: it is READY, was
// never attempted, and its ExpiresAt has come. A record that isn't READY isn't expired.
func Expired(rec *tasks.Record, now time.Time) bool {
	return rec.Status == tasks.Ready && len(rec.WorkerIDs) == 0 &&
		!rec.ExpiresAt.IsZero() && !rec.ExpiresAt.After(Time(now))
}

// Expire cancels a record that Expired reports.
func Expire(rec *tasks.Record, now time.Time) { cancel(rec, ReasonExpired, Time(now)) }

// Claim makes a READY record RUNNING for a worker.
func Claim(rec *tasks.Record, worker string, now time.Time) {
	// A clock that was set back must not put an attempt before what came before it.
	now = latest(Time(now), rec.EnqueuedAt, rec.LastAttemptedAt)
	rec.Status = tasks.Running
	rec.WorkerIDs = append(rec.WorkerIDs, worker)
	if rec.StartedAt.IsZero() {
		rec.StartedAt = now
	}
	rec.LastAttemptedAt = now
}

// Settle ends the attempt of a RUNNING record. rec then has out.Value itself and not a
// copy. With a kind that it doesn't know it does nothing: the store has to look, and
// answers that outcome with an error.
func Settle(rec *tasks.Record, out tasks.Outcome, now time.Time) {
	now = latest(Time(now), rec.LastAttemptedAt)
	switch out.Kind {
	case tasks.OutcomeSuccess:
		rec.Value = out.Value
		if len(rec.Value) == 0 {
			rec.Value = json.RawMessage("null")
		}
		rec.CancelRequested, rec.CancelReason = false, ""
		finish(rec, tasks.Successful, now)
	case tasks.OutcomeCancel:
		if out.Error != nil {
			fail(rec, *out.Error, now)
		}
		reason := out.Reason
		if rec.CancelRequested && reason == "" {
			reason = rec.CancelReason
		}
		cancel(rec, reason, now)
	case tasks.OutcomeFailure, tasks.OutcomeRetry:
		var failure tasks.AttemptError
		if out.Error != nil {
			failure = *out.Error
		}
		fail(rec, failure, now)
		switch {
		case rec.CancelRequested:
			cancel(rec, rec.CancelReason, now)
		case out.Kind == tasks.OutcomeFailure || rec.Attempts() >= rec.MaxAttempts:
			finish(rec, tasks.Failed, now)
		default:
			wait(rec, Time(now.Add(max(out.Delay, 0))))
		}
	case tasks.OutcomeSnooze, tasks.OutcomeRelease:
		uncount(rec, out.Kind == tasks.OutcomeRelease)
		switch {
		case rec.CancelRequested:
			cancel(rec, rec.CancelReason, now)
		case out.Kind == tasks.OutcomeRelease && out.Delay <= 0:
			rec.Status = tasks.Ready // in its old place: RunAfter stays
		default:
			wait(rec, Time(now.Add(max(out.Delay, 0))))
		}
	}
}

// Lose takes a RUNNING record back whose lease ran out.
func Lose(rec *tasks.Record, now time.Time) {
	Settle(rec, tasks.Outcome{
		Kind:  tasks.OutcomeRetry,
		Error: &tasks.AttemptError{Type: tasks.ErrorTypeLost, Message: LostMessage},
	}, now)
}

// Alter applies an operator's change. gone means that the record is to be
// deleted. The error is nil or tasks.ErrNoChange; then rec is as it was.
func Alter(rec *tasks.Record, change tasks.Change, now time.Time) (gone bool, err error) {
	now = Time(now)
	switch change.Kind {
	case tasks.ChangeCancel:
		switch rec.Status {
		case tasks.Ready:
			cancel(rec, change.Reason, now)
			return false, nil
		case tasks.Running:
			if !rec.CancelRequested { // the first reason stays
				rec.CancelRequested, rec.CancelReason = true, change.Reason
			}
			return false, nil
		case tasks.Successful, tasks.Failed, tasks.Cancelled:
		}
	case tasks.ChangeRetry:
		if rec.Status == tasks.Failed || rec.Status == tasks.Cancelled {
			rec.MaxAttempts = max(rec.MaxAttempts, rec.Attempts()+1)
			rec.CancelRequested, rec.CancelReason = false, ""
			rec.FinishedAt = time.Time{}
			// An expiry that has passed would cancel it again at once.
			if !rec.ExpiresAt.IsZero() && !rec.ExpiresAt.After(now) {
				rec.ExpiresAt = time.Time{}
			}
			wait(rec, now)
			return false, nil
		}
	case tasks.ChangeDelete:
		if rec.Status != tasks.Running {
			return true, nil
		}
	case tasks.ChangeReschedule:
		if rec.Status == tasks.Ready {
			rec.RunAfter = Time(change.At)
			if change.At.IsZero() {
				rec.RunAfter = Time(now.Add(max(change.Delay, 0)))
			}
			return false, nil
		}
	}
	return false, tasks.ErrNoChange
}

// Retention is how long successful, failed and cancelled records are kept that
// don't say so themselves. Negative means for ever.
type Retention struct {
	Successful, Failed, Cancelled time.Duration
}

// The retention of a store that isn't told otherwise.
const (
	DefaultRetention       = 24 * time.Hour
	DefaultFailedRetention = 7 * 24 * time.Hour
)

// Default returns r with its zero fields set: SUCCESSFUL and CANCELLED 24 hours,
// FAILED 7 days.
func (r Retention) Default() Retention {
	if r.Successful == 0 {
		r.Successful = DefaultRetention
	}
	if r.Failed == 0 {
		r.Failed = DefaultFailedRetention
	}
	if r.Cancelled == 0 {
		r.Cancelled = DefaultRetention
	}
	return r
}

// Forever returns the PruneAt of a record that is kept for ever.
func Forever() time.Time { return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) }

// PruneAt returns when a final record is to be deleted; atOnce means in the same
// step that made it final. It has no meaning for other records.
func (r Retention) PruneAt(rec *tasks.Record) (at time.Time, atOnce bool) {
	keep := r.Successful
	switch {
	case rec.Retain != nil:
		keep = *rec.Retain
		if keep == 0 {
			return rec.FinishedAt, true
		}
	case rec.Status == tasks.Failed:
		keep = r.Failed
	case rec.Status == tasks.Cancelled:
		keep = r.Cancelled
	}
	if keep < 0 || keep > Forever().Sub(rec.FinishedAt) {
		return Forever(), false
	}
	return rec.FinishedAt.Add(keep), false
}

func latest(t time.Time, others ...time.Time) time.Time {
	for _, o := range others {
		if o.After(t) {
			t = o
		}
	}
	return t
}

func finish(rec *tasks.Record, s tasks.Status, now time.Time) {
	rec.Status = s
	rec.FinishedAt = latest(now, rec.EnqueuedAt, rec.LastAttemptedAt)
}

func cancel(rec *tasks.Record, reason string, now time.Time) {
	rec.CancelRequested, rec.CancelReason = false, reason
	finish(rec, tasks.Cancelled, now)
}

func wait(rec *tasks.Record, until time.Time) {
	rec.Status = tasks.Ready
	rec.RunAfter = until
}

func fail(rec *tasks.Record, e tasks.AttemptError, now time.Time) {
	e.Attempt = rec.Attempts()
	e.At = now
	if n := len(rec.WorkerIDs); n > 0 {
		e.Worker = rec.WorkerIDs[n-1]
	}
	rec.Errors = append(slices.Clip(rec.Errors), e)
}

// uncount takes the newest attempt back. One that never started also takes its
// times back, as far as they are known.
func uncount(rec *tasks.Record, neverStarted bool) {
	if n := len(rec.WorkerIDs); n > 0 {
		rec.WorkerIDs = slices.Clone(rec.WorkerIDs[:n-1])
	}
	if neverStarted && len(rec.WorkerIDs) == 0 {
		rec.StartedAt, rec.LastAttemptedAt = time.Time{}, time.Time{}
	}
}
