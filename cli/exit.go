package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/sideman-go/sideman/tasks"
)

// The exit codes.
const (
	ExitOK          = 0
	ExitFailure     = 1   // something failed, or the task has
	ExitUsage       = 2   // the command, its flags or the configuration are wrong
	ExitNotFound    = 3   // no such task, record or file
	ExitConflict    = 4   // a record isn't in a status to be changed so
	ExitUnreachable = 5   // the store can't be used now
	ExitTimeout     = 124 // what was waited for didn't come in time
	ExitInterrupted = 130 // by a signal
)

// failure is an error with the exit code that it means.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string {
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// exit returns an error that ends the command with a code, and is printed unless err is nil.
func exit(code int, err error) error { return &failure{code, err} }

// usage returns an error that blames how the command was called.
func usage(format string, args ...any) error {
	return exit(ExitUsage, fmt.Errorf(format, args...))
}

// errInterrupted is the cause of a command's context when a signal has ended it.
var errInterrupted = errors.New("interrupted")

// ExitCode returns what a program exits with whose command has returned err: one of the Exit
// constants, or -1 if err isn't an error of these commands.
func ExitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	return -1
}

// codeOf returns the code for an error of the framework's.
func codeOf(err error) int {
	for _, c := range []struct {
		target error
		code   int
	}{
		{errInterrupted, ExitInterrupted},
		{tasks.ErrUnavailable, ExitUnreachable}, // before the timeout, which may be why
		{context.DeadlineExceeded, ExitTimeout},
		{tasks.ErrInvalidConfig, ExitUsage},
		{tasks.ErrInvalidTask, ExitUsage},
		{tasks.ErrNotSerializable, ExitUsage},
		{tasks.ErrTooLarge, ExitUsage},
		{tasks.ErrUnknownBackend, ExitUsage},
		{tasks.ErrUnsupported, ExitUsage},
		{tasks.ErrUnknownTask, ExitNotFound},
		{tasks.ErrResultNotFound, ExitNotFound},
		{tasks.ErrNoChange, ExitConflict},
		{context.Canceled, ExitInterrupted},
		{tasks.ErrUnknownOutcome, ExitUnreachable}, // the reply was lost
	} {
		if errors.Is(err, c.target) {
			return c.code
		}
	}
	return ExitFailure
}

// coded gives an error of the framework's its exit code. One that has one keeps it.
func coded(err error) error {
	if err == nil || ExitCode(err) >= 0 {
		return err
	}
	return exit(codeOf(err), err)
}

// isConfigFault reports an error that the help of the command has nothing to say about.
func isConfigFault(err error) bool {
	return errors.Is(err, tasks.ErrInvalidConfig) || errors.Is(err, tasks.ErrInvalidTask) || errors.Is(err, tasks.ErrUnsupported)
}
