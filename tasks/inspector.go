package tasks

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Lister lists records. It is a Store's, and also dummy's (CapList).
type Lister interface {
	// List returns one page of the records that the filter matches, ordered by id, byte
	// by byte: oldest first for ids made by the App, or newest first if the request says
	// so. What Next looks like is the store's affair; the last id of the page will do.
	// Following Next until it is empty shows every matching record that was there
	// all along exactly once, whatever is added or changed meanwhile.
	List(ctx context.Context, req ListRequest) (Page, error)
}

// Inspector is what an operator asks of a Store (CapInspect). Users call it
// through App.Admin, which adds filters, dry runs and progress.
type Inspector interface {
	Lister

	// Queues returns one entry per queue that has records or is paused, by name.
	Queues(ctx context.Context) ([]QueueInfo, error)

	// Alter applies one change to each of the records, atomically for each, and
	// returns one answer per id, in order. The error is for the batch as a whole.
	Alter(ctx context.Context, change Change, ids []string) ([]Altered, error)

	// Pause stops claims from a queue, which need not exist yet, or lets them go on.
	// Every worker of the store sees it within a second. Enqueuing goes on.
	Pause(ctx context.Context, queue string, paused bool) error

	// Prune deletes up to req.Limit final records that match. It never touches
	// others.
	Prune(ctx context.Context, req PruneRequest) (Pruned, error)

	// Heartbeat says that a worker is alive. The store sets its BeatAt. With
	// Stopped set the worker is forgotten. Workers call it on every Store, also without
	// CapInspect, and take an error for one that is in trouble.
	Heartbeat(ctx context.Context, w WorkerInfo) error

	// Workers returns the workers whose last heartbeat isn't older than three of
	// their Intervals, by id.
	Workers(ctx context.Context) ([]WorkerInfo, error)
}

// Filter selects records. Its zero value matches every record.
type Filter struct {
	// Statuses, Queues and Tasks: any of these; empty means all.
	Statuses []Status `json:"statuses,omitempty"`
	Queues   []string `json:"queues,omitempty"`
	Tasks    []string `json:"tasks,omitempty"`
	// Worker is the worker of the newest attempt; empty means any or none.
	Worker string `json:"worker,omitempty"`
	// Since and Until bound EnqueuedAt: Since included, Until not. Zero is no bound.
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// FinishedBefore matches final records that finished before then.
	FinishedBefore time.Time `json:"finished_before,omitzero"`
	// Error matches records whose newest error has this text in its type or its
	// message, whatever the case; empty matches all, with errors or without.
	Error string `json:"error,omitempty"`
}

// Match reports whether the filter selects r.
func (f *Filter) Match(r *Record) bool {
	switch {
	case len(f.Statuses) > 0 && !slices.Contains(f.Statuses, r.Status),
		len(f.Queues) > 0 && !slices.Contains(f.Queues, r.Queue),
		len(f.Tasks) > 0 && !slices.Contains(f.Tasks, r.Task),
		f.Worker != "" && (len(r.WorkerIDs) == 0 || r.WorkerIDs[len(r.WorkerIDs)-1] != f.Worker),
		!f.Since.IsZero() && r.EnqueuedAt.Before(f.Since),
		!f.Until.IsZero() && !r.EnqueuedAt.Before(f.Until),
		!f.FinishedBefore.IsZero() && (!r.Status.Final() || !r.FinishedAt.Before(f.FinishedBefore)):
		return false
	}
	return f.Error == "" || f.matchError(r.LastError())
}

func (f *Filter) matchError(e *AttemptError) bool {
	if e == nil {
		return false
	}
	want := strings.ToLower(f.Error)
	return strings.Contains(strings.ToLower(e.Type), want) || strings.Contains(strings.ToLower(e.Message), want)
}

// ListRequest asks for a page.
type ListRequest struct {
	Filter
	// After is the Next of the page before; empty starts at the beginning.
	After string
	// Newest asks for descending ids.
	Newest bool
	// Limit is how many records a page has at most; 0 means 100, and 1000 is the
	// most.
	Limit int
}

// The page sizes of ListRequest.Limit.
const (
	DefaultPage = 100
	MaxPage     = 1000
)

