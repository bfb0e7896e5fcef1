package conformance

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func claimCases() []Case {
	return []Case{
		{
			Name: "Claim/Nothing", Clauses: []string{"W1", "W9"}, Needs: workerCaps,
			What: "a claim where there is nothing must give no records and no error",
			run:  claimNothing,
		},
		{
			Name: "Claim/Limit", Clauses: []string{"W1", "W3"}, Needs: workerCaps,
			What: "a claim must give as many records as are asked for and there, none for a limit below 1, and none twice",
			run:  claimLimit,
		},
		{
			Name: "Claim/ContextOver", Clauses: []string{"W3", "E4"}, Needs: workerCaps,
			What: "a claim, renewal or settle whose ctx is over must be an error and leave everything as it was",
			run:  claimContextOver,
		},
		{
			Name: "Claim/Record", Clauses: []string{"E6", "W3", "R5", "R6"}, Needs: workerCaps,
			What: "a claimed record must be what was enqueued, RUNNING, with its worker and times, and so must be what is stored",
			run:  claimRecord,
		},
		{
			Name: "Claim/Worker", Clauses: []string{"R6"}, Needs: workerCaps,
			What: "any worker id must be recorded byte for byte",
			run: func(e *env) {
				h := e.connect()
				for _, worker := range []string{"host-1/2:3", "ünïcode 🐙", `quo"te'\%`, strings.Repeat("w", 200)} {
					rec := e.record()
					e.enqueue(h, rec)
					req := e.short(1)
					req.Worker, req.Lease = worker, time.Minute
					for _, c := range e.claimAs(h, req) {
						if !slices.Equal(c.Record.WorkerIDs, []string{worker}) {
							e.Errorf("claimed as %q: WorkerIDs %q", worker, c.Record.WorkerIDs)
						}
					}
					if got := e.get(h, rec.ID); !slices.Equal(got.WorkerIDs, []string{worker}) {
						e.Errorf("claimed as %q: the stored WorkerIDs are %q", worker, got.WorkerIDs)
					}
				}
			},
		},
		{
			Name: "Claim/AnyAlias", Clauses: []string{"W9"}, Needs: workerCaps,
			What: "a record must be claimable whatever the alias and the task name are that it was enqueued with",
			run: func(e *env) {
				h := e.connect()
				recs := []*tasks.Record{e.record(), e.record(named("other")), e.record(func(r *tasks.Record) { r.Alias = "elsewhere" })}
				e.enqueue(h, recs...)
				e.gives(h, "records of several aliases and tasks", 10, inClaimOrder(recs)...)
			},
		},
		{
			Name: "Claim/Copies", Clauses: []string{"R7"}, Needs: workerCaps,
			What: "what a caller does to an enqueued or a claimed record must not reach the store",
			run:  claimCopies,
		},
		{
			Name: "Claim/Lease", Clauses: []string{"W3"}, Needs: workerCaps,
			What: "a lease must name its record and attempt, and end as long after the claim as was asked for",
			run:  claimLease,
		},
		{
			Name: "Claim/Tokens", Clauses: []string{"W3", "W5"}, Needs: workerCaps,
			What: "the tokens of leases must all differ, and must be unguessable",
			run:  claimTokens,
		},
		{
			Name: "Claim/OneHolder", Clauses: []string{"W3"}, Needs: workerCaps,
			What: "concurrent claims must give each record to exactly one worker",
			run:  claimOneHolder,
		},
		{
			Name: "Claim/OneQueue", Clauses: []string{"W9"}, Needs: workerCaps,
			What: "a claim from named queues must give their records only; names are compared exactly, as no pattern",
			run:  claimOneQueue,
		},
		{
			Name: "Claim/SeveralQueues", Clauses: []string{"W9"}, Needs: workerCaps,
			What: "a claim from a list of queues must give the records of each, once, however often and in whatever order they are listed",
			run:  claimSeveralQueues,
		},
		{
			Name: "Claim/AllQueues", Clauses: []string{"W9"}, Needs: workerCaps,
			What: "no queues, or one that is *, must mean every queue",
			run:  claimAllQueues,
		},
		{
			Name: "Claim/Exclude", Clauses: []string{"W9"}, Needs: workerCaps,
			What: "excluded queues must be left out, also where they are listed too, and keep their records",
			run:  claimExclude,
		},
	}
}

