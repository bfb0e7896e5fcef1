package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sideman-go/sideman/internal/id"
	"github.com/sideman-go/sideman/tasks"
)

// A worker at the tuned settings claims about so many records of a long queue at a time, and
// settles about so many.
const (
	rawClaim  = 3000
	rawSettle = 1000
)

// rawSideman is a backend without the runtime: the same calls on the same store, of prepared
// records and with nothing run between claim and settle.
type rawSideman struct {
	*sideman

	store tasks.Store
	ids   id.Source
	model tasks.Record
}

func (r *rawSideman) name() string { return "the backend " + r.backend }

func (r *rawSideman) reset(ctx context.Context) error {
	if err := r.sideman.reset(ctx); err != nil {
		return err
	}
	rt, err := r.app.Runtime(tasks.DefaultAlias)
	if err != nil {
		return err
	}
	if r.store, err = rt.Store(); err != nil {
		return err
	}
	p, err := tasks.Prepare(ctx, r.task.With(payload{1}))
	if err != nil {
		return err
	}
	r.model = *p.Records[0]
	return nil
}

// record is what the App makes of a call.
func (r *rawSideman) record() *tasks.Record {
	rec := r.model
	rec.ID = r.ids.New()
	return &rec
}

func (r *rawSideman) enqueue(ctx context.Context, _ int) error {
	return r.store.Enqueue(ctx, []*tasks.Record{r.record()})
}

func (r *rawSideman) enqueueMany(ctx context.Context, n int) error {
	recs := make([]*tasks.Record, n)
	for i := range recs {
		recs[i] = r.record()
	}
	return r.store.Enqueue(ctx, recs)
}

// work claims and settles as a worker does, one of each at a time and side by side.
func (r *rawSideman) work(ctx context.Context, _ settings, handler func(int)) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	claimed, ended := make(chan []tasks.Claimed, 1), make(chan error, 2)
	go func() {
		defer close(claimed)
		ended <- r.claim(ctx, claimed)
	}()
	go func() {
		err := r.settle(context.WithoutCancel(ctx), claimed, handler)
		if err != nil {
			cancel() // or the claims would go on for nobody
		}
		ended <- err
	}()
	return func() error {
		cancel()
		return errors.Join(<-ended, <-ended)
	}, nil
}

func (r *rawSideman) claim(ctx context.Context, to chan<- []tasks.Claimed) error {
	for ctx.Err() == nil {
		got, err := r.store.Claim(ctx, tasks.ClaimRequest{Worker: "raw", Limit: rawClaim, Lease: time.Minute})
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case len(got) == 0:
			_ = r.store.Wait(ctx, tasks.Selection{}) // what's wrong the next claim will say
			continue
		}
		select {
		case to <- got:
		case <-ctx.Done():
		}
	}
	return nil
}

func (r *rawSideman) settle(ctx context.Context, from <-chan []tasks.Claimed, handler func(int)) error {
	for got := range from {
		for part := range slices.Chunk(got, rawSettle) {
			outs := make([]tasks.Outcome, len(part))
			for i, c := range part {
				outs[i] = tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeSuccess, Value: []byte("null")}
				handler(1)
			}
			errs, err := r.store.Settle(ctx, outs)
			if err := errors.Join(append(errs, err)...); err != nil {
				return err
			}
		}
	}
	return nil
}
