package conformance

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func claimTokens(e *env) {
	h := e.connect()
	const n = 128
	e.enqueue(h, e.records(n)...)
	var tokens []string
	seen := make(map[string]bool)
	note := func(got []tasks.Claimed) {
		for _, c := range got {
			if seen[c.Lease.Token] {
				e.Fatalf("the token %q was given out twice", c.Lease.Token)
			}
			seen[c.Lease.Token] = true
			tokens = append(tokens, c.Lease.Token)
		}
	}
	for len(tokens) < n/2 {
		got := e.claim(h, 7)
		if len(got) == 0 {
			e.Fatalf("%d of %d records could be claimed", len(tokens), n)
		}
		note(got)
	}
	note(e.claim(h, n))
	// The same records again, whose attempts have the same numbers.
	var outs []tasks.Outcome
	e.mu.Lock()
	for _, l := range e.leases {
		outs = append(outs, with(l, released(0)))
	}
	e.mu.Unlock()
	e.settleEach(h, outs...)
	note(e.claim(h, n))
	if bits := spread(tokens); bits < 48 {
		e.Errorf("the tokens of %d leases vary in about %.0f bits, want 48 at least; two in turn: %q, %q", len(tokens), bits, tokens[0], tokens[1])
	}
}

// spread is about how many bits of the tokens are seen to vary: a counter's few
// last digits make a few, random bytes many.
func spread(tokens []string) (bits float64) {
	for i := range len(slices.MinFunc(tokens, func(a, b string) int { return len(a) - len(b) })) {
		values := make(map[byte]bool)
		for _, t := range tokens {
			values[t[i]] = true
		}
		bits += math.Log2(float64(len(values)))
	}
	return bits
}

func claimOneHolder(e *env) {
	h := e.connect()
	const workers, each = 4, 15
	recs := e.records(workers * each)
	e.enqueue(h, recs...)
	var mu sync.Mutex
	times := make(map[string]int)
	e.together(workers, func(i int) {
		req := inQueues(i + 1)
		req.Worker = "worker-" + string(rune('a'+i))
		// Skipping what another is just claiming is allowed, so a claim of nothing
		// isn't the end yet.
		for empty, calls := 0, 0; empty < 3 && calls < 2*len(recs); calls++ {
			got, err := h.s.Claim(e.ctx, req)
			if err != nil {
				e.Errorf("claim by %s: %v", req.Worker, err)
				return
			}
			e.hold(got)
			if len(got) == 0 {
				empty++
			}
			mu.Lock()
			for _, c := range got {
				times[c.Record.ID]++
				if c.Lease.ID != c.Record.ID || !slices.Equal(c.Record.WorkerIDs, []string{req.Worker}) {
					e.Errorf("%s claimed record %s by %q with a lease on %s", req.Worker, c.Record.ID, c.Record.WorkerIDs, c.Lease.ID)
				}
			}
			mu.Unlock()
		}
	})
	for _, c := range e.claim(h, len(recs)) {
		times[c.Record.ID]++
	}
	for _, rec := range recs {
		if times[rec.ID] != 1 {
			e.Errorf("record %s was given out %d times, want once", rec.ID, times[rec.ID])
		}
	}
}

// oneEach enqueues a record to each queue, in this order.
func (e *env) oneEach(h *handle, queues ...string) {
	e.Helper()
	recs := make([]*tasks.Record, len(queues))
	for i, q := range queues {
		recs[i] = e.record(inQueue(q))
	}
	e.enqueue(h, recs...)
}

// fromQueues claims with a selection, wants one record of each of the queues, and
// gives them back.
func (e *env) fromQueues(h *handle, sel tasks.Selection, want ...string) {
	e.Helper()
	got := e.claimAs(h, tasks.ClaimRequest{Selection: sel, Worker: "worker-1", Limit: 100, Lease: time.Minute})
	queues := make([]string, len(got))
	var outs []tasks.Outcome
	for i, c := range got {
		queues[i] = c.Record.Queue
		outs = append(outs, with(c.Lease, released(0)))
	}
	if slices.Sort(queues); !slices.Equal(queues, slices.Sorted(slices.Values(want))) {
		e.Errorf("a claim from %+q gave records of %q, want of %q", sel, queues, want)
	}
	e.settleEach(h, outs...)
}