func claimNothing(e *env) {
	h := e.connect()
	none := func(when string) {
		for _, sel := range []tasks.Selection{
			{},
			all,
			{Queues: []string{"default"}},
			{Queues: []string{"never-seen", "default"}},
			{Exclude: []string{"default"}},
			{Queues: []string{"default"}, Exclude: []string{"default"}},
		} {
			got := e.claimAs(h, tasks.ClaimRequest{Selection: sel, Worker: "worker-1", Limit: 10, Lease: time.Minute})
			if len(got) != 0 {
				e.Errorf("%s: a claim from %+v gave %d records, want none", when, sel, len(got))
			}
		}
	}
	none("on an empty store")
	e.enqueue(h, e.record())
	e.settle(h, e.claimOne(h), success(`1`))
	none("with a final record")
	e.enqueue(h, e.record())
	e.claimOne(h)
	none("with a RUNNING record")
}

func claimLimit(e *env) {
	h := e.connect()
	recs := e.records(10)
	e.enqueue(h, recs...)
	for _, limit := range []int{0, -1, math.MinInt32} {
		if got := e.claim(h, limit); len(got) > 0 {
			e.Errorf("a claim of %d gave %d records, want none", limit, len(got))
		}
	}
	for _, rec := range recs {
		if got := e.get(h, rec.ID); got.Status != tasks.Ready || got.Attempts() != 0 {
			e.Errorf("after claims of none record %s is %s with %d attempts, want READY with 0", rec.ID, got.Status, got.Attempts())
		}
	}
	seen := make(map[string]bool)
	for _, step := range []struct{ limit, want int }{{1, 1}, {3, 3}, {math.MaxInt32, 6}, {5, 0}} {
		got := e.claim(h, step.limit)
		if len(got) != step.want {
			e.Errorf("a claim of %d gave %d records, want %d of the 10", step.limit, len(got), step.want)
		}
		for _, c := range got {
			if seen[c.Record.ID] {
				e.Errorf("record %s was claimed twice", c.Record.ID)
			}
			seen[c.Record.ID] = true
		}
	}
	if len(seen) != len(recs) {
		e.Errorf("%d records were claimed in all, want %d", len(seen), len(recs))
	}
}

func claimRecord(e *env) {
	h := e.connect()
	retain := 90 * time.Minute
	rec := e.record(func(r *tasks.Record) {
		r.Alias, r.Task, r.Queue = "second", "send mail/ü 🐙", "bulk.a%b"
		r.Args = json.RawMessage(`{"big": 9007199254740993, "z":1,"a":"é\u00e9",  "list":[null,1.50,true]}`)
		r.Metadata = map[string]string{"traceparent": "00-1-2-01", "": "empty key", "ünï": "a\"b"}
		r.MaxAttempts, r.Timeout, r.Retain = 7, 1500*time.Millisecond, &retain
		if h.caps.Has(tasks.CapPriority) {
			r.Priority = -13
		}
		if h.caps.Has(tasks.CapExpire) {
			r.TTL = far
		}
		if h.caps.Has(tasks.CapDefer) {
			r.RunAfter = longAgo
		}
	})
	asked := rec.Clone() // Enqueue may overwrite what it is given
	e.enqueue(h, rec)
	asked.Status, asked.EnqueuedAt, asked.ExpiresAt, asked.TTL = tasks.Ready, rec.EnqueuedAt, rec.ExpiresAt, 0
	stored := e.get(h, rec.ID)
	e.same("before the claim", stored, asked)
	c := e.claimOne(h)
	want := stored.Clone()
	lifecycle.Claim(want, "worker-1", c.Record.LastAttemptedAt)
	e.same("claimed", c.Record, want)
	e.same("read after the claim", e.get(h, rec.ID), want)
	if c.Record.StartedAt.Before(rec.EnqueuedAt) {
		e.Errorf("StartedAt %s is before EnqueuedAt %s", show(c.Record.StartedAt), show(rec.EnqueuedAt))
	}
}

