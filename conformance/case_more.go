package conformance

import (
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// moreCases are those that a faulty store has asked for: each was written for a
// fault, of the reference store or of one that was broken by hand, that no other
// case caught.
func moreCases() []Case {
	return []Case{
		{
			Name: "Order/Rescheduled", Clauses: []string{"W1", "I3"}, Needs: inspecting | tasks.CapDefer,
			What: "a rescheduled record must lose its old place in the order, and take the one of its new time",
			run:  orderRescheduled,
		},
		{
			Name: "Order/BehindDeferred", Clauses: []string{"W1", "W2"}, Needs: orderCaps | tasks.CapDefer,
			What: "deferred records must not hide those of the next priorities, nor those behind them in their own",
			run: func(e *env) {
				h := e.connect()
				var due, recs []*tasks.Record
				for p := 3; p >= -3; p-- {
					recs = append(recs, e.record(priority(p), delayed(far)))
					for _, q := range []string{tasks.DefaultQueue, "other"} {
						if p%3 != 0 || q == "other" { // some priorities of a queue have nothing due
							rec := e.record(priority(p), inQueue(q))
							recs, due = append(recs, rec), append(due, rec)
						}
					}
				}
				shuffle(recs)
				e.enqueue(h, recs...)
				e.gives(h, "due among deferred", len(recs), inClaimOrder(due)...)
			},
		},
		{
			Name: "Worker/Patience", Clauses: []string{"I2"}, Needs: inspecting,
			What: "a worker must be listed as long as it has been silent for less than three of its intervals",
			run: func(e *env) {
				h := e.connect()
				w := tasks.WorkerInfo{ID: "w", Interval: time.Second}
				e.beat(h, w)
				e.pause(w.Interval + w.Interval/5)
				e.sweep(h)
				if got := e.workers(h); len(got) != 1 {
					e.Errorf("a worker that beats every %v: got %d workers after 1.2 intervals, want it to be listed", w.Interval, len(got))
				}
			},
		},
	}
}

func orderRescheduled(e *env) {
	h := e.connect()
	apart := func() { e.pause(2 * time.Millisecond) } // over the precision of the store
	var want []string
	first, later := e.record(), e.record(delayed(time.Hour))
	e.enqueue(h, first, later)
	apart()
	second := e.record()
	e.enqueue(h, second)
	apart()
	e.alterOne(h, tasks.Change{Kind: tasks.ChangeReschedule}, first.ID) // back behind second
	apart()
	e.alterOne(h, tasks.Change{Kind: tasks.ChangeReschedule}, later.ID) // forward before last
	apart()
	last := e.record()
	e.enqueue(h, last)
	for _, rec := range []*tasks.Record{second, first, later, last} {
		want = append(want, rec.ID)
	}
	var got []string
	for _, c := range e.claim(h, 10) {
		got = append(got, c.Record.ID)
	}
	if !slices.Equal(got, want) {
		e.Errorf("claimed\n%q, want\n%q: the second, the first put back to now, the deferred put forward to now, the last", got, want)
	}
}
