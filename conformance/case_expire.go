package conformance

import (
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

const expireCaps = workerCaps | tasks.CapExpire

func expireCases() []Case {
	return []Case{
		{
			Name: "Expire/ByClaim", Clauses: []string{"T5"}, Needs: expireCaps,
			What: "a record that wasn't started in time must not be claimed, and must end CANCELLED with reason expired",
			run: func(e *env) {
				h := e.connect()
				rec := e.record(expiresIn(50 * time.Millisecond))
				e.enqueue(h, rec)
				e.pause(50*time.Millisecond + e.timing.Late)
				if got := e.claim(h, 5); len(got) > 0 {
					e.Errorf("a claim gave %d records after the only one expired", len(got))
				}
				e.sweep(h) // where the claim left that to it
				e.expired(h, rec)
				if got := e.claim(h, 5); len(got) > 0 {
					e.Errorf("an expired record was claimed after a sweep")
				}
			},
		},
		{
			Name: "Expire/BySweep", Clauses: []string{"T5"}, Needs: expireCaps,
			What: "a sweep must cancel the READY records that have expired, also deferred ones, count them once, and leave the others",
			run:  expireBySweep,
		},
		{
			Name: "Expire/TTL", Clauses: []string{"T5", "W7"}, Needs: expireCaps,
			What: "a TTL must count from the enqueue by the store's clock; before it is over the record is claimable",
			run: func(e *env) {
				h := e.connect()
				rec := e.record(expiresIn(far), func(r *tasks.Record) { r.EnqueuedAt = longAgo })
				e.enqueue(h, rec)
				if got := rec.ExpiresAt.Sub(rec.EnqueuedAt); (got-far).Abs() > time.Millisecond || rec.TTL != 0 {
					e.Errorf("with a TTL of %v ExpiresAt is %v after EnqueuedAt, and TTL is %v afterwards", far, got, rec.TTL)
				}
				if s := e.sweep(h); s.Expired != 0 {
					e.Errorf("a sweep before the expiry: %+v, want none expired", s)
				}
				for _, c := range e.gives(h, "before its expiry", 5, rec) {
					if !sameTime(c.Record.ExpiresAt, rec.ExpiresAt) {
						e.Errorf("claimed ExpiresAt %s, want %s", show(c.Record.ExpiresAt), show(rec.ExpiresAt))
					}
				}
			},
		},
		{
			Name: "Expire/Past", Clauses: []string{"T5", "E1"}, Needs: expireCaps,
			What: "a record whose expiry is past at its enqueue must be stored, READY, and then never run",
			run: func(e *env) {
				h := e.connect()
				now := e.record()
				e.enqueue(h, now)
				var recs []*tasks.Record
				for _, at := range []time.Time{now.EnqueuedAt.Add(-far), longAgo} {
					recs = append(recs, e.record(func(r *tasks.Record) { r.ExpiresAt = at }))
				}
				e.enqueue(h, recs...)
				for _, rec := range recs {
					if rec.Status != tasks.Ready {
						e.Errorf("after Enqueue the record is %s, want READY", rec.Status)
					}
				}
				e.gives(h, "beside expired ones", 5, now)
				e.sweep(h)
				for _, rec := range recs {
					e.expired(h, rec)
				}
			},
		},
		{
			Name: "Expire/Started", Clauses: []string{"T5"}, Needs: expireCaps,
			What: "a record that was started in time must not expire, neither while RUNNING nor before its next attempt",
			run:  expireStarted,
		},
		{
			Name: "Expire/Released", Clauses: []string{"T5", "W8"}, Needs: expireCaps,
			What: "a record whose only attempt was released hasn't been started, so it must expire",
			run: func(e *env) {
				h := e.connect()
				rec := e.record(expiresIn(100 * time.Millisecond))
				e.enqueue(h, rec)
				c := e.claimOne(h)
				e.pause(100*time.Millisecond + e.timing.Late)
				e.settle(h, c, released(0))
				if got := e.claim(h, 5); len(got) > 0 {
					e.Errorf("a record that was released and has expired was claimed")
				}
				e.sweep(h)
				e.expired(h, rec)
			},
		},
		{
			Name: "Expire/DontHide", Clauses: []string{"T5", "W1"}, Needs: expireCaps,
			What: "any number of expired records must not keep one that is due from being claimed",
			run: func(e *env) {
				h := e.connect()
				const many = 1200
				recs := e.records(many, func(r *tasks.Record) { r.ExpiresAt = longAgo })
				due := e.record()
				e.enqueue(h, append(slices.Clone(recs), due)...)
				var got []tasks.Claimed
				e.eventually(e.timing.Notice, "the record behind 1200 expired ones is claimed", func() bool {
					got = e.claim(h, 1)
					return len(got) > 0
				})
				e.ordered("behind expired records", got, []*tasks.Record{due})
				e.sweep(h)
				e.expired(h, recs[0])
				e.expired(h, recs[many-1])
				if n := len(e.list(h, tasks.Filter{Statuses: []tasks.Status{tasks.Cancelled}})); n != many {
					e.Errorf("%d records were cancelled, want %d", n, many)
				}
			},
		},
		{
			Name: "Expire/RetriedByOperator", Clauses: []string{"T5", "I3", "R1"}, Needs: expireCaps | tasks.CapInspect,
			What: "an expired record that an operator retries must run, and not expire again at once",
			run: func(e *env) {
				h := e.connect()
				rec := e.record(func(r *tasks.Record) { r.ExpiresAt = longAgo })
				e.enqueue(h, rec)
				e.sweep(h)
				e.expired(h, rec)
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeRetry}, rec.ID)
				if s := e.sweep(h); s.Expired != 0 {
					e.Errorf("a sweep after the retry: %+v, want none expired", s)
				}
				for _, c := range e.gives(h, "after the retry", 5, rec) {
					e.settlesAs(h, c, success(`1`))
				}
			},
		},
	}
}

