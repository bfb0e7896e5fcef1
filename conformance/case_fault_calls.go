package conformance

import (
	"context"
	"errors"
	"slices"

	"github.com/sideman-go/sideman/tasks"
)

// obeysThrough calls every method while the store is away, all at once so that
// they also compete for connections.
func obeysThrough(e *env, f Fault) {
	h := e.connect()
	list := slices.DeleteFunc(methods(e, h), func(m method) bool { return m.name == "Check" })
	for _, m := range list { // so that there are connections to be broken
		if err := m.call(e.ctx); err != nil && !errors.Is(err, tasks.ErrResultNotFound) {
			e.Fatalf("%s before the fault: %v", m.name, err)
		}
	}
	atOnce := slices.Clone(list)
	if h.s != nil {
		atOnce = append(atOnce, method{"Wait", func(ctx context.Context) error {
			for ctx.Err() == nil {
				if err := h.s.Wait(ctx, tasks.Selection{Queues: []string{"nothing here"}}); err != nil {
					return err
				}
				e.yield()
			}
			return ctx.Err()
		}})
	}
	mend := e.breaks(f)
	defer mend()
	e.together(len(atOnce), func(i int) {
		m := atOnce[i]
		if err := e.obeys(m.name, m.call); !away(err) {
			e.Errorf("%s while the store is away: got error %v; want the ctx's, ErrUnavailable or ErrUnknownOutcome", m.name, err)
		}
	})
	mend()
	e.recovers(h)
	for _, m := range list {
		err := m.call(e.ctx)
		if err != nil && !errors.Is(err, tasks.ErrResultNotFound) && !away(err) {
			e.Errorf("%s after the fault: %v", m.name, err)
		}
	}
}

// enqueueThrough enqueues while the store is away, and holds each error to what
// turns out to be stored.
func enqueueThrough(e *env, f Fault) {
	h := e.connect()
	e.enqueue(h, e.records(2)...)
	batches := make([][]*tasks.Record, 6)
	errs := make([]error, len(batches))
	for i := range batches {
		batches[i] = e.records(2)
	}
	mend := e.breaks(f)
	defer mend()
	e.together(len(batches), func(i int) {
		sent := []*tasks.Record{batches[i][0].Clone(), batches[i][1].Clone()}
		errs[i] = e.obeys("enqueue", func(ctx context.Context) error { return h.b.Enqueue(ctx, sent) })
		if !away(errs[i]) {
			e.Errorf("enqueue while the store is away: got error %v; want the ctx's, ErrUnavailable or ErrUnknownOutcome", errs[i])
		}
	})
	mend()
	e.recovers(h)
	e.pause(e.timing.Notice / 2) // until a server that was paused has done what it was asked meanwhile
	for i, batch := range batches {
		stored := e.count(h, batch)
		if stored == 1 {
			e.Errorf("enqueue that returned %v: 1 of its 2 records is stored, want all or none", errs[i])
		}
		if stored > 0 && !errors.Is(errs[i], tasks.ErrUnknownOutcome) {
			e.Errorf("enqueue returned %v, and its records are stored: want ErrUnknownOutcome", errs[i])
		}
		e.enqueue(h, batch...)
		for _, rec := range batch {
			if rec.Duplicate != (stored == 2) {
				e.Errorf("enqueued again: record %s has Duplicate %v, want %v", rec.ID, rec.Duplicate, stored == 2)
			}
		}
	}
	if n := len(e.list(h, tasks.Filter{})); n != 2+2*len(batches) {
		e.Errorf("%d records are stored, want %d", n, 2+2*len(batches))
	}
}

// settleThrough settles while the store is away, and again afterwards, as a worker
// does.
func settleThrough(e *env, f Fault) {
	h := e.connect()
	e.enqueue(h, e.records(3, attempts(5))...)
	cs := e.exactly(h, inQueues(3, "*"))
	outs := make([]tasks.Outcome, len(cs))
	for i, c := range cs {
		outs[i] = with(c.Lease, success("42"))
	}
	mend := e.breaks(f)
	defer mend()
	first := e.obeys("settle", func(ctx context.Context) error { _, err := h.s.Settle(ctx, outs); return err })
	if !away(first) {
		e.Errorf("settle while the store is away: got error %v; want the ctx's, ErrUnavailable or ErrUnknownOutcome", first)
	}
	mend()
	e.recovers(h)
	e.noClaim(h, "leased over the outage", all)
	e.pause(e.timing.Notice / 2) // until a server that was paused has done what it was asked meanwhile
	for i, err := range e.settleAll(h, outs...) {
		if err != nil && (!errors.Is(err, tasks.ErrLeaseLost) || !errors.Is(first, tasks.ErrUnknownOutcome)) {
			e.Errorf("settle again, after one that returned %v: got %v", first, err)
		}
		rec := e.status(h, "settled through an outage", cs[i].Record.ID, tasks.Successful)
		if string(rec.Value) != "42" || rec.Attempts() != 1 || len(rec.Errors) != 0 {
			e.Errorf("settled through an outage: got value %s, %d attempts, errors %+v; want 42, 1, none", rec.Value, rec.Attempts(), rec.Errors)
		}
		e.drop(cs[i].Lease)
	}
}

