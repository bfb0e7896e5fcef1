package conformance

import (
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func resultStory(e *env) {
	h := e.connect()
	rec := e.record(attempts(3))
	e.enqueue(h, rec)
	workers := []string{"one", "two", "one"}
	var started, last time.Time
	for i, worker := range workers {
		e.pause(2 * time.Millisecond) // so that the times differ
		got := e.claimAs(h, tasks.ClaimRequest{Selection: all, Worker: worker, Limit: 1, Lease: time.Minute})
		if len(got) != 1 {
			e.Fatalf("attempt %d: %d records are claimed, want 1", i+1, len(got))
		}
		now := e.get(h, rec.ID)
		e.same("what Claim gave", got[0].Record, now)
		if i == 0 {
			started = now.StartedAt
		}
		if !now.StartedAt.Equal(started) || started.IsZero() {
			e.Errorf("attempt %d: started at %v, want the first attempt's %v", i+1, now.StartedAt, started)
		}
		if !now.LastAttemptedAt.After(last) {
			e.Errorf("attempt %d: last attempted at %v, the one before at %v", i+1, now.LastAttemptedAt, last)
		}
		last = now.LastAttemptedAt
		if now.Status != tasks.Running || !slices.Equal(now.WorkerIDs, workers[:i+1]) || len(now.Errors) != i {
			e.Errorf("attempt %d: %s, workers %v, %d errors", i+1, now.Status, now.WorkerIDs, len(now.Errors))
		}
		out := retry("error "+worker, 0)
		if i == 2 {
			out = success("1")
		}
		e.settle(h, got[0], out)
	}
	end := e.get(h, rec.ID)
	if end.EnqueuedAt.After(end.StartedAt) || end.StartedAt.After(end.LastAttemptedAt) || end.LastAttemptedAt.After(end.FinishedAt) {
		e.Errorf("times out of order: enqueued %v, started %v, last attempted %v, finished %v", end.EnqueuedAt, end.StartedAt, end.LastAttemptedAt, end.FinishedAt)
	}
	if !end.EnqueuedAt.Equal(rec.EnqueuedAt) || !slices.Equal(end.WorkerIDs, workers) || len(end.Errors) != 2 {
		e.Fatalf("at the end: enqueued at %v (was %v), workers %v, errors %v", end.EnqueuedAt, rec.EnqueuedAt, end.WorkerIDs, end.Errors)
	}
	for i, failed := range end.Errors {
		if failed.Attempt != i+1 || failed.Worker != workers[i] || failed.Message != "error "+workers[i] || failed.Type != "test" ||
			failed.At.Before(end.StartedAt) || failed.At.After(end.FinishedAt) {
			e.Errorf("error %d is %+v", i, failed)
		}
	}
}
