package conformance

import (
	"strconv"
	"sync/atomic"

	"github.com/sideman-go/sideman/tasks"
)

func enqueueIdempotentCases() []Case {
	return []Case{
		{
			Name: "Enqueue/Duplicate", Clauses: []string{"E3"}, Needs: tasks.CapResults,
			What: "an id that is stored must not be stored again or changed: the call gives the stored record, marked as a duplicate",
			run:  enqueueDuplicate,
		},
		{
			Name: "Enqueue/DuplicateInBatch", Clauses: []string{"E1", "E3"}, Needs: tasks.CapResults,
			What: "a batch with a stored id and with one id twice must store the others, and mark just those that it didn't store",
			run:  enqueueDuplicateInBatch,
		},
		{
			Name: "Enqueue/DuplicateRace", Clauses: []string{"E3"}, Needs: tasks.CapResults,
			What: "of many concurrent enqueues of one id exactly one may store it, and all must report what that one stored",
			run:  enqueueDuplicateRace,
		},
		{
			Name: "Enqueue/DuplicateBatchRace", Clauses: []string{"E1", "E3"}, Needs: tasks.CapResults,
			What: "concurrent batches with the same ids in different orders must all succeed: no deadlock, each id stored once",
			run:  enqueueDuplicateBatchRace,
		},
		{
			Name: "Enqueue/DuplicateLater", Clauses: []string{"E3", "R1"}, Needs: tasks.CapResults | tasks.CapWorker,
			What: "a duplicate of a record that is RUNNING or final must report it as it stands, and not make it run again",
			run:  enqueueDuplicateLater,
		},
		{
			Name: "Enqueue/DuplicateOfDeleted", Clauses: []string{"E3"}, Needs: tasks.CapResults | tasks.CapInspect,
			What: "the id of a deleted record must be free again, with nothing of the old record left",
			run: func(e *env) {
				h := e.connect()
				old := e.record(func(r *tasks.Record) { r.Metadata = map[string]string{"old": "1"}; r.MaxAttempts = 9 })
				e.enqueue(h, old)
				admin, err := h.app.Admin(tasks.DefaultAlias)
				e.must(err, "Admin")
				e.must(admin.Delete(e.ctx, old.ID), "delete")
				again := e.record(func(r *tasks.Record) { r.ID = old.ID; r.Args = []byte(`"new"`) })
				e.enqueue(h, again)
				if again.Duplicate {
					e.Errorf("a deleted id counts as a duplicate")
				}
				if got := e.get(h, old.ID); len(got.Metadata) > 0 || got.MaxAttempts != 1 || string(got.Args) != `"new"` {
					e.Errorf("the new record has something of the old: metadata %v, %d attempts, args %s", got.Metadata, got.MaxAttempts, got.Args)
				}
			},
		},
		{
			Name: "Enqueue/DuplicateOfOtherTask", Clauses: []string{"E3", "R4"}, Needs: tasks.CapResults,
			What: "enqueuing a task under an id that another task's run has must be ErrResultMismatch, and change nothing",
			run: func(e *env) {
				h := e.connect()
				id := tasks.ID("order-17")
				_, err := echo[int](h, "first").Using(id).Enqueue(e.ctx, 1)
				e.must(err, "enqueue")
				other := echo[string](h, "second").Using(id)
				_, err = other.Enqueue(e.ctx, "x")
				e.wantErr(err, tasks.ErrResultMismatch, "Enqueue")
				_, err = other.AEnqueue(e.ctx, "x").Wait(e.ctx)
				e.wantErr(err, tasks.ErrResultMismatch, "AEnqueue")
				if got := e.get(h, "order-17"); got.Task != "first" || string(got.Args) != "1" {
					e.Errorf("the stored record became %s", brief(got))
				}
			},
		},
	}
}

// version makes the records of a race tell whose they are.
func version(id string, i int) func(*tasks.Record) {
	return func(r *tasks.Record) {
		r.ID = id
		r.Args = []byte(strconv.Itoa(i))
		r.Queue = "queue-" + strconv.Itoa(i)
		r.Metadata = map[string]string{"by": strconv.Itoa(i)}
		r.MaxAttempts = 1 + i
	}
}

func enqueueDuplicate(e *env) {
	h := e.connect()
	first := e.record(version("twice", 1))
	e.enqueue(h, first)
	stored := e.get(h, "twice")
	for i := 2; i < 5; i++ {
		rec := e.record(version("twice", i), named("other"))
		e.enqueue(h, rec)
		if !rec.Duplicate {
			e.Errorf("enqueue %d of the same id isn't marked as a duplicate", i)
		}
		rec.Duplicate = false
		e.same("what a duplicate enqueue reports", rec, stored)
		e.same("the stored record after a duplicate enqueue", e.get(h, "twice"), stored)
	}
	if h.caps.Has(tasks.CapList) {
		if got := e.list(h, tasks.Filter{}); len(got) != 1 {
			e.Errorf("%d records are listed after four enqueues of one id", len(got))
		}
	}
	if h.s != nil {
		if got := e.claim(h, 10); len(got) != 1 {
			e.Errorf("%d records are claimed after four enqueues of one id, want 1", len(got))
		}
	}
}