// claimThrough claims while the store is away, so that some claims may be stored
// of which nobody learns.
func claimThrough(e *env, f Fault) {
	h := e.connect()
	recs := e.records(6, attempts(5))
	e.enqueue(h, recs...)
	mend := e.breaks(f)
	defer mend()
	e.together(3, func(int) {
		var got []tasks.Claimed
		err := e.obeys("claim", func(ctx context.Context) (err error) {
			got, err = h.s.Claim(ctx, e.short(2))
			return err
		})
		if !away(err) || len(got) > 0 {
			e.Errorf("claim while the store is away: got %d records, error %v; want none, and the ctx's, ErrUnavailable or ErrUnknownOutcome", len(got), err)
		}
	})
	mend()
	e.recovers(h)
	e.pause(e.timing.Notice / 2) // until a server that was paused has done what it was asked meanwhile
	e.lapse()
	done := 0
	e.eventually(e.outage(), "all records have come back and are run", func() bool {
		e.sweep(h)
		for _, c := range e.claim(h, 10) {
			for _, failed := range c.Record.Errors {
				if failed.Type != tasks.ErrorTypeLost {
					e.Errorf("record %s has the error %+v, want only lost ones", c.Record.ID, failed)
				}
			}
			if c.Record.Attempts() != len(c.Record.Errors)+1 {
				e.Errorf("record %s: got attempt %d with %d errors; an attempt that is over must have left one", c.Record.ID, c.Record.Attempts(), len(c.Record.Errors))
			}
			e.settle(h, c, success("1"))
			done++
		}
		return done >= len(recs)
	})
	if n := e.counts(h)[tasks.Successful]; n != int64(len(recs)) {
		e.Errorf("%d records are SUCCESSFUL, want %d", n, len(recs))
	}
}

func checkThrough(e *env, f Fault) {
	h := e.connect()
	e.check(h)
	mend := e.breaks(f)
	defer mend()
	var found []tasks.Finding
	_ = e.obeys("check", func(ctx context.Context) error { found = h.b.Check(ctx); return nil })
	e.wellFormed(found)
	if !slices.ContainsFunc(found, func(f tasks.Finding) bool { return f.Level == tasks.LevelError }) {
		e.Errorf("check while the store is away found %v, want an error", found)
	}
	mend()
	e.eventually(e.outage(), "Check finds nothing again", func() bool { return len(e.check(h)) == 0 })
}

func closeThrough(e *env, f Fault) {
	h := e.connect()
	e.enqueue(h, e.records(1)...)
	mend := e.breaks(f)
	defer mend()
	e.forget(h)
	_ = e.obeys("close", h.b.Close)
	err := e.obeys("enqueue after close", func(ctx context.Context) error { return h.b.Enqueue(ctx, e.records(1)) })
	e.wantErr(err, tasks.ErrClosed, "enqueue after a close while the store was away")
	mend()
}

func connectThrough(e *env, f Fault) {
	h := e.connect()
	mend := e.breaks(f)
	defer mend()
	// A backend may connect at its first call only.
	err := e.obeys("connect", func(ctx context.Context) error {
		b, err := e.store.Connect(ctx)
		if err == nil {
			go func() { _ = b.Close(ctx) }()
		}
		return err
	})
	if err != nil && !away(err) {
		e.Errorf("connect while the store is away: got error %v; want ErrUnavailable or the ctx's", err)
	}
	mend()
	e.step("connecting after the fault")
	e.eventually(e.outage(), "a new handle can be connected", func() bool {
		b, err := e.store.Connect(e.ctx)
		if err == nil {
			err = b.Close(e.ctx)
		}
		return err == nil || !h.caps.Has(tasks.CapShared)
	})
}
