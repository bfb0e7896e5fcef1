package conformance

import (
	"context"
	"math"
	"strconv"

	"github.com/sideman-go/sideman/tasks"
)

func asyncCases() []Case {
	return append(bothRoads(
		Case{
			Name: "Async/Stored", Clauses: []string{"E5", "E2"},
			What: "AEnqueue must store and report what Enqueue would, by the time its future is done",
			run:  asyncStored,
		},
		Case{
			Name: "Async/Errors", Clauses: []string{"E5", "V5"},
			What: "AEnqueue must refuse what Enqueue refuses, with the same error, and leave no trace",
			run:  asyncErrors,
		},
		Case{
			Name: "Async/Duplicates", Clauses: []string{"E5", "E3"}, Needs: tasks.CapResults,
			What: "each of many pending writes must get its own answer, also when some are duplicates of others",
			run:  asyncDuplicates,
		},
		Case{
			Name: "Async/Many", Clauses: []string{"E5"}, Needs: tasks.CapResults,
			What: "2,000 writes pending at once must all be stored, and each future be done",
			run:  asyncMany,
		},
		Case{
			Name: "Async/ContextEnds", Clauses: []string{"E5"}, Needs: tasks.CapResults,
			What: "a ctx that ends after AEnqueue has returned must not stop the write, and ends just the waiting",
			run:  asyncContextEnds,
		},
		Case{
			Name: "Async/Bound", Clauses: []string{"E5"}, Needs: tasks.CapResults,
			What: "at the bound of pending writes AEnqueue must wait for room or for its ctx, and then work again",
			run:  asyncBound,
		},
		Case{
			Name: "Async/Close", Clauses: []string{"E5", "F3"},
			What: "closing the App must first settle every pending future, and refuse later ones with ErrClosed",
			run:  asyncClose,
		},
		Case{
			Name: "Async/CloseStores", Clauses: []string{"E5", "F3", "F1"}, Needs: tasks.CapResults | tasks.CapDurable,
			What: "after Close exactly those pending writes must be stored whose futures have no error",
			run:  asyncCloseStores,
		},
	), asyncNativeCases()...)
}

// bothRoads gives each case twice: as it is, and with the backend's optional
// interfaces hidden, which must make no difference.
func bothRoads(cases ...Case) []Case {
	var twice []Case
	for _, c := range cases {
		plain := c
		plain.Name += "Plain"
		plain.Plain = true
		twice = append(twice, c, plain)
	}
	return twice
}

func asyncStored(e *env) {
	h := e.connect()
	task := echo[string](h, "async", tasks.Queue("mail"), tasks.MaxAttempts(3), tasks.Metadata("k", "v"))
	want, err := task.Enqueue(e.ctx, "hello")
	e.must(err, "enqueue")
	future := task.AEnqueue(e.ctx, "hello")
	e.step("waiting for AEnqueue")
	select {
	case <-future.Done():
	case <-e.ctx.Done():
		e.Fatalf("the future isn't done at the case's deadline")
	}
	// Done means stored: no waiting from here on.
	over, cancel := context.WithCancel(e.ctx)
	cancel()
	res, err := future.Wait(over)
	e.must(err, "Wait of a future that is done, with a ctx that is over")
	if h.caps.Has(tasks.CapResults) {
		e.same("stored by AEnqueue", e.get(h, res.ID), &res.Record)
	}
	got := res.Clone()
	got.ID, got.EnqueuedAt = want.ID, want.EnqueuedAt
	got.StartedAt, got.LastAttemptedAt, got.FinishedAt = want.StartedAt, want.LastAttemptedAt, want.FinishedAt
	e.same("AEnqueue's result against Enqueue's", got, &want.Record)
	if again, err := future.Wait(e.ctx); again != res || err != nil {
		e.Errorf("a second Wait gives another result, error %v", err)
	}
}

