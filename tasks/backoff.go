package tasks

import (
	"errors"
	"math/rand/v2"
	"time"
)

// BackoffPolicy decides what follows a failed attempt, which is number attempt
// (from 1) and failed with err: another one after the delay, or none. It isn't
// asked after the last attempt, and must be safe for concurrent use.
type BackoffPolicy func(attempt int, err error) (delay time.Duration, retry bool)

// Constant waits the same time before each retry.
func Constant(d time.Duration) BackoffPolicy {
	return func(int, error) (time.Duration, bool) { return max(d, 0), true }
}

// Linear waits step before the first retry, two steps before the second and so
// on, at most limit; a limit of 0 is none.
func Linear(step, limit time.Duration) BackoffPolicy {
	return func(attempt int, _ error) (time.Duration, bool) {
		return capped(max(step, 0), float64(max(attempt, 1)), limit), true
	}
}

// Exponential waits a random time between 0 and base·2^(attempt-1), at most
// limit: exponential backoff with full jitter, which spreads out the retries of
// tasks that failed together. A limit of 0 is none.
func Exponential(base, limit time.Duration) BackoffPolicy {
	return func(attempt int, _ error) (time.Duration, bool) {
		factor := float64(int64(1) << min(max(attempt, 1)-1, 62))
		d := capped(max(base, 0), factor, limit)
		if d <= 0 {
			return 0, true
		}
		return time.Duration(rand.Int64N(int64(d))) + 1, true
	}
}

// capped returns d·factor without overflow: at most limit, or 100 years.
func capped(d time.Duration, factor float64, limit time.Duration) time.Duration {
	const most = 100 * 365 * 24 * time.Hour
	if limit <= 0 || limit > most {
		limit = most
	}
	if float64(d)*factor >= float64(limit) {
		return limit
	}
	return time.Duration(float64(d) * factor)
}

// NoRetry wraps a handler's error so that the task is FAILED at once, whatever
// attempts are left. NoRetry(nil) is nil.
func NoRetry(err error) error {
	if err == nil {
		return nil
	}
	return &directive{kind: OutcomeFailure, err: err}
}

// RetryIn wraps a handler's error so that the next attempt, if one is left, is
// after d instead of what the backoff policy says. RetryIn(d, nil) is nil.
func RetryIn(d time.Duration, err error) error {
	if err == nil {
		return nil
	}
	return &directive{kind: OutcomeRetry, delay: max(d, 0), err: err}
}

// Snooze is for a handler to return: the task is put back, to be run again after d.
// The attempt doesn't count.
func Snooze(d time.Duration) error {
	return &directive{kind: OutcomeSnooze, delay: max(d, 0), err: errSnoozed}
}

// Cancel is for a handler to return: the task is CANCELLED with the reason.
func Cancel(reason string) error {
	return &directive{kind: OutcomeCancel, reason: reason, err: ErrTaskCancelled}
}

var errSnoozed = errors.New("tasks: snoozed")

// directive is an error that says how the attempt is to end.
type directive struct {
	kind   OutcomeKind
	delay  time.Duration
	reason string
	err    error
}

func (d *directive) Error() string {
	if d.reason != "" {
		return d.err.Error() + ": " + d.reason
	}
	return d.err.Error()
}

func (d *directive) Unwrap() error { return d.err }
