package crew

import (
	"time"

	"github.com/sideman-go/sideman/conformance/containers/proxy"
	"github.com/sideman-go/sideman/tasks"
)

// outages are ways for the store to be away, and to come back.
func outages() map[string]func(p *proxy.Proxy) (undo func()) {
	lost := func(d proxy.Direction) func(p *proxy.Proxy) (undo func()) {
		return func(p *proxy.Proxy) func() {
			p.Blackhole(d)
			return func() {
				p.Break() // or what was held back would be delivered
				p.Restore()
			}
		}
	}
	return map[string]func(p *proxy.Proxy) (undo func()){
		"Cut":          func(p *proxy.Proxy) func() { p.Cut(); return p.Restore },
		"Silence":      func(p *proxy.Proxy) func() { p.Blackhole(proxy.Both); return p.Restore },
		"RequestsLost": lost(proxy.ToServer),
		"RepliesLost":  lost(proxy.ToClient),
	}
}

// outageAtClaimAndSettle has tasks end, and others be claimed, while the store is away for five
// seconds: none may be run again, and no attempt be counted that never was.
func (c *crew) outageAtClaimAndSettle(fault func(p *proxy.Proxy) (undo func())) {
	t := c.t
	const slots, n = 20, 30
	ps := []*process{hire(t, c.order)}
	until, raise := c.flag("go")
	ids := c.enqueue(n, job{Until: until})
	c.await("S", slots)
	undo := fault(c.proxy)
	raise()
	c.await("D", slots)
	time.Sleep(5 * time.Second)
	undo()
	from := time.Now()
	c.successful(n)
	t.Logf("settled %v after the outage", time.Since(from).Round(10*time.Millisecond))
	time.Sleep(c.order.Sweep * 3 / 2) // in which whatever is amiss would be taken up
	c.successful(n)
	stopAll(ps)
	wantOneRun(t, c.order.Dir, ids)
	c.explained(ids)
}

// cutWhileRunning cuts the connections of a worker for half a lease while its handlers run. They
// go on, and so do the renewals afterwards.
func (c *crew) cutWhileRunning() {
	t := c.t
	c.order.Lease, c.order.Sweep = 3*time.Second, 500*time.Millisecond
	ps := c.hire(1)
	other := c.order
	other.Place.URL = c.direct
	ps = append(ps, hire(t, other)) // which would take over what is lost
	until, raise := c.flag("go")
	ids := c.enqueue(10, job{Until: until})
	c.await("S", len(ids))
	c.proxy.Cut()
	time.Sleep(c.order.Lease / 3)
	c.proxy.Restore()
	time.Sleep(c.order.Lease * 3 / 2)
	raise()
	c.successful(len(ids))
	stopAll(ps)
	wantOneRun(t, c.order.Dir, ids)
	c.explained(ids)
}

// listenerForgotten makes all connections of an idle worker fall silent, as a firewall does
// with those it has forgotten. The worker must notice, though nobody tells it, and then hear
// of new work at once again.
func (c *crew) listenerForgotten() {
	t := c.t
	c.order.Place.PollInterval = time.Hour // so that it is the listener who brings the news
	p := hire(t, c.order)
	c.enqueue(1, job{})
	c.successful(1)
	c.proxy.Freeze()
	from := time.Now()
	n := 1
	for {
		time.Sleep(time.Second / 2) // until the worker is idle
		start := time.Now()
		n++
		c.enqueue(1, job{})
		c.await("D", n)
		took, since := time.Since(start), time.Since(from)
		t.Logf("%v after its connections fell silent the worker had new work within %v", since.Round(time.Second), took.Round(time.Millisecond))
		if took < time.Second/2 && n > 2 {
			break // it listens again
		}
		if since > 35*time.Second {
			t.Fatal("the worker doesn't listen again")
		}
	}
	c.proxy.Restore()
	c.successful(n)
	p.stop()
}

// cancelUnheard cancels tasks while the worker that runs them can't hear of it: first while it
// connects anew, and then while its connections are silent. It finds out by itself.
func (c *crew) cancelUnheard() {
	t := c.t
	c.order.Lease = 15 * time.Second
	p := hire(t, c.order)
	ids := c.enqueue(10, job{UntilCancelled: true})
	c.await("S", len(ids))
	cancelled := func(ids []string, after string) {
		t.Helper()
		if _, err := c.admin().Alter(t.Context(), tasks.Change{Kind: tasks.ChangeCancel, Reason: after}, ids...); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(n int, after string, limit time.Duration) {
		t.Helper()
		from := time.Now()
		c.eventually("all are CANCELLED", func() bool { return c.counts()[tasks.Cancelled] == int64(n) })
		took := time.Since(from)
		t.Logf("CANCELLED %v after %s", took.Round(10*time.Millisecond), after)
		if took > limit {
			t.Errorf("CANCELLED %v after %s, want %v at most", took, after, limit)
		}
	}
	c.proxy.Cut()
	cancelled(ids[:5], "a cut")
	time.Sleep(time.Second / 2)
	c.proxy.Restore()
	// A renewal tells, each third of a lease.
	gone(5, "a cut", c.order.Lease/3+2*time.Second)
	c.proxy.Freeze()
	cancelled(ids[5:], "a silence")
	gone(10, "a silence", c.order.Lease*3/2)
	c.proxy.Restore() // or pgx waits for 15 s until dead connections are closed
	p.stop()
	for _, id := range ids {
		rec := c.record(id)
		if rec.Attempts() != 1 || rec.CancelReason == "" {
			t.Errorf("record %s has %d attempts and the reason %q, want 1 and one", id, rec.Attempts(), rec.CancelReason)
		}
	}
	if n := events(t, c.order.Dir, "D"); n != len(ids) {
		t.Errorf("%d handlers were told, want %d", n, len(ids))
	}
}
