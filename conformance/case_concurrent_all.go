package conformance

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// yield lets a goroutine that found nothing to do wait a little, so that it doesn't
// take the processor from the others. In a bubble time only goes on by that.
func (e *env) yield() {
	timer := time.NewTimer(time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-e.ctx.Done():
	}
}

// traffic calls all methods from many goroutines, and keeps account of what is
// known: what was stored, what was deleted, and which records are leased now.
type traffic struct {
	e *env
	h *handle
	// allowed are errors that a call may give besides nil.
	allowed []error

	stop     atomic.Bool
	enqueued sync.Map // id -> true, once Enqueue has returned nil
	deleted  sync.Map // id -> true, once Alter has said so
	maybe    sync.Map // id -> true, if it was to be deleted and Alter gave an error
	leased   sync.Map // id -> token, from the claim's return to the settle's call
	claims   atomic.Int32
	finished atomic.Int32

	// midst is closed when the traffic is well under way, if it isn't nil.
	midst chan struct{}
	once  sync.Once
}

// ok reports whether a call succeeded, and fails on an error that isn't allowed.
func (t *traffic) ok(what string, err error) bool {
	if err == nil {
		return true
	}
	for _, allowed := range t.allowed {
		if errors.Is(err, allowed) {
			return false
		}
	}
	t.e.Errorf("%s: %v", what, err)
	return false
}

func (t *traffic) enqueue() {
	recs := t.e.records(3, attempts(3), inQueue([]string{"a", "b"}[time.Now().Nanosecond()%2]))
	if t.ok("enqueue", t.h.b.Enqueue(t.e.ctx, recs)) {
		for _, rec := range recs {
			t.enqueued.Store(rec.ID, true)
		}
	}
}

// work claims, renews, and settles in one of the ways.
func (t *traffic) work(n int) {
	got, err := t.h.s.Claim(t.e.ctx, inQueues(1+n%4, "*"))
	if !t.ok("claim", err) {
		return
	}
	if len(got) == 0 {
		t.e.yield()
		return
	}
	t.e.hold(got)
	t.claims.Add(int32(len(got)))
	leases := make([]tasks.Lease, len(got))
	outs := make([]tasks.Outcome, len(got))
	for i, c := range got {
		if token, twice := t.leased.LoadOrStore(c.Record.ID, c.Lease.Token); twice {
			t.e.Errorf("record %s is leased twice at once, by tokens %v and %s", c.Record.ID, token, c.Lease.Token)
		}
		leases[i] = c.Lease
		outs[i] = with(c.Lease, []tasks.Outcome{success("1"), retry("again", 0), released(0), failure("no"), success("2"), snoozed(0), givenUp("enough")}[(n+i)%7])
	}
	states, err := t.h.s.Renew(t.e.ctx, leases, time.Minute)
	if !t.ok("renew", err) {
		return
	}
	for i, s := range states {
		if s.Lost {
			t.e.Errorf("the lease on record %s is lost long before its deadline", leases[i].ID)
		}
	}
	for _, l := range leases {
		t.leased.Delete(l.ID) // another may have it as soon as the settle is stored
	}
	errs, err := t.h.s.Settle(t.e.ctx, outs)
	if !t.ok("settle", err) {
		return
	}
	for i, err := range errs {
		if t.ok("settle "+string(outs[i].Kind), err) {
			t.e.drop(leases[i])
			if t.finished.Add(1) >= 10 && t.midst != nil {
				t.once.Do(func() { close(t.midst) })
			}
		}
	}
}

// look reads in all ways, and holds what it reads to be sound.
func (t *traffic) look() {
	page, err := t.e.lister(t.h).List(t.e.ctx, tasks.ListRequest{Limit: 20})
	if t.ok("list", err) {
		for _, rec := range page.Records {
			t.sound(rec)
			if got, err := t.h.b.GetResult(t.e.ctx, rec.ID); err == nil {
				t.sound(got)
			} else if !errors.Is(err, tasks.ErrResultNotFound) {
				t.ok("get result", err)
			}
		}
	}
	_, err = t.h.s.Queues(t.e.ctx)
	t.ok("queues", err)
	t.ok("heartbeat", t.h.s.Heartbeat(t.e.ctx, tasks.WorkerInfo{ID: "w", Interval: time.Minute}))
	_, err = t.h.s.Workers(t.e.ctx)
	t.ok("workers", err)
	swept, err := t.h.s.Sweep(t.e.ctx)
	if t.ok("sweep", err) && swept.Lost > 0 {
		t.e.Errorf("a sweep took %d leases, and none has run out", swept.Lost)
	}
	t.h.b.Check(t.e.ctx)
}

// sound fails if a record is in between two states.
func (t *traffic) sound(rec *tasks.Record) {
	running, final := rec.Status == tasks.Running, rec.Status.Final()
	if (running && rec.Attempts() == 0) || final == rec.FinishedAt.IsZero() || (rec.Value != nil) != (rec.Status == tasks.Successful) ||
		(rec.CancelRequested && !running) || rec.Attempts() > rec.MaxAttempts {
		t.e.Errorf("record %s makes no sense: %s, %d attempts of %d, finished at %v, value %q, cancel requested %v",
			rec.ID, rec.Status, rec.Attempts(), rec.MaxAttempts, rec.FinishedAt, rec.Value, rec.CancelRequested)
	}
}

