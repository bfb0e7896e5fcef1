package tasks

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// Backend is what every backend is: it takes records, and says what it can do.
// An App calls it; users of the App don't. Immediate and dummy are no more than
// this. A backend that keeps records for workers is also a Store.
//
// The App has validated and encoded every record, and has checked it against
// Capabilities, before it calls. What isn't declared isn't called: without
// CapResults, for one, GetResult may always return ErrResultNotFound. The rules for
// all methods:
//
//   - They are safe for concurrent use.
//   - They obey ctx, within 250 ms, also while the store is unreachable.
//   - After Close they return ErrClosed; Check, which has no error, says so in a
//     finding.
//   - They return raw errors or the package's sentinels; the App adds alias, task
//     and id. A write that may have been stored though its reply was lost is
//     reported as ErrUnknownOutcome wrapping the cause.
//   - They keep no reference to what they were given and return nothing that
//     aliases what is stored.
//   - The store's clock decides what is due, expired or lost. Where there is a
//     server, that's the server's clock.
type Backend interface {
	// Capabilities returns what the backend can do. It does no I/O and always
	// returns the same.
	Capabilities() Capability

	// Enqueue stores the records, all or none, and fills in what the store
	// decides: Status READY, EnqueuedAt, and RunAfter and ExpiresAt where Delay or
	// TTL asked for them. When it returns nil, GetResult finds them on any handle
	// of the same store, and workers may have started them.
	//
	// A record whose id is stored already is left as it is in the store: *rec is
	// overwritten by the stored record and Duplicate is set, which is no error. The
	// second of two records with one id in the same batch is such a duplicate.
	//
	// If ctx is over before the call, nothing is stored.
	Enqueue(ctx context.Context, recs []*Record) error

	// GetResult returns the record with that id, or ErrResultNotFound for any id
	// that isn't there, however malformed.
	GetResult(ctx context.Context, id string) (*Record, error)

	// Check looks for what is or will be wrong, and never writes. No findings
	// means that all is well. A store that can't be reached is a finding.
	Check(ctx context.Context) []Finding

	// Close waits for what is in flight, or for ctx, and releases what the backend
	// owns; what was lent to it stays open. Closing twice is no error.
	Close(ctx context.Context) error
}

// Store is a Backend that keeps records for workers. Batches are the unit of
// every hot call.
//
// How a record lives, which all stores share, is in package tasks/lifecycle as
// pure functions: stores in Go call them, SQL and Lua do the same in their words.
//
// A Store has the methods of Inspector in any case. If it doesn't declare CapInspect
// they may return ErrUnsupported, except Heartbeat, which workers call on every Store.
type Store interface {
	Backend

	// Claim makes up to req.Limit records RUNNING for a worker and returns them
	// with their leases, in claim order: priority descending, then DueAt, then ID byte
	// by byte, across all the selected queues. It takes READY records whose DueAt has come,
	// from queues that the selection has and that aren't paused. A record that has
	// expired is cancelled instead. None is no error; a req.Lease of 0 or less is.
	//
	// A record has at most one live lease at any time, also under concurrent
	// claims, where the order is best effort. A record that can't be decoded
	// doesn't keep others from being claimed.
	Claim(ctx context.Context, req ClaimRequest) ([]Claimed, error)

	// Renew moves the deadline of each lease to the store's time plus d, and
	// reports one state per lease, in order. A lease past its deadline that
	// nobody has reclaimed is still the live one and can be renewed. What makes a
	// lease the live one is its ID and Token alone; the store goes by its own attempt
	// number and deadline. A d of 0 or less is an error.
	Renew(ctx context.Context, leases []Lease, d time.Duration) ([]LeaseState, error)

	// Settle ends leases, atomically for each record: what lifecycle.Settle says.
	// The first result has one error per outcome, in order: nil, or ErrLeaseLost
	// where the lease isn't the live one (that record is unchanged, the others of
	// the batch are settled), or why this one outcome can't be stored, as one of an
	// unknown kind; its lease then stays the live one. The second
	// is not nil when the batch as a whole wasn't stored, or may not have been.
	// Settling again after an unknown outcome is safe: it yields ErrLeaseLost.
	Settle(ctx context.Context, outs []Outcome) ([]error, error)

	// Sweep does a bounded amount of upkeep: it takes records back whose lease is
	// past its deadline (lifecycle.Lose), cancels READY ones that have expired,
	// deletes final ones whose retention is over, and forgets workers that have
	// been silent for so long that Workers leaves them out. Any worker may call it at
	// any time, and several may at once.
	Sweep(ctx context.Context) (Swept, error)

	// Wait returns nil when a claim with this selection may succeed: when a record
	// is due now or becomes due, or when a queue is resumed. It may return early.
	// It returns the ctx's error when ctx ends first. A record enqueued by another
	// goroutine between a Claim that got nothing and the Wait is not missed.
	Wait(ctx context.Context, sel Selection) error

	Inspector
}

// Selection says which queues to take from.
type Selection struct {
	// Queues are names; empty, or one that is "*", means every queue.
	Queues []string
	// Exclude are names that are left out even so.
	Exclude []string
}

// All reports whether the selection starts from every queue.
func (s Selection) All() bool { return len(s.Queues) == 0 || slices.Contains(s.Queues, "*") }

// Has reports whether the selection takes from the queue.
func (s Selection) Has(queue string) bool {
	return (s.All() || slices.Contains(s.Queues, queue)) && !slices.Contains(s.Exclude, queue)
}

