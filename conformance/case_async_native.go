package conformance

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/sideman-go/sideman/tasks"
)

// The cases of the optional AsyncEnqueuer itself, which an App can't see: without
// it there is nothing to be held to.
func asyncNativeCases() []Case {
	return []Case{
		{
			Name: "Async/NativeOnce", Clauses: []string{"E5", "E4"}, Needs: tasks.CapResults,
			What: "a native AEnqueue must call done exactly once, after the records are stored, also for empty batches and duplicates",
			run:  asyncNativeOnce,
		},
		{
			Name: "Async/NativeContextOver", Clauses: []string{"E5", "E4"}, Needs: tasks.CapResults,
			What: "among writes that go together, one whose ctx is over must get ctx's error and not be stored, and the others be stored",
			run:  asyncNativeContextOver,
		},
		{
			Name: "Async/NativeClose", Clauses: []string{"E5", "F3", "F1"}, Needs: tasks.CapResults | tasks.CapDurable,
			What: "closing the backend below the App must settle each native AEnqueue under way: stored, or not and with an error",
			run:  asyncNativeClose,
		},
		{
			Name: "Async/NativeClosed", Clauses: []string{"E5", "F3"},
			What: "a native AEnqueue after Close must call done with ErrClosed",
			run: func(e *env) {
				h := e.connect()
				async, ok := tasks.As[tasks.AsyncEnqueuer](h.b)
				e.close(h)
				if ok {
					e.wantErr(e.await(async, e.ctx, e.record())(), tasks.ErrClosed, "AEnqueue after Close")
				}
			},
		},
	}
}

// await starts a native AEnqueue; the function that it returns waits for it. Calling
// done twice is a failure.
func (e *env) await(async tasks.AsyncEnqueuer, ctx context.Context, recs ...*tasks.Record) func() error { //nolint:revive // e is no context
	ended := make(chan error, 1)
	var calls atomic.Int32
	async.AEnqueue(ctx, recs, func(err error) {
		if n := calls.Add(1); n > 1 {
			e.Errorf("AEnqueue of %d records called done %d times; now with %v", len(recs), n, err)
			return
		}
		ended <- err
	})
	return func() error {
		e.step("waiting for AEnqueue to call done")
		select {
		case err := <-ended:
			return err
		case <-e.ctx.Done():
			return errors.New("done was never called")
		}
	}
}

func asyncNativeOnce(e *env) {
	h := e.connect()
	async, ok := tasks.As[tasks.AsyncEnqueuer](h.b)
	if !ok {
		return
	}
	e.must(e.await(async, e.ctx)(), "AEnqueue of nothing")
	recs := e.records(3)
	given := *recs[1]
	e.must(e.await(async, e.ctx, recs...)(), "AEnqueue of 3 records")
	for _, rec := range recs {
		if rec.Duplicate || rec.EnqueuedAt.IsZero() || rec.Status != tasks.Ready {
			e.Errorf("when done was called the record had duplicate %v, status %s, enqueued at %v", rec.Duplicate, rec.Status, rec.EnqueuedAt)
		}
		e.same("stored by AEnqueue", e.get(h, rec.ID), rec)
	}
	again := []*tasks.Record{e.record(version(recs[0].ID, 7)), e.record()}
	e.must(e.await(async, e.ctx, again...)(), "AEnqueue of a duplicate and another")
	if !again[0].Duplicate || again[1].Duplicate {
		e.Errorf("a duplicate and another came back with duplicate %v and %v", again[0].Duplicate, again[1].Duplicate)
	}
	again[0].Duplicate = false
	e.same("what a duplicate AEnqueue reports", again[0], recs[0])
	scribble(&given)
	scribble(recs[1])
	if got := e.get(h, recs[1].ID); string(got.Args) != string(recs[2].Args) {
		e.Errorf("changing a record after AEnqueue changed the stored args to %s", got.Args)
	}
}

func asyncNativeContextOver(e *env) {
	h := e.connect()
	async, ok := tasks.As[tasks.AsyncEnqueuer](h.b)
	if !ok {
		return
	}
	over, cancel := context.WithCancel(e.ctx)
	cancel()
	const n = 50
	recs := e.records(n)
	var waits [n]func() error
	for i, rec := range recs {
		ctx := e.ctx
		if i%5 == 0 {
			ctx = over
		}
		waits[i] = e.await(async, ctx, rec)
	}
	for i, rec := range recs {
		err := waits[i]()
		if i%5 == 0 {
			e.wantErr(err, context.Canceled, "AEnqueue with a ctx that is over")
			e.absent(h, rec.ID)
			continue
		}
		e.must(err, "AEnqueue beside others whose ctx is over")
		e.get(h, rec.ID)
	}
	// A ctx that ends meanwhile: either answer is right if it is true.
	defer e.quiet(h)
	for i := range n {
		rec := recs[i].Clone()
		rec.ID = e.ids.New()
		ctx, cancel := context.WithCancel(e.ctx)
		wait := e.await(async, ctx, rec)
		cancel()
		err := wait()
		_, gerr := h.b.GetResult(e.ctx, rec.ID)
		switch {
		case err == nil && gerr != nil:
			e.Errorf("AEnqueue was done without error, and get result gives %v", gerr)
		case err != nil && !errors.Is(err, tasks.ErrUnknownOutcome) && !errors.Is(gerr, tasks.ErrResultNotFound):
			e.Errorf("AEnqueue was done with %v, which means not stored, and get result gives error %v", err, gerr)
		}
	}
}

func asyncNativeClose(e *env) {
	h := e.connect()
	async, ok := tasks.As[tasks.AsyncEnqueuer](h.b)
	if !ok {
		return
	}
	recs := e.records(300)
	waits := make([]func() error, len(recs))
	for i, rec := range recs {
		waits[i] = e.await(async, e.ctx, rec)
	}
	e.must(h.b.Close(e.ctx), "close with writes under way")
	errs := make([]error, len(recs))
	for i := range recs {
		errs[i] = waits[i]()
	}
	again := e.reopen(h)
	for i, rec := range recs {
		_, gerr := again.b.GetResult(e.ctx, rec.ID)
		switch {
		case errs[i] == nil && gerr != nil:
			e.Errorf("AEnqueue %d was done without error, and after a reopen: %v", i, gerr)
		case errs[i] != nil && !errors.Is(errs[i], tasks.ErrUnknownOutcome) && !errors.Is(gerr, tasks.ErrResultNotFound):
			e.Errorf("AEnqueue %d was done with %v, which means not stored, and after a reopen get result gives error %v", i, errs[i], gerr)
		}
	}
}
