package conformance

import (
	"math/rand/v2"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

const orderCaps = workerCaps | tasks.CapPriority

func orderCases() []Case {
	return []Case{
		{
			Name: "Order/FIFO", Clauses: []string{"W1"}, Needs: workerCaps,
			What: "of equal priority, what was enqueued first must be claimed first, whatever the ids are",
			run:  orderFIFO,
		},
		{
			Name: "Order/Batch", Clauses: []string{"W1"}, Needs: workerCaps,
			What: "records of one batch must be claimed by due time and then by id, not by their places in the batch",
			run: func(e *env) {
				h := e.connect()
				recs := e.records(60)
				shuffle(recs)
				e.enqueue(h, recs...)
				e.gives(h, "a shuffled batch", len(recs), inClaimOrder(recs)...)
			},
		},
		{
			Name: "Order/IDBytes", Clauses: []string{"W1"}, Needs: workerCaps,
			What: "ids must be ordered byte by byte, not by the rules of a language",
			run: func(e *env) {
				h := e.connect()
				var recs []*tasks.Record
				for _, id := range []string{"b", "a-2", "B", "_", "a.1", "ab", "a", "~", "10", "9", "A", "aB", "a1"} {
					recs = append(recs, e.record(func(r *tasks.Record) { r.ID = id }))
				}
				e.enqueue(h, recs...)
				e.gives(h, "a batch with other ids", len(recs), inClaimOrder(recs)...)
			},
		},
		{
			Name: "Order/Priority", Clauses: []string{"W1", "V2"}, Needs: orderCaps,
			What: "each of the 201 priorities must be a level of its own, the larger sooner, negative ones after 0",
			run: func(e *env) {
				h := e.connect()
				recs := make([]*tasks.Record, 0, 201)
				for p := tasks.MinPriority; p <= tasks.MaxPriority; p++ {
					recs = append(recs, e.record(priority(p)))
				}
				shuffle(recs)
				e.enqueue(h, recs[:100]...)
				e.enqueue(h, recs[100:]...)
				got := e.claim(h, len(recs))
				e.ordered("all priorities", got, inClaimOrder(recs))
				for i, c := range got {
					if want := tasks.MaxPriority - i; c.Record.Priority != want {
						e.Fatalf("place %d of the claims has priority %d, want %d", i, c.Record.Priority, want)
					}
				}
			},
		},
		{
			Name: "Order/PriorityFirst", Clauses: []string{"W1"}, Needs: orderCaps,
			What: "a record of larger priority must be claimed before one that has been due for longer",
			run: func(e *env) {
				h := e.connect()
				low, middle, high := e.record(priority(-1)), e.record(), e.record(priority(1))
				for _, rec := range []*tasks.Record{low, middle, high} {
					e.enqueue(h, rec)
					e.pause(2 * time.Millisecond)
				}
				for i, rec := range []*tasks.Record{high, middle, low} {
					e.gives(h, "claim "+show(i), 1, rec)
				}
			},
		},
		{
			Name: "Order/Due", Clauses: []string{"W1"}, Needs: workerCaps | tasks.CapDefer,
			What: "a deferred record must be ordered by when it became due, not by when it was enqueued",
			run:  orderDue,
		},
		{
			Name: "Order/PastRunAfter", Clauses: []string{"W1", "V4"}, Needs: workerCaps | tasks.CapDefer,
			What: "a run_after before the enqueue must not put a record ahead of those enqueued earlier",
			run: func(e *env) {
				h := e.connect()
				first := e.record()
				e.enqueue(h, first)
				e.pause(2 * time.Millisecond)
				second := e.record(runAfter(first.EnqueuedAt.Add(-far)))
				e.enqueue(h, second)
				e.pause(2 * time.Millisecond)
				third := e.record(runAfter(longAgo))
				e.enqueue(h, third)
				e.gives(h, "run_after in the past", 5, first, second, third)
			},
		},
		{
			Name: "Order/AcrossQueues", Clauses: []string{"W1", "W9"}, Needs: workerCaps,
			What: "the order must be one over all selected queues, however they are named, listed or filled",
			run:  orderAcrossQueues,
		},
		{
			Name: "Order/Mixed", Clauses: []string{"W1"}, Needs: workerCaps,
			What: "claims in small batches must give the order by priority, due time and id that one large claim has",
			run:  orderMixed,
		},
		{
			Name: "Order/Retry", Clauses: []string{"W1", "T2"}, Needs: workerCaps,
			What: "a record that waits for its next attempt must be behind those that were due before",
			run: func(e *env) {
				e.behind("retried", func(h *handle, c tasks.Claimed) { e.settle(h, c, retry("again", 0)) })
			},
		},
		{
			Name: "Order/Snooze", Clauses: []string{"W1", "W8"}, Needs: workerCaps,
			What: "a snoozed record must be behind those that were due before",
			run: func(e *env) {
				e.behind("snoozed", func(h *handle, c tasks.Claimed) { e.settle(h, c, snoozed(0)) })
			},
		},
		{
			Name: "Order/Requeued", Clauses: []string{"W1", "I3"}, Needs: workerCaps | tasks.CapInspect,
			What: "a record that an operator retries must be behind those that were due before",
			run: func(e *env) {
				e.behind("retried by an operator", func(h *handle, c tasks.Claimed) {
					e.settle(h, c, failure("final"))
					e.alterOne(h, tasks.Change{Kind: tasks.ChangeRetry}, c.Record.ID)
				})
			},
		},
		{
			Name: "Order/Release", Clauses: []string{"W1", "W8"}, Needs: workerCaps,
			What: "a released record must have its old place back, on the second attempt too",
			run:  orderRelease,
		},
	}
}

// shuffle mixes records in the same way every time.
func shuffle(recs []*tasks.Record) {
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // no secret
	r.Shuffle(len(recs), func(i, j int) { recs[i], recs[j] = recs[j], recs[i] })
}

func orderFIFO(e *env) {
	h := e.connect()
	recs := e.records(6)
	slices.Reverse(recs) // so that the order of ids is the contrary one
	for _, rec := range recs {
		e.enqueue(h, rec)
		e.pause(2 * time.Millisecond)
	}
	for _, rec := range recs[:3] {
		e.gives(h, "one at a time", 1, rec)
	}
	e.gives(h, "the rest", 10, recs[3:]...)
}

func orderDue(e *env) {
	h := e.connect()
	early, late := e.record(delayed(50*time.Millisecond)), e.record(delayed(120*time.Millisecond))
	atOnce := e.record()
	e.enqueue(h, late, early, atOnce)
	e.pause(85 * time.Millisecond)
	between := e.record() // due after early, before late
	e.enqueue(h, between)
	e.pause(85 * time.Millisecond)
	last := e.record()
	e.enqueue(h, last)
	recs := []*tasks.Record{last, between, late, early, atOnce}
	e.eventually(e.timing.Notice, "the deferred records are due", func() bool {
		return e.storeNow(h).After(late.RunAfter.Add(e.timing.Late))
	})
	e.gives(h, "deferred and not", 10, inClaimOrder(recs)...)
}

func orderAcrossQueues(e *env) {
	h := e.connect()
	var recs []*tasks.Record
	for i, q := range []string{"m", "z", "a", "m", "a", "z", "default", "z"} {
		rec := e.record(inQueue(q))
		if h.caps.Has(tasks.CapPriority) {
			rec.Priority = i % 3
		}
		recs = append(recs, rec)
		e.enqueue(h, rec)
		e.pause(2 * time.Millisecond)
	}
	want := inClaimOrder(recs)
	giveBack := func(got []tasks.Claimed) {
		for _, c := range got {
			e.settle(h, c, released(0))
		}
	}
	for _, queues := range [][]string{nil, {"z", "m", "default", "a"}, {"a", "default", "m", "z"}} {
		got := e.claimAs(h, inQueues(100, queues...))
		e.ordered("from queues "+show(queues), got, want)
		giveBack(got)
	}
	some := slices.DeleteFunc(slices.Clone(want), func(r *tasks.Record) bool { return r.Queue != "z" && r.Queue != "a" })
	got := e.claimAs(h, inQueues(2, "z", "a"))
	e.ordered("the first two of z and a", got, some[:2])
	giveBack(got)
	got = e.claimAs(h, tasks.ClaimRequest{Selection: tasks.Selection{Exclude: []string{"m", "default"}}, Worker: "worker-1", Limit: 100, Lease: time.Minute})
	e.ordered("without m and default", got, some)
}

func orderMixed(e *env) {
	h := e.connect()
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // no secret
	var recs []*tasks.Record
	for range 6 {
		var batch []*tasks.Record
		for range 25 {
			rec := e.record(inQueue([]string{"a", "b", "default"}[r.IntN(3)]))
			if h.caps.Has(tasks.CapPriority) {
				rec.Priority = []int{-100, -1, 0, 0, 0, 2, 10, 100}[r.IntN(8)]
			}
			if h.caps.Has(tasks.CapDefer) && r.IntN(3) == 0 {
				rec.Delay = time.Duration(1+r.IntN(30)) * time.Millisecond
			}
			batch = append(batch, rec)
		}
		shuffle(batch)
		e.enqueue(h, batch...)
		recs = append(recs, batch...)
		e.pause(3 * time.Millisecond)
	}
	e.pause(30*time.Millisecond + e.timing.Late)
	want := inClaimOrder(recs)
	got := e.claim(h, len(recs))
	e.ordered("one large claim", got, want)
	outs := make([]tasks.Outcome, len(got))
	for i, c := range got {
		outs[i] = with(c.Lease, released(0))
	}
	r.Shuffle(len(outs), func(i, j int) { outs[i], outs[j] = outs[j], outs[i] })
	e.settleEach(h, outs...)
	got = nil
	for len(got) < len(recs) {
		more := e.claim(h, 1+r.IntN(17))
		if len(more) == 0 {
			break
		}
		got = append(got, more...)
	}
	e.ordered("small claims", got, want)
}

// behind claims the first of two records, hands it back, and wants it second; a
// third that is enqueued afterwards comes last.
func (e *env) behind(how string, handBack func(*handle, tasks.Claimed)) {
	e.Helper()
	h := e.connect()
	first, second, third := e.record(attempts(3)), e.record(), e.record()
	e.enqueue(h, first)
	e.pause(2 * time.Millisecond)
	e.enqueue(h, second)
	e.pause(2 * time.Millisecond)
	handBack(h, e.claimOne(h))
	e.pause(2 * time.Millisecond)
	e.enqueue(h, third)
	e.gives(h, "after it was "+how, 5, second, first, third)
}

func orderRelease(e *env) {
	h := e.connect()
	recs := e.records(3, attempts(3))
	slices.Reverse(recs)
	for _, rec := range recs {
		e.enqueue(h, rec)
		e.pause(2 * time.Millisecond)
	}
	for range 2 {
		for _, c := range e.gives(h, "before the release", 2, recs[0], recs[1]) {
			e.settle(h, c, released(0))
		}
	}
	// The place of a second attempt is that of its retry.
	for _, c := range e.gives(h, "after releases", 1, recs[0]) {
		e.settle(h, c, retry("again", 0))
	}
	e.pause(2 * time.Millisecond)
	last := e.record()
	e.enqueue(h, last)
	for range 2 {
		got := e.gives(h, "with a second attempt", 5, recs[1], recs[2], recs[0], last)
		slices.Reverse(got)
		for _, c := range got {
			e.settle(h, c, released(0))
		}
	}
}
