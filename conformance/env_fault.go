package conformance

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// patience is how long a call is given while the store is away: long enough to
// tell an early return from one at the end of the ctx.
const patience = 300 * time.Millisecond

// outage is how long recovery may take: backoff between tries, and a server that
// replays its log.
func (e *env) outage() time.Duration { return 10 * e.timing.Notice }

// breaks does something to the server. What it returns undoes that, once, and must
// be called in any case. It is undone by itself before the case's deadline, so that
// calls which don't obey their ctx come back and are reported one by one.
func (e *env) breaks(f Fault) (mend func()) {
	e.Helper()
	e.step("doing the fault %q", f)
	undo := func() {}
	switch f {
	case FaultPause:
		undo = e.cfg.Faults.Pause(e, e.store)
	case FaultCut:
		undo = e.cfg.Faults.Cut(e, e.store)
	case FaultRestart:
		e.cfg.Faults.Restart(e, e.store)
	case FaultKill:
		e.cfg.Faults.Kill(e, e.store)
	}
	once := sync.OnceFunc(undo)
	late := time.AfterFunc(e.timing.Deadline/4, once)
	return func() {
		late.Stop()
		e.step("undoing the fault %q", f)
		once()
	}
}

// recovers waits until the handle works again: a pool may give a few broken
// connections first, so one call that succeeds is not enough.
func (e *env) recovers(h *handle) {
	e.Helper()
	row := 0
	e.eventually(e.outage(), "the handle works again by itself, ten times in a row", func() bool {
		ctx, cancel := e.soon(e.timing.Notice)
		defer cancel()
		_, err := h.b.GetResult(ctx, e.ids.New())
		ok := errors.Is(err, tasks.ErrResultNotFound)
		if ok && h.s != nil {
			_, err = h.s.Sweep(ctx)
			ok = err == nil
		}
		if row++; !ok {
			row = 0
		}
		return row >= 10
	})
}

// away reports whether an error says that the store couldn't be reached, as calls
// must while it is away: neither a wrong answer nor one about something else.
func away(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, tasks.ErrUnavailable) || errors.Is(err, tasks.ErrUnknownOutcome)
}

// obeys calls fn with a ctx of some patience, and fails if it doesn't return soon
// after that. It may be called on any goroutine.
func (e *env) obeys(what string, fn func(ctx context.Context) error) error {
	ctx, cancel := e.soon(patience)
	defer cancel()
	start := time.Now()
	err := fn(ctx)
	if took := time.Since(start); took > patience+2*e.timing.Obey {
		e.Errorf("%s returned %v after its ctx had ended, want within %v (error %v)", what, took-patience, e.timing.Obey, err)
	}
	return err
}
