package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// gate holds every write of the handle's App back until release is called.
func (e *env) gate(h *handle) (release func()) {
	open := make(chan struct{})
	h.app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc {
		return func(ctx context.Context, alias string, recs []*tasks.Record) error {
			select {
			case <-open:
			case <-e.ctx.Done():
			}
			return next(ctx, alias, recs)
		}
	})
	opened := false
	return func() {
		if !opened {
			opened = true
			close(open)
		}
	}
}

func asyncBound(e *env) {
	const bound = 4
	h := e.connectWith(tasks.AppOptions{MaxPending: bound}, tasks.UseOptions{})
	task := echo[int](h, "async")
	release := e.gate(h)
	defer release()
	var futures []*tasks.Future[int]
	for i := range bound {
		futures = append(futures, task.AEnqueue(e.ctx, i))
	}
	short, cancel := e.soon(50 * time.Millisecond)
	defer cancel()
	id := e.ids.New()
	_, err := task.Using(tasks.ID(id)).AEnqueue(short, 1).Wait(e.ctx)
	e.wantErr(err, context.DeadlineExceeded, "AEnqueue number %d, with %d allowed and pending", bound+1, bound)
	waiting := make(chan *tasks.Future[int], 1)
	go func() { waiting <- task.AEnqueue(e.ctx, bound) }()
	release()
	select {
	case f := <-waiting:
		futures = append(futures, f)
	case <-e.ctx.Done():
		e.Fatalf("an AEnqueue that waited for room goes on waiting when there is room again")
	}
	for i, f := range futures {
		res, err := f.Wait(e.ctx)
		e.must(err, "wait for AEnqueue %d", i)
		e.get(h, res.ID)
	}
	e.absent(h, id)
}

// closeWithPending closes the App in the middle of many AEnqueues, and returns the
// ids and the errors, nil for what was stored.
func (e *env) closeWithPending(h *handle) (results map[string]error) {
	e.Helper()
	task := echo[int](h, "async")
	const goroutines, each = 4, 200
	type pending struct {
		id     string
		future *tasks.Future[int]
	}
	all := make(chan pending, goroutines*each)
	started := make(chan struct{}, goroutines)
	e.step("closing with writes pending")
	e.together(goroutines+1, func(g int) {
		if g == goroutines {
			for range goroutines {
				<-started
			}
			if err := h.app.Close(e.ctx); err != nil {
				e.Errorf("close: %v", err)
			}
			return
		}
		for i := range each {
			if i == each/4 {
				started <- struct{}{}
			}
			id := e.ids.New()
			all <- pending{id, task.Using(tasks.ID(id)).AEnqueue(e.ctx, i)}
		}
	})
	close(all)
	results = make(map[string]error)
	for p := range all {
		select {
		case <-p.future.Done():
		default:
			e.Errorf("the future of %s isn't done when Close has returned", p.id)
			continue
		}
		_, results[p.id] = p.future.Wait(e.ctx)
		if err := results[p.id]; err != nil && !errors.Is(err, tasks.ErrClosed) {
			e.Errorf("the future of %s has error %v, want none or ErrClosed", p.id, err)
		}
	}
	e.close(h)
	return results
}

func asyncClose(e *env) {
	h := e.connect()
	task := echo[int](h, "late")
	if len(e.closeWithPending(h)) == 0 {
		e.Fatalf("nothing was enqueued")
	}
	_, err := task.AEnqueue(e.ctx, 1).Wait(e.ctx)
	e.wantErr(err, tasks.ErrClosed, "AEnqueue after Close")
	_, err = task.Enqueue(e.ctx, 1)
	e.wantErr(err, tasks.ErrClosed, "Enqueue after Close")
}

func asyncCloseStores(e *env) {
	results := e.closeWithPending(e.connect())
	h := e.connect()
	for id, err := range results {
		_, gerr := h.b.GetResult(e.ctx, id)
		switch {
		case err == nil && gerr != nil:
			e.Errorf("record %s was enqueued without error before Close, and now: %v", id, gerr)
		case err != nil && !errors.Is(gerr, tasks.ErrResultNotFound):
			e.Errorf("record %s was refused (%v) and is there after all; error %v", id, err, gerr)
		}
	}
}
