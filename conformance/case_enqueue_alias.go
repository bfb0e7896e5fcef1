package conformance

import (
	"fmt"
	"strings"

	"github.com/sideman-go/sideman/tasks"
)

func enqueueNotAliased(e *env) {
	h := e.connect()
	rec := e.record(retain(1000), func(r *tasks.Record) {
		r.Args = []byte(`{"mine":1}`)
		r.Metadata = map[string]string{"k": "v"}
	})
	given := *rec // Enqueue may give rec other memory; what it was given is this
	e.enqueue(h, rec)
	want := rec.Clone()
	still := func(after string) {
		e.Helper()
		e.same("stored, after the caller changed "+after, e.get(h, want.ID), want)
	}
	scribble(&given)
	still("what it gave to Enqueue")
	scribble(rec)
	still("what Enqueue gave back")
	scribble(e.get(h, want.ID))
	still("what GetResult gave")
	if h.caps.Has(tasks.CapList) {
		for _, listed := range e.list(h, tasks.Filter{}) {
			scribble(listed)
		}
		still("what List gave")
	}
	// A duplicate is filled in from the store.
	again := e.record(func(r *tasks.Record) { r.ID = want.ID })
	e.enqueue(h, again)
	scribble(again)
	still("what a duplicate Enqueue gave")
	// The second of two in one batch, from the first.
	twice := []*tasks.Record{e.record(version("both", 1)), e.record(version("both", 2))}
	e.enqueue(h, twice...)
	first := twice[0].Clone()
	scribble(twice[1])
	e.same("the first of two with one id, after the caller changed the second", twice[0], first)
	e.same("stored, after the caller changed the second of two with one id", e.get(h, "both"), first)

	if h.s == nil {
		return
	}
	got := e.claim(h, 5)
	for _, c := range got {
		if c.Record.ID != want.ID {
			continue
		}
		want = c.Record.Clone()
		scribble(c.Record)
		c.Record.WorkerIDs[0] = "scribbled"
		still("what Claim gave")
		out := failure("mine")
		out.Lease = c.Lease
		e.must(e.settleAll(h, out)[0], "settle")
		want = e.get(h, want.ID)
		out.Error.Message = "scribbled"
		still("the error given to Settle")
		e.get(h, want.ID).Errors[0].Message = "scribbled"
		still("an error that GetResult gave")
	}
	value := []byte(`"mine"`)
	for _, c := range got {
		if c.Record.ID != first.ID {
			continue
		}
		e.settle(h, c, tasks.Outcome{Kind: tasks.OutcomeSuccess, Value: value})
		value[1] = 'X'
		if got := e.get(h, first.ID).Value; string(got) != `"mine"` {
			e.Errorf("the stored value became %s when the caller changed what it gave to Settle", got)
		}
		e.get(h, first.ID).Value[1] = 'X'
		if got := e.get(h, first.ID).Value; string(got) != `"mine"` {
			e.Errorf("the stored value became %s when the caller changed what GetResult gave", got)
		}
	}
}

// scribble changes in place all that a record points to.
func scribble(rec *tasks.Record) {
	for i := range rec.Args {
		rec.Args[i] = 'X'
	}
	for k := range rec.Metadata {
		rec.Metadata[k] = "scribbled"
	}
	if rec.Metadata != nil {
		rec.Metadata["scribbled"] = "x"
	}
	if rec.Retain != nil {
		*rec.Retain = 42
	}
	rec.Status, rec.Queue = tasks.Cancelled, "scribbled"
}

func enqueueIDs(e *env) {
	h := e.connect()
	ids := []string{
		"0", "1", "9", "a", "A", "a ", " a", "aa", "aaa", "é", "e\u0301", "-", "--", "_", "%", "%25", "*", "?", ".", "..", "/", "a/b", "\\", `"`, "'", "`",
		"{", "{a}", "{a}b", "[a]", "$1", "%s", ":", "a:b", "a,b", ";", "#", "null", "NaN", "-1", "1e5", "0x10", "+", "=", "&", "😀", "👩\u200d💻", "日本語",
		"00000000-0000-0000-0000-000000000000", "0190A6D2-7B00-7000-8000-000000000001", "0190a6d2-7b00-7000-8000-000000000001",
		strings.Repeat("x", tasks.MaxID), strings.Repeat("x", tasks.MaxID-1), strings.Repeat("x", tasks.MaxID-1) + "y", strings.Repeat("😀", tasks.MaxID/4),
	}
	recs := make([]*tasks.Record, len(ids))
	for i, id := range ids {
		recs[i] = e.record(func(r *tasks.Record) { r.ID = id; r.Args = fmt.Appendf(nil, "%d", i) })
	}
	e.enqueue(h, recs...)
	for i, id := range ids {
		if recs[i].Duplicate {
			e.Errorf("id %q is taken for another one", id)
		}
		if got := e.get(h, id); got.ID != id || string(got.Args) != string(recs[i].Args) {
			e.Errorf("get result %q gives id %q with args %s, want args %s", id, got.ID, got.Args, recs[i].Args)
		}
	}
	if h.caps.Has(tasks.CapList) {
		if got := e.list(h, tasks.Filter{}); len(got) != len(ids) {
			e.Errorf("%d records are listed, want %d", len(got), len(ids))
		}
	}
	if h.s == nil {
		return
	}
	got := e.claim(h, len(ids))
	if len(got) != len(ids) {
		e.Errorf("%d records are claimed, want %d", len(got), len(ids))
	}
	for _, c := range got {
		e.settle(h, c, success("1"))
		if rec := e.get(h, c.Record.ID); rec.Status != tasks.Successful {
			e.Errorf("record %q is %s after its success was settled", c.Record.ID, rec.Status)
		}
	}
}
