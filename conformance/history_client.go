package conformance

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// client is one of those whose calls are recorded.
type client struct {
	*history

	n     int
	h     *handle
	rnd   *rand.Rand
	calm  bool // works without concurrency, and nothing of its is lost
	held  []tasks.Claimed
	moves int
}

func newRand(n int) *rand.Rand { return rand.New(rand.NewPCG(uint64(n), 2026)) } //nolint:gosec // a workload, not a secret

// unit is the grain of waiting. It is coarse, so that in a bubble many clients wake
// at the same time.
func (h *history) unit() time.Duration { return h.timing.Lease / 16 }

func (c *client) nap(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-c.ctx.Done():
	}
}

// move does one thing.
func (c *client) move() {
	c.moves++
	if len(c.held) > 0 && c.rnd.IntN(10) < 6 {
		c.work()
		return
	}
	switch n := c.rnd.IntN(20); {
	case n < 3:
		c.enqueue(1 + c.rnd.IntN(3))
	case n < 4:
		if id := c.anyID(); id != "" {
			c.put(c.asked(id))
		}
	case n < 10:
		if len(c.held) < 4 && c.claim(1+c.rnd.IntN(2), c.length()) == 0 {
			c.nap(c.unit() / 4)
		}
	case n < 13:
		if id := c.anyID(); id != "" {
			c.get(id)
		}
	case n < 16:
		c.offerStale()
	case n < 18:
		c.sweep()
	default:
		if id := c.anyID(); id != "" {
			c.alter([]verb{doCancel, doRetry, doRetry}[c.rnd.IntN(3)], id)
		}
	}
}

// work does something about a record that the client has claimed.
func (c *client) work() {
	i := c.rnd.IntN(len(c.held))
	lease := c.held[i].Lease
	if c.lapsing && c.rnd.IntN(2) == 0 {
		c.nap(time.Duration(c.rnd.IntN(8)) * c.unit()) // maybe for too long
	}
	n := c.rnd.IntN(20)
	if n < 5 {
		c.renew(lease)
		return
	}
	c.held = slices.Delete(c.held, i, i+1)
	switch {
	case n < 8: // another may find it, and settle it when it is over
		c.leave(lease)
	case n < 12:
		c.twice(lease)
	default:
		c.settle([]tasks.Lease{lease}, c.outcome())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bin = append(c.bin, lease)
}

// leave notes leases that were given up without a settle.
func (c *client) leave(leases ...tasks.Lease) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = append(c.left, leases...)
}

func leasesOf(claimed []tasks.Claimed) []tasks.Lease {
	leases := make([]tasks.Lease, len(claimed))
	for i, c := range claimed {
		leases[i] = c.Lease
	}
	return leases
}

// length is for how long a claim or renewal asks.
func (c *client) length() time.Duration {
	if !c.lapsing {
		return time.Minute
	}
	return time.Duration(1+c.rnd.IntN(5)) * c.unit()
}

func (c *client) outcome() tasks.OutcomeKind {
	kinds := []tasks.OutcomeKind{
		tasks.OutcomeSuccess, tasks.OutcomeFailure, tasks.OutcomeRetry, tasks.OutcomeRetry, tasks.OutcomeRetry,
		tasks.OutcomeSnooze, tasks.OutcomeRelease, tasks.OutcomeRelease, tasks.OutcomeCancel,
	}
	return kinds[c.rnd.IntN(len(kinds))]
}

// anyID picks a record, mostly one of the newest, about which others may be busy.
func (c *client) anyID() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return pick(c.rnd, c.ids)
}

// asked returns the record as it was to be enqueued.
func (c *client) asked(id string) *tasks.Record {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.recs[id]
}

func pick[E any](rnd *rand.Rand, list []E) (one E) {
	if len(list) > 6 && rnd.IntN(5) > 0 {
		list = list[len(list)-6:]
	}
	if len(list) > 0 {
		one = list[rnd.IntN(len(list))]
	}
	return one
}

// enqueue stores new records.
func (c *client) enqueue(n int) {
	recs := c.records(n)
	for _, rec := range recs {
		rec.MaxAttempts = 1 + c.rnd.IntN(4)
	}
	c.mu.Lock()
	if len(c.ids)+n > c.most {
		c.mu.Unlock()
		return
	}
	c.ids = append(c.ids, idsOf(recs)...)
	for _, rec := range recs {
		c.recs[rec.ID] = rec
	}
	c.mu.Unlock()
	if !c.put(recs...) && c.rnd.IntN(4) > 0 {
		c.put(recs...)
	}
}

// twice settles a lease two times at once, in two ways.
func (c *client) twice(lease tasks.Lease) {
	twin := &client{history: c.history, n: c.n + c.clients, h: c.handles[c.rnd.IntN(len(c.handles))], rnd: newRand(c.rnd.IntN(1 << 20)), moves: c.moves}
	var both sync.WaitGroup
	both.Go(func() { twin.settle([]tasks.Lease{lease}, twin.outcome()) })
	c.settle([]tasks.Lease{lease}, c.outcome())
	both.Wait()
}

// offerStale uses leases that are over, and some that never were.
func (c *client) offerStale() {
	c.mu.Lock()
	lease, other := pick(c.rnd, c.bin), pick(c.rnd, c.bin)
	c.mu.Unlock()
	if lease.ID == "" {
		return
	}
	switch n := c.rnd.IntN(13); {
	case n < 2:
		lease.Token = ""
	case n < 3:
		lease.Token = other.Token // mostly of another record
	case n < 5:
		c.renew(lease)
		return
	case n < 7:
		c.twice(lease)
		return
	case n < 9:
		c.settle([]tasks.Lease{lease, other}, c.outcome())
		return
	}
	c.settle([]tasks.Lease{lease}, c.outcome())
}
