package crew

import (
	"context"
	"sync"
	"testing"
	"time"
)

// many is how many tasks there are under load.
func many() int {
	if testing.Short() {
		return 2000
	}
	return 20_000
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

// workersAdded has one worker, then two, four and eight, which must not get in each other's way:
// none has anything to complain of, and each task is run once.
func (c *crew) workersAdded() {
	t := c.t
	n := many() / 20
	var ps []*process
	var ids []string
	for _, workers := range []int{1, 2, 4, 8} {
		ps = append(ps, c.hire(workers-len(ps))...)
		from := time.Now()
		ids = append(ids, c.enqueue(n, job{})...)
		c.successful(len(ids))
		t.Logf("%d workers: %d tasks in %v", workers, n, time.Since(from).Round(10*time.Millisecond))
	}
	stopAll(ps)
	wantOneRun(t, c.order.Dir, ids)
	used := make(map[int]bool)
	for _, rs := range runs(t, c.order.Dir) {
		used[rs[0].pid] = true
	}
	if len(used) < 4 {
		t.Errorf("only %d of 8 workers did anything", len(used))
	}
	for _, p := range ps {
		p.quiet()
	}
}
