package conformance

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func concurrentCases() []Case {
	return []Case{
		{
			Name: "Concurrent/EachOnce", Clauses: []string{"W3", "F3"}, Needs: inspecting,
			What: "many claimers must run every record exactly once",
			run:  eachOnce,
		},
		{
			Name: "Concurrent/SameID", Clauses: []string{"E3", "F3"}, Needs: tasks.CapResults | tasks.CapList,
			What: "of many enqueues of one id at the same time exactly one must store it",
			run: func(e *env) {
				h := e.connect()
				for range 5 {
					id := e.ids.New()
					recs := make([]*tasks.Record, 8)
					var stored atomic.Int32
					e.together(len(recs), func(i int) {
						recs[i] = e.record(named([]string{"f", "g"}[i%2]), func(r *tasks.Record) { r.ID = id })
						// Beside others, and in another order each.
						batch := []*tasks.Record{e.record(), recs[i], e.record()}
						if err := h.b.Enqueue(e.ctx, batch); err != nil {
							e.Errorf("enqueue: %v", err)
						} else if !recs[i].Duplicate {
							stored.Add(1)
						}
					})
					if stored.Load() != 1 {
						e.Errorf("of %d enqueues of one id, %d stored it, want 1", len(recs), stored.Load())
					}
					got := e.get(h, id)
					for _, rec := range recs {
						rec.Duplicate = false
						e.same("what the enqueue reports", rec, got)
					}
				}
				if n := len(e.list(h, tasks.Filter{})); n != 5*(1+16) {
					e.Errorf("%d records are listed, want %d", n, 5*(1+16))
				}
			},
		},
		{
			Name: "Concurrent/SettleOnce", Clauses: []string{"W5", "F3"}, Needs: inspecting,
			What: "of many settles of one lease at the same time exactly one must succeed, and its outcome be what is stored",
			run: func(e *env) {
				h := e.connect()
				for range 5 {
					e.enqueue(h, e.record(attempts(3)))
					c := e.claimOne(h)
					outs := []tasks.Outcome{success("1"), failure("no"), retry("later", time.Hour), givenUp("enough"), snoozed(time.Hour), success("2")}
					errs := make([]error, len(outs))
					e.together(len(outs), func(i int) {
						got, err := h.s.Settle(e.ctx, []tasks.Outcome{with(c.Lease, outs[i])})
						if err != nil || len(got) != 1 {
							e.Errorf("settle: %d verdicts, error %v; want 1, nil", len(got), err)
							return
						}
						errs[i] = got[0]
					})
					e.drop(c.Lease)
					won := slices.IndexFunc(errs, func(err error) bool { return err == nil })
					for i, err := range errs {
						if i != won && !errors.Is(err, tasks.ErrLeaseLost) {
							e.Errorf("settle %s and %s of one lease: got errors %v and %v, want ErrLeaseLost once", outs[won].Kind, outs[i].Kind, errs[won], err)
						}
					}
					if won < 0 {
						e.Fatalf("none of %d settles of a live lease succeeded: %v", len(outs), errs)
					}
					want := []tasks.Status{tasks.Successful, tasks.Failed, tasks.Ready, tasks.Cancelled, tasks.Ready, tasks.Successful}[won]
					e.status(h, "settled by "+string(outs[won].Kind), c.Record.ID, want)
				}
			},
		},
		{
			Name: "Concurrent/CancelClaim", Clauses: []string{"T4", "F3"}, Needs: inspecting,
			What: "of a cancellation and a claim at the same time one must come first, and the other act on what that left",
			run:  cancelWhileClaiming,
		},
		{
			Name: "Concurrent/SweepSettle", Clauses: []string{"W5", "W6", "F3"}, Needs: inspecting,
			What: "of a settle and sweeps that find its lease lapsed exactly one must take effect",
			run:  sweepWhileSettling,
		},
		{
			Name: "Concurrent/Everything", Clauses: []string{"F3", "W3", "F4"}, Needs: inspecting,
			What: "with all methods called from many goroutines nothing must be lost, leased twice at once, or counted wrong",
			run:  everythingAtOnce,
		},
		{
			Name: "Concurrent/CloseAmid", Clauses: []string{"F3"}, Needs: inspecting,
			What: "a close in the midst of all methods must have each return, with its answer or ErrClosed",
			run:  closeAmid,
		},
	}
}

