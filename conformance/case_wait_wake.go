package conformance

import (
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func waitWakeCases() []Case {
	return []Case{
		{
			Name: "Wait/Enqueue", Clauses: []string{"W2"}, Needs: workerCaps,
			What: "an idle worker must be woken by an enqueue, whatever its selection is",
			run: func(e *env) {
				h := e.connect()
				for _, sel := range []tasks.Selection{
					{}, all, {Queues: []string{"new"}}, {Queues: []string{"never seen", "new"}}, {Exclude: []string{"default"}},
				} {
					func() {
						w := e.idleOn(h, sel)
						defer w.stop()
						e.pause(20 * time.Millisecond)
						rec := e.record(inQueue("new"))
						e.enqueue(h, rec)
						w.gets(e.wakeUp(h)+e.timing.Notice/2, rec.ID, "enqueued while a worker waits on "+show(sel))
					}()
				}
			},
		},
		{
			Name: "Wait/OtherHandle", Clauses: []string{"W2"}, Needs: workerCaps | tasks.CapShared,
			What: "an idle worker must be woken by what another handle of the store enqueues",
			run: func(e *env) {
				h, other := e.connect(), e.connect()
				w := e.idle(h, "new")
				defer w.stop()
				e.pause(30 * time.Millisecond)
				for range 5 {
					e.pause(20 * time.Millisecond) // until the worker waits again
					rec := e.record(inQueue("new"))
					e.enqueue(other, rec)
					w.gets(e.timing.Notice, rec.ID, "enqueued by another handle")
				}
				e.pause(20 * time.Millisecond) // it is to be stopped while it waits
			},
		},
		{
			Name: "Wait/Sooner", Clauses: []string{"W2"}, Needs: workerCaps | tasks.CapDefer,
			What: "a worker that waits for a far run_after must wake for a nearer one that is enqueued meanwhile, at its time",
			run:  waitSooner,
		},
		{
			Name: "Wait/EachInTurn", Clauses: []string{"W2", "W1"}, Needs: workerCaps | tasks.CapDefer,
			What: "an idle worker must wake for each of several run_afters in turn",
			run: func(e *env) {
				h := e.connect()
				e.watchMachine(h)
				w := e.idle(h)
				defer w.stop()
				recs := []*tasks.Record{
					e.record(delayed(250 * time.Millisecond)), e.record(delayed(50*time.Millisecond), inQueue("other")), e.record(delayed(150 * time.Millisecond)),
				}
				e.enqueue(h, recs...)
				for _, rec := range []*tasks.Record{recs[1], recs[2], recs[0]} {
					c := w.gets(250*time.Millisecond+2*e.timing.Notice, rec.ID, "deferred together with others")
					e.startedOnTime(h, c.Record)
				}
			},
		},
		{
			Name: "Wait/Retry", Clauses: []string{"W2", "T2"}, Needs: workerCaps,
			What: "an idle worker must be woken by a record that is settled as to be run again, at once or later",
			run:  waitRetry,
		},
		{
			Name: "Wait/Lost", Clauses: []string{"W2", "W6"}, Needs: workerCaps,
			What: "an idle worker must be woken by a sweep that takes a record back",
			run: func(e *env) {
				h := e.connect()
				rec := e.record(attempts(2))
				e.enqueue(h, rec)
				e.exactly(h, e.short(1))
				w := e.idle(h)
				defer w.stop()
				e.lapse()
				e.sweptLost(h, 1)
				if c := w.gets(e.wakeUp(h)+e.timing.Notice, rec.ID, "taken back by a sweep"); c.Lease.Attempt != 2 {
					e.Errorf("the attempt after a lost one has number %d, want 2", c.Lease.Attempt)
				}
			},
		},
		{
			Name: "Wait/OperatorRetry", Clauses: []string{"W2", "I3"}, Needs: workerCaps | tasks.CapInspect,
			What: "an idle worker must be woken by an operator's retry",
			run: func(e *env) {
				h := e.connect()
				c := e.claimedNow(h)
				e.settle(h, c, failure("final"))
				w := e.idle(h)
				defer w.stop()
				e.pause(20 * time.Millisecond)
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeRetry}, c.Record.ID)
				w.gets(e.wakeUp(h)+e.timing.Notice, c.Record.ID, "retried by an operator")
			},
		},
		{
			Name: "Wait/Reschedule", Clauses: []string{"W2", "I3"}, Needs: workerCaps | tasks.CapInspect | tasks.CapDefer,
			What: "an idle worker must be woken by a record that an operator moves to now or to a nearer time",
			run: func(e *env) {
				h := e.connect()
				e.watchMachine(h)
				now, soon := e.record(delayed(far)), e.record(delayed(2*far))
				e.enqueue(h, now, soon)
				w := e.idle(h)
				defer w.stop()
				e.pause(20 * time.Millisecond)
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeReschedule}, now.ID)
				w.gets(e.wakeUp(h)+e.timing.Notice, now.ID, "moved to now")
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeReschedule, Delay: 100 * time.Millisecond}, soon.ID)
				c := w.gets(100*time.Millisecond+2*e.timing.Notice, soon.ID, "moved to a nearer time")
				e.startedOnTime(h, c.Record)
			},
		},
		{
			Name: "Wait/Resume", Clauses: []string{"W2", "W10"}, Needs: workerCaps | tasks.CapInspect,
			What: "an idle worker must get nothing of a paused queue, and be woken when it is resumed",
			run: func(e *env) {
				h := e.connect()
				e.setPaused(h, "held", true)
				rec, marker := e.record(inQueue("held")), e.record(inQueue("free"))
				e.enqueue(h, rec)
				w := e.idle(h, "held", "free")
				defer w.stop()
				e.pause(20 * time.Millisecond)
				e.enqueue(h, marker)
				w.gets(e.wakeUp(h)+e.timing.Notice, marker.ID, "enqueued beside a paused queue")
				e.pause(20 * time.Millisecond) // until the worker waits again
				e.setPaused(h, "held", false)
				w.gets(e.timing.Notice, rec.ID, "its queue was resumed")
			},
		},
	}
}

