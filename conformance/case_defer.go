package conformance

import (
	"time"

	"github.com/sideman-go/sideman/tasks"
)

const deferCaps = workerCaps | tasks.CapDefer

func deferCases() []Case {
	return []Case{
		{
			Name: "Defer/Delay", Clauses: []string{"W2", "E1"}, Needs: deferCaps,
			What: "a record with a delay must be claimable from its enqueue plus the delay on: no sooner, and hardly later",
			run: func(e *env) {
				h := e.connect()
				const delay = 150 * time.Millisecond
				rec := e.record(delayed(delay))
				e.enqueue(h, rec)
				if got := rec.RunAfter.Sub(rec.EnqueuedAt); (got - delay).Abs() > time.Millisecond {
					e.Errorf("RunAfter is %v after EnqueuedAt, want %v", got, delay)
				}
				if rec.Delay != 0 {
					e.Errorf("after Enqueue Delay is %v, want it cleared", rec.Delay)
				}
				e.onTime(h, rec)
			},
		},
		{
			Name: "Defer/RunAfter", Clauses: []string{"W2", "E6"}, Needs: deferCaps,
			What: "a record must be claimable from its run_after on, by the store's clock: no sooner, and hardly later",
			run: func(e *env) {
				h := e.connect()
				at := e.storeNow(h).Add(180 * time.Millisecond)
				rec := e.record(runAfter(at))
				e.enqueue(h, rec)
				if !sameTime(rec.RunAfter, at) {
					e.Errorf("after Enqueue RunAfter is %s, want %s", show(rec.RunAfter), show(at))
				}
				e.onTime(h, rec)
			},
		},
		{
			Name: "Defer/Past", Clauses: []string{"V4", "W2"}, Needs: deferCaps,
			What: "a record with a run_after in the past must be claimable at once, however long ago that is",
			run: func(e *env) {
				h := e.connect()
				now := e.storeNow(h)
				for _, at := range []time.Time{
					now.Add(-time.Millisecond), now.Add(-far), longAgo, time.Unix(0, 0).UTC(),
					time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC),
				} {
					rec := e.record(runAfter(at))
					e.enqueue(h, rec)
					for _, c := range e.gives(h, "run_after "+show(at), 1, rec) {
						if !sameTime(c.Record.RunAfter, at) {
							e.Errorf("claimed RunAfter %s, want %s", show(c.Record.RunAfter), show(at))
						}
					}
				}
				rec := e.record(delayed(-far))
				e.enqueue(h, rec)
				e.gives(h, "a negative delay", 1, rec)
			},
		},
		{
			Name: "Defer/FarFuture", Clauses: []string{"W2", "E6"}, Needs: deferCaps,
			What: "a run_after centuries ahead must be kept as it is, not claimed, and keep nothing else from being claimed",
			run:  deferFarFuture,
		},
		{
			Name: "Defer/Zones", Clauses: []string{"E6", "W2"}, Needs: deferCaps,
			What: "a run_after in any time zone must be kept as the same instant, in UTC, to the microsecond",
			run:  deferZones,
		},
		{
			Name: "Defer/DontHide", Clauses: []string{"W1", "W2"}, Needs: deferCaps,
			What: "any number of records that aren't due, of any priority, must not hide one that is",
			run:  deferDontHide,
		},
		{
			Name: "Defer/CallersClock", Clauses: []string{"W2", "W7", "R5"}, Needs: deferCaps,
			What: "times must be the store's: what a caller with a wrong clock puts into a record's timestamps must not count",
			run:  deferCallersClock,
		},
		{
			Name: "Defer/Idle", Clauses: []string{"W2"}, Needs: deferCaps,
			What: "an idle worker must start a deferred record within 100 ms of its run_after (with notify), or a poll interval",
			run: func(e *env) {
				h := e.connect()
				e.watchMachine(h)
				w := e.idle(h)
				defer w.stop()
				e.pause(20 * time.Millisecond)
				rec := e.record(delayed(150 * time.Millisecond))
				e.enqueue(h, rec)
				c := w.gets(150*time.Millisecond+2*e.timing.Notice, rec.ID, "deferred while the worker was idle")
				e.startedOnTime(h, c.Record)
			},
		},
	}
}

// wakeUp is how late an idle worker may start a record that became due.
func (e *env) wakeUp(h *handle) time.Duration {
	if h.caps.Has(tasks.CapNotify) {
		return e.timing.Late
	}
	return e.timing.Notice
}