func claimOneQueue(e *env) {
	h := e.connect()
	// Each is what another might be taken for by a prefix, a pattern, a separator, a
	// collation or a trim.
	names := []string{
		"a", "ab", "A", "a*", "a%", "a_", "a.b", "a/b", "a:b", "a b", "a?", "[a]", "a\\", "a,b", "a'", `a"`, "á", "🐙", "{a}", "$1", "-a",
	}
	e.oneEach(h, names...)
	for _, q := range names {
		e.fromQueues(h, tasks.Selection{Queues: []string{q}}, q)
	}
	e.fromQueues(h, tasks.Selection{Queues: []string{"b"}})
	e.fromQueues(h, tasks.Selection{Queues: []string{"never seen", "a "}})
	e.fromQueues(h, tasks.Selection{Exclude: []string{"a*", "a%", "a_", "."}}, slices.DeleteFunc(slices.Clone(names), func(q string) bool {
		return q == "a*" || q == "a%" || q == "a_"
	})...)
}

func claimSeveralQueues(e *env) {
	h := e.connect()
	e.oneEach(h, "a", "b", "c", "d")
	e.fromQueues(h, tasks.Selection{Queues: []string{"a", "c"}}, "a", "c")
	e.fromQueues(h, tasks.Selection{Queues: []string{"d", "a", "never seen", "b"}}, "a", "b", "d")
	e.fromQueues(h, tasks.Selection{Queues: []string{"b", "b", "a", "b"}}, "a", "b")
	many := make([]string, 0, 203)
	for i := range 200 {
		many = append(many, fmt.Sprintf("never-seen-%d", i))
	}
	e.fromQueues(h, tasks.Selection{Queues: append(many, "d", "b")}, "b", "d")
	// The limit is for all queues together.
	if got := e.claimAs(h, inQueues(3, "a", "b", "c", "d")); len(got) != 3 {
		e.Errorf("a claim of 3 from four queues with one record each gave %d", len(got))
	}
}

func claimAllQueues(e *env) {
	h := e.connect()
	queues := []string{"a", "b", "default", "z/1"}
	e.oneEach(h, queues...)
	for _, sel := range []tasks.Selection{
		{},
		{Queues: []string{}},
		{Queues: []string{"*"}},
		{Queues: []string{"a", "*"}},
		{Queues: []string{"*", "never seen"}},
		{Exclude: []string{}},
		{Queues: []string{"*"}, Exclude: []string{"never seen"}},
	} {
		e.fromQueues(h, sel, queues...)
	}
	// Also one that was never there before.
	e.oneEach(h, "brand new")
	e.fromQueues(h, tasks.Selection{}, append(queues, "brand new")...)
}

func claimExclude(e *env) {
	h := e.connect()
	e.oneEach(h, "a", "b", "c", "d")
	e.fromQueues(h, tasks.Selection{Exclude: []string{"b"}}, "a", "c", "d")
	e.fromQueues(h, tasks.Selection{Queues: []string{"*"}, Exclude: []string{"a", "d"}}, "b", "c")
	e.fromQueues(h, tasks.Selection{Queues: []string{"*", "a"}, Exclude: []string{"a"}}, "b", "c", "d")
	e.fromQueues(h, tasks.Selection{Queues: []string{"a", "b"}, Exclude: []string{"b", "never seen"}}, "a")
	e.fromQueues(h, tasks.Selection{Queues: []string{"a"}, Exclude: []string{"a"}})
	e.fromQueues(h, tasks.Selection{Exclude: []string{"a", "b", "c", "d"}})
	// The queue that is left out comes first by every other rule, and must not take
	// up places either.
	first := e.records(20, inQueue("first"))
	if h.caps.Has(tasks.CapPriority) {
		for _, r := range first {
			r.Priority = 100
		}
	}
	e.enqueue(h, first...)
	got := e.claimAs(h, tasks.ClaimRequest{Selection: tasks.Selection{Exclude: []string{"first"}}, Worker: "worker-1", Limit: 2, Lease: time.Minute})
	if len(got) != 2 {
		e.Errorf("a claim of 2 past an excluded queue of 20 gave %d", len(got))
	}
	for _, c := range got {
		if c.Record.Queue == "first" {
			e.Errorf("record %s is of the excluded queue", c.Record.ID)
		}
	}
	e.fromQueues(h, tasks.Selection{Queues: []string{"first"}}, slices.Repeat([]string{"first"}, 20)...)
}