func enqueueDuplicateInBatch(e *env) {
	h := e.connect()
	e.enqueue(h, e.record(version("stored", 1)))
	batch := []*tasks.Record{
		e.record(version("new-1", 2)),
		e.record(version("stored", 3)),
		e.record(version("twice", 4)),
		e.record(version("new-2", 5)),
		e.record(version("twice", 6)),
	}
	e.enqueue(h, batch...)
	for i, want := range []struct {
		duplicate bool
		args      string
	}{{false, "2"}, {true, "1"}, {false, "4"}, {false, "5"}, {true, "4"}} {
		rec := batch[i]
		if rec.Duplicate != want.duplicate || string(rec.Args) != want.args {
			e.Errorf("record %d (%s): got duplicate %v with args %s, want %v with %s", i, rec.ID, rec.Duplicate, rec.Args, want.duplicate, want.args)
		}
		rec.Duplicate = false
		e.same("a record of the batch", e.get(h, rec.ID), rec)
	}
	if h.caps.Has(tasks.CapList) {
		if got := e.list(h, tasks.Filter{}); len(got) != 4 {
			e.Errorf("%d records are listed, want 4", len(got))
		}
	}
}

func enqueueDuplicateRace(e *env) {
	h := e.connect()
	for round := range 10 {
		id := "race-" + strconv.Itoa(round)
		recs := make([]*tasks.Record, 8)
		for i := range recs {
			recs[i] = e.record(version(id, i))
		}
		e.together(len(recs), func(i int) {
			if err := h.b.Enqueue(e.ctx, recs[i:i+1]); err != nil {
				e.Errorf("enqueue %d of id %s: %v", i, id, err)
			}
		})
		stored := e.get(h, id)
		first := 0
		for i, rec := range recs {
			if !rec.Duplicate {
				first++
				if string(rec.Args) != strconv.Itoa(i) {
					e.Errorf("round %d: the enqueue that isn't a duplicate reports args %s, and had %d", round, rec.Args, i)
				}
			}
			rec.Duplicate = false
			e.same("what an enqueue in the race reports", rec, stored)
		}
		if first != 1 {
			e.Errorf("round %d: %d of %d enqueues of one id say that they stored it, want 1", round, first, len(recs))
		}
	}
	if h.caps.Has(tasks.CapList) {
		if got := e.list(h, tasks.Filter{}); len(got) != 10 {
			e.Errorf("%d records are listed, want 10", len(got))
		}
	}
}

func enqueueDuplicateBatchRace(e *env) {
	h := e.connect()
	const goroutines, size = 6, 40
	var first atomic.Int64
	e.together(goroutines, func(g int) {
		batch := make([]*tasks.Record, size)
		for i := range batch {
			at := i
			if g%2 == 1 {
				at = size - 1 - i
			}
			batch[at] = e.record(version("shared-"+strconv.Itoa(i), g))
		}
		if err := h.b.Enqueue(e.ctx, batch); err != nil {
			e.Errorf("batch %d of %d ids that others enqueue too: %v", g, size, err)
			return
		}
		for _, rec := range batch {
			if !rec.Duplicate {
				first.Add(1)
			}
		}
	})
	if got := first.Load(); got != size {
		e.Errorf("%d records were stored by the batches together, want %d", got, size)
	}
	for i := range size {
		e.get(h, "shared-"+strconv.Itoa(i))
	}
}

func enqueueDuplicateLater(e *env) {
	h := e.connect()
	task := echo[int](h, "once")
	with := task.Using(tasks.ID("payment-1"))
	_, err := with.Enqueue(e.ctx, 1)
	e.must(err, "enqueue")
	again := func(want tasks.Status) *tasks.Result[int] {
		e.Helper()
		res, err := with.Enqueue(e.ctx, 2)
		e.must(err, "enqueue again while the record is %s", want)
		if !res.Duplicate || res.Status != want || string(res.Args) != "1" {
			e.Errorf("enqueue again: got duplicate %v, %s, args %s; want a duplicate, %s, 1", res.Duplicate, res.Status, res.Args, want)
		}
		res.Duplicate = false
		e.same("what the duplicate reports", &res.Record, e.get(h, res.ID))
		return res
	}
	again(tasks.Ready)
	c := e.claimOne(h)
	if res := again(tasks.Running); res.Attempts() != 1 || res.StartedAt.IsZero() {
		e.Errorf("while it is RUNNING a duplicate reports %d attempts, started at %v", res.Attempts(), res.StartedAt)
	}
	if got := e.claim(h, 5); len(got) > 0 {
		e.Errorf("a duplicate of a RUNNING record can be claimed")
	}
	e.settle(h, c, success("7"))
	if value, err := again(tasks.Successful).ReturnValue(); err != nil || value != 7 {
		e.Errorf("a duplicate of a SUCCESSFUL record reports the value %d, error %v; want 7", value, err)
	}
	if got := e.claim(h, 5); len(got) > 0 {
		e.Errorf("a duplicate of a SUCCESSFUL record can be claimed")
	}
}
