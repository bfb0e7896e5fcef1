package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// idler is a worker that has nothing to do yet: it claims, waits when there is
// nothing, and hands over what it got.
type idler struct {
	e    *env
	got  chan tasks.Claimed
	done chan struct{}
	end  context.CancelFunc
}

// maxReturns is how often an idle worker's Wait may return for nothing. A Wait
// that polls every few milliseconds stays below, one that doesn't wait goes over.
const maxReturns = 5000

// idle starts an idle worker. Stop it before the case ends.
func (e *env) idle(h *handle, queues ...string) *idler {
	return e.idleOn(h, tasks.Selection{Queues: queues})
}

func (e *env) idleOn(h *handle, sel tasks.Selection) *idler {
	ctx, cancel := context.WithCancel(e.ctx)
	w := &idler{e: e, got: make(chan tasks.Claimed), done: make(chan struct{}), end: cancel}
	go func() {
		defer close(w.done)
		w.run(ctx, h.s, tasks.ClaimRequest{Selection: sel, Worker: "idle-worker", Limit: 5, Lease: time.Minute})
	}()
	return w
}

func (w *idler) run(ctx context.Context, s tasks.Store, req tasks.ClaimRequest) {
	failed := func(what string, err error) {
		if ctx.Err() == nil || (!errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded)) {
			w.e.Errorf("an idle worker's %s on %+v: %v", what, req.Selection, err)
		}
	}
	for returns := 0; ctx.Err() == nil; returns++ {
		got, err := s.Claim(ctx, req)
		if err != nil {
			failed("claim", err)
			return
		}
		w.e.hold(got)
		for _, c := range got {
			select {
			case w.got <- c:
			case <-ctx.Done():
			}
		}
		if len(got) > 0 {
			returns = 0
			continue
		}
		if returns > maxReturns {
			w.e.Errorf("Wait on %+v returned %d times with nothing to claim: it doesn't wait", req.Selection, returns)
			return
		}
		if err := s.Wait(ctx, req.Selection); err != nil {
			failed("wait", err)
			return
		}
	}
}

// stop ends the worker and waits for it.
func (w *idler) stop() {
	w.end()
	<-w.done
}

// gets waits until the worker has claimed that record.
func (w *idler) gets(limit time.Duration, id, after string) tasks.Claimed {
	w.e.Helper()
	w.e.step("waiting until an idle worker has record %s, %s", id, after)
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case c := <-w.got:
		if c.Record.ID != id {
			w.e.Fatalf("%s: the idle worker got record %s, want %s", after, c.Record.ID, id)
		}
		return c
	case <-timer.C:
	case <-w.done:
	}
	w.e.Fatalf("%s: the idle worker hasn't claimed record %s within %v", after, id, limit)
	return tasks.Claimed{}
}
