package conformance

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// survives makes records of every status, leases, a pause and a deferred record,
// and looks whether all is as it was.
func survives(e *env, f Fault) {
	h := e.connect()
	for _, status := range []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled, tasks.Ready} {
		e.standing(h, status, inQueue(string(status)), attempts(3), func(r *tasks.Record) { r.Metadata = map[string]string{"k": "v"} })
	}
	_, running := e.standing(h, tasks.Running, inQueue("running"), attempts(3))
	_, asked := e.standing(h, tasks.Running, inQueue("asked"), attempts(3))
	e.alterOne(h, cancelling("asked"), asked.Record.ID)
	e.setPaused(h, "paused", true)
	e.enqueue(h, e.record(inQueue("paused")))
	was := e.snapshot(h)
	e.breaks(f)()
	e.recovers(h)
	e.unchanged(h, "after the fault", was)
	if got := e.claim(h, 10); len(got) != 1 || got[0].Record.Queue != string(tasks.Ready) {
		e.Errorf("after the fault a claim gave %d records, want the READY one of the queue that isn't paused", len(got))
	}
	states := e.renew(h, time.Minute, running.Lease, asked.Lease)
	if states[0].Lost || states[1].Lost || states[0].CancelRequested || !states[1].CancelRequested {
		e.Errorf("renewal after the fault: got %+v; want both leases live, cancellation requested of the second", states)
	}
	e.settle(h, running, success("1"))
	e.settle(h, asked, failure("stopped"))
	e.status(h, "settled after the fault", asked.Record.ID, tasks.Cancelled)
}

// idleThrough has a worker that waits when the fault comes, tries again whatever
// error it gets, and must have a record soon after the end of it.
func idleThrough(e *env, f Fault) {
	h := e.connect()
	ctx, cancel := context.WithCancel(e.ctx)
	got := make(chan tasks.Claimed, 10)
	var worker sync.WaitGroup
	defer func() {
		cancel()
		e.step("waiting until the idle worker's calls return after their ctx")
		worker.Wait()
	}()
	worker.Go(func() {
		for ctx.Err() == nil {
			claimed, err := h.s.Claim(ctx, inQueues(1, "*"))
			e.hold(claimed)
			for _, c := range claimed {
				got <- c
			}
			if err == nil && len(claimed) == 0 {
				err = h.s.Wait(ctx, all)
			}
			if err != nil {
				select { // a worker backs off
				case <-time.After(50 * time.Millisecond):
				case <-ctx.Done():
				}
			}
		}
	})
	next := func(what string, limit time.Duration) {
		e.Helper()
		rec := e.record()
		e.step("enqueuing %s", what)
		e.eventually(e.outage(), "a record can be enqueued "+what, func() bool {
			ctx, cancel := e.soon(e.timing.Notice)
			defer cancel()
			return h.b.Enqueue(ctx, []*tasks.Record{rec}) == nil
		})
		e.step("waiting until the idle worker has the record enqueued %s", what)
		select {
		case c := <-got:
			if c.Record.ID != rec.ID {
				e.Errorf("the idle worker claimed %s, want %s", c.Record.ID, rec.ID)
			}
			e.eventually(e.outage(), "the record is settled", func() bool {
				errs, err := h.s.Settle(e.ctx, []tasks.Outcome{with(c.Lease, success("1"))})
				return err == nil && (errs[0] == nil || errors.Is(errs[0], tasks.ErrLeaseLost))
			})
			e.drop(c.Lease)
		case <-time.After(limit):
			e.Fatalf("the idle worker hasn't claimed the record enqueued %s within %v", what, limit)
		}
	}
	next("before the fault", e.timing.Notice)
	e.pause(20 * time.Millisecond) // until it waits
	mend := e.breaks(f)
	defer mend()
	e.pause(patience)
	mend()
	next("after the fault", e.outage()/2)
	next("once more", e.outage()/2)
}

// load enqueues and works with short calls, and notes what was acknowledged.
type load struct {
	e    *env
	h    *handle
	stop atomic.Bool
	acks atomic.Int32

	mu       sync.Mutex
	sent     []*tasks.Record // in doubt or acknowledged
	stored   map[string]bool // acknowledged
	finished map[string]bool // acknowledged
}

