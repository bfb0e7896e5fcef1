package conformance

import (
	"math"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func retainCases() []Case {
	return []Case{
		{
			Name: "Prune/RetainNothing", Clauses: []string{"I4"}, Needs: inspecting,
			What: "a record with Retain 0 must be deleted by whatever makes it final, and by nothing before",
			run:  retainNothing,
		},
		{
			Name: "Prune/RetainTime", Clauses: []string{"I4"}, Needs: inspecting,
			What: "a sweep must delete a final record when its own retention is over, not before, and say so",
			run: func(e *env) {
				h := e.connect()
				keep := e.timing.Lease
				var short []string
				for _, status := range []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled} {
					rec, _ := e.standing(h, status, inQueue("short"), retain(keep))
					short = append(short, rec.ID)
				}
				kept := make(map[string]*tasks.Record)
				for _, d := range []time.Duration{-1, math.MinInt64, time.Hour, math.MaxInt64} {
					rec, _ := e.standing(h, tasks.Successful, inQueue("kept"), retain(d))
					kept[rec.ID] = rec
				}
				rec, _ := e.standing(h, tasks.Failed, inQueue("kept")) // by default for days
				kept[rec.ID] = rec
				ready := e.record(inQueue("never run"), retain(time.Millisecond))
				e.enqueue(h, ready)
				pruned := 0
				e.eventually(keep+10*e.timing.Notice, "sweeps have deleted the records whose retention is over", func() bool {
					pruned += e.sweep(h).Pruned
					return e.counts(h)[tasks.Cancelled] == 0 && e.count(h, []*tasks.Record{{ID: short[0]}, {ID: short[1]}, {ID: short[2]}}) == 0
				})
				if pruned != len(short) {
					e.Errorf("sweeps say that they pruned %d records, want %d", pruned, len(short))
				}
				for id, want := range kept {
					e.same("kept", e.get(h, id), want)
				}
				e.get(h, ready.ID)
			},
		},
		{
			Name: "Prune/RetainNotBefore", Clauses: []string{"I4"}, Needs: inspecting,
			What: "a record must not be deleted before its retention is over, which counts from when it finished",
			run: func(e *env) {
				h := e.connect()
				e.enqueue(h, e.record(retain(2*e.timing.Lease)))
				c := e.claimOne(h)
				e.pause(e.timing.Lease * 3 / 2) // most of it, had it begun with the enqueue
				e.settle(h, c, success("1"))
				e.pause(e.timing.Lease)
				e.sweep(h)
				e.get(h, c.Record.ID)
			},
		},
		{
			Name: "Prune/RetriedStays", Clauses: []string{"I4", "I3"}, Needs: inspecting,
			What: "a record that an operator has taken back to READY must not be deleted when its old retention is over",
			run: func(e *env) {
				h := e.connect()
				ready, _ := e.standing(h, tasks.Failed, inQueue("ready"), retain(e.timing.Lease))
				running, _ := e.standing(h, tasks.Failed, inQueue("running"), retain(e.timing.Lease))
				marker, _ := e.standing(h, tasks.Failed, inQueue("marker"), retain(e.timing.Lease))
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeRetry}, ready.ID)
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeRetry}, running.ID)
				e.claimFrom(h, "running")
				e.eventually(10*e.timing.Lease, "a sweep deletes the record that wasn't retried", func() bool {
					e.sweep(h)
					return e.count(h, []*tasks.Record{marker}) == 0
				})
				if got := e.get(h, ready.ID); got.Status != tasks.Ready {
					e.Errorf("the retried record is %s, want READY", got.Status)
				}
				if got := e.get(h, running.ID); got.Status != tasks.Running {
					e.Errorf("the retried and claimed record is %s, want RUNNING", got.Status)
				}
				e.countsAre(h, map[string]map[tasks.Status]int64{"ready": {tasks.Ready: 1}, "running": {tasks.Running: 1}})
			},
		},
	}
}

func retainNothing(e *env) {
	h := e.connect()
	outcomes := map[string]tasks.Outcome{
		"success": success("1"), "failure": failure("no"), "the last retry": retry("no", 0), "cancel": {Kind: tasks.OutcomeCancel},
	}
	for what, out := range outcomes {
		e.enqueue(h, e.record(retain(0)))
		c := e.claimOne(h)
		e.get(h, c.Record.ID)
		e.settle(h, c, out)
		e.gone(h, what, c.Record.ID)
	}
	rec := e.record(retain(0), attempts(2))
	e.enqueue(h, rec)
	e.settle(h, e.claimOne(h), retry("again", 0))
	if got := e.get(h, rec.ID); got.Status != tasks.Ready || len(got.Errors) != 1 {
		e.Errorf("after the first of two attempts: got %s with %d errors, want READY with 1", got.Status, len(got.Errors))
	}
	lapsing := e.claimAs(h, tasks.ClaimRequest{Selection: all, Worker: "gone", Limit: 1, Lease: e.timing.Lease})
	if len(lapsing) != 1 {
		e.Fatalf("claim gave %d records, want 1", len(lapsing))
	}
	e.eventually(10*e.timing.Lease, "the last attempt is taken back as lost, and the record deleted", func() bool {
		e.sweep(h)
		return e.count(h, []*tasks.Record{rec}) == 0
	})
	cancelled := e.record(retain(0))
	e.enqueue(h, cancelled)
	if status := e.alterOne(h, tasks.Change{Kind: tasks.ChangeCancel}, cancelled.ID); status != "" && status != tasks.Cancelled {
		e.Errorf("cancel: got status %q, want none or CANCELLED", status)
	}
	e.gone(h, "cancelled by an operator", cancelled.ID)
	e.empty(h, "all of them were final")
	e.countsAre(h, nil)
}
