package tasks

import (
	"encoding/json"
	"maps"
	"slices"
	"time"
)

// Status is where a record stands. The last three are final: only an operator's
// Retry takes a FAILED or CANCELLED record back to READY.
type Status string

// The statuses, as Django names them, and CANCELLED.
const (
	// Ready waits to be run: at once, from RunAfter on, or for its next attempt.
	Ready Status = "READY"
	// Running is claimed by a worker.
	Running Status = "RUNNING"
	// Successful has a return value.
	Successful Status = "SUCCESSFUL"
	// Failed has used up its attempts, or its error allowed no further one.
	Failed Status = "FAILED"
	// Cancelled was cancelled by a caller or by its handler, or expired.
	Cancelled Status = "CANCELLED"
)

// Statuses returns every status, in the order of a record's life.
func Statuses() []Status { return []Status{Ready, Running, Successful, Failed, Cancelled} }

// Final reports whether s is never left by itself.
func (s Status) Final() bool { return s == Successful || s == Failed || s == Cancelled }

// Valid reports whether s is one of the five statuses.
func (s Status) Valid() bool { return slices.Contains(Statuses(), s) }

// Record is one enqueued run of a task, as a store keeps it. The App makes
// records, backends store them, clients see them through Result.
//
// Times are UTC with at least microseconds; a zero time means unset.
//
// The JSON form is for people and tools. A store that keeps records as JSON has to
// keep Args and Value in another way, such as strings, because encoding/json compacts
// what is JSON already; and it replaces what isn't UTF-8.
type Record struct {
	// ID is opaque, unique in its store and under 64 bytes. The App makes
	// UUIDv7s, which sort by the time they were made.
	ID string `json:"id"`
	// Alias is the backend alias through which the record was enqueued. It is kept
	// for the reader; no store selects by it.
	Alias string `json:"backend"`
	// Task is the name of the definition that runs the record.
	Task string `json:"task"`
	// Queue is the queue's name.
	Queue string `json:"queue"`
	// Priority is from MinPriority to MaxPriority; larger runs sooner.
	Priority int `json:"priority"`
	// Args are the encoded arguments, byte for byte as they were enqueued.
	Args json.RawMessage `json:"args,omitempty"`
	// Metadata travels with the record: trace context, tenant, labels.
	Metadata map[string]string `json:"metadata,omitempty"`

	// MaxAttempts is how many attempts the record may have, at least 1.
	MaxAttempts int `json:"max_attempts"`
	// Timeout bounds one attempt; 0 means no bound.
	Timeout time.Duration `json:"timeout,omitempty"`
	// Retain is how long the record is kept once it is final: nil means as the
	// store is configured, 0 deletes it on finishing, negative keeps it for ever.
	Retain *time.Duration `json:"retain,omitempty"`
	// ExpiresAt is when a record that hasn't started is cancelled instead. One with
	// an attempt that counts has started; a snoozed or released attempt doesn't count.
	ExpiresAt time.Time `json:"expires_at,omitzero"`

	// Status is where the record stands.
	Status Status `json:"status"`
	// EnqueuedAt is when the record was stored, by the store's clock.
	EnqueuedAt time.Time `json:"enqueued_at,omitzero"`
	// RunAfter is the earliest time of the next attempt, by the store's clock: what
	// was asked for at enqueue, and then the time of a retry or snooze.
	RunAfter time.Time `json:"run_after,omitzero"`
	// StartedAt is when the first attempt started. Later attempts don't change it.
	StartedAt time.Time `json:"started_at,omitzero"`
	// LastAttemptedAt is when the newest attempt started.
	LastAttemptedAt time.Time `json:"last_attempted_at,omitzero"`
	// FinishedAt is when the record became final.
	FinishedAt time.Time `json:"finished_at,omitzero"`
	// WorkerIDs has the worker of each attempt, oldest first, the one in progress
	// included. A worker that tried twice is there twice.
	WorkerIDs []string `json:"worker_ids,omitempty"`
	// Errors has one entry for each failed attempt, oldest first.
	Errors []AttemptError `json:"errors,omitempty"`
	// Value is the encoded return value of a SUCCESSFUL record.
	Value json.RawMessage `json:"value,omitempty"`
	// CancelRequested is set on a RUNNING record whose cancellation was asked for.
	CancelRequested bool `json:"cancel_requested,omitempty"`
	// CancelReason says why a record is, or is asked to be, CANCELLED.
	CancelReason string `json:"cancel_reason,omitempty"`

	// Delay and TTL are requests to Backend.Enqueue, which turns them into RunAfter
	// and ExpiresAt by the store's clock and clears them. They are never stored.
	Delay time.Duration `json:"-"`
	TTL   time.Duration `json:"-"`
	// Duplicate is set by Backend.Enqueue on a record whose id was stored already:
	// the rest of the record is then the stored one. It is never stored.
	Duplicate bool `json:"-"`
}

// The bounds of Record.Priority.
const (
	MinPriority = -100
	MaxPriority = 100
)

// Attempts counts the attempts, the one in progress included.
func (r *Record) Attempts() int { return len(r.WorkerIDs) }

// DueAt is the time that decides the claim order within a priority: when the
// record was enqueued, or its RunAfter if that is later.
func (r *Record) DueAt() time.Time {
	if r.RunAfter.After(r.EnqueuedAt) {
		return r.RunAfter
	}
	return r.EnqueuedAt
}

// LastError returns the newest entry of Errors, or nil.
func (r *Record) LastError() *AttemptError {
	if len(r.Errors) == 0 {
		return nil
	}
	e := r.Errors[len(r.Errors)-1]
	return &e
}

// Clone returns a copy that shares no memory with r.
func (r *Record) Clone() *Record {
	c := *r
	c.Args = slices.Clone(r.Args)
	c.Metadata = maps.Clone(r.Metadata)
	c.WorkerIDs = slices.Clone(r.WorkerIDs)
	c.Errors = slices.Clone(r.Errors)
	c.Value = slices.Clone(r.Value)
	if r.Retain != nil {
		d := *r.Retain
		c.Retain = &d
	}
	return &c
}

// Types of an AttemptError that don't come from a handler's own error.
const (
	ErrorTypeLost        = "lost"        // the worker vanished and its lease ran out
	ErrorTypePanic       = "panic"       // the handler panicked; Stack says where
	ErrorTypeGoexit      = "goexit"      // the handler called runtime.Goexit
	ErrorTypeTimeout     = "timeout"     // the attempt ran over its Timeout
	ErrorTypeInterrupted = "interrupted" // the worker was stopped before the handler ended
)

// AttemptError is the record of one failed attempt. It holds text, never the
// error value itself, so that any process can read it.
type AttemptError struct {
	// Attempt is the attempt's number, from 1.
	Attempt int `json:"attempt"`
	// Type is the Go type of the handler's error, such as "*fs.PathError", or one
	// of the ErrorType constants.
	Type string `json:"type"`
	// Message is the error's text, as valid UTF-8 without NUL, shortened to 8 KiB.
	Message string `json:"message"`
	// Stack is where a panic happened, shortened to 16 KiB; empty otherwise.
	Stack string `json:"stack,omitempty"`
	// At is when the attempt ended, by the store's clock.
	At time.Time `json:"at"`
	// Worker is the id of the worker that ran the attempt.
	Worker string `json:"worker"`
}

// Error gives the type and the message.
func (e *AttemptError) Error() string {
	if e.Type == "" {
		return e.Message
	}
	return e.Type + ": " + e.Message
}
