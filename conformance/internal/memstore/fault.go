package memstore

import (
	"maps"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// Fault is one way to get a store wrong: a small deviation from the reference.
type Fault struct {
	// Name is fixed and in kebab-case.
	Name string
	// Doc says in one sentence what goes wrong, and who had it if that is known.
	Doc string
	// Caught are the cases of the suite that must fail because of it. Others may.
	// They are in tables of their own: see caughtEarly.
	Caught []string
	// Alone says that it shows only on a place that isn't shared.
	Alone bool

	rules   func(p *Place, r *rules)
	methods func(s *Store, m *methods)
}

// Faults returns all of them, by what they spoil.
func Faults() []Fault {
	all := slices.Concat(
		enqueueFaults(),
		duplicateFaults(),
		fieldFaults(),
		readFaults(),
		asyncFaults(),
		claimFaults(),
		queueFaults(),
		orderFaults(),
		timeFaults(),
		leaseFaults(),
		lossFaults(),
		settleFaults(),
		outcomeFaults(),
		errorFaults(),
		cancelFaults(),
		waitFaults(),
		listFaults(),
		countFaults(),
		alterFaults(),
		pruneFaults(),
		workerFaults(),
		closeFaults(),
		reopenFaults(),
		handleFaults(),
	)
	cases := caughtEarly()
	maps.Copy(cases, caughtLater())
	for i := range all {
		all[i].Caught = cases[all[i].Name]
	}
	return withHistories(all)
}

// Stuck is for how long a fault hangs that hangs: longer than any case waits, but
// not for ever, so that a bubble can end.
const Stuck = 10 * time.Minute

// stored makes a fault of what is done to a record on its way into the store.
func stored(spoil func(rec *tasks.Record)) func(*Place, *rules) {
	return func(_ *Place, r *rules) {
		sound := r.copyIn
		r.copyIn = func(rec *tasks.Record) *tasks.Record {
			c := sound(rec)
			spoil(c)
			return c
		}
	}
}

// readBack makes a fault of what is done to a record on its way out.
func readBack(spoil func(rec *tasks.Record)) func(*Place, *rules) {
	return func(_ *Place, r *rules) {
		sound := r.copyOut
		r.copyOut = func(rec *tasks.Record) *tasks.Record {
			c := sound(rec)
			spoil(c)
			return c
		}
	}
}

// enqueued makes a fault of what is done to a record once it is READY.
func enqueued(spoil func(rec *tasks.Record, now time.Time)) func(*Place, *rules) {
	return func(_ *Place, r *rules) {
		sound := r.enqueue
		r.enqueue = func(rec *tasks.Record, now time.Time) {
			sound(rec, now)
			spoil(rec, now)
		}
	}
}

// claimed makes a fault of what is done to a record once it is claimed; was is the
// record before.
func claimed(spoil func(rec, was *tasks.Record, now time.Time)) func(*Place, *rules) {
	return func(_ *Place, r *rules) {
		sound := r.claim
		r.claim = func(rec *tasks.Record, worker string, now time.Time) {
			was := rec.Clone()
			sound(rec, worker, now)
			spoil(rec, was, now)
		}
	}
}

// settled makes a fault of what is done to a record once it is settled, or lost; was
// is the record before.
func settled(spoil func(rec, was *tasks.Record, out tasks.Outcome, now time.Time)) func(*Place, *rules) {
	return func(_ *Place, r *rules) {
		settle, lose := r.settle, r.lose
		r.settle = func(rec *tasks.Record, out tasks.Outcome, now time.Time) {
			was := rec.Clone()
			settle(rec, out, now)
			spoil(rec, was, out, now)
		}
		r.lose = func(rec *tasks.Record, now time.Time) {
			was := rec.Clone()
			lose(rec, now)
			spoil(rec, was, tasks.Outcome{Kind: lostKind}, now)
		}
	}
}

// lostKind is the kind of outcome that settled calls with for a lost lease.
const lostKind tasks.OutcomeKind = "lost"

// altered makes a fault of what is done to a record once an operator has changed
// it; was is the record before.
func altered(kind tasks.ChangeKind, spoil func(rec, was *tasks.Record, change tasks.Change, now time.Time)) func(*Place, *rules) {
	return func(_ *Place, r *rules) {
		sound := r.alter
		r.alter = func(rec *tasks.Record, change tasks.Change, now time.Time) (bool, error) {
			was := rec.Clone()
			gone, err := sound(rec, change, now)
			if change.Kind == kind && err == nil {
				spoil(rec, was, change, now)
			}
			return gone, err
		}
	}
}

// ordered makes a fault of another claim order.
func ordered(order func(a, b *tasks.Record) int) func(*Place, *rules) {
	return func(_ *Place, r *rules) { r.order = order }
}

// selecting makes a fault of another way to choose queues.
func selecting(selects func(sel tasks.Selection, queue string) bool) func(*Place, *rules) {
	return func(_ *Place, r *rules) { r.selects = selects }
}
