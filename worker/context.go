package worker

import (
	"context"
	"errors"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// handlerCtx is a handler's context: one that ends with a cause, and that tells a
// deadline without having a timer of its own.
type handlerCtx struct {
	context.Context //nolint:containedctx // it is a context itself; from context.WithCancelCause
	deadline        time.Time
}

// scope is for how long one part of Run goes on.
type scope struct {
	ctx context.Context //nolint:containedctx // a field is what ends it
	end context.CancelFunc
}

// Deadline returns when the attempt times out.
func (c *handlerCtx) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

// Err returns context.DeadlineExceeded after a timeout, and otherwise what the
// context inside does.
func (c *handlerCtx) Err() error {
	err := c.Context.Err()
	if err != nil && errors.Is(context.Cause(c.Context), tasks.ErrTimeout) {
		return context.DeadlineExceeded
	}
	return err
}

// sleep waits for d and reports whether ctx was not over before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
