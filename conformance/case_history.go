package conformance

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// The cases of this group record what many clients at once ask and are answered,
// and hold it to the life of a record (lifeModel): for each record there must be an
// order of the calls, in which those that didn't overlap stand as they were, that
// explains every answer. Claim order is no part of it: under concurrent claims it is
// best effort, and other cases judge it.
func historyCases() []Case {
	return []Case{
		{
			Name: "History/Concurrent", Clauses: []string{"F4", "W3", "W5", "E3"}, Needs: inspecting,
			What: "concurrent calls, stale leases and double settles among them, must be answered as if they had come one after the other",
			run: func(e *env) {
				e.recordHistory(workload{clients: 12, rounds: 120, most: 240, least: least{acts: 1200, overlaps: 60, refused: 100}})
			},
		},
		{
			Name: "History/ShortLeases", Clauses: []string{"F4", "W3", "W5", "W6"}, Needs: inspecting,
			What: "the same with leases that run out and are swept while their workers still renew and settle",
			run: func(e *env) {
				e.recordHistory(workload{
					clients: 16, rounds: 60, most: 100, lapsing: true,
					least: least{acts: 800, overlaps: 20, refused: 100, redelivered: 30},
				})
			},
		},
		{
			Name: "History/LostReplies", Clauses: []string{"F4", "E3", "E4", "W5", "W6"}, Needs: inspecting,
			What: "the same with replies that are lost, requests that arrive late or never, and clients that try again",
			run: func(e *env) {
				e.recordHistory(workload{
					clients: 12, rounds: 80, most: 140, lapsing: true, lossy: true,
					least: least{acts: 800, overlaps: 20, refused: 100, redelivered: 30, unknown: 40},
				})
			},
		},
	}
}

// workload is what clients do.
type workload struct {
	clients, rounds int
	most            int  // to enqueue, at most
	lapsing         bool // leases run out
	lossy           bool // replies are lost
	least           least
}

// least is how much must have happened for a history to prove anything.
type least struct {
	acts        int // calls, one for each record of a batch
	overlaps    int // pairs of calls of two clients on one record, at the same time
	refused     int // leases that were offered and not the live one
	redelivered int // lost leases that sweeps took back
	unknown     int // calls with a lost reply
}

// history is a workload under way, and what was recorded of it.
type history struct {
	*env
	workload

	handles []*handle
	began   time.Time
	counter atomic.Int64
	late    sync.WaitGroup // requests under way whose clients have given up

	mu     sync.Mutex
	acts   []*act
	sweeps []sweepSpan
	ids    []string                 // of what was to be enqueued, oldest first
	recs   map[string]*tasks.Record // as they were to be enqueued
	bin    []tasks.Lease            // leases that may be over, oldest first
	left   []tasks.Lease            // of these the ones that nobody has settled
}

// span is when a call was made.
type span struct {
	call, ret            int64
	calledAt, returnedAt time.Duration
	unknown              bool
}

// sweepSpan is a sweep that took leases back; it doesn't say which.
type sweepSpan struct {
	span

	client, lost int
}

func (s span) of(what verb, client int, id string) *act {
	a := &act{
		ID: id, Client: client, What: what, Unknown: s.unknown,
		Call: s.call, Return: s.ret, CalledAt: s.calledAt, ReturnedAt: s.returnedAt,
	}
	if s.unknown {
		a.Return = never
	}
	return a
}

func (h *history) note(acts ...*act) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.acts = append(h.acts, acts...)
}

// recordHistory has clients work, lets the store come to rest, and judges.
func (e *env) recordHistory(w workload) {
	h := &history{env: e, workload: w, handles: []*handle{e.connect()}, recs: make(map[string]*tasks.Record), began: time.Now()}
	if h.handles[0].caps.Has(tasks.CapShared) {
		h.handles = append(h.handles, e.connect())
	}
	e.together(w.clients, func(i int) {
		c := h.client(i)
		for range w.rounds {
			if e.Failed() || e.ctx.Err() != nil {
				return
			}
			c.move()
		}
		c.leave(leasesOf(c.held)...)
	})
	if e.Failed() {
		h.keep()
		return
	}
	e.step("waiting for requests that arrive late")
	h.late.Wait()
	h.rest()
	h.account()
	h.judge()
	h.enough()
}

// rest works off what is left, one call after the other, until every record is
// final. That is recorded too: what it finds is what the clients left.
func (h *history) rest() {
	c := h.client(2 * h.clients) // twins have the numbers before
	c.calm = true
	for some := range slices.Chunk(h.left, 10) {
		c.settle(some, tasks.OutcomeSuccess)
	}
	open := slices.Clone(h.ids)
	for deadline := time.Now().Add(4*h.timing.Lease + 2*h.timing.Notice); ; c.nap(h.unit()) {
		h.step("waiting until every record is final")
		c.sweep()
		for c.claim(10, time.Minute) > 0 && !h.Failed() {
			c.settle(leasesOf(c.held), tasks.OutcomeSuccess)
			c.held = nil
		}
		open = slices.DeleteFunc(open, func(id string) bool {
			got := c.get(id)
			return got.Status.Final() || got.Status == "" && !h.stored(id)
		})
		switch {
		case len(open) == 0 || h.Failed():
			return
		case time.Now().After(deadline): // no reason to leave: the history may tell why
			h.Errorf("nothing can be claimed or swept, and %d records still aren't final, as %s", len(open), open[0])
			return
		}
	}
}

// stored reports whether an enqueue of the record was answered.
func (h *history) stored(id string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.acts, func(a *act) bool { return a.ID == id && a.What == doEnqueue && !a.Unknown })
}

// client returns a client with a workload of its own, the same in every run.
func (h *history) client(n int) *client {
	return &client{history: h, n: n, rnd: newRand(n), h: h.handles[n%len(h.handles)]}
}