// onTime polls for a deferred record, and compares the store's time of its claim
// with when it was due.
func (e *env) onTime(h *handle, rec *tasks.Record) {
	e.Helper()
	e.watchMachine(h)
	var got []tasks.Claimed
	e.eventually(2*e.timing.Notice, "the deferred record can be claimed", func() bool {
		got = e.claim(h, 5)
		return len(got) > 0
	})
	e.ordered("a deferred record", got, []*tasks.Record{rec})
	c := got[0].Record
	e.inTime("record "+rec.ID+" could be claimed", c.StartedAt.Sub(rec.RunAfter), e.timing.Late)
	if !sameTime(c.RunAfter, rec.RunAfter) {
		e.Errorf("claimed RunAfter %s, want %s", show(c.RunAfter), show(rec.RunAfter))
	}
}

func deferFarFuture(e *env) {
	h := e.connect()
	now := e.storeNow(h)
	times := []time.Time{
		now.AddDate(1, 0, 0), now.AddDate(100, 0, 0),
		time.Date(2262, 4, 12, 0, 0, 0, 0, time.UTC), // over what nanoseconds in 64 bits hold
		time.Date(9000, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
	}
	var recs []*tasks.Record
	for _, at := range times {
		recs = append(recs, e.record(runAfter(at)))
	}
	recs = append(recs, e.record(delayed(100*365*24*far)))
	e.enqueue(h, recs...)
	marker := e.record()
	e.enqueue(h, marker)
	e.gives(h, "among records of the far future", 10, marker)
	for i, at := range times {
		got := e.status(h, "far in the future", recs[i].ID, tasks.Ready)
		if !sameTime(got.RunAfter, at) {
			e.Errorf("RunAfter %s reads back as %s", show(at), show(got.RunAfter))
		}
	}
}

func deferZones(e *env) {
	h := e.connect()
	now := e.storeNow(h)
	for _, offset := range []int{-12 * 3600, 5*3600 + 45*60, 14 * 3600} {
		zone := time.FixedZone("test", offset)
		past, future := now.Add(-time.Minute).In(zone), now.Add(far).Add(123_456_789*time.Nanosecond).In(zone)
		due, later := e.record(runAfter(past)), e.record(runAfter(future))
		e.enqueue(h, due, later)
		e.gives(h, "zone "+zone.String(), 5, due)
		got := e.get(h, later.ID)
		if d := got.RunAfter.Sub(future).Abs(); d > time.Microsecond {
			e.Errorf("RunAfter %s reads back as %s", show(future), show(got.RunAfter))
		}
		if _, off := got.RunAfter.Zone(); off != 0 {
			e.Errorf("RunAfter reads back as %s, want it in UTC", show(got.RunAfter))
		}
	}
}

func deferDontHide(e *env) {
	h := e.connect()
	const many = 1500
	recs := e.records(many, delayed(far))
	if h.caps.Has(tasks.CapPriority) {
		for i, r := range recs {
			r.Priority = i % (tasks.MaxPriority + 1)
		}
	}
	e.enqueue(h, recs...)
	due := []*tasks.Record{e.record(), e.record(inQueue("other"))}
	if h.caps.Has(tasks.CapPriority) {
		due[0].Priority, due[1].Priority = -99, -100
	}
	e.enqueue(h, due...)
	e.gives(h, "the first of two due behind 1500 deferred", 1, due[0])
	e.gives(h, "the second", 10, due[1])
}

func deferCallersClock(e *env) {
	h := e.connect()
	now := e.storeNow(h)
	var recs []*tasks.Record
	for _, skew := range []time.Duration{far, -far} {
		wrong := now.Add(skew)
		stamp := func(r *tasks.Record) {
			r.EnqueuedAt, r.StartedAt, r.LastAttemptedAt, r.FinishedAt = wrong, wrong, wrong, wrong
		}
		// A delay is the store's to count, from its own time.
		plain, later := e.record(stamp), e.record(stamp, runAfter(wrong), delayed(100*time.Millisecond))
		e.enqueue(h, plain, later)
		for _, r := range []*tasks.Record{plain, later, e.get(h, plain.ID), e.get(h, later.ID)} {
			if off := r.EnqueuedAt.Sub(now); off < 0 || off > far/2 {
				e.Errorf("enqueued by a clock that is %v off: EnqueuedAt is %v off", skew, off)
			}
			if !r.StartedAt.IsZero() || !r.LastAttemptedAt.IsZero() || !r.FinishedAt.IsZero() {
				e.Errorf("a READY record that was never claimed has StartedAt %s, LastAttemptedAt %s, FinishedAt %s, want none",
					show(r.StartedAt), show(r.LastAttemptedAt), show(r.FinishedAt))
			}
		}
		if d := later.RunAfter.Sub(later.EnqueuedAt); (d - 100*time.Millisecond).Abs() > time.Millisecond {
			e.Errorf("enqueued by a clock that is %v off: RunAfter is %v after EnqueuedAt, want 100ms", skew, d)
		}
		recs = append(recs, plain, later)
		e.pause(2 * time.Millisecond)
	}
	e.pause(100*time.Millisecond + e.timing.Late)
	e.gives(h, "enqueued by wrong clocks", 10, inClaimOrder(recs)...)
}
