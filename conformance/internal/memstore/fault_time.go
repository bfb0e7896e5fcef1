package memstore

import (
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func timeFaults() []Fault {
	return []Fault{
		{Name: "run-after-ignored", Doc: "a record is claimed before its RunAfter", rules: func(_ *Place, r *rules) {
			r.due = func(rec *tasks.Record, _ time.Time) bool { return rec.Status == tasks.Ready }
		}},
		{Name: "run-after-rounded", Doc: "a record is claimed up to a second before its RunAfter", rules: func(_ *Place, r *rules) {
			r.due = func(rec *tasks.Record, now time.Time) bool { return lifecycle.Due(rec, now.Add(time.Second)) }
		}},
		{Name: "run-after-late", Doc: "a record is claimed only a second after its RunAfter", rules: func(_ *Place, r *rules) {
			r.due = func(rec *tasks.Record, now time.Time) bool {
				return lifecycle.Due(rec, now) && (rec.RunAfter.IsZero() || lifecycle.Due(rec, now.Add(-time.Second)))
			}
		}},
		{Name: "run-after-never", Doc: "a deferred record is never claimed", rules: func(_ *Place, r *rules) {
			r.due = func(rec *tasks.Record, now time.Time) bool {
				return lifecycle.Due(rec, now) && !rec.RunAfter.After(rec.EnqueuedAt)
			}
		}},
		{
			Name: "run-after-past-refused", Doc: "a RunAfter in the past isn't stored",
			rules: enqueued(func(rec *tasks.Record, now time.Time) {
				if rec.RunAfter.Before(now) {
					rec.RunAfter = time.Time{}
				}
			}),
		},
		{
			Name: "delay-ignored", Doc: "a delay isn't turned into RunAfter",
			rules: func(_ *Place, r *rules) {
				sound := r.enqueue
				r.enqueue = func(rec *tasks.Record, now time.Time) {
					rec.Delay = 0
					sound(rec, now)
				}
			},
		},
		{
			Name: "delay-from-run-after", Doc: "a delay is added to RunAfter instead of the store's time",
			rules: func(_ *Place, r *rules) {
				sound := r.enqueue
				r.enqueue = func(rec *tasks.Record, now time.Time) {
					if rec.Delay > 0 && !rec.RunAfter.IsZero() {
						rec.RunAfter, rec.Delay = rec.RunAfter.Add(rec.Delay), 0
					}
					sound(rec, now)
				}
			},
		},
		{Name: "delay-stored", Doc: "Delay is kept after it was turned into RunAfter, so a later enqueue of the record delays again", rules: enqueued(func(rec *tasks.Record, now time.Time) {
			if rec.RunAfter.After(now) {
				rec.Delay = rec.RunAfter.Sub(now)
			}
		})},
		{
			Name: "ttl-ignored", Doc: "a TTL isn't turned into ExpiresAt",
			rules: func(_ *Place, r *rules) {
				sound := r.enqueue
				r.enqueue = func(rec *tasks.Record, now time.Time) {
					rec.TTL = 0
					sound(rec, now)
				}
			},
		},
		{Name: "expiry-lost", Doc: "ExpiresAt isn't stored", rules: enqueued(func(rec *tasks.Record, _ time.Time) { rec.ExpiresAt = time.Time{} })},
		{Name: "expired-run", Doc: "a record that has expired is run, if no sweep has come first", rules: func(_ *Place, r *rules) {
			r.expired = expiredIf(func(rec *tasks.Record, now time.Time) bool { return !lifecycle.Due(rec, now) })
		}},
		{Name: "expired-kept", Doc: "a record that has expired is never cancelled, only not run", rules: func(_ *Place, r *rules) {
			r.due = func(rec *tasks.Record, now time.Time) bool {
				return lifecycle.Due(rec, now) && !lifecycle.Expired(rec, now)
			}
			r.expired = func(*tasks.Record, time.Time) bool { return false }
		}},
		{Name: "expired-deferred-kept", Doc: "a record that expires before it is due is cancelled only when it is due", rules: func(_ *Place, r *rules) {
			r.expired = expiredIf(func(rec *tasks.Record, now time.Time) bool { return lifecycle.Due(rec, now) })
		}},
		{Name: "expired-between-attempts", Doc: "a record that waits for its next attempt expires, though it has started in time", rules: func(_ *Place, r *rules) {
			r.expired = func(rec *tasks.Record, now time.Time) bool {
				return rec.Status == tasks.Ready && !rec.ExpiresAt.IsZero() && !rec.ExpiresAt.After(now)
			}
		}},
		{Name: "expired-failed", Doc: "a record that has expired becomes FAILED", rules: func(_ *Place, r *rules) {
			r.expire = func(rec *tasks.Record, now time.Time) {
				lifecycle.Expire(rec, now)
				rec.Status = tasks.Failed
			}
		}},
		{Name: "expired-unexplained", Doc: "a record that has expired has no reason", rules: func(_ *Place, r *rules) {
			r.expire = func(rec *tasks.Record, now time.Time) {
				lifecycle.Expire(rec, now)
				rec.CancelReason = ""
			}
		}},
		{Name: "expired-as-attempt", Doc: "a record that has expired counts an attempt that never was", rules: func(_ *Place, r *rules) {
			r.expire = func(rec *tasks.Record, now time.Time) {
				lifecycle.Claim(rec, "nobody", now)
				lifecycle.Expire(rec, now)
			}
		}},
	}
}

// expiredIf is the sound rule for the records that also are as given.
func expiredIf(also func(rec *tasks.Record, now time.Time) bool) func(*tasks.Record, time.Time) bool {
	return func(rec *tasks.Record, now time.Time) bool { return lifecycle.Expired(rec, now) && also(rec, now) }
}
