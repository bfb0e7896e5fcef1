package worker_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// memory is a store in memory, built on package lifecycle, that goes wrong on
// demand.
type memory struct {
	caps tasks.Capability

	mu      sync.Mutex
	recs    map[string]*tasks.Record
	ready   []*tasks.Record // READY, in claim order
	leases  map[string]tasks.Lease
	tokens  int
	paused  map[string]bool
	changed chan struct{} // closed when a claim may succeed
	closed  bool
	workers map[string]tasks.WorkerInfo
	notify  func(id, reason string)

	// Faults.
	fail      map[string]error                 // by operation: every call fails so
	slow      map[string]time.Duration         // by operation: how long a call takes
	lostReply int                              // that many settles are stored, and their replies lost
	refuse    func(tasks.Outcome) error        // what one outcome is answered with instead of being stored
	refuseAll func(outs []tasks.Outcome) error // what a batch is answered with instead
	more      int                              // that many sweeps leave more to do
	idleWait  bool                             // Wait returns at once, for nothing
	ahead     time.Duration                    // of its clock

	// What was seen.
	calls   map[string]int
	claims  []tasks.ClaimRequest
	settled []tasks.Outcome
	stopped []string
}

const allCaps = tasks.CapResults | tasks.CapDefer | tasks.CapPriority | tasks.CapWorker |
	tasks.CapNotify | tasks.CapList | tasks.CapInspect | tasks.CapExpire

func newMemory() *memory {
	return &memory{
		caps:    allCaps,
		recs:    make(map[string]*tasks.Record),
		leases:  make(map[string]tasks.Lease),
		paused:  make(map[string]bool),
		changed: make(chan struct{}),
		workers: make(map[string]tasks.WorkerInfo),
		fail:    make(map[string]error),
		slow:    make(map[string]time.Duration),
		calls:   make(map[string]int),
	}
}

// now is the store's time. The caller holds mu.
func (m *memory) now() time.Time { return time.Now().Add(m.ahead) }

