package conformance

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func queuesCases() []Case {
	return []Case{
		{
			Name: "Inspect/Queues", Clauses: []string{"I2"}, Needs: inspecting,
			What: "Queues must count by queue and status, sum what waits by task, and be in order of names",
			run: func(e *env) {
				h := e.connect()
				if queues := e.queues(h); len(queues) > 0 {
					e.Errorf("queues of an empty store: got %v, want none", queues)
				}
				for _, status := range []tasks.Status{tasks.Successful, tasks.Failed, tasks.Failed, tasks.Cancelled, tasks.Running} {
					e.standing(h, status, inQueue("mixed"), named("f"))
				}
				e.enqueue(h, e.records(2, inQueue("mixed"), named("f"))...)
				e.enqueue(h, e.record(inQueue("mixed"), named("g"), delayed(time.Hour)), e.record(inQueue("Mixed"), named("g")))
				e.standing(h, tasks.Successful, inQueue("done"))
				e.setPaused(h, "nothing in it", true)
				e.countsAre(h, map[string]map[tasks.Status]int64{
					"mixed":         {tasks.Ready: 3, tasks.Running: 1, tasks.Successful: 1, tasks.Failed: 2, tasks.Cancelled: 1},
					"Mixed":         {tasks.Ready: 1},
					"done":          {tasks.Successful: 1},
					"nothing in it": {},
				})
				queues := e.queues(h)
				for name, want := range map[string]map[string]int64{"mixed": {"f": 2, "g": 1}, "Mixed": {"g": 1}, "done": nil} {
					if got := queues[name].Waiting; !sameCounts(got, want) {
						e.Errorf("queue %q: got %v waiting by task, want %v", name, got, want)
					}
				}
				e.setPaused(h, "nothing in it", false)
				if q, there := e.queues(h)["nothing in it"]; there {
					e.Errorf("a queue without records that isn't paused any more is listed: %+v", q)
				}
				raw, err := h.s.Queues(e.ctx)
				e.must(err, "queues")
				if !slices.IsSortedFunc(raw, func(x, y tasks.QueueInfo) int {
					if x.Name < y.Name {
						return -1
					}
					return 1
				}) {
					e.Errorf("queues aren't in order of names: %+v", raw)
				}
			},
		},
		{
			Name: "Inspect/OldestDue", Clauses: []string{"I2"}, Needs: inspecting | tasks.CapDefer,
			What: "OldestDue must be the age, since it became due, of the READY record that is due longest, and nothing else's",
			run: func(e *env) {
				h := e.connect()
				const apart = 600 * time.Millisecond
				e.standing(h, tasks.Failed, inQueue("nothing due"))
				e.standing(h, tasks.Running, inQueue("nothing due"))
				e.enqueue(h,
					e.record(inQueue("nothing due"), delayed(time.Hour)),
					e.record(inQueue("in centuries"), runAfter(time.Date(2500, time.January, 1, 0, 0, 0, 0, time.UTC))), // in more nanoseconds than there are
					e.record(inQueue("at once"), priority(-5)),
					e.record(inQueue("later"), delayed(apart)), e.record(inQueue("later"), delayed(time.Hour), priority(5)),
				)
				e.pause(apart + apart/4)
				e.enqueue(h, e.record(inQueue("at once"), priority(9)))
				queues := e.queues(h)
				for _, name := range []string{"nothing due", "in centuries"} {
					if got := queues[name].OldestDue; got != 0 {
						e.Errorf("OldestDue of a queue with nothing due, %q: got %v, want 0", name, got)
					}
				}
				if got := queues["at once"].OldestDue; got < apart || got > e.timing.Deadline {
					e.Errorf("OldestDue %v after the enqueue: got %v", apart+apart/4, got)
				}
				// Both are of one moment, so what lies between is what they were apart.
				if got := queues["at once"].OldestDue - queues["later"].OldestDue; got < apart/2 || got > apart*3/2 || queues["later"].OldestDue <= 0 {
					e.Errorf("OldestDue %v at once, and %v of one deferred by %v: it counts from when a record became due",
						queues["at once"].OldestDue, queues["later"].OldestDue, apart)
				}
				for range 2 {
					e.settle(h, e.claimFrom(h, "at once"), success("1"))
				}
				if got := e.queues(h)["at once"].OldestDue; got != 0 {
					e.Errorf("OldestDue of a queue that has been worked off: got %v, want 0", got)
				}
			},
		},
		{
			Name: "Inspect/CountsFollow", Clauses: []string{"I2"}, Needs: inspecting | tasks.CapDefer | tasks.CapExpire,
			What: "the counts of Queues must agree with the list after every kind of event",
			run:  countsFollow,
		},
		{
			Name: "Inspect/AbandonedTaskShows", Clauses: []string{"W11", "I2", "C1"}, Needs: inspecting | tasks.CapList,
			What: "records of a task that the App doesn't define, and a queue without worker, must show in App.Check",
			run: func(e *env) {
				h := e.connect()
				e.enqueue(h, e.records(2, inQueue("lonely"), named("nobody's"))...)
				e.pause(5 * time.Millisecond) // so that they are due for longer than the store's precision
				want := map[string]bool{"tasks.W001": false, "tasks.W002": false}
				for _, f := range h.app.Check(e.ctx) {
					if _, ok := want[f.ID]; ok {
						want[f.ID] = true
					}
				}
				for id, found := range want {
					if !found {
						e.Errorf("App.Check doesn't find %s", id)
					}
				}
			},
		},
	}
}