func (l *load) enqueue() {
	for !l.stop.Load() && l.e.ctx.Err() == nil {
		rec := l.e.record(attempts(1000))
		l.mu.Lock()
		l.sent = append(l.sent, rec.Clone())
		l.mu.Unlock()
		ctx, cancel := l.e.soon(patience)
		err := l.h.b.Enqueue(ctx, []*tasks.Record{rec})
		cancel()
		if err != nil {
			l.backoff()
			continue
		}
		l.acks.Add(1)
		l.mu.Lock()
		l.stored[rec.ID] = true
		l.mu.Unlock()
		l.e.yield()
	}
}

func (l *load) backoff() {
	select {
	case <-time.After(20 * time.Millisecond):
	case <-l.e.ctx.Done():
	}
}

// work claims with leases that outlast a few calls but not the case, since some
// claims' replies are lost.
func (l *load) work() {
	for !l.stop.Load() && l.e.ctx.Err() == nil {
		ctx, cancel := l.e.soon(patience)
		_, _ = l.h.s.Sweep(ctx)
		req := inQueues(3, "*")
		req.Lease = 5 * l.e.timing.Lease
		got, err := l.h.s.Claim(ctx, req)
		cancel()
		if err != nil || len(got) == 0 {
			l.backoff()
			continue
		}
		outs := make([]tasks.Outcome, len(got))
		for i, c := range got {
			outs[i] = with(c.Lease, success("1"))
		}
		l.settle(outs)
	}
}

// settle tries until it is known what became of the outcomes.
func (l *load) settle(outs []tasks.Outcome) {
	inDoubt := false
	for l.e.ctx.Err() == nil {
		ctx, cancel := l.e.soon(patience)
		errs, err := l.h.s.Settle(ctx, outs)
		cancel()
		if err != nil {
			inDoubt = true
			l.backoff()
			continue
		}
		if len(errs) != len(outs) {
			l.e.Errorf("settle of %d outcomes gave %d verdicts", len(outs), len(errs))
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for i, out := range outs {
			switch {
			case errs[i] == nil && l.finished[out.Lease.ID]:
				l.e.Errorf("record %s was settled as SUCCESSFUL twice", out.Lease.ID)
			case errs[i] == nil:
				l.finished[out.Lease.ID] = true
				l.acks.Add(1)
			case !errors.Is(errs[i], tasks.ErrLeaseLost):
				l.e.Errorf("settle of record %s: %v", out.Lease.ID, errs[i])
			case !inDoubt && time.Until(out.Lease.Deadline) > 4*l.e.timing.Lease:
				l.e.Errorf("the lease on record %s is lost just after its claim", out.Lease.ID)
			}
		}
		return
	}
}

// loadThrough does the fault in the midst of work, lets the work recover by itself,
// and then compares what is stored with what was acknowledged.
func loadThrough(e *env, f Fault) {
	h := e.connect()
	l := &load{e: e, h: h, stored: make(map[string]bool), finished: make(map[string]bool)}
	var workers sync.WaitGroup
	defer func() {
		l.stop.Store(true)
		e.step("waiting until the work ends")
		workers.Wait()
	}()
	for i := range 6 {
		if i%2 == 0 {
			workers.Go(l.enqueue)
		} else {
			workers.Go(l.work)
		}
	}
	progress := func(when string) {
		e.Helper()
		target := l.acks.Load() + 30
		e.eventually(e.outage(), "30 calls were acknowledged "+when, func() bool { return l.acks.Load() >= target })
	}
	progress("before the fault")
	mend := e.breaks(f)
	defer mend()
	e.pause(patience)
	mend()
	progress("after the fault")
	l.stop.Store(true)
	e.step("waiting until the work ends")
	workers.Wait() // so that the rest needs no lock
	e.recovers(h)

	for id := range l.stored {
		e.get(h, id)
	}
	for id := range l.finished {
		e.status(h, "settled and acknowledged", id, tasks.Successful)
	}
	e.enqueue(h, l.sent...)
	if n := len(e.list(h, tasks.Filter{})); n != len(l.sent) {
		e.Errorf("%d records are stored, want the %d that were sent", n, len(l.sent))
	}
	e.eventually(e.outage(), "all records are worked off", func() bool {
		e.sweep(h)
		for _, c := range e.claim(h, 50) {
			if l.finished[c.Record.ID] {
				e.Errorf("record %s is claimed after its success was acknowledged", c.Record.ID)
			}
			e.settle(h, c, success("1"))
		}
		return e.counts(h)[tasks.Successful] == int64(len(l.sent))
	})
}