// expired wants of a record, which is as it was enqueued, what lifecycle.Expire
// makes of it.
func (e *env) expired(h *handle, enqueued *tasks.Record) {
	e.Helper()
	got := e.get(h, enqueued.ID)
	want := enqueued.Clone()
	lifecycle.Expire(want, got.FinishedAt)
	e.same("expired", got, want)
	e.inOrder("expired", got)
	if got.FinishedAt.Before(got.ExpiresAt) {
		e.Errorf("record %s was cancelled at %s, before its expiry at %s", got.ID, show(got.FinishedAt), show(got.ExpiresAt))
	}
}

func expireBySweep(e *env) {
	h := e.connect()
	at := expiresIn(50 * time.Millisecond)
	expiring := []*tasks.Record{e.record(at), e.record(at, inQueue("other")), e.record(at)}
	if h.caps.Has(tasks.CapDefer) {
		expiring[2].Delay = far
	}
	staying := []*tasks.Record{e.record(), e.record(expiresIn(far))}
	e.enqueue(h, append(slices.Clone(expiring), staying...)...)
	e.pause(50*time.Millisecond + e.timing.Late)
	if s := e.sweep(h); s.Expired != len(expiring) || s.Lost != 0 {
		e.Errorf("sweep: %+v, want %d expired", s, len(expiring))
	}
	for _, rec := range expiring {
		e.expired(h, rec)
	}
	if s := e.sweep(h); s != (tasks.Swept{}) {
		e.Errorf("second sweep: %+v, want nothing", s)
	}
	e.gives(h, "what doesn't expire", 10, inClaimOrder(staying)...)
}

func expireStarted(e *env) {
	h := e.connect()
	at := expiresIn(150 * time.Millisecond)
	recs := []*tasks.Record{e.record(at), e.record(at, attempts(3)), e.record(at, attempts(3))}
	e.enqueue(h, recs...)
	got := e.exactly(h, inQueues(3))
	running, retried, later := got[0], got[1], got[2]
	e.settle(h, retried, retry("again", 0))
	e.settle(h, later, retry("again", 160*time.Millisecond+e.timing.Late))
	e.pause(150*time.Millisecond + e.timing.Late)
	if s := e.sweep(h); s != (tasks.Swept{}) {
		e.Errorf("sweep after the expiry of records that were started in time: %+v, want nothing", s)
	}
	e.settlesAs(h, running, success(`1`))
	seen := 0
	e.eventually(e.timing.Notice+e.timing.Late, "both retried records are claimed", func() bool {
		for _, c := range e.claim(h, 5) {
			seen++
			e.settlesAs(h, c, retry("and again", far))
		}
		return seen == 2
	})
	for _, c := range []tasks.Claimed{retried, later} {
		e.status(h, "retried after its expiry", c.Record.ID, tasks.Ready)
	}
}
