package tasks

import (
	"errors"
	"strings"
)

// Errors found before anything is stored: definitions, configuration and
// what a caller asked for.
var (
	// ErrInvalidTask reports a definition, an option or an argument list that
	// can't be enqueued: a bad name, a priority out of range, an unknown queue.
	ErrInvalidTask = errors.New("tasks: invalid task")
	// ErrInvalidConfig reports a configuration that can't be used. All faults
	// of a configuration are reported together, each with its path.
	ErrInvalidConfig = errors.New("tasks: invalid configuration")
	// ErrUnknownBackend reports an alias that isn't configured in the App, or a
	// driver name that isn't in the set of drivers.
	ErrUnknownBackend = errors.New("tasks: unknown backend")
	// ErrUnknownTask reports a task name that isn't defined in the App.
	ErrUnknownTask = errors.New("tasks: unknown task")
	// ErrUnsupported reports a call that needs a capability which the backend
	// doesn't declare. Nothing was stored, run or changed.
	ErrUnsupported = errors.New("tasks: not supported by the backend")
	// ErrNotSerializable reports arguments or a return value that JSON can't
	// carry: NaN, channels, cycles.
	ErrNotSerializable = errors.New("tasks: not serializable as JSON")
	// ErrTooLarge reports arguments, a return value or metadata over their limit.
	ErrTooLarge = errors.New("tasks: too large")
)

// Errors about results.
var (
	// ErrResultNotFound reports an id that the backend has no record of.
	ErrResultNotFound = errors.New("tasks: result not found")
	// ErrResultMismatch reports a record that belongs to another task than the
	// one that was asked to read it.
	ErrResultMismatch = errors.New("tasks: result belongs to another task")
	// ErrNotFinished reports that a result has no final status yet.
	ErrNotFinished = errors.New("tasks: task has not finished")
	// ErrTaskFailed reports that a result is FAILED. It wraps the last recorded
	// *AttemptError.
	ErrTaskFailed = errors.New("tasks: task failed")
	// ErrTaskCancelled reports that a result is CANCELLED. It is also the cause
	// of a handler's context when a running task is cancelled.
	ErrTaskCancelled = errors.New("tasks: task cancelled")
	// ErrNoChange reports that a record is not in a status that the change
	// applies to, such as cancelling a finished one. The record is as it was.
	ErrNoChange = errors.New("tasks: record not in a status to be changed so")
)

// Errors of running tasks. The first three are causes of a handler's context.
var (
	// ErrTimeout is the cause of a handler's context when its Timeout is over.
	ErrTimeout = errors.New("tasks: task timed out")
	// ErrLeaseLost reports a settle or renewal whose lease is no longer the live
	// one. That record is unchanged.
	ErrLeaseLost = errors.New("tasks: lease lost")
	// ErrWorkerStopping is the cause of a handler's context when its worker stops
	// and the grace is over.
	ErrWorkerStopping = errors.New("tasks: worker is stopping")
	// ErrPanicked is matched by the error of a handler or middleware that panicked.
	ErrPanicked = errors.New("tasks: panicked")
	// ErrGoexit is matched by the error of a handler that ended its goroutine by
	// runtime.Goexit, as testing's FailNow does.
	ErrGoexit = errors.New("tasks: handler called runtime.Goexit")
)

// Errors of stores.
var (
	// ErrClosed reports a call on a backend or App that was closed.
	ErrClosed = errors.New("tasks: closed")
	// ErrUnavailable reports that the store can't be used now: the server is away,
	// the file is locked by another process, the disk is full. Trying later may help.
	ErrUnavailable = errors.New("tasks: store unavailable")
	// ErrDamaged reports that the store's data can't be read: a truncated file, a
	// record that doesn't decode. Trying later doesn't help.
	ErrDamaged = errors.New("tasks: stored data is damaged")
	// ErrUnknownOutcome reports that a write may or may not have been stored, and
	// wraps why. Enqueuing the same id again is safe: it stores nothing twice.
	ErrUnknownOutcome = errors.New("tasks: outcome unknown")
)

// Error says what was being done when something went wrong. Every error that an
// App, a Task or a Result returns is an *Error or wraps one, and matches the
// package's sentinels through errors.Is. It is immutable.
type Error struct {
	Op    string // what was asked: "enqueue", "get result", "cancel"…
	Alias string // the backend's alias, if known
	Task  string // the task's name, if known
	ID    string // the record's id, if known
	Err   error  // the reason; never nil
}

// Error gives the parts that are known, as in
//
//	enqueue task "resize" on backend "default": tasks: not supported by the backend: defer
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Task != "" {
		b.WriteString(" task " + quoteShort(e.Task))
	}
	if e.ID != "" {
		b.WriteString(" id " + quoteShort(e.ID))
	}
	if e.Alias != "" {
		b.WriteString(" on backend " + quoteShort(e.Alias))
	}
	b.WriteString(": ")
	b.WriteString(e.Err.Error())
	return b.String()
}

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }
