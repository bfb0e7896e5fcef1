package conformance

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func hostileCases() []Case {
	return slices.Concat([]Case{
		{
			Name: "Hostile/Names", Clauses: []string{"V3", "W9"}, Needs: inspecting,
			What: "queues and tasks whose names are separators, patterns or prefixes of one another must be kept apart in every call",
			run:  hostileQueueNames,
		},
		{
			Name: "Hostile/JSON", Clauses: []string{"E6", "V6"}, Needs: inspecting,
			What: "arguments and values that are valid JSON must read back byte by byte, though databases would have them otherwise",
			run:  hostileJSON,
		},
		{
			Name: "Hostile/Enqueue", Clauses: []string{"E1", "E6", "F2"}, Needs: tasks.CapResults,
			What: "a record with bytes that the store can't keep must be refused with its whole batch, or be kept exactly",
			run:  hostileEnqueue,
		},
		{
			Name: "Hostile/Leases", Clauses: []string{"W5", "R4"}, Needs: inspecting,
			What: "leases with malformed ids and tokens must be lost leases, each for itself, and not a driver's error",
			run:  hostileLeases,
		},
		{
			Name: "Hostile/Delays", Clauses: []string{"T2", "W2"}, Needs: inspecting | tasks.CapDefer,
			What: "delays and lease lengths that overflow a time must mean far in the future, never at once",
			run:  hostileDelays,
		},
		{
			Name: "Hostile/Lookups", Clauses: []string{"R4", "I1", "F2"}, Needs: inspecting,
			What: "hostile bytes in filters, ids and names of queues must match nothing and do no harm",
			run:  hostileLookups,
		},
		{
			Name: "Hostile/ContextOver", Clauses: []string{"E4"},
			What: "a call whose ctx is over must return its error and change nothing",
			run:  contextOver,
		},
	}, hostileSettleCases())
}

// hostileQueueNames gives each queue one record whose task has another hostile
// name, so that a mix-up of either shows.
func hostileQueueNames(e *env) {
	h := e.connect()
	names := hostileNames()
	recs := make([]*tasks.Record, len(names))
	for i, name := range names {
		recs[i] = e.record(inQueue(name), named(names[(i+7)%len(names)]))
	}
	e.enqueue(h, recs...)
	queues := e.queues(h)
	for i, name := range names {
		if q := queues[name]; q.Counts[tasks.Ready] != 1 || q.Waiting[recs[i].Task] != 1 || len(q.Waiting) != 1 {
			e.Errorf("queue %q: got %+v, want one READY record of task %q", name, q, recs[i].Task)
		}
		if got := e.get(h, recs[i].ID); got.Queue != name || got.Task != recs[i].Task {
			e.Errorf("read back queue %q, task %q; want %q, %q", got.Queue, got.Task, name, recs[i].Task)
		}
	}
	if len(queues) != len(names) {
		e.Errorf("there are %d queues, want %d", len(queues), len(names))
	}
	e.noClaim(h, "all queues excluded", tasks.Selection{Queues: []string{"*"}, Exclude: names})
	for i, name := range names {
		others := slices.Concat(names[:i], names[i+1:])
		for _, c := range e.claimAs(h, tasks.ClaimRequest{
			Selection: tasks.Selection{Exclude: others}, Worker: "worker-1", Limit: 5, Lease: time.Minute,
		}) {
			if c.Record.ID != recs[i].ID {
				e.Errorf("claim of all but %d queues gave a record of %q, want only %q", len(others), c.Record.Queue, name)
			}
			e.settle(h, c, released(0))
		}
		got := e.claimAs(h, inQueues(5, name))
		if len(got) != 1 || got[0].Record.ID != recs[i].ID {
			e.Errorf("claim from queue %q gave %d records, want its one", name, len(got))
			continue
		}
		e.settle(h, got[0], success("1"))
		e.must(pruneAll(e, h, tasks.PruneRequest{Queues: []string{name}}), "prune queue %q", name)
		e.gone(h, "pruned by queue", recs[i].ID)
	}
	e.empty(h, "pruning each queue")
}

// hostileJSON has what a JSON column would refuse or write anew.
func hostileJSON(e *env) {
	h := e.connect()
	docs := []string{
		`null`, `""`, ` { "b" : 1 , "a" : 2 } `, `{"a":1,"a":2}`, `"a\u0000b"`, `{"\u0000":1}`, `"\ud800"`, `9007199254740993`, `-0`, `0.10`,
		`1e400`, `1E+2`, `123456789012345678901234567890`, `"\u00e9\/é"`, `"👩‍👩‍👧"`, `"\\\"'%_?:;--"`, "\"\u2028\u2029\"", `[[],{}]`,
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000), `"` + strings.Repeat("x", 1<<20-2) + `"`,
	}
	for _, doc := range docs {
		if !json.Valid([]byte(doc)) {
			e.Fatalf("the suite's own document %.40s isn't JSON", doc)
		}
		e.enqueue(h, e.record(func(r *tasks.Record) { r.Args = json.RawMessage(doc) }))
	}
	claimed := e.claim(h, len(docs))
	if len(claimed) != len(docs) {
		e.Fatalf("claim gave %d records, want %d", len(claimed), len(docs))
	}
	outs := make([]tasks.Outcome, len(docs))
	for i, c := range claimed {
		args := string(e.get(h, c.Record.ID).Args)
		if string(c.Record.Args) != args || !slices.Contains(docs, args) {
			e.Errorf("arguments: claim gave %.60q, get result %.60q", c.Record.Args, args)
		}
		outs[i] = with(c.Lease, tasks.Outcome{Kind: tasks.OutcomeSuccess, Value: json.RawMessage(args)})
	}
	for i, err := range e.settleAll(h, outs...) {
		if err != nil {
			e.Errorf("settle with value %.60q: %v", outs[i].Value, err)
		} else if got := e.get(h, outs[i].Lease.ID); string(got.Value) != string(outs[i].Value) {
			e.Errorf("value: got %.60q, want %.60q", got.Value, outs[i].Value)
		}
	}
}

// hostileEnqueue puts one record with hostile bytes between two good ones.
func hostileEnqueue(e *env) {
	h := e.connect()
	fields := map[string]func(r *tasks.Record, s string){
		"args":           func(r *tasks.Record, s string) { r.Args = json.RawMessage(s) },
		"metadata value": func(r *tasks.Record, s string) { r.Metadata = map[string]string{"k": s} },
		"metadata key":   func(r *tasks.Record, s string) { r.Metadata = map[string]string{s: "v"} },
		"queue":          func(r *tasks.Record, s string) { r.Queue = s },
		"task":           func(r *tasks.Record, s string) { r.Task = s },
		"alias":          func(r *tasks.Record, s string) { r.Alias = s },
		"id":             func(r *tasks.Record, s string) { r.ID = s },
	}
	for field, set := range fields {
		for what, text := range hostileTexts() {
			recs := e.records(3)
			set(recs[1], text)
			want := []*tasks.Record{recs[0].Clone(), recs[1].Clone(), recs[2].Clone()}
			e.step("enqueuing a record with %s in its %s", what, field)
			if err := h.b.Enqueue(e.ctx, recs); err != nil {
				if errors.Is(err, tasks.ErrUnknownOutcome) {
					e.Errorf("%s in %s: got %.200s; what can't be stored is known not to be", what, field, err)
				}
				for _, rec := range want {
					e.step("reading a record that was refused")
					if _, err := h.b.GetResult(e.ctx, rec.ID); !errors.Is(err, tasks.ErrResultNotFound) {
						e.Errorf("%s in %s: the batch was refused, and get result of one of it gives %.200v", what, field, err)
					}
				}
				continue
			}
			for i, rec := range want {
				got := e.get(h, rec.ID)
				if string(got.Args) != string(rec.Args) || got.Queue != rec.Queue || got.Task != rec.Task || got.Alias != rec.Alias ||
					!alike(got.Metadata, rec.Metadata) {
					e.Errorf("%s in %s: record %d of the batch was stored, and not exactly: got %s", what, field, i, brief(got))
				}
			}
		}
	}
	good := e.record()
	e.enqueue(h, good)
	if h.caps.Has(tasks.CapList) {
		if recs := e.list(h, tasks.Filter{}); len(recs) == 0 || !slices.Contains(idsOf(recs), good.ID) {
			e.Errorf("after hostile records, a list doesn't have the good one")
		}
	}
}

// hostileLeases sends malformed leases beside a good one.
func hostileLeases(e *env) {
	h := e.connect()
	e.enqueue(h, e.record())
	c := e.claimOne(h)
	bad := []tasks.Lease{{}, {ID: c.Lease.ID}, {ID: c.Lease.ID, Attempt: 1, Token: strings.ToUpper(c.Lease.Token) + "x"}, {ID: c.Lease.ID, Attempt: 1, Token: "%"}}
	for _, s := range []string{"", "no uuid", "🙂", "a\x00b", "\xff", "' OR '1'='1", "%", "*", "../..", strings.Repeat("x", 10_000)} {
		bad = append(bad, tasks.Lease{ID: s, Attempt: 1, Token: c.Lease.Token}, tasks.Lease{ID: c.Lease.ID, Attempt: 1, Token: s + "x"},
			tasks.Lease{ID: s, Attempt: -1, Token: s})
	}
	leases := append(slices.Clone(bad), c.Lease)
	for i, state := range e.renew(h, time.Minute, leases...) {
		if state.Lost != (i < len(bad)) {
			e.Errorf("renewal of lease %.60q with token %.60q: got Lost %v", leases[i].ID, leases[i].Token, state.Lost)
		}
	}
	var outs []tasks.Outcome
	for _, l := range leases {
		outs = append(outs, with(l, success("1")))
	}
	for i, err := range e.settleAll(h, outs...) {
		if i < len(bad) && !errors.Is(err, tasks.ErrLeaseLost) || i == len(bad) && err != nil {
			e.Errorf("settle of lease %.60q with token %.60q: got error %v", leases[i].ID, leases[i].Token, err)
		}
	}
	e.status(h, "settled among malformed leases", c.Record.ID, tasks.Successful)
}

func hostileDelays(e *env) {
	h := e.connect()
	for _, delay := range []time.Duration{math.MaxInt64, math.MaxInt64 - 1, 100 * 365 * 24 * time.Hour} {
		for _, kind := range []tasks.OutcomeKind{tasks.OutcomeRetry, tasks.OutcomeSnooze, tasks.OutcomeRelease} {
			e.enqueue(h, e.record(attempts(math.MaxInt32)))
			c := e.claimOne(h)
			e.settle(h, c, tasks.Outcome{Kind: kind, Delay: delay, Error: &tasks.AttemptError{Type: "test", Message: "x"}})
			rec := e.status(h, string(kind)+" after a delay of "+delay.String(), c.Record.ID, tasks.Ready)
			if rec.RunAfter.Before(c.Record.EnqueuedAt.AddDate(50, 0, 0)) {
				e.Errorf("%s after %v: run after %v, want it far in the future", kind, delay, rec.RunAfter)
			}
			e.noClaim(h, "after a delay of "+delay.String(), all)
		}
		deferred := e.record(delayed(delay))
		e.enqueue(h, deferred)
		rescheduled := e.record()
		e.enqueue(h, rescheduled)
		e.alterOne(h, tasks.Change{Kind: tasks.ChangeReschedule, Delay: delay}, rescheduled.ID)
		e.noClaim(h, "deferred and rescheduled by "+delay.String(), all)

		e.enqueue(h, e.record(attempts(2)))
		got := e.claimAs(h, tasks.ClaimRequest{Selection: all, Worker: "worker-1", Limit: 1, Lease: delay})
		if len(got) != 1 {
			e.Fatalf("claim with a lease of %v gave %d records, want 1", delay, len(got))
		}
		if s := e.renew(h, delay, got[0].Lease)[0]; s.Lost {
			e.Errorf("renewal by %v: the lease is lost", delay)
		}
		e.sweep(h)
		e.settle(h, got[0], success("1"))
	}
}
