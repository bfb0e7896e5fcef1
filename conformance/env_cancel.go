package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// cancelNotices is a NotifyCancel that goes on, and what it tells.
type cancelNotices struct {
	e      *env
	h      *handle
	told   chan cancelNotice
	ended  chan error
	end    context.CancelFunc
	probes map[string]tasks.Claimed
}

type cancelNotice struct{ id, reason string }

// hearCancels starts a NotifyCancel, and returns when it tells of what is requested from then on;
// nil if the backend can't. Nobody says when that is, so it requests one cancellation after the
// other until it is told of one. End what it returns before the case ends.
func (e *env) hearCancels(h *handle) *cancelNotices {
	e.Helper()
	notifier, ok := tasks.As[tasks.CancelNotifier](h.b)
	if !ok {
		e.Logf("the backend is no CancelNotifier: workers see requests at their next renewal")
		return nil
	}
	ctx, cancel := context.WithCancel(e.ctx)
	c := &cancelNotices{
		e: e, h: h, end: cancel,
		told: make(chan cancelNotice, 1000), ended: make(chan error, 1), probes: make(map[string]tasks.Claimed),
	}
	go func() {
		c.ended <- notifier.NotifyCancel(ctx, func(id, reason string) { c.told <- cancelNotice{id, reason} })
	}()
	e.step("waiting until NotifyCancel tells")
	for from := time.Now(); ; {
		probe := e.claimedNow(h)
		c.probes[probe.Record.ID] = probe
		e.alterOne(h, cancelling(""), probe.Record.ID)
		select {
		case got := <-c.told:
			if _, known := c.probes[got.id]; !known || got.reason != "" {
				e.Errorf("told of %+q, which isn't among the %d records whose cancel was requested", got, len(c.probes))
			}
			return c
		case err := <-c.ended:
			cancel()
			e.Fatalf("NotifyCancel ended with %v while ctx went on", err)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Since(from) > e.timing.Notice {
			cancel()
			e.Fatalf("not told of the cancel of any of %d records within %v", len(c.probes), e.timing.Notice)
		}
	}
}

// wants wants to be told of a request next. others says what it would be wrong to be told of.
func (c *cancelNotices) wants(want cancelNotice, others string) {
	e := c.e
	e.Helper()
	e.step("waiting for the notice of the cancel of record %s", want.id)
	timer := time.NewTimer(e.timing.Notice)
	defer timer.Stop()
	for {
		select {
		case got := <-c.told:
			if _, probe := c.probes[got.id]; probe {
				continue
			}
			if got != want {
				e.Errorf("told of %+q, want %+q; %s", got, want, others)
			}
		case err := <-c.ended:
			e.Fatalf("NotifyCancel ended with %v while ctx went on", err)
		case <-timer.C:
			e.Errorf("not told of the cancel of record %s within %v", want.id, e.timing.Notice)
		}
		return
	}
}

// stop ends it by its ctx, and settles what hearCancels claimed.
func (c *cancelNotices) stop() {
	c.e.Helper()
	c.end()
	c.e.within(2*c.e.timing.Obey, "ending NotifyCancel by its ctx", func() {
		if err := <-c.ended; !errors.Is(err, context.Canceled) {
			c.e.Errorf("NotifyCancel returned %v after its ctx was cancelled, want that error", err)
		}
	})
	for _, probe := range c.probes {
		c.e.settlesAs(c.h, probe, failure("stopped"))
	}
}