// PageSize returns the Limit with its default and maximum applied.
func (r ListRequest) PageSize() int {
	if r.Limit <= 0 {
		return DefaultPage
	}
	return min(r.Limit, MaxPage)
}

// Page is one page of a list. A page may have fewer records than asked for, even
// none, and still have a Next: a store bounds how far it looks for one page.
type Page struct {
	Records []*Record
	// Next is the After of the following page, and empty at the end.
	Next string
}

// QueueInfo says how a queue stands.
type QueueInfo struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
	// Counts has the number of records by status; a status with none may be absent.
	Counts map[Status]int64 `json:"counts"`
	// OldestDue is for how long the READY record that is due longest has been due; 0
	// if none is.
	OldestDue time.Duration `json:"oldest_due"`
	// Waiting has the number of READY records by task name.
	Waiting map[string]int64 `json:"waiting,omitempty"`
}

// ChangeKind is what an operator does to a record.
type ChangeKind string

// The kinds of change. Where a record's status isn't the one named, the answer
// is ErrNoChange.
const (
	// ChangeCancel makes a READY record CANCELLED, and requests it of a RUNNING one.
	ChangeCancel ChangeKind = "cancel"
	// ChangeRetry makes a FAILED or CANCELLED record READY, due at once, with at
	// least one more attempt allowed. Its errors stay.
	ChangeRetry ChangeKind = "retry"
	// ChangeDelete deletes a record that isn't RUNNING.
	ChangeDelete ChangeKind = "delete"
	// ChangeReschedule moves a READY record's RunAfter.
	ChangeReschedule ChangeKind = "reschedule"
)

// Change is what Alter does to each record.
type Change struct {
	Kind ChangeKind
	// Reason is for ChangeCancel.
	Reason string
	// At is the new RunAfter of a ChangeReschedule; if zero, it is the store's time
	// plus Delay.
	At    time.Time
	Delay time.Duration
}

// Altered is the answer for one record.
type Altered struct {
	// Status is the record's status afterwards; empty if it is gone, be it deleted or
	// cancelled with a Retain of 0.
	Status Status
	// Err is nil if it was changed (or its cancellation requested), ErrResultNotFound,
	// or ErrNoChange: also for a kind of change that doesn't exist.
	Err error
}

// PruneRequest says which final records to delete.
type PruneRequest struct {
	// Statuses are final ones; empty means all three.
	Statuses []Status
	// Queues are names; empty means all.
	Queues []string
	// OlderThan is the least time since they finished, by the store's clock.
	OlderThan time.Duration
	// Limit bounds one call; 0 means 1000.
	Limit int
	// After is the Next of the call before.
	After string
}

// DefaultPruneBatch is what a PruneRequest.Limit of 0 means.
const DefaultPruneBatch = 1000

// Pruned is the answer to a Prune.
type Pruned struct {
	Deleted int
	// Next is not empty if the bound was reached; pass it on to go on.
	Next string
}

// WorkerInfo is a worker's heartbeat.
type WorkerInfo struct {
	ID          string    `json:"id"`
	Host        string    `json:"host"`
	PID         int       `json:"pid"`
	Queues      []string  `json:"queues"`
	Exclude     []string  `json:"exclude,omitempty"`
	Concurrency int       `json:"concurrency"`
	StartedAt   time.Time `json:"started_at"`
	// Interval is the time between heartbeats that the worker keeps to.
	Interval time.Duration `json:"interval"`
	// Running counts the handlers that run; RunningIDs are the first 100 of their
	// records.
	Running    int      `json:"running"`
	RunningIDs []string `json:"running_ids,omitempty"`
	// Stopping: it takes no new work. Stopped: this is its last heartbeat.
	Stopping bool `json:"stopping,omitempty"`
	Stopped  bool `json:"-"`
	// BeatAt is the store's time of the heartbeat, and Age how long ago that was when
	// Workers was asked.
	BeatAt time.Time     `json:"beat_at,omitzero"`
	Age    time.Duration `json:"age"`
}

// Alive reports whether a heartbeat of that age still counts.
func (w *WorkerInfo) Alive(age time.Duration) bool { return age <= 3*w.Interval }
