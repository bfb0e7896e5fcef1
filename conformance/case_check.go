package conformance

import (
	"context"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func checkCases() []Case {
	return []Case{
		{
			Name: "Check/Healthy", Clauses: []string{"C1"},
			What: "Check of a healthy empty store must find nothing",
			run: func(e *env) {
				h := e.connect()
				for _, f := range e.check(h) {
					e.Errorf("finding in a new store: %s", f)
				}
			},
		},
		{
			Name: "Check/WorkedWith", Clauses: []string{"C1"}, Needs: inspecting,
			What: "ordinary work must leave nothing for Check to find",
			run: func(e *env) {
				h := e.connect()
				for _, status := range []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled, tasks.Running, tasks.Ready} {
					for _, queue := range hostileNames()[:20] {
						e.standing(h, status, inQueue(queue), named(queue))
					}
				}
				for _, f := range e.check(h) {
					e.Errorf("finding after ordinary work: %s", f)
				}
			},
		},
		{
			Name: "Check/NeverWrites", Clauses: []string{"C2"}, Needs: inspecting | tasks.CapExpire | tasks.CapDefer,
			What: "Check must not change anything, not even do the work of a sweep",
			run:  checkNeverWrites,
		},
		{
			Name: "Check/Closed", Clauses: []string{"C1", "F3"},
			What: "Check of a closed backend must return, and say so: no findings means that all is well",
			run: func(e *env) {
				h := e.connect()
				e.close(h)
				e.within(e.timing.Notice, "check of a closed backend", func() {
					if found := e.check(h); len(found) == 0 {
						e.Errorf("Check of a closed backend: got no findings, want one that says so")
					}
				})
			},
		},
		{
			Name: "Check/ContextOver", Clauses: []string{"C1", "E4"},
			What: "Check with a ctx that is over must return at once and not panic",
			run: func(e *env) {
				h := e.connect()
				ctx, cancel := context.WithCancel(e.ctx)
				cancel()
				e.within(2*e.timing.Obey, "check with a ctx that is over", func() { e.wellFormed(h.b.Check(ctx)) })
				for _, f := range e.check(h) {
					e.Errorf("finding after a check with a ctx that was over: %s", f)
				}
			},
		},
	}
}

// check returns the backend's findings, each of which must be well-formed.
func (e *env) check(h *handle) []tasks.Finding {
	e.Helper()
	e.step("checking")
	found := h.b.Check(e.ctx)
	e.wellFormed(found)
	return found
}

func (e *env) wellFormed(found []tasks.Finding) {
	e.Helper()
	for _, f := range found {
		if f.ID == "" || f.Message == "" || (f.Level != tasks.LevelError && f.Level != tasks.LevelWarning) {
			e.Errorf("finding %+v: it must have an id, a message, and the level error or warning", f)
		}
	}
}

// checkNeverWrites prepares all that a sweep or a claim would change: a lapsed
// lease, an expired record, one whose retention is over.
func checkNeverWrites(e *env) {
	h := e.connect()
	for _, status := range []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled, tasks.Ready} {
		e.standing(h, status, inQueue(string(status)))
	}
	e.standing(h, tasks.Successful, inQueue("kept shortly"), retain(time.Millisecond))
	e.enqueue(h, e.record(inQueue("lapsed"), attempts(2)), e.record(inQueue("expired"), func(r *tasks.Record) { r.TTL = time.Millisecond }),
		e.record(inQueue("deferred"), delayed(time.Hour)))
	lapsed := e.claimAs(h, tasks.ClaimRequest{Selection: tasks.Selection{Queues: []string{"lapsed"}}, Worker: "w", Limit: 1, Lease: 20 * time.Millisecond})
	if len(lapsed) != 1 {
		e.Fatalf("claim gave %d records, want 1", len(lapsed))
	}
	e.setPaused(h, "paused", true)
	e.beat(h, tasks.WorkerInfo{ID: "w", Interval: time.Hour})
	e.pause(50 * time.Millisecond) // until all that is over
	was := e.snapshot(h)
	for range 3 {
		e.check(h)
		e.step("checking through the App")
		h.app.Check(e.ctx)
	}
	e.unchanged(h, "after checks", was)
	// Nobody has reclaimed the lapsed lease, so it is still the live one.
	states, err := h.s.Renew(e.ctx, []tasks.Lease{lapsed[0].Lease}, time.Minute)
	e.must(err, "renew")
	if len(states) != 1 || states[0].Lost {
		e.Errorf("renewal of the lapsed lease: got %+v, want it renewed", states)
	}
}