// eachOnce claims in batches of several sizes while records are still enqueued.
func eachOnce(e *env) {
	h := e.connect()
	const enqueuers, each, total = 2, 60, 120
	var ran sync.Map
	var settled atomic.Int32
	e.together(enqueuers+6, func(i int) {
		if i < enqueuers {
			for range each / 4 {
				if err := h.b.Enqueue(e.ctx, e.records(4)); err != nil {
					e.Errorf("enqueue: %v", err)
					return
				}
			}
			return
		}
		for settled.Load() < total && e.ctx.Err() == nil && !e.Failed() {
			got, err := h.s.Claim(e.ctx, inQueues(i, "*"))
			if err != nil {
				e.Errorf("claim: %v", err)
				return
			}
			if len(got) == 0 {
				e.yield()
				continue
			}
			e.hold(got)
			outs := make([]tasks.Outcome, len(got))
			for j, c := range got {
				if _, twice := ran.LoadOrStore(c.Record.ID, true); twice {
					e.Errorf("record %s was claimed twice", c.Record.ID)
				}
				outs[j] = with(c.Lease, success("1"))
			}
			errs, err := h.s.Settle(e.ctx, outs)
			if err = errors.Join(append(errs, err)...); err != nil {
				e.Errorf("settle: %v", err)
				return
			}
			settled.Add(int32(len(got)))
			for _, c := range got {
				e.drop(c.Lease)
			}
		}
	})
	if n := e.counts(h)[tasks.Successful]; n != total {
		e.Errorf("%d records are SUCCESSFUL, want %d", n, total)
	}
}

func cancelWhileClaiming(e *env) {
	h := e.connect()
	recs := e.records(60)
	e.enqueue(h, recs...)
	answers := make(map[string]tasks.Altered)
	claimed := make(map[string]tasks.Claimed)
	e.together(2, func(i int) {
		if i == 0 {
			for _, rec := range recs {
				got, err := h.s.Alter(e.ctx, cancelling("not wanted"), []string{rec.ID})
				if err != nil || len(got) != 1 || got[0].Err != nil {
					e.Errorf("cancel: got %+v, error %v", got, err)
					return
				}
				answers[rec.ID] = got[0]
			}
			return
		}
		for {
			got, err := h.s.Claim(e.ctx, inQueues(3, "*"))
			if err != nil {
				e.Errorf("claim: %v", err)
			}
			if len(got) == 0 {
				return
			}
			e.hold(got)
			for _, c := range got {
				claimed[c.Record.ID] = c
			}
		}
	})
	for _, rec := range recs {
		c, wasClaimed := claimed[rec.ID]
		want := tasks.Cancelled
		if wasClaimed {
			want = tasks.Running
		}
		got := e.get(h, rec.ID)
		if answers[rec.ID].Status != want || got.Status != want || got.CancelRequested != wasClaimed {
			e.Errorf("record %s, claimed %v: cancel answered %s, and it is %s, requested %v", rec.ID, wasClaimed, answers[rec.ID].Status, got.Status, got.CancelRequested)
		}
		if wasClaimed {
			e.settle(h, c, failure("stopped"))
			e.status(h, "settled after its cancellation", rec.ID, tasks.Cancelled)
		}
	}
}

// sweepWhileSettling lets leases lapse, and settles them while others sweep.
func sweepWhileSettling(e *env) {
	h := e.connect()
	const n = 30
	e.enqueue(h, e.records(n, attempts(3))...)
	cs := e.exactly(h, e.short(n))
	e.lapse()
	won := make([]bool, n)
	var lost atomic.Int32
	e.together(4, func(i int) {
		if i > 0 {
			for range 10 {
				s, err := h.s.Sweep(e.ctx)
				if err != nil {
					e.Errorf("sweep: %v", err)
				}
				lost.Add(int32(s.Lost))
			}
			return
		}
		for j, c := range cs {
			errs, err := h.s.Settle(e.ctx, []tasks.Outcome{with(c.Lease, success("1"))})
			if err != nil || len(errs) != 1 || (errs[0] != nil && !errors.Is(errs[0], tasks.ErrLeaseLost)) {
				e.Errorf("settle of a lapsed lease: got %v, error %v; want nil or ErrLeaseLost", errs, err)
				return
			}
			won[j] = errs[0] == nil
		}
	})
	if e.Failed() {
		return
	}
	lost.Add(int32(e.sweep(h).Lost))
	wins := 0
	for j, c := range cs {
		rec := e.get(h, c.Record.ID)
		if won[j] {
			wins++
			if rec.Status != tasks.Successful || len(rec.Errors) != 0 {
				e.Errorf("record whose settle succeeded is %s with errors %+v, want SUCCESSFUL without", rec.Status, rec.Errors)
			}
		} else if rec.Status != tasks.Ready || len(rec.Errors) != 1 || rec.Errors[0].Type != tasks.ErrorTypeLost {
			e.Errorf("record whose settle came too late is %s with errors %+v, want READY with one that says lost", rec.Status, rec.Errors)
		}
	}
	if int(lost.Load())+wins != n {
		e.Errorf("of %d lapsed leases %d were settled and sweeps say they took %d", n, wins, lost.Load())
	}
}
