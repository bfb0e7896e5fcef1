package conformance

import (
	"github.com/sideman-go/sideman/tasks"
)

func enqueueCases() []Case {
	return []Case{
		{
			Name: "Enqueue/Found", Clauses: []string{"E1", "E2"}, Needs: tasks.CapResults,
			What: "a record must be READY, and found at once, when Enqueue has returned",
			run: func(e *env) {
				h := e.connect()
				recs := e.records(3)
				e.enqueue(h, recs...)
				for _, rec := range recs {
					if rec.Status != tasks.Ready || rec.EnqueuedAt.IsZero() {
						e.Errorf("after Enqueue the record is %s, enqueued at %v", rec.Status, rec.EnqueuedAt)
					}
					if got := e.get(h, rec.ID); got.Status != tasks.Ready || !got.EnqueuedAt.Equal(rec.EnqueuedAt) {
						e.Errorf("read back %s enqueued at %v, want READY at %v", got.Status, got.EnqueuedAt, rec.EnqueuedAt)
					}
				}
			},
		},
		{
			Name: "Enqueue/Claimed", Clauses: []string{"E1", "W3"}, Needs: tasks.CapWorker | tasks.CapResults,
			What: "an enqueued record must be claimable once, run and settled",
			run: func(e *env) {
				h := e.connect()
				e.enqueue(h, e.record())
				c := e.claimOne(h)
				if more := e.claim(h, 5); len(more) > 0 {
					e.Errorf("a second claim gave %d more", len(more))
				}
				e.settle(h, c, success(`42`))
				if got := e.get(h, c.Record.ID); got.Status != tasks.Successful || string(got.Value) != "42" {
					e.Errorf("settled record is %s with value %s", got.Status, got.Value)
				}
			},
		},
	}
}
