package conformance

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func enqueueCases() []Case {
	return slices.Concat([]Case{
		{
			Name: "Enqueue/Found", Clauses: []string{"E1", "E2"}, Needs: tasks.CapResults,
			What: "a record must be READY, and found at once, when Enqueue has returned",
			run: func(e *env) {
				h := e.connect()
				recs := e.records(3)
				e.enqueue(h, recs...)
				for _, rec := range recs {
					if rec.Status != tasks.Ready || rec.EnqueuedAt.IsZero() {
						e.Errorf("after Enqueue the record is %s, enqueued at %v", rec.Status, rec.EnqueuedAt)
					}
					if got := e.get(h, rec.ID); got.Status != tasks.Ready || !got.EnqueuedAt.Equal(rec.EnqueuedAt) {
						e.Errorf("read back %s enqueued at %v, want READY at %v", got.Status, got.EnqueuedAt, rec.EnqueuedAt)
					}
				}
			},
		},
		{
			Name: "Enqueue/Claimed", Clauses: []string{"E1", "W3"}, Needs: tasks.CapWorker | tasks.CapResults,
			What: "an enqueued record must be claimable once, run and settled",
			run: func(e *env) {
				h := e.connect()
				e.enqueue(h, e.record())
				c := e.claimOne(h)
				if more := e.claim(h, 5); len(more) > 0 {
					e.Errorf("a second claim gave %d more", len(more))
				}
				e.settle(h, c, success(`42`))
				if got := e.get(h, c.Record.ID); got.Status != tasks.Successful || string(got.Value) != "42" {
					e.Errorf("settled record is %s with value %s", got.Status, got.Value)
				}
			},
		},
		{
			Name: "Enqueue/Batch", Clauses: []string{"E1", "E2"}, Needs: tasks.CapResults,
			What: "a batch of 5,000 must be stored whole, each record as it is",
			run:  enqueueBatch,
		},
		{
			Name: "Enqueue/Empty", Clauses: []string{"E1"},
			What: "an empty batch must be no error and store nothing",
			run: func(e *env) {
				h := e.connect()
				e.must(h.b.Enqueue(e.ctx, nil), "enqueue nil")
				e.must(h.b.Enqueue(e.ctx, []*tasks.Record{}), "enqueue an empty batch")
				if got, err := h.app.EnqueueMany(e.ctx); err != nil || len(got) > 0 {
					e.Errorf("EnqueueMany of nothing: got %d results, error %v", len(got), err)
				}
				e.empty(h, "empty batches")
			},
		},
		{
			Name: "Enqueue/ContextOver", Clauses: []string{"E4"},
			What: "with a ctx that is over before the call, nothing may be stored or run, and the error must be ctx's",
			run:  enqueueContextOver,
		},
		{
			Name: "Enqueue/ContextCut", Clauses: []string{"E1", "E4"}, Needs: tasks.CapResults,
			What: "a batch whose ctx ends during the call must be stored all or none, and an error that isn't ErrUnknownOutcome must mean none",
			run:  enqueueContextCut,
		},
		{
			Name: "Enqueue/Mixed", Clauses: []string{"E1"}, Needs: tasks.CapResults,
			What: "EnqueueMany must store runs of several tasks and queues in one write, with their results in order",
			run:  enqueueMixed,
		},
		{
			Name: "Enqueue/ErrorNames", Clauses: []string{"E1"}, Needs: tasks.CapResults,
			What: "an error must name the alias, the task and the id, without which it can't be traced in a log",
			run: func(e *env) {
				h := e.connect()
				ctx, cancel := context.WithCancel(e.ctx)
				cancel()
				id := e.ids.New()
				task := echo[int](h, "traced")
				_, err := task.Using(tasks.ID(id)).Enqueue(ctx, 1)
				e.wantNames(err, "enqueue", "traced", id)
				_, err = task.GetResult(e.ctx, id)
				e.wantNames(err, "get result", "traced", id)
			},
		},
		{
			Name: "Enqueue/Concurrent", Clauses: []string{"E1", "E2"}, Needs: tasks.CapResults,
			What: "records enqueued by many goroutines at once must all be stored, each found as soon as its own call returns",
			run: func(e *env) {
				h := e.connect()
				e.together(16, func(int) {
					for range 20 {
						rec := e.record()
						if err := h.b.Enqueue(e.ctx, []*tasks.Record{rec}); err != nil {
							e.Errorf("enqueue: %v", err)
							return
						}
						if _, err := h.b.GetResult(e.ctx, rec.ID); err != nil {
							e.Errorf("get result right after the enqueue of %s: %v", rec.ID, err)
						}
					}
				})
				if h.caps.Has(tasks.CapList) {
					if got := len(e.list(h, tasks.Filter{})); got != 16*20 {
						e.Errorf("%d records are listed, want %d", got, 16*20)
					}
				}
			},
		},
	}, enqueueIdempotentCases(), enqueueFieldCases())
}

func enqueueBatch(e *env) {
	h := e.connect()
	recs := e.records(5000)
	for i, rec := range recs {
		rec.Args = []byte(`{"i":` + strconv.Itoa(i) + `}`)
	}
	e.enqueue(h, recs...)
	stored := make(map[string]*tasks.Record, len(recs))
	if h.caps.Has(tasks.CapList) {
		for _, rec := range e.list(h, tasks.Filter{}) {
			stored[rec.ID] = rec
		}
	} else {
		for _, rec := range recs {
			stored[rec.ID] = e.get(h, rec.ID)
		}
	}
	if len(stored) != len(recs) {
		e.Errorf("of a batch of %d records %d are stored", len(recs), len(stored))
	}
	for _, rec := range recs {
		got := stored[rec.ID]
		if got == nil {
			e.Fatalf("record %s of the batch isn't stored", rec.ID)
		}
		if rec.Duplicate || rec.EnqueuedAt.IsZero() {
			e.Fatalf("record %s came back with duplicate %v, enqueued at %v", rec.ID, rec.Duplicate, rec.EnqueuedAt)
		}
		e.same("in a batch", got, rec)
	}
	if got := e.get(h, recs[4999].ID); string(got.Args) != `{"i":4999}` {
		e.Errorf("the last of the batch has args %s", got.Args)
	}
}

