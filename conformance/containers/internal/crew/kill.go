package crew

import (
	"slices"
	"time"

	"github.com/sideman-go/sideman/conformance/containers/proxy"
	"github.com/sideman-go/sideman/tasks"
)

// short makes what was a killed worker's come back soon. It's as long as it takes for workers that
// live to renew in time on a machine that stands still for seconds.
func (c *crew) short() { c.order.Lease, c.order.Sweep = 5*time.Second, 500*time.Millisecond }

// within is how long after a kill -9 all must be run again by workers that were ready that long
// after it: a lease begins with its last renewal, and the sweep comes within an interval and a
// tenth of both the lease's end and their start. The rest is for a busy machine: 3.1 s of it were
// seen to be needed on two cores at a load of 5, and 15 s on one that took 13 s to start them, so it
// may be as slow once more as it was at that. What is found only when the default lease is over comes
// 20 s after the kill or later.
func (c *crew) within(ready time.Duration) time.Duration {
	return max(c.order.Lease, ready) + c.order.Sweep*11/10 + 6*time.Second + ready
}

// runAgain wants records whose runs ended with a kill at that time to have been run again soon
// after it and after the workers hired since were ready, and logs how soon.
func (c *crew) runAgain(all map[string][]run, ids []string, killed time.Time) {
	t := c.t
	t.Helper()
	var latest time.Duration
	for _, id := range ids {
		last := all[id][len(all[id])-1]
		if last.start.Before(killed) {
			t.Errorf("record %s was run again %v before its worker was killed", id, killed.Sub(last.start))
		}
		latest = max(latest, last.start.Sub(killed))
	}
	others := c.hired.Sub(killed)
	t.Logf("%d records run again within %v of the kill; lease %v, sweep interval %v, others ready after %v", len(ids), latest.Round(time.Millisecond), c.order.Lease, c.order.Sweep, others.Round(time.Millisecond))
	if limit := c.within(others); latest > limit {
		t.Errorf("run again within %v, want %v", latest, limit)
	}
}

// killedIdle kills a worker that waits for work, while another one does, too: the other hears of
// what is enqueued at once, though it's the dead one that the server may have told.
func (c *crew) killedIdle() {
	t := c.t
	c.order.Place.PollInterval = time.Hour // so that it is the server who brings the news
	first := c.hire(2)
	ids := c.enqueue(2, job{})
	c.successful(2)
	for i := range 10 {
		time.Sleep(100 * time.Millisecond) // until they are idle
		if i == 5 {
			first[0].kill()
		}
		from := time.Now()
		ids = append(ids, c.enqueue(1, job{})...)
		c.await("D", len(ids))
		// On a busy machine that takes a moment; a worker that wasn't told would take an hour.
		if took := time.Since(from); took > 5*time.Second {
			t.Errorf("the idle worker had new work after %v, want at once", took)
		}
	}
	c.successful(len(ids))
	first[1].stop()
	wantOneRun(t, c.order.Dir, ids)
	c.wantAttempts(ids, 1)
}

// killedInClaim kills a worker in full flow, when the server has done a claim of it whose reply
// never came.
func (c *crew) killedInClaim() {
	t := c.t
	c.short()
	c.order.Concurrency = 4
	c.enqueue(1500, job{Sleep: 5 * time.Millisecond})
	first := hire(t, c.order)
	o := outages()["RepliesLost"]
	c.begin(o)
	first.kill()
	killed := time.Now()
	o.undo(c.proxy)
	// What still waits would only hide how soon the rest comes back.
	if _, err := c.admin().AlterMatching(t.Context(), tasks.Change{Kind: tasks.ChangeDelete}, tasks.Filter{Statuses: []tasks.Status{tasks.Ready}}, tasks.Bulk{}); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for rec, err := range c.admin().All(t.Context(), tasks.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, rec.ID)
	}
	ps := c.hire(2)
	c.successful(len(ids))
	stopAll(ps)
	all := c.explained(ids)
	var unheard, unsettled []string
	for _, id := range ids {
		switch got := attemptsOf(all[id]); {
		case slices.Equal(got, []int{1}):
		case slices.Equal(got, []int{2}):
			unheard = append(unheard, id)
		case slices.Equal(got, []int{1, 2}):
			unsettled = append(unsettled, id)
		default:
			t.Errorf("record %s was run as attempts %v", id, got)
		}
	}
	t.Logf("%d had been claimed without the worker's knowledge, and %d run and not settled", len(unheard), len(unsettled))
	if len(unheard) == 0 {
		t.Error("no claim's reply was lost, so the test shows nothing")
	}
	c.runAgain(all, append(unheard, unsettled...), killed)
}

// killedHoldingClaims kills a worker while it runs some records and has claimed others that it
// hasn't started.
func (c *crew) killedHoldingClaims() {
	t := c.t
	c.short()
	c.order.Concurrency = 4
	const quick = 400 // so that it claims ahead
	until, raise := c.flag("go")
	ids := c.enqueue(quick, job{Sleep: time.Millisecond})
	slow := c.enqueue(60, job{Until: until})
	first := hire(t, c.order)
	c.await("S", quick+c.order.Concurrency)
	first.kill()
	killed := time.Now()
	raise()
	ps := c.hire(2)
	c.successful(len(ids) + len(slow))
	stopAll(ps)
	all := c.explained(append(ids, slow...))
	started, held := 0, 0
	lost := slices.DeleteFunc(slices.Clone(slow), func(id string) bool {
		switch got := attemptsOf(all[id]); {
		case slices.Equal(got, []int{1}): // it hadn't been claimed
			return true
		case slices.Equal(got, []int{1, 2}):
			started++
		case slices.Equal(got, []int{2}):
			held++
		default:
			t.Errorf("record %s was run as attempts %v", id, got)
		}
		return false
	})
	t.Logf("the killed worker ran %d and held %d", started, held)
	if started != c.order.Concurrency {
		t.Errorf("the killed worker ran %d of the records that wait, want %d", started, c.order.Concurrency)
	}
	if held == 0 {
		t.Error("the killed worker held nothing that it hadn't started, so the test shows nothing")
	}
	c.runAgain(all, lost, killed)
}

// killedRunning kills a worker in the middle of its handlers. Each record must be run again,
// once.
func (c *crew) killedRunning() {
	t := c.t
	c.short()
	until, raise := c.flag("go")
	first := hire(t, c.order)
	ids := c.enqueue(10, job{Until: until})
	c.await("S", len(ids))
	time.Sleep(c.order.Lease * 3 / 2) // so that leases have been renewed
	first.kill()
	killed := time.Now()
	raise()
	c.takenOver(ids, killed)
}

// killedBeforeSettle kills a worker whose handlers have returned, and whose outcomes haven't
// come to the server.
func (c *crew) killedBeforeSettle() {
	c.short()
	until, raise := c.flag("go")
	first := hire(c.t, c.order)
	ids := c.enqueue(10, job{Until: until})
	c.await("S", len(ids))
	c.proxy.Blackhole(proxy.ToServer)
	raise()
	c.await("D", len(ids))
	first.kill()
	killed := time.Now()
	c.proxy.Break()
	c.proxy.Restore()
	c.takenOver(ids, killed)
}

// takenOver has two workers do what the killed one ran: all of it, once more.
func (c *crew) takenOver(ids []string, killed time.Time) {
	c.t.Helper()
	ps := c.hire(2)
	c.successful(len(ids))
	stopAll(ps)
	all := c.wantAttempts(ids, 1, 2)
	c.runAgain(all, ids, killed)
}