// operate changes records, pauses and resumes.
func (t *traffic) operate(n int) {
	t.ok("pause", t.h.s.Pause(t.e.ctx, "a", n%2 == 0))
	page, err := t.e.lister(t.h).List(t.e.ctx, tasks.ListRequest{Limit: 5, Newest: n%3 == 0})
	if !t.ok("list", err) || len(page.Records) == 0 {
		return
	}
	kind := []tasks.ChangeKind{tasks.ChangeCancel, tasks.ChangeRetry, tasks.ChangeDelete, tasks.ChangeReschedule}[n%4]
	ids := idsOf(page.Records)
	answers, err := t.h.s.Alter(t.e.ctx, tasks.Change{Kind: kind}, ids)
	if !t.ok("alter", err) {
		for _, id := range ids {
			if kind == tasks.ChangeDelete {
				t.maybe.Store(id, true)
			}
		}
		return
	}
	for i, answer := range answers {
		switch {
		case answer.Err == nil && kind == tasks.ChangeDelete:
			t.deleted.Store(ids[i], true)
		case answer.Err != nil && !errors.Is(answer.Err, tasks.ErrNoChange) && !errors.Is(answer.Err, tasks.ErrResultNotFound):
			t.e.Errorf("%s: %v", kind, answer.Err)
		}
	}
}

// run goes on until each kind of call was made often enough, or stop.
func (t *traffic) run(rounds int) {
	t.e.together(8, func(i int) {
		for n := 0; n < rounds && !t.stop.Load() && !t.e.Failed() && t.e.ctx.Err() == nil; n++ {
			switch i {
			case 0, 1:
				t.enqueue()
			case 2, 3, 4:
				t.work(n + i)
			case 5:
				t.operate(n)
			case 6, 7:
				t.look()
			}
		}
	})
}

func everythingAtOnce(e *env) {
	h := e.connect()
	t := &traffic{e: e, h: h}
	t.run(25)
	if e.Failed() {
		return
	}
	e.setPaused(h, "a", false)
	if t.claims.Load() != t.finished.Load() {
		e.Errorf("%d leases were given, and %d settled", t.claims.Load(), t.finished.Load())
	}
	listed := make(map[string]bool)
	for _, rec := range e.list(h, tasks.Filter{}) {
		t.sound(rec)
		listed[rec.ID] = true
		if _, deleted := t.deleted.Load(rec.ID); deleted {
			e.Errorf("record %s is listed after it was deleted", rec.ID)
		}
		if _, known := t.enqueued.Load(rec.ID); !known {
			e.Errorf("record %s is listed, and nobody enqueued it", rec.ID)
		}
	}
	t.enqueued.Range(func(id, _ any) bool {
		if _, deleted := t.deleted.Load(id); !deleted && !listed[id.(string)] {
			e.Errorf("record %s is lost", id)
		}
		return true
	})
	// What is left can all be worked off, each record once for each attempt.
	for range 1000 {
		got := e.claim(h, 20)
		if len(got) == 0 {
			break
		}
		for _, c := range got {
			e.settle(h, c, success("1"))
		}
	}
	if n := e.counts(h)[tasks.Ready]; n != 0 {
		e.Errorf("%d records are READY and can't be claimed", n)
	}
}

// closeAmid closes while the traffic goes on. A claim that returned an error has
// claimed nothing: it would be nobody's.
func closeAmid(e *env) {
	h := e.connect()
	e.enqueue(h, e.records(30, inQueue("b"))...)
	t := &traffic{e: e, h: h, allowed: []error{tasks.ErrClosed, tasks.ErrUnknownOutcome}, midst: make(chan struct{})}
	e.forget(h)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		select {
		case <-t.midst:
		case <-e.ctx.Done():
		}
		if err := h.b.Close(e.ctx); err != nil {
			e.Errorf("close: %v", err)
		}
		t.stop.Store(true)
	}()
	t.run(300)
	e.step("waiting until Close has returned")
	<-closed
	if err := h.b.Enqueue(e.ctx, e.records(1)); !errors.Is(err, tasks.ErrClosed) {
		e.Errorf("enqueue after the close: got %v, want ErrClosed", err)
	}
	if !h.caps.Has(tasks.CapDurable) || e.Failed() {
		return
	}
	h = e.connect()
	held := make(map[string]bool)
	e.mu.Lock()
	for _, l := range e.leases {
		held[l.ID] = true
	}
	e.mu.Unlock()
	for _, rec := range e.list(h, tasks.Filter{}) {
		t.sound(rec)
		if rec.Status == tasks.Running && !held[rec.ID] {
			e.Errorf("record %s is RUNNING after the close, and the claim that made it so returned ErrClosed", rec.ID)
		}
	}
	t.enqueued.Range(func(id, _ any) bool {
		_, deleted := t.deleted.Load(id)
		_, maybe := t.maybe.Load(id)
		if _, err := h.b.GetResult(e.ctx, id.(string)); err != nil && !deleted && !maybe {
			e.Errorf("get result of %s, whose enqueue had returned before the close: %v", id, err)
		}
		return true
	})
}