func enqueueContextOver(e *env) {
	h := e.connect()
	ran := make(chan struct{}, 10)
	task := tasks.Define(h.app, "noop", func(context.Context, any) (int, error) { ran <- struct{}{}; return 0, nil })
	cause := errors.New("the caller's reason")
	cancelled, cancel := context.WithCancel(e.ctx)
	cancel()
	late, cancel := context.WithDeadline(e.ctx, time.Now().Add(-time.Second))
	defer cancel()
	because, cancelBecause := context.WithCancelCause(e.ctx)
	cancelBecause(cause)
	for _, c := range []struct {
		ctx  context.Context //nolint:containedctx // a row of a table
		want error
	}{{cancelled, context.Canceled}, {late, context.DeadlineExceeded}, {because, cause}} {
		one, two := e.record(), e.record()
		// Below the App it is enough to give ctx's error; the App gives the cause.
		err := h.b.Enqueue(c.ctx, []*tasks.Record{one, two})
		if !errors.Is(err, c.want) && !errors.Is(err, c.ctx.Err()) || errors.Is(err, tasks.ErrUnknownOutcome) {
			e.Errorf("Backend.Enqueue: got error %v, want %v and no unknown outcome", err, c.want)
		}
		ids := []string{one.ID, two.ID, e.ids.New(), e.ids.New(), e.ids.New()}
		_, err = task.Using(tasks.ID(ids[2])).Enqueue(c.ctx, 1)
		e.wantErr(err, c.want, "Task.Enqueue")
		_, err = task.Using(tasks.ID(ids[3])).AEnqueue(c.ctx, 1).Wait(e.ctx)
		e.wantErr(err, c.want, "Task.AEnqueue")
		_, err = h.app.EnqueueMany(c.ctx, task.Using(tasks.ID(ids[4])).With(1))
		e.wantErr(err, c.want, "EnqueueMany")
		e.absent(h, ids...)
	}
	if len(ran) > 0 {
		e.Errorf("%d tasks ran, want none", len(ran))
	}
	e.empty(h, "enqueues with a ctx that is over")
}

func enqueueContextCut(e *env) {
	h := e.connect()
	const rounds, size = 12, 100
	defer e.quiet(h)
	for round := range rounds {
		recs := e.records(size)
		ctx, cancel := context.WithCancel(e.ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range round * round * 50 { // a moment that is another one each round
				runtime.Gosched()
			}
			cancel()
		}()
		err := h.b.Enqueue(ctx, recs)
		<-ended
		stored := e.count(h, recs)
		if stored != 0 && stored != size && errors.Is(err, tasks.ErrUnknownOutcome) {
			e.pause(50 * time.Millisecond) // the write may have gone on while they were counted
			stored = e.count(h, recs)
		}
		switch {
		case stored != 0 && stored != size:
			e.Errorf("round %d: of a batch of %d records %d are stored; the error was %v", round, size, stored, err)
		case err == nil && stored == 0:
			e.Errorf("round %d: Enqueue returned nil and nothing is stored", round)
		case err != nil && !errors.Is(err, tasks.ErrUnknownOutcome) && stored != 0:
			e.Errorf("round %d: Enqueue returned %v, which means that nothing is stored, and %d records are", round, err, stored)
		case err != nil && !errors.Is(err, context.Canceled):
			e.Errorf("round %d: Enqueue with a cancelled ctx returned %v, want context.Canceled", round, err)
		}
	}
}

func enqueueMixed(e *env) {
	h := e.connect()
	ints, words := echo[int](h, "ints"), echo[string](h, "words")
	results, err := h.app.EnqueueMany(e.ctx,
		ints.With(1), words.Using(tasks.Queue("mail")).With("two"), ints.Using(tasks.MaxAttempts(3)).With(3))
	e.must(err, "enqueue many")
	if len(results) != 3 {
		e.Fatalf("got %d results, want 3", len(results))
	}
	for i, want := range []struct{ task, queue, args string }{
		{"ints", "default", "1"}, {"words", "mail", `"two"`}, {"ints", "default", "3"},
	} {
		rec := e.get(h, results[i].ID)
		if rec.Task != want.task || rec.Queue != want.queue || string(rec.Args) != want.args {
			e.Errorf("result %d is of %s, want %+v", i, brief(rec), want)
		}
		e.same("result of EnqueueMany", &results[i].Record, rec)
	}
}

// wantNames wants an error that names alias, task and id.
func (e *env) wantNames(err error, what, task, id string) {
	e.Helper()
	var named *tasks.Error
	if !errors.As(err, &named) {
		e.Errorf("%s: error %v, want a *tasks.Error", what, err)
		return
	}
	if named.Alias != tasks.DefaultAlias || named.Task != task || named.ID != id {
		e.Errorf("%s: the error names alias %q, task %q, id %q; want %q, %q, %q", what, named.Alias, named.Task, named.ID, tasks.DefaultAlias, task, id)
	}
	for _, part := range []string{tasks.DefaultAlias, task, id} {
		if !strings.Contains(err.Error(), part) {
			e.Errorf("%s: the text %q doesn't have %q", what, err, part)
		}
	}
}