// ClaimRequest asks a Store for work.
type ClaimRequest struct {
	Selection
	// Worker is the id that goes into Record.WorkerIDs.
	Worker string
	// Limit is how many records to claim at most. Below 1 nothing is claimed.
	Limit int
	// Lease is how long the records are the worker's unless it renews.
	Lease time.Duration
}

// Claimed is a record and the lease on it.
type Claimed struct {
	// Record is RUNNING; its LastAttemptedAt is the store's time of the claim.
	Record *Record
	Lease  Lease
}

// Lease is the right to settle one attempt of a record.
type Lease struct {
	// ID is the record's.
	ID string
	// Attempt is the number of the attempt, from 1.
	Attempt int
	// Token is unguessable, and another one for each claim: it is what fences off
	// a worker that was thought dead.
	Token string
	// Deadline is when a sweep may take the record back, by the store's clock.
	Deadline time.Time
}

// LeaseState is the answer to renewing one lease.
type LeaseState struct {
	// Lost: the lease isn't the live one any more. The other fields are unset.
	Lost bool
	// CancelRequested: somebody asked to cancel the record.
	CancelRequested bool
	// CancelReason is why.
	CancelReason string
	// Deadline is the new one.
	Deadline time.Time
}

// OutcomeKind is how an attempt ended.
type OutcomeKind string

// The kinds of outcome. "Attempts left" means that Attempts is below MaxAttempts.
const (
	// OutcomeSuccess makes the record SUCCESSFUL with Value, also when its
	// cancellation was requested.
	OutcomeSuccess OutcomeKind = "success"
	// OutcomeFailure records Error and makes the record FAILED.
	OutcomeFailure OutcomeKind = "failure"
	// OutcomeRetry records Error and makes the record READY, due after Delay; or
	// FAILED if no attempts are left.
	OutcomeRetry OutcomeKind = "retry"
	// OutcomeSnooze makes the record READY, due after Delay. The attempt doesn't
	// count.
	OutcomeSnooze OutcomeKind = "snooze"
	// OutcomeRelease gives an attempt back that never started: the record is READY
	// in its old place, or due after Delay if that isn't 0. It doesn't count.
	OutcomeRelease OutcomeKind = "release"
	// OutcomeCancel makes the record CANCELLED with Reason, and records Error if
	// it isn't nil.
	OutcomeCancel OutcomeKind = "cancel"
)

// Valid reports whether k is one of the six kinds.
func (k OutcomeKind) Valid() bool {
	switch k {
	case OutcomeSuccess, OutcomeFailure, OutcomeRetry, OutcomeSnooze, OutcomeRelease, OutcomeCancel:
		return true
	}
	return false
}

// Outcome ends one lease. A failure, retry, snooze or release of a record whose
// cancellation was requested makes it CANCELLED.
type Outcome struct {
	Lease Lease
	Kind  OutcomeKind
	// Value is the encoded return value of a success; empty means null.
	Value json.RawMessage
	// Error is what went wrong. The store fills in Attempt, At and Worker.
	Error *AttemptError
	// Delay is counted from the store's time at the settle; negative counts as 0.
	Delay time.Duration
	// Reason says why a record was cancelled.
	Reason string
}

// Swept counts what a Sweep did.
type Swept struct {
	// Lost leases: attempts recorded as lost, whatever became of their records.
	Lost int
	// Expired records that were cancelled.
	Expired int
	// Pruned records whose retention was over.
	Pruned int
	// More: the bound was reached, so call again.
	More bool
}

// The interfaces below are optional: they make things faster, never different.
// They are looked for once, when a backend is put to use, through wrappers that
// have an Unwrap method too. Where one is absent the framework does the same in
// a general way.

// AsyncEnqueuer is an optional interface of a Backend with a native AEnqueue.
// Without it the App calls Enqueue on a goroutine of its own.
type AsyncEnqueuer interface {
	// AEnqueue returns at once and calls done exactly once, on any goroutine, when
	// Enqueue would have returned, with what it would have returned. done is quick.
	AEnqueue(ctx context.Context, recs []*Record, done func(error))
}

// ResultWaiter is an optional interface of a Backend that knows when a record
// becomes final. Without it Result.Wait asks again and again, at growing intervals
// from 5 ms to 1 s.
type ResultWaiter interface {
	// WaitResult returns the record once it is final, or the error of GetResult, or
	// ctx's.
	WaitResult(ctx context.Context, id string) (*Record, error)
}

// CancelNotifier is an optional interface of a Store that can tell workers of a
// cancellation at once. Without it they see it at their next renewal.
type CancelNotifier interface {
	// NotifyCancel calls fn with the id of every RUNNING record whose cancellation
	// is requested from now on, until ctx ends, and returns ctx's error. It may
	// miss some while the store is away; renewals tell those.
	NotifyCancel(ctx context.Context, fn func(id, reason string)) error
}

// Binder is an optional interface of a Backend that runs tasks itself or that
// logs. App.Use calls Bind once, before anything else.
type Binder interface {
	Bind(rt *Runtime) error
}

// Wrapper is an optional interface of a Backend that wraps another.
type Wrapper interface {
	Unwrap() Backend
}

// As returns b, or the first backend that it wraps, as a T.
func As[T any](b Backend) (T, bool) {
	for b != nil {
		if t, ok := b.(T); ok {
			return t, true
		}
		w, ok := b.(Wrapper)
		if !ok {
			break
		}
		b = w.Unwrap()
	}
	var zero T
	return zero, false
}
