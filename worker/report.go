package worker

import (
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// report counts, logs and tells the hooks of an outcome that was stored.
func (w *Worker) report(j *job, now time.Time) {
	status := j.status()
	switch {
	case j.out.Kind == tasks.OutcomeRelease && status == tasks.Ready:
		w.count.released.Add(1)
	case j.out.Kind == tasks.OutcomeSnooze && status == tasks.Ready:
		w.count.snoozed.Add(1)
	case status == tasks.Ready:
		w.count.retried.Add(1)
	case status == tasks.Successful:
		w.count.succeeded.Add(1)
	case status == tasks.Failed:
		w.count.failed.Add(1)
	case status == tasks.Cancelled:
		w.count.cancelled.Add(1)
	}
	w.logSettled(j, status)
	if w.hooked && status.Final() && !j.began.IsZero() {
		rec := j.rec.Clone()
		rec.CancelRequested, rec.CancelReason = j.asked, j.reason
		lifecycle.Settle(rec, j.out, j.storeTime(now))
		w.finishes.Add(rec)
	}
}

// status returns what the record's status is after its outcome is stored.
func (j *job) status() tasks.Status {
	switch j.out.Kind {
	case tasks.OutcomeSuccess:
		return tasks.Successful
	case tasks.OutcomeCancel:
		return tasks.Cancelled
	case tasks.OutcomeFailure, tasks.OutcomeRetry, tasks.OutcomeSnooze, tasks.OutcomeRelease:
	}
	counts := j.out.Kind == tasks.OutcomeFailure || j.out.Kind == tasks.OutcomeRetry
	switch {
	case j.asked:
		return tasks.Cancelled
	case j.out.Kind == tasks.OutcomeFailure, counts && j.rec.Attempts() >= j.rec.MaxAttempts:
		return tasks.Failed
	}
	return tasks.Ready
}

// fireFinished tells the hooks of final records, one after the other. It is the
// flush of a queue of its own, so that a slow hook doesn't hold up the settler.
func (w *Worker) fireFinished(recs []*tasks.Record) {
	for at := 0; at < len(recs); { // again if a hook ends its goroutine by runtime.Goexit
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for at < len(recs) {
				at++
				w.rt.Finished(w.base.ctx, recs[at-1])
			}
		}()
		<-ended
	}
	w.poke()
}