// set changes switches, or reads what was seen.
func (m *memory) set(fn func(m *memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	fn(m)
}

// away makes every operation fail, or work again.
func (m *memory) away(err error) {
	m.set(func(m *memory) {
		for _, op := range []string{"claim", "settle", "renew", "sweep", "wait", "heartbeat", "get"} {
			if err == nil {
				delete(m.fail, op)
			} else {
				m.fail[op] = err
			}
		}
		m.wake()
	})
}

// steal ends a record's lease as a sweep of another worker does.
func (m *memory) steal(id string) {
	m.set(func(m *memory) {
		delete(m.leases, id)
		rec := m.recs[id]
		lifecycle.Lose(rec, m.now())
		m.put(rec)
	})
}

func (m *memory) get(t *testing.T, id string) *tasks.Record {
	t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	rec := m.recs[id]
	if rec == nil {
		t.Fatalf("record %s isn't there", id)
	}
	return rec.Clone()
}

func (m *memory) count(op string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls[op]
}

// enter is how every call begins.
func (m *memory) enter(ctx context.Context, op string) error {
	m.mu.Lock()
	m.calls[op]++
	slow, err, closed := m.slow[op], m.fail[op], m.closed
	m.mu.Unlock()
	if closed {
		return tasks.ErrClosed
	}
	if slow > 0 {
		select {
		case <-time.After(slow):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

func order(a, b *tasks.Record) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.DueAt().Compare(b.DueAt()), cmp.Compare(a.ID, b.ID))
}

// put files a record under its status. The caller holds mu.
func (m *memory) put(rec *tasks.Record) {
	m.recs[rec.ID] = rec
	if rec.Status == tasks.Ready {
		i, _ := slices.BinarySearchFunc(m.ready, rec, order)
		m.ready = slices.Insert(m.ready, i, rec)
		m.wake()
	}
}

// unready takes a record out of the READY ones, before it is changed.
func (m *memory) unready(rec *tasks.Record) {
	if i, ok := slices.BinarySearchFunc(m.ready, rec, order); ok {
		m.ready = slices.Delete(m.ready, i, i+1)
	}
}

func (m *memory) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *memory) Capabilities() tasks.Capability { return m.caps }

func (m *memory) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	if err := m.enter(ctx, "enqueue"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for _, rec := range recs {
		if old := m.recs[rec.ID]; old != nil {
			*rec = *old.Clone()
			rec.Duplicate = true
			continue
		}
		lifecycle.Enqueue(rec, now)
		m.put(rec.Clone())
	}
	return nil
}

func (m *memory) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	if err := m.enter(ctx, "get"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if rec := m.recs[id]; rec != nil {
		return rec.Clone(), nil
	}
	return nil, tasks.ErrResultNotFound
}

func (m *memory) Check(context.Context) []tasks.Finding { return nil }

func (m *memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.wake()
	return nil
}

func (m *memory) Claim(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
	if err := m.enter(ctx, "claim"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.claims = append(m.claims, req)
	now := m.now()
	var claimed []tasks.Claimed
	var skipped []*tasks.Record
	i := 0
	for ; i < len(m.ready) && len(claimed) < req.Limit; i++ {
		rec := m.ready[i]
		switch {
		case !lifecycle.Due(rec, now) || !req.Has(rec.Queue) || m.paused[rec.Queue]:
			skipped = append(skipped, rec)
		case lifecycle.Expired(rec, now):
			lifecycle.Expire(rec, now)
		default:
			lifecycle.Claim(rec, req.Worker, now)
			m.tokens++
			lease := tasks.Lease{ID: rec.ID, Attempt: rec.Attempts(), Token: strconv.Itoa(m.tokens), Deadline: now.Add(req.Lease)}
			m.leases[rec.ID] = lease
			claimed = append(claimed, tasks.Claimed{Record: rec.Clone(), Lease: lease})
		}
	}
	if len(skipped) == 0 {
		m.ready = m.ready[i:]
	} else {
		m.ready = append(skipped, m.ready[i:]...)
	}
	return claimed, nil
}

func (m *memory) Renew(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
	if err := m.enter(ctx, "renew"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	states := make([]tasks.LeaseState, len(leases))
	for i, lease := range leases {
		live, ok := m.leases[lease.ID]
		if !ok || live.Token != lease.Token {
			states[i].Lost = true
			continue
		}
		live.Deadline = m.now().Add(d)
		m.leases[lease.ID] = live
		rec := m.recs[lease.ID]
		states[i] = tasks.LeaseState{Deadline: live.Deadline, CancelRequested: rec.CancelRequested, CancelReason: rec.CancelReason}
	}
	return states, nil
}

func (m *memory) Settle(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
	if err := m.enter(ctx, "settle"); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.refuseAll != nil {
		if err := m.refuseAll(outs); err != nil {
			return nil, err
		}
	}
	errs := make([]error, len(outs))
	for i, out := range outs {
		if live, ok := m.leases[out.Lease.ID]; !ok || live.Token != out.Lease.Token {
			errs[i] = tasks.ErrLeaseLost
			continue
		}
		if m.refuse != nil {
			if errs[i] = m.refuse(out); errs[i] != nil {
				continue
			}
		}
		delete(m.leases, out.Lease.ID)
		rec := m.recs[out.Lease.ID]
		lifecycle.Settle(rec, out, m.now())
		m.settled = append(m.settled, out)
		m.put(rec)
	}
	if m.lostReply > 0 {
		m.lostReply--
		return nil, fmt.Errorf("%w: connection reset", tasks.ErrUnknownOutcome)
	}
	return errs, nil
}

func (m *memory) Sweep(ctx context.Context) (swept tasks.Swept, err error) {
	if err := m.enter(ctx, "sweep"); err != nil {
		return swept, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now()
	for id, lease := range m.leases {
		if !lease.Deadline.After(now) {
			delete(m.leases, id)
			rec := m.recs[id]
			lifecycle.Lose(rec, now)
			m.put(rec)
			swept.Lost++
		}
	}
	if m.more > 0 {
		m.more--
		swept.More = true
	}
	for _, rec := range slices.Clone(m.ready) {
		if lifecycle.Expired(rec, now) {
			m.unready(rec)
			lifecycle.Expire(rec, now)
			swept.Expired++
		}
	}
	return swept, nil
}

func (m *memory) Wait(ctx context.Context, sel tasks.Selection) error {
	if err := m.enter(ctx, "wait"); err != nil {
		return err
	}
	for {
		m.mu.Lock()
		var next time.Time
		for _, rec := range m.ready {
			if sel.Has(rec.Queue) && !m.paused[rec.Queue] && (next.IsZero() || rec.DueAt().Before(next)) {
				next = rec.DueAt()
			}
		}
		changed, closed, idle, now := m.changed, m.closed, m.idleWait, m.now()
		m.mu.Unlock()
		var due <-chan time.Time
		switch {
		case closed:
			return tasks.ErrClosed
		case idle, !next.IsZero() && !next.After(now):
			return nil
		case !next.IsZero():
			due = time.After(next.Sub(now))
		}
		if !m.caps.Has(tasks.CapNotify) {
			changed = nil
		}
		select {
		case <-changed:
		case <-due:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (m *memory) List(context.Context, tasks.ListRequest) (tasks.Page, error) {
	return tasks.Page{}, errors.ErrUnsupported
}

func (m *memory) Queues(context.Context) ([]tasks.QueueInfo, error) {
	return nil, errors.ErrUnsupported
}

func (m *memory) Alter(_ context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	answers := make([]tasks.Altered, len(ids))
	for i, id := range ids {
		rec := m.recs[id]
		if rec == nil {
			answers[i].Err = tasks.ErrResultNotFound
			continue
		}
		if rec.Status == tasks.Ready {
			m.unready(rec)
		}
		_, answers[i].Err = lifecycle.Alter(rec, change, m.now())
		answers[i].Status = rec.Status
		if rec.Status == tasks.Ready {
			m.put(rec)
		}
		if rec.Status == tasks.Running && change.Kind == tasks.ChangeCancel && m.notify != nil {
			m.notify(id, rec.CancelReason)
		}
	}
	return answers, nil
}

func (m *memory) Pause(_ context.Context, queue string, paused bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused[queue] = paused
	m.wake()
	return nil
}

func (m *memory) Prune(context.Context, tasks.PruneRequest) (tasks.Pruned, error) {
	return tasks.Pruned{}, errors.ErrUnsupported
}

func (m *memory) Heartbeat(ctx context.Context, w tasks.WorkerInfo) error {
	if err := m.enter(ctx, "heartbeat"); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if w.Stopped {
		delete(m.workers, w.ID)
		m.stopped = append(m.stopped, w.ID)
		return nil
	}
	w.BeatAt = m.now()
	m.workers[w.ID] = w
	return nil
}

func (m *memory) Workers(context.Context) ([]tasks.WorkerInfo, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []tasks.WorkerInfo
	for _, w := range m.workers {
		all = append(all, w)
	}
	return all, nil
}

// notifying is a memory that tells of cancellations at once.
type notifying struct{ *memory }

func (n notifying) NotifyCancel(ctx context.Context, fn func(id, reason string)) error {
	n.set(func(m *memory) { m.notify = func(id, reason string) { go fn(id, reason) } })
	<-ctx.Done()
	return ctx.Err()
}
