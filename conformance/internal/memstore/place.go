package memstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// Options say what kind of place to make.
type Options struct {
	// Shared lets several handles be open at once. Otherwise a second Connect is
	// refused until the first handle is closed.
	Shared bool
	// Durable keeps the records when the last handle is closed.
	Durable bool
	// Without are capabilities that the store does without. Without CapWorker it is
	// no tasks.Store, only a backend.
	Without tasks.Capability
	// Retention is for records that don't say how long they are kept.
	Retention lifecycle.Retention
	// Now is the clock; nil means time.Now. Every handle goes by it.
	Now func() time.Time
	// Fault, if it isn't nil, is what is wrong with the place and its stores.
	Fault *Fault
}

// Place keeps the records. It is what a file or a server is to other stores:
// handles come and go.
type Place struct {
	options Options
	rules   rules

	mu      sync.Mutex
	handles map[*Store]struct{} // the open ones
	entries map[string]*entry
	byID    []*entry // sorted; nil when entries came or went since
	paused  map[string]bool
	workers map[string]tasks.WorkerInfo
	cancels []cancelNote  // every request to cancel a RUNNING record, for NotifyCancel
	changed chan struct{} // closed, and replaced, at every change
}

// entry is a stored record and its live lease, if it has one.
type entry struct {
	rec      *tasks.Record
	token    string
	deadline time.Time
}

type cancelNote struct{ id, reason string }

// NewPlace returns an empty place.
func NewPlace(o Options) *Place {
	p := &Place{options: o, handles: make(map[*Store]struct{}), changed: make(chan struct{})}
	p.options.Retention = o.Retention.Default()
	p.forget()
	p.rules = soundRules(p)
	if o.Fault != nil && o.Fault.rules != nil {
		o.Fault.rules(p, &p.rules)
	}
	return p
}

func (p *Place) forget() {
	p.entries, p.byID = make(map[string]*entry), nil
	p.paused = make(map[string]bool)
	p.workers = make(map[string]tasks.WorkerInfo)
}

// Connect opens a store on the place: another one, each time.
func (p *Place) Connect(ctx context.Context) (tasks.Backend, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s, err := p.connect()
	if err != nil {
		return nil, err
	}
	if f := p.options.Fault; f != nil && f.methods != nil {
		m := &mutant{Store: s, methods: soundMethods(s)}
		f.methods(s, &m.methods)
		return m, nil
	}
	return bare(s), nil
}

func (p *Place) connect() (*Store, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.handles) > 0 && !p.options.Shared && !p.rules.admit() {
		return nil, fmt.Errorf("memstore: %w: the place is in use by another handle", tasks.ErrUnavailable)
	}
	s := &Store{p: p, done: make(chan struct{})}
	p.handles[s] = struct{}{}
	return s, nil
}

// disconnect is the end of a handle. The caller holds mu.
func (p *Place) disconnect(s *Store) {
	delete(p.handles, s)
	if len(p.handles) == 0 && !p.options.Durable {
		p.forget()
	}
}

// announce wakes those who wait for a change. The caller holds mu.
func (p *Place) announce() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// sorted returns the entries by id. The caller holds mu and doesn't change them.
func (p *Place) sorted() []*entry {
	if p.byID == nil {
		p.byID = slices.SortedFunc(maps.Values(p.entries), func(a, b *entry) int { return cmp.Compare(a.rec.ID, b.rec.ID) })
	}
	return p.byID
}

// put stores a new entry. The caller holds mu.
func (p *Place) put(e *entry) {
	p.entries[e.rec.ID] = e
	p.byID = nil
}

// remove deletes an entry. The caller holds mu.
func (p *Place) remove(id string) {
	delete(p.entries, id)
	p.byID = nil
}

// rules are the decisions of a store, one function each, so that a fault can
// replace one. All of them are called with mu held.
type rules struct {
	now      func() time.Time
	admit    func() bool // a further handle on a place that isn't shared
	copyIn   func(*tasks.Record) *tasks.Record
	copyOut  func(*tasks.Record) *tasks.Record
	enqueue  func(rec *tasks.Record, now time.Time)
	due      func(rec *tasks.Record, now time.Time) bool
	order    func(a, b *tasks.Record) int
	selects  func(sel tasks.Selection, queue string) bool
	paused   func(queue string) bool
	expired  func(rec *tasks.Record, now time.Time) bool
	expire   func(rec *tasks.Record, now time.Time)
	claim    func(rec *tasks.Record, worker string, now time.Time)
	deadline func(now time.Time, d time.Duration) time.Time
	held     func(e *entry, l tasks.Lease) bool
	settle   func(rec *tasks.Record, out tasks.Outcome, now time.Time)
	lost     func(e *entry, now time.Time) bool
	lose     func(rec *tasks.Record, now time.Time)
	alter    func(rec *tasks.Record, change tasks.Change, now time.Time) (gone bool, err error)
	pruneAt  func(rec *tasks.Record) (at time.Time, atOnce bool)
	prunes   func(req tasks.PruneRequest, rec *tasks.Record, now time.Time) bool
	match    func(f *tasks.Filter, rec *tasks.Record) bool
	alive    func(w *tasks.WorkerInfo) bool
}

// soundRules are the ones without a fault.
func soundRules(p *Place) rules {
	now := p.options.Now
	if now == nil {
		now = time.Now
	}
	return rules{
		now:     now,
		admit:   func() bool { return false },
		copyIn:  (*tasks.Record).Clone,
		copyOut: (*tasks.Record).Clone,
		enqueue: lifecycle.Enqueue,
		due:     lifecycle.Due,
		order: func(a, b *tasks.Record) int {
			return cmp.Or(cmp.Compare(b.Priority, a.Priority), a.DueAt().Compare(b.DueAt()), cmp.Compare(a.ID, b.ID))
		},
		selects:  tasks.Selection.Has,
		paused:   func(queue string) bool { return p.paused[queue] },
		expired:  lifecycle.Expired,
		expire:   lifecycle.Expire,
		claim:    lifecycle.Claim,
		deadline: func(now time.Time, d time.Duration) time.Time { return lifecycle.Time(now.Add(d)) },
		held: func(e *entry, l tasks.Lease) bool {
			return e.rec.Status == tasks.Running && e.token == l.Token
		},
		settle:  lifecycle.Settle,
		lost:    func(e *entry, now time.Time) bool { return !e.deadline.After(now) },
		lose:    lifecycle.Lose,
		alter:   lifecycle.Alter,
		pruneAt: p.options.Retention.PruneAt,
		prunes:  prunes,
		match:   (*tasks.Filter).Match,
		alive:   func(w *tasks.WorkerInfo) bool { return w.Alive(w.Age) },
	}
}
