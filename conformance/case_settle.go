package conformance

import (
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func settleCases() []Case {
	return slices.Concat(settleKindCases(), []Case{
		{
			Name: "Settle/Nothing", Clauses: []string{"W8"}, Needs: workerCaps,
			What: "settling no outcomes must do nothing",
			run: func(e *env) {
				h := e.connect()
				e.settleAll(h)
				e.settleAll(h, []tasks.Outcome{}...)
			},
		},
		{
			Name: "Settle/Twice", Clauses: []string{"W5", "W8"}, Needs: workerCaps,
			What: "a second settle of the same lease must be ErrLeaseLost and change nothing",
			run:  settleTwice,
		},
		{
			Name: "Settle/TwiceInBatch", Clauses: []string{"W5", "W8"}, Needs: workerCaps,
			What: "of two outcomes for one lease in one batch the first must count, and the second be ErrLeaseLost",
			run:  settleTwiceInBatch,
		},
		{
			Name: "Settle/Refused", Clauses: []string{"W5"}, Needs: workerCaps,
			What: "an outcome whose lease isn't the live one of its record must be ErrLeaseLost and change nothing",
			run: func(e *env) {
				outs := []tasks.Outcome{success(`"forged"`), failure("forged"), retry("forged", 0), released(0), snoozed(0), givenUp("forged")}
				n := 0
				e.notLive(func(h *handle, what string, l tasks.Lease) {
					out := outs[n%len(outs)]
					n++
					err := e.settleAll(h, with(l, out))[0]
					e.wantErr(err, tasks.ErrLeaseLost, "settle %s with %s (%+v)", out.Kind, what, l)
				})
			},
		},
		{
			Name: "Settle/StaleInBatch", Clauses: []string{"W5", "W8"}, Needs: workerCaps,
			What: "outcomes whose leases are lost must be refused in their places, and the others of the batch settled",
			run:  settleStaleInBatch,
		},
		{
			Name: "Settle/LargeBatch", Clauses: []string{"W8"}, Needs: workerCaps,
			What: "hundreds of outcomes of all kinds in one batch must each have their own effect",
			run:  settleLargeBatch,
		},
		{
			Name: "Settle/UnknownKind", Clauses: []string{"W8"}, Needs: workerCaps,
			What: "an outcome of a kind that doesn't exist must be an error, leave its record leased, and do its neighbours no harm",
			run:  settleUnknownKind,
		},
		{
			Name: "Settle/AttemptOfStore", Clauses: []string{"R6", "W5"}, Needs: workerCaps,
			What: "the attempt, time and worker of an error must be the store's, whatever the caller puts there or into its lease",
			run:  settleAttemptOfStore,
		},
		{
			Name: "Settle/Final", Clauses: []string{"R1"}, Needs: workerCaps,
			What: "a final record must not be claimed, swept or changed any more",
			run:  settleFinal,
		},
	})
}

func settleTwice(e *env) {
	h := e.connect()
	outs := []tasks.Outcome{success(`1`), failure("first"), retry("first", far), retry("first", 0), snoozed(far), snoozed(0), released(far), released(0), givenUp("first")}
	for i, out := range outs {
		rec := e.record(attempts(3))
		e.enqueue(h, rec)
		c := e.claimFrom(h, rec.Queue)
		e.settle(h, c, out)
		was := e.get(h, rec.ID)
		for _, second := range []tasks.Outcome{out, outs[(i+1)%len(outs)], success(`"second"`)} {
			err := e.settleAll(h, with(c.Lease, second))[0]
			e.wantErr(err, tasks.ErrLeaseLost, "settle %s after %s with the same lease", second.Kind, out.Kind)
		}
		e.same("after a second settle", e.get(h, rec.ID), was)
		if was.Status == tasks.Ready && was.RunAfter.Before(rec.EnqueuedAt.Add(far/2)) {
			e.settle(h, e.claimFrom(h, rec.Queue), success(`1`)) // out of the way
		}
	}
}

func settleTwiceInBatch(e *env) {
	h := e.connect()
	recs := e.records(3, attempts(3))
	e.enqueue(h, recs...)
	got := e.exactly(h, inQueues(3))
	errs := e.settleAll(h,
		with(got[0].Lease, success(`"first"`)), with(got[1].Lease, retry("first", far)),
		with(got[0].Lease, failure("second")), with(got[2].Lease, success(`3`)),
		with(got[1].Lease, success(`"second"`)), with(got[1].Lease, released(0)),
	)
	for i, want := range []error{nil, nil, tasks.ErrLeaseLost, nil, tasks.ErrLeaseLost, tasks.ErrLeaseLost} {
		e.wantErr(errs[i], want, "verdict %d of a batch with leases in it twice", i)
	}
	if r := e.status(h, "settled twice in a batch", got[0].Record.ID, tasks.Successful); string(r.Value) != `"first"` || len(r.Errors) != 0 {
		e.Errorf("value %s and errors %+v, want \"first\" and none", r.Value, r.Errors)
	}
	if r := e.status(h, "settled thrice in a batch", got[1].Record.ID, tasks.Ready); len(r.Errors) != 1 || r.Attempts() != 1 || len(r.Value) != 0 {
		e.Errorf("%d errors, %d attempts and value %s, want 1, 1 and none", len(r.Errors), r.Attempts(), r.Value)
	}
	e.status(h, "settled once in that batch", got[2].Record.ID, tasks.Successful)
}

func settleStaleInBatch(e *env) {
	h := e.connect()
	recs := e.records(5, attempts(3))
	e.enqueue(h, recs...)
	got := e.exactly(h, inQueues(5))
	stale := got[1]
	e.settle(h, stale, released(0))
	again := e.claimOne(h) // the same record
	was := e.get(h, stale.Record.ID)
	forged := got[2].Lease
	forged.Token = got[4].Lease.Token
	errs := e.settleAll(h,
		with(got[0].Lease, success(`0`)), with(stale.Lease, failure("stale")), with(forged, success(`"forged"`)),
		with(got[3].Lease, retry("again", far)), with(tasks.Lease{ID: e.ids.New(), Attempt: 1, Token: got[4].Lease.Token}, success(`1`)),
		with(tasks.Lease{}, success(`1`)), with(got[4].Lease, givenUp("enough")),
	)
	lost := tasks.ErrLeaseLost
	for i, want := range []error{nil, lost, lost, nil, lost, lost, nil} {
		e.wantErr(errs[i], want, "verdict %d of a batch of live and lost leases", i)
	}
	e.same("after a stale settle in a batch", e.get(h, stale.Record.ID), was)
	for i, want := range []tasks.Status{tasks.Successful, tasks.Running, tasks.Running, tasks.Ready, tasks.Cancelled} {
		e.status(h, "settled in a batch with lost leases", got[i].Record.ID, want)
	}
	e.settlesAs(h, again, success(`"live"`))
	e.settlesAs(h, got[2], success(`"live"`))
}

func settleLargeBatch(e *env) {
	h := e.connect()
	const many = 300
	e.enqueue(h, e.records(many, attempts(2))...)
	got := e.exactly(h, inQueues(many))
	kinds := []tasks.Outcome{success(`"yes"`), failure("no"), retry("later", far), snoozed(far), released(far), givenUp("enough")}
	before := make([]*tasks.Record, many)
	outs := make([]tasks.Outcome, many)
	for i, c := range got {
		before[i] = c.Record.Clone()
		outs[i] = with(c.Lease, kinds[i%len(kinds)])
		if outs[i].Error != nil {
			err := *outs[i].Error
			err.Message += " " + c.Record.ID
			outs[i].Error = &err
		}
	}
	e.settleEach(h, outs...)
	after := make(map[string]*tasks.Record)
	for _, b := range before {
		after[b.ID] = e.get(h, b.ID)
	}
	for i, b := range before {
		e.ended(string(outs[i].Kind)+" in a batch of 300", b, after[b.ID], outs[i])
	}
}

func settleUnknownKind(e *env) {
	h := e.connect()
	e.enqueue(h, e.records(2)...)
	got := e.exactly(h, inQueues(2))
	was := e.get(h, got[0].Record.ID)
	for _, kind := range []tasks.OutcomeKind{"", "bogus", "SUCCESS"} {
		e.step("settling an outcome of kind %q", kind)
		errs, err := h.s.Settle(e.ctx, []tasks.Outcome{{Lease: got[0].Lease, Kind: kind, Value: []byte(`1`)}})
		if err == nil && (len(errs) != 1 || errs[0] == nil) {
			e.Errorf("settle of kind %q: verdicts %v and no error, want one or the other", kind, errs)
		}
		e.same("after a settle of kind "+show(string(kind)), e.get(h, was.ID), was)
	}
	// Where the batch is taken, it's one record that is refused, not all of them.
	errs, err := h.s.Settle(e.ctx, []tasks.Outcome{{Lease: got[0].Lease, Kind: "bogus"}, with(got[1].Lease, success(`1`))})
	switch {
	case err == nil && len(errs) == 2 && errs[1] == nil:
		e.drop(got[1].Lease)
		e.status(h, "beside an unknown kind", got[1].Record.ID, tasks.Successful)
	case err != nil:
		e.settlesAs(h, got[1], success(`1`))
	default:
		e.Errorf("settle of an unknown kind and a success: verdicts %v, want an error and nil", errs)
	}
	e.settlesAs(h, got[0], success(`1`))
}

func settleAttemptOfStore(e *env) {
	h := e.connect()
	rec := e.record(attempts(9))
	e.enqueue(h, rec)
	for i, kind := range []tasks.OutcomeKind{tasks.OutcomeRetry, tasks.OutcomeRetry, tasks.OutcomeCancel} {
		c := e.claimOne(h)
		out := tasks.Outcome{Kind: kind, Error: &tasks.AttemptError{
			Type: "t", Message: "m", Attempt: 77, At: longAgo, Worker: "somebody else",
		}}
		e.settlesAs(h, c, out)
		if out.Error.Attempt != 77 || out.Error.Worker != "somebody else" {
			e.Errorf("the store changed the caller's outcome: %+v", *out.Error)
		}
		got := e.get(h, rec.ID)
		if last := got.LastError(); last == nil || last.Attempt != i+1 || last.Worker != "worker-1" || last.At.Before(c.Record.LastAttemptedAt) {
			e.Errorf("%s of attempt %d: the error is %+v, want attempt %d of worker-1, after %s", kind, i+1, last, i+1, show(c.Record.LastAttemptedAt))
		}
	}
	// A token names one claim, so a wrong number beside it may be refused or
	// ignored; but it must not be believed.
	rec = e.record(attempts(2))
	e.enqueue(h, rec)
	c := e.claimOne(h)
	l := c.Lease
	l.Attempt = 7
	was := e.get(h, rec.ID)
	out := with(l, retry("wrong number", far))
	switch err := e.settleAll(h, out)[0]; err {
	case nil:
		e.drop(c.Lease)
		e.ended("retry with a wrong attempt number", was, e.get(h, rec.ID), out)
	default:
		e.wantErr(err, tasks.ErrLeaseLost, "settle with a wrong attempt number")
		e.same("after a settle with a wrong attempt number", e.get(h, rec.ID), was)
	}
}

func settleFinal(e *env) {
	h := e.connect()
	for _, out := range []tasks.Outcome{success(`1`), failure("final"), givenUp("enough"), retry("the last attempt", 0)} {
		rec := e.record()
		e.enqueue(h, rec)
		req := e.short(1)
		c := e.exactly(h, req)[0]
		was := e.settlesAs(h, c, out)
		if !was.Status.Final() {
			e.Errorf("after %s of the last attempt the record is %s, want a final status", out.Kind, was.Status)
		}
		if more := e.claim(h, 5); len(more) > 0 {
			e.Errorf("after %s a claim gave %d records, want none", out.Kind, len(more))
		}
		if s := e.sweep(h); s != (tasks.Swept{}) {
			e.Errorf("after %s a sweep did %+v, want nothing", out.Kind, s)
		}
		e.same("final", e.get(h, rec.ID), was)
	}
}

// long is a text of that many bytes.
func long(n int) string { return strings.Repeat("0123456789abcde\n", n/16) }

// claimedNow enqueues a record and claims it.
func (e *env) claimedNow(h *handle, options ...func(*tasks.Record)) tasks.Claimed {
	e.Helper()
	rec := e.record(options...)
	e.enqueue(h, rec)
	e.pause(time.Millisecond) // so that no two of its times are the same
	c := e.claimFrom(h, rec.Queue)
	if c.Record.ID != rec.ID {
		e.Fatalf("claim from queue %q gave record %s, want %s", rec.Queue, c.Record.ID, rec.ID)
	}
	e.pause(time.Millisecond)
	return c
}