// startedOnTime wants a record's newest attempt to have started when it was due,
// and within what an idle worker may take after that.
func (e *env) startedOnTime(h *handle, rec *tasks.Record) {
	e.Helper()
	e.inTime("an idle worker started record "+rec.ID, rec.LastAttemptedAt.Sub(rec.RunAfter), e.wakeUp(h))
}

func waitSooner(e *env) {
	h := e.connect()
	e.watchMachine(h)
	e.enqueue(h, e.record(delayed(far)))
	w := e.idle(h)
	defer w.stop()
	e.pause(20 * time.Millisecond)
	later, sooner := e.record(delayed(200*time.Millisecond)), e.record(delayed(100*time.Millisecond))
	e.enqueue(h, later)
	e.pause(20 * time.Millisecond)
	e.enqueue(h, sooner)
	for _, rec := range []*tasks.Record{sooner, later} {
		c := w.gets(200*time.Millisecond+2*e.timing.Notice, rec.ID, "due sooner than what the worker waited for")
		e.startedOnTime(h, c.Record)
	}
}

func waitRetry(e *env) {
	h := e.connect()
	e.watchMachine(h)
	w := e.idle(h)
	defer w.stop()
	e.pause(20 * time.Millisecond)
	rec := e.record(attempts(3))
	e.enqueue(h, rec)
	c := w.gets(e.wakeUp(h)+e.timing.Notice, rec.ID, "enqueued")
	for _, out := range []tasks.Outcome{
		released(0), snoozed(0), retry("again", 0), released(60 * time.Millisecond), snoozed(60 * time.Millisecond), retry("again", 60*time.Millisecond),
	} {
		e.pause(10 * time.Millisecond) // until the worker waits again
		e.settle(h, c, out)
		c = w.gets(out.Delay+e.wakeUp(h)+e.timing.Notice, rec.ID, "settled as "+string(out.Kind))
		if out.Delay > 0 {
			e.startedOnTime(h, c.Record)
		}
	}
	e.settlesAs(h, c, success(`1`))
}