// countsAre compares the counts of all queues.
func (e *env) countsAre(h *handle, want map[string]map[tasks.Status]int64) {
	e.Helper()
	got := e.queues(h)
	for name, counts := range want {
		q, there := got[name]
		if !there {
			e.Errorf("queue %q isn't listed", name)
		} else if !sameCounts(q.Counts, counts) {
			e.Errorf("queue %q: got counts %v, want %v", name, q.Counts, counts)
		}
	}
	for name := range got {
		if _, there := want[name]; !there {
			e.Errorf("queue %q is listed, and has no records and isn't paused: %+v", name, got[name])
		}
	}
}

// countsFollow leads records through every event and counts after each.
func countsFollow(e *env) {
	h := e.connect()
	agree := func(after string) {
		e.Helper()
		counts := make(map[string]map[tasks.Status]int64)
		waiting := make(map[string]map[string]int64)
		for _, rec := range e.list(h, tasks.Filter{}) {
			if counts[rec.Queue] == nil {
				counts[rec.Queue], waiting[rec.Queue] = make(map[tasks.Status]int64), make(map[string]int64)
			}
			counts[rec.Queue][rec.Status]++
			if rec.Status == tasks.Ready {
				waiting[rec.Queue][rec.Task]++
			}
		}
		got := e.queues(h)
		for name, q := range got {
			if !sameCounts(q.Counts, counts[name]) || !sameCounts(q.Waiting, waiting[name]) {
				e.Errorf("after %s: queue %q: got counts %v and waiting %v; the list has %v and %v",
					after, name, q.Counts, q.Waiting, counts[name], waiting[name])
			}
		}
		if len(got) != len(counts) {
			e.Errorf("after %s: got queues %v, the list has %v", after, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(counts)))
		}
	}
	recs := e.records(12, inQueue("one"), attempts(3))
	e.enqueue(h, recs...)
	agree("an enqueue")
	e.enqueue(h, recs[3].Clone(), e.record(inQueue("two"), delayed(time.Hour)))
	agree("an enqueue with a duplicate")
	cs := e.claim(h, 8)
	if len(cs) != 8 {
		e.Fatalf("claim gave %d records, want 8", len(cs))
	}
	agree("a claim")
	e.alterOne(h, tasks.Change{Kind: tasks.ChangeCancel}, cs[7].Record.ID)
	agree("the cancellation of a RUNNING record")
	for i, out := range []tasks.Outcome{
		success("1"), failure("no"), retry("again", 0),
		{Kind: tasks.OutcomeSnooze, Delay: time.Hour},
		{Kind: tasks.OutcomeRelease},
		{Kind: tasks.OutcomeRelease, Delay: time.Hour},
		{Kind: tasks.OutcomeCancel},
		success("2"),
	} {
		e.settle(h, cs[i], out)
		agree("an outcome of " + string(out.Kind))
	}
	out := success("1")
	out.Lease = cs[0].Lease
	if errs := e.settleAll(h, out); !errors.Is(errs[0], tasks.ErrLeaseLost) {
		e.Errorf("second settle of a lease: got %v, want ErrLeaseLost", errs[0])
	}
	agree("a settle without a lease")
	for _, step := range []struct {
		kind tasks.ChangeKind
		id   string
	}{
		{tasks.ChangeCancel, recs[11].ID},
		{tasks.ChangeRetry, recs[11].ID},
		{tasks.ChangeReschedule, recs[11].ID},
		{tasks.ChangeDelete, recs[11].ID},
		{tasks.ChangeRetry, cs[1].Record.ID},
		{tasks.ChangeDelete, cs[0].Record.ID},
		{tasks.ChangeCancel, cs[0].Record.ID},
	} {
		e.alter(h, tasks.Change{Kind: step.kind, Delay: time.Hour}, step.id)
		agree("a " + string(step.kind))
	}
	never, now := time.Duration(-1), time.Duration(0)
	e.enqueue(h,
		e.record(inQueue("gone"), func(r *tasks.Record) { r.Retain = &now }),
		e.record(inQueue("expired"), func(r *tasks.Record) { r.TTL, r.Delay, r.Retain = time.Millisecond, time.Hour, &never }))
	e.settle(h, e.claimFrom(h, "gone"), success("1"))
	agree("a deletion on finishing")
	e.enqueue(h, e.record(inQueue("lost"), attempts(2)))
	lapsing := e.claimAs(h, tasks.ClaimRequest{Selection: tasks.Selection{Queues: []string{"lost"}}, Worker: "gone", Limit: 1, Lease: e.timing.Lease})
	if len(lapsing) != 1 {
		e.Fatalf("claim gave %d records, want 1", len(lapsing))
	}
	e.eventually(10*e.timing.Lease, "a sweep takes the lapsed lease back", func() bool {
		e.sweep(h)
		return e.get(h, lapsing[0].Record.ID).Status == tasks.Ready
	})
	agree("sweeps")
	e.must(pruneAll(e, h, tasks.PruneRequest{Limit: 2}), "prune")
	agree("a prune")
	var ids []string
	for _, rec := range e.list(h, tasks.Filter{}) {
		ids = append(ids, rec.ID)
	}
	e.alter(h, tasks.Change{Kind: tasks.ChangeDelete}, ids...)
	agree("the deletion of all")
	e.empty(h, "the deletion of all")
}