func claimContextOver(e *env) {
	h := e.connect()
	c := e.claimedNow(h)
	rec := e.record()
	e.enqueue(h, rec)
	running, ready := e.get(h, c.Record.ID), e.get(h, rec.ID)
	over, cancel := context.WithCancel(e.ctx)
	cancel()
	e.step("calling with a ctx that is over")
	got, err := h.s.Claim(over, inQueues(5))
	e.hold(got)
	e.wantErr(err, context.Canceled, "claim")
	_, err = h.s.Renew(over, []tasks.Lease{c.Lease}, far)
	e.wantErr(err, context.Canceled, "renew")
	_, err = h.s.Settle(over, []tasks.Outcome{with(c.Lease, success(`1`))})
	e.wantErr(err, context.Canceled, "settle")
	e.same("after calls with a ctx that is over", e.get(h, c.Record.ID), running)
	e.same("after calls with a ctx that is over", e.get(h, rec.ID), ready)
	e.settlesAs(h, c, success(`2`))
	e.gives(h, "after calls with a ctx that is over", 5, rec)
}

func claimCopies(e *env) {
	h := e.connect()
	rec := e.record(func(r *tasks.Record) { r.Metadata = map[string]string{"k": "v"} })
	e.enqueue(h, rec)
	want := e.get(h, rec.ID)
	spoil := func(r *tasks.Record) {
		for i := range r.Args {
			r.Args[i] = 'x'
		}
		for i := range r.WorkerIDs {
			r.WorkerIDs[i] = "spoiled"
		}
		r.Metadata["k"], r.Status, r.Queue = "spoiled", tasks.Failed, "spoiled"
	}
	spoil(rec)
	e.same("after the enqueued record was spoiled", e.get(h, rec.ID), want)
	c := e.claimOne(h)
	if string(c.Record.Args) != string(want.Args) || c.Record.Metadata["k"] != "v" {
		e.Errorf("claimed arguments %s and metadata %v, want %s and %v", c.Record.Args, c.Record.Metadata, want.Args, want.Metadata)
	}
	want = e.get(h, rec.ID)
	spoil(c.Record)
	e.same("after the claimed record was spoiled", e.get(h, want.ID), want)
	out := success(`[1,2,3]`)
	e.settle(h, c, out)
	copy(out.Value, `[9,9,9]`)
	if got := e.get(h, want.ID); string(got.Value) != `[1,2,3]` {
		e.Errorf("after the value was overwritten by the caller the stored one is %s, want [1,2,3]", got.Value)
	}
}

func claimLease(e *env) {
	h := e.connect()
	for _, d := range []time.Duration{e.timing.Lease, 30 * time.Second, 24 * time.Hour} {
		rec := e.record()
		e.enqueue(h, rec)
		req := e.short(1)
		req.Lease = d
		for _, c := range e.claimAs(h, req) {
			if c.Lease.ID != rec.ID || c.Lease.Attempt != 1 || c.Lease.Token == "" {
				e.Errorf("lease %+v, want that of attempt 1 of record %s, with a token", c.Lease, rec.ID)
			}
			held := c.Lease.Deadline.Sub(c.Record.LastAttemptedAt)
			if (held-d).Abs() > near/2 || held <= 0 {
				e.Errorf("a lease of %v ends %v after LastAttemptedAt", d, held)
			}
		}
	}
}
