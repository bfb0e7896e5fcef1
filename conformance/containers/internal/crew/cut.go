package crew

import (
	"time"

	"github.com/sideman-go/sideman/conformance/containers/proxy"
	"github.com/sideman-go/sideman/tasks"
)

// outage is a way for the store to be away, and to come back.
type outage struct {
	make func(p *proxy.Proxy)
	undo func(p *proxy.Proxy)
	// unheard says that the server does what it is asked, and only its replies are lost.
	unheard bool
}

func outages() map[string]outage {
	drop := func(p *proxy.Proxy) {
		p.Break() // or what was held back would be delivered
		p.Restore()
	}
	return map[string]outage{
		"Cut":          {(*proxy.Proxy).Cut, (*proxy.Proxy).Restore, false},
		"Silence":      {func(p *proxy.Proxy) { p.Blackhole(proxy.Both) }, (*proxy.Proxy).Restore, false},
		"RequestsLost": {func(p *proxy.Proxy) { p.Blackhole(proxy.ToServer) }, drop, false},
		"RepliesLost":  {func(p *proxy.Proxy) { p.Blackhole(proxy.ToClient) }, drop, true},
	}
}

// begin makes the outage for a worker in full flow. It tries until it is in the midst of something,
// and where only replies are lost, until one of a claim is among them.
func (c *crew) begin(o outage) {
	t := c.t
	t.Helper()
	for try, ran := 1, 0; ; try++ {
		c.await("D", ran+100)
		o.make(c.proxy)
		time.Sleep(400 * time.Millisecond) // in which it does all that it knows of
		ran = events(t, c.order.Dir, "D")
		counts := c.counts()
		unheard := int(counts[tasks.Successful]+counts[tasks.Running]) - ran
		missed := unheard == 0 && (o.unheard || int(counts[tasks.Successful]) == ran)
		if missed && try < 10 {
			c.proxy.Restore()
			continue
		}
		t.Logf("in the outage %d have been run, and counts are %v, so %d were claimed without the worker's knowledge", ran, counts, unheard)
		if missed {
			t.Error("the outage came at another moment, so the test shows nothing")
		}
		return
	}
}

// outageAtClaimAndSettle takes the store away from a worker in full flow for five seconds, in
// which its tasks end: none may be run again, and no attempt be counted that never was.
func (c *crew) outageAtClaimAndSettle(o outage) {
	t := c.t
	ids := c.enqueue(2000, job{Sleep: 5 * time.Millisecond})
	p := hire(t, c.order)
	c.begin(o)
	time.Sleep(5 * time.Second)
	o.undo(c.proxy)
	from := time.Now()
	c.successful(len(ids))
	t.Logf("settled %v after the outage", time.Since(from).Round(10*time.Millisecond))
	time.Sleep(c.order.Sweep * 3 / 2) // in which whatever is amiss would be taken up
	c.successful(len(ids))
	p.stop()
	wantOneRun(t, c.order.Dir, ids)
	c.wantAttempts(ids, 1)
}

// cutWhileRunning cuts the connections of a worker for half a lease while its handlers run. They
// go on, and so do the renewals afterwards.
func (c *crew) cutWhileRunning() {
	t := c.t
	c.short()
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
	c.wantAttempts(ids, 1)
}

// listenerForgotten makes all connections of an idle worker fall silent, as a firewall does
// with those it has forgotten. The worker must notice, though nobody tells it, and then hear
// of new work at once again.
func (c *crew) listenerForgotten() {
	t := c.t
	c.order.Place.PollInterval = time.Hour // so that it is the listener who brings the news
	p := hire(t, c.order)
	n := 0
	for ; n < 2; n++ { // the second comes to an idle worker, so it listens
		c.enqueue(1, job{})
		c.await("D", n+1)
		time.Sleep(time.Second / 2)
	}
	c.proxy.Freeze()
	from := time.Now()
	for {
		time.Sleep(time.Second / 2) // until the worker is idle
		start := time.Now()
		n++
		c.enqueue(1, job{})
		c.await("D", n)
		took, since := time.Since(start), time.Since(from)
		t.Logf("%v after its connections fell silent the worker had new work within %v", since.Round(time.Second), took.Round(time.Millisecond))
		if took < 2*time.Second && n > 3 {
			break // it listens again
		}
		if since > time.Minute {
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
	c.order.Lease = 30 * time.Second
	p := hire(t, c.order)
	ids := c.enqueue(10, job{UntilCancelled: true})
	c.await("S", len(ids))
	cancelled := func(ids []string, after string) {
		t.Helper()
		if _, err := c.admin().Alter(t.Context(), tasks.Change{Kind: tasks.ChangeCancel, Reason: after}, ids...); err != nil {
			t.Fatal(err)
		}
	}
	told := func(n int, after string, limit time.Duration) {
		t.Helper()
		from := time.Now()
		c.await("D", n)
		took := time.Since(from)
		t.Logf("the handlers' contexts ended %v after %s", took.Round(10*time.Millisecond), after)
		if took > limit {
			t.Errorf("the handlers' contexts ended %v after %s, want %v at most", took, after, limit)
		}
		c.eventually("all are CANCELLED", func() bool { return c.counts()[tasks.Cancelled] == int64(n) })
	}
	c.proxy.Cut()
	cancelled(ids[:5], "a cut")
	time.Sleep(time.Second / 2)
	c.proxy.Restore()
	// A renewal tells, each third of a lease.
	told(5, "a cut", c.order.Lease/3+5*time.Second)
	c.proxy.Freeze()
	cancelled(ids[5:], "a silence")
	told(10, "a silence", c.order.Lease) // or it would be lost
	c.proxy.Restore()                    // or pgx waits for 15 s until dead connections are closed
	p.stop()
	for _, id := range ids {
		rec := c.record(id)
		if rec.Attempts() != 1 || rec.CancelReason == "" {
			t.Errorf("record %s has %d attempts and the reason %q, want 1 and one", id, rec.Attempts(), rec.CancelReason)
		}
	}
}