func asyncErrors(e *env) {
	h := e.connect()
	ran := make(chan struct{}, 10)
	task := tasks.Define(h.app, "refused", func(context.Context, any) (int, error) { ran <- struct{}{}; return 0, nil })
	over, cancel := context.WithCancel(e.ctx)
	cancel()
	for _, c := range []struct {
		what string
		ctx  context.Context //nolint:containedctx // a table
		task *tasks.Task[any, int]
		arg  any
		want error
	}{
		{"a ctx that is over", over, task, 1, context.Canceled},
		{"NaN", e.ctx, task, math.NaN(), tasks.ErrNotSerializable},
		{"priority 1000", e.ctx, task.Using(tasks.Priority(1000)), 1, tasks.ErrInvalidTask},
		{"an alias that isn't there", e.ctx, task.Using(tasks.OnBackend("elsewhere")), 1, tasks.ErrUnknownBackend},
	} {
		id := e.ids.New()
		t := c.task.Using(tasks.ID(id))
		_, err := t.Enqueue(c.ctx, c.arg)
		e.wantErr(err, c.want, "Enqueue with %s", c.what)
		future := t.AEnqueue(c.ctx, c.arg)
		select {
		case <-future.Done(): // validation comes before AEnqueue returns
		default:
			e.Errorf("AEnqueue with %s: the future isn't done when AEnqueue has returned", c.what)
		}
		res, aerr := future.Wait(e.ctx)
		e.wantErr(aerr, c.want, "AEnqueue with %s", c.what)
		if res != nil {
			e.Errorf("AEnqueue with %s gives a result as well as an error", c.what)
		}
		if err != nil && aerr != nil && err.Error() != aerr.Error() {
			e.Errorf("with %s Enqueue says %q and AEnqueue %q", c.what, err, aerr)
		}
		e.absent(h, id)
	}
	if len(ran) > 0 {
		e.Errorf("%d tasks ran though they were refused", len(ran))
	}
	e.empty(h, "refused enqueues")
}

func asyncDuplicates(e *env) {
	h := e.connect()
	task := echo[int](h, "async")
	const ids, each = 20, 10
	futures := make([]*tasks.Future[int], ids*each)
	e.together(ids, func(g int) {
		for i := g; i < len(futures); i += ids {
			futures[i] = task.Using(tasks.ID("id-"+strconv.Itoa(i/each))).AEnqueue(e.ctx, i)
		}
	})
	first := make(map[string]int)
	for i, f := range futures {
		res, err := f.Wait(e.ctx)
		e.must(err, "wait for AEnqueue %d", i)
		if res.ID != "id-"+strconv.Itoa(i/each) {
			e.Errorf("AEnqueue of id-%d reports %s", i/each, res.ID)
		}
		if !res.Duplicate {
			first[res.ID]++
			if string(res.Args) != strconv.Itoa(i) {
				e.Errorf("AEnqueue %d isn't a duplicate and reports args %s", i, res.Args)
			}
		}
		if stored := e.get(h, res.ID); string(res.Args) != string(stored.Args) {
			e.Errorf("AEnqueue %d of %s reports args %s, stored are %s", i, res.ID, res.Args, stored.Args)
		}
	}
	for i := range ids {
		if n := first["id-"+strconv.Itoa(i)]; n != 1 {
			e.Errorf("%d of %d AEnqueues of id-%d say that they stored it, want 1", n, each, i)
		}
	}
}

func asyncMany(e *env) {
	h := e.connect()
	task := echo[int](h, "async")
	const n = 2000
	futures := make([]*tasks.Future[int], n)
	e.together(4, func(g int) {
		for i := g; i < n; i += 4 {
			futures[i] = task.AEnqueue(e.ctx, i)
		}
	})
	want := make(map[string]string, n)
	for i, f := range futures {
		e.step("waiting for AEnqueue %d of %d", i, n)
		res, err := f.Wait(e.ctx)
		e.must(err, "wait for AEnqueue %d", i)
		if string(res.Args) != strconv.Itoa(i) || res.Duplicate {
			e.Errorf("AEnqueue %d reports args %s, duplicate %v", i, res.Args, res.Duplicate)
		}
		want[res.ID] = strconv.Itoa(i)
	}
	if len(want) != n {
		e.Errorf("%d AEnqueues made %d ids", n, len(want))
	}
	if h.caps.Has(tasks.CapList) {
		for _, rec := range e.list(h, tasks.Filter{}) {
			if string(rec.Args) != want[rec.ID] {
				e.Errorf("record %s is stored with args %s, want %s", rec.ID, rec.Args, want[rec.ID])
			}
			delete(want, rec.ID)
		}
	} else {
		for id := range want {
			e.get(h, id)
			delete(want, id)
		}
	}
	if len(want) > 0 {
		e.Errorf("%d of %d records aren't listed though their futures had no error", len(want), n)
	}
}

func asyncContextEnds(e *env) {
	h := e.connect()
	task := echo[int](h, "async")
	for i := range 20 {
		ctx, cancel := context.WithCancel(e.ctx)
		future := task.AEnqueue(ctx, i)
		cancel()
		res, err := future.Wait(e.ctx)
		e.must(err, "wait for AEnqueue %d, whose ctx ended after it returned", i)
		e.get(h, res.ID)
	}
	release := e.gate(h)
	defer release()
	future := task.AEnqueue(e.ctx, 1)
	over, cancel := context.WithCancel(e.ctx)
	cancel()
	_, err := future.Wait(over)
	e.wantErr(err, context.Canceled, "Wait with a ctx that is over, while the write is pending")
	release()
	res, err := future.Wait(e.ctx)
	e.must(err, "wait again")
	e.get(h, res.ID)
}
