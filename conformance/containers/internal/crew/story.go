package crew

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// many is how many tasks there are under load.
func many() int {
	if testing.Short() {
		return 2000
	}
	return 20_000
}

// workerKilled kills a worker with kill -9 while it runs tasks. Each of them must be run again,
// once, within lease and sweep interval; what runs elsewhere isn't touched.
func (c *crew) workerKilled() {
	t := c.t
	const n = 10
	c.order.Lease, c.order.Sweep = 2*time.Second, 500*time.Millisecond
	first := hire(t, c.order)
	ids := c.enqueue(n, job{Hang: true})
	c.await("S", n)
	time.Sleep(c.order.Lease) // so that leases have been renewed
	first.kill()
	killed := time.Now()
	ps := c.hire(2)
	c.successful(n)
	stopAll(ps)
	// A lease begins with its last renewal, at most a third of it old; the sweep comes within an
	// interval and a tenth. The rest is for a busy machine.
	within := c.order.Lease + c.order.Sweep*11/10 + 2*time.Second
	var latest time.Duration
	all := runs(t, c.order.Dir)
	for _, id := range ids {
		rs := all[id]
		if len(rs) != 2 || rs[0].attempt != 1 || rs[1].attempt != 2 || rs[1].end.IsZero() {
			t.Errorf("record %s has the runs %+v, want attempt 1, killed, and attempt 2", id, rs)
			continue
		}
		if rs[1].start.Before(killed) {
			t.Errorf("record %s was run again %v before its worker was killed", id, killed.Sub(rs[1].start))
		}
		latest = max(latest, rs[1].start.Sub(killed))
		res, err := c.task.GetResult(t.Context(), id)
		if err != nil {
			t.Error(err)
			continue
		}
		if res.Attempts() != 2 || len(res.Errors) != 1 || res.Errors[0].Type != tasks.ErrorTypeLost {
			t.Errorf("record %s has %d attempts and errors %+v, want 2 and one that is %q", id, res.Attempts(), res.Errors, tasks.ErrorTypeLost)
		}
	}
	t.Logf("run again within %v of the kill", latest)
	if latest > within {
		t.Errorf("run again within %v, want %v", latest, within)
	}
}

// workersReplaced stops workers in good order and starts others, as a deployment does, under
// load: each task is run once.
func (c *crew) workersReplaced() {
	t := c.t
	n := many() / 4
	ps := c.hire(4)
	var enqueued sync.WaitGroup
	var ids []string
	enqueued.Go(func() { ids = c.enqueue(n, job{Sleep: 2 * time.Millisecond}) })
	for i := range 8 {
		c.await("D", n*(i+1)/10)
		ps = append(ps, hire(t, c.order))
		ps[i].stop()
	}
	enqueued.Wait()
	c.successful(n)
	stopAll(ps)
	wantOneRun(t, c.order.Dir, ids)
}

// serverFails has the server go and come back three times under load: all tasks succeed, and
// each is run once, since no outage is as long as a lease.
func (c *crew) serverFails(fail func(context.Context) error) {
	t := c.t
	n := many()
	ps := c.hire(4)
	start := time.Now()
	var enqueued sync.WaitGroup
	var ids []string
	enqueued.Go(func() { ids = c.enqueue(n, job{Sleep: time.Millisecond}) })
	var away time.Duration
	for i := range 3 {
		c.await("D", n*(i+1)/5)
		from := time.Now()
		if err := fail(t.Context()); err != nil {
			t.Fatal(err)
		}
		away += time.Since(from)
	}
	enqueued.Wait()
	c.successful(n)
	t.Logf("%d tasks in %v, with the server away for %v of it", n, time.Since(start).Round(10*time.Millisecond), away.Round(10*time.Millisecond))
	stopAll(ps)
	wantOneRun(t, c.order.Dir, ids)
}

// outageAtSettle has tasks end while the store is away for five seconds: they must not be run
// again.
func (c *crew) outageAtSettle(fault func() (undo func())) {
	t := c.t
	const n = 20
	ps := c.hire(2)
	until, raise := c.flag()
	ids := c.enqueue(n, job{Until: until})
	c.await("S", n)
	undo := fault()
	raise()
	c.await("D", n)
	time.Sleep(5 * time.Second)
	undo()
	from := time.Now()
	c.successful(n)
	t.Logf("settled %v after the outage", time.Since(from).Round(10*time.Millisecond))
	time.Sleep(c.order.Sweep * 2) // in which whatever is amiss would be taken up
	c.successful(n)
	stopAll(ps)
	wantOneRun(t, c.order.Dir, ids)
	for _, id := range ids {
		res, err := c.task.GetResult(t.Context(), id)
		if err != nil {
			t.Error(err)
		} else if res.Attempts() != 1 || len(res.Errors) != 0 {
			t.Errorf("record %s has %d attempts and errors %+v, want 1 and none", id, res.Attempts(), res.Errors)
		}
	}
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
	c.s.Proxy.Freeze()
	from := time.Now()
	n := 1
	for {
		time.Sleep(time.Second / 2) // until the worker is idle
		start := time.Now()
		n++
		if _, err := c.task.Enqueue(t.Context(), job{}); err != nil {
			t.Fatal(err)
		}
		c.await("D", n)
		took, since := time.Since(start), time.Since(from)
		t.Logf("%v after its connections fell silent the worker had new work within %v", since.Round(time.Second), took.Round(time.Millisecond))
		if took < time.Second/2 && n > 2 {
			break // it listens again
		}
		if since > 15*time.Second {
			t.Fatal("the worker doesn't listen again")
		}
	}
	c.successful(n)
	p.stop()
}
