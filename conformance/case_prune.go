package conformance

import (
	"fmt"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func pruneCases() []Case {
	return slices.Concat(pruneCallCases(), retainCases())
}

func pruneCallCases() []Case {
	return []Case{
		{
			Name: "Prune/OnlyFinal", Clauses: []string{"I4"}, Needs: inspecting,
			What: "pruning must never touch READY and RUNNING records, even when asked to",
			run: func(e *env) {
				h := e.connect()
				fill := pruneFill(e, h, "q")
				was := e.snapshot(h)
				for _, statuses := range [][]tasks.Status{{tasks.Ready}, {tasks.Running}, {"nonsense"}} {
					e.step("pruning %v, which is to do nothing", statuses)
					p, err := h.s.Prune(e.ctx, tasks.PruneRequest{Statuses: statuses})
					if err == nil && p.Deleted != 0 {
						e.Errorf("prune of %v deleted %d records", statuses, p.Deleted)
					}
				}
				e.unchanged(h, "after a prune of unfinished records", was)
				e.must(pruneAll(e, h, tasks.PruneRequest{}), "prune")
				e.countsAre(h, map[string]map[tasks.Status]int64{"q": {tasks.Ready: 2, tasks.Running: 1}})
				e.absent(h, fill[tasks.Successful], fill[tasks.Failed], fill[tasks.Cancelled])
			},
		},
		{
			Name: "Prune/Selects", Clauses: []string{"I4"}, Needs: inspecting,
			What: "pruning must keep to the statuses and queues that it is asked for, by exact name",
			run: func(e *env) {
				h := e.connect()
				names := []string{"a", "A", "a%", "a*", "aa", "a/b"}
				for _, name := range names {
					for _, status := range []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled} {
						e.standing(h, status, inQueue(name))
					}
				}
				full := map[tasks.Status]int64{tasks.Successful: 1, tasks.Failed: 1, tasks.Cancelled: 1}
				want := map[string]map[tasks.Status]int64{"a": full, "A": full, "a%": full, "a*": full, "aa": full, "a/b": full}
				e.must(pruneAll(e, h, tasks.PruneRequest{Queues: []string{"a*", "nowhere"}, Statuses: []tasks.Status{tasks.Failed}}), "prune")
				want["a*"] = map[tasks.Status]int64{tasks.Successful: 1, tasks.Cancelled: 1}
				e.countsAre(h, want)
				e.must(pruneAll(e, h, tasks.PruneRequest{Queues: []string{"a%"}}), "prune")
				delete(want, "a%")
				e.countsAre(h, want)
				e.must(pruneAll(e, h, tasks.PruneRequest{Statuses: []tasks.Status{tasks.Successful, tasks.Cancelled}}), "prune")
				failed := map[tasks.Status]int64{tasks.Failed: 1}
				e.countsAre(h, map[string]map[tasks.Status]int64{"a": failed, "A": failed, "aa": failed, "a/b": failed})
			},
		},
		{
			Name: "Prune/Age", Clauses: []string{"I4"}, Needs: inspecting,
			What: "pruning by age must count from when a record finished, not from its enqueue or start",
			run: func(e *env) {
				h := e.connect()
				apart := 2 * e.timing.Lease
				old, _ := e.standing(h, tasks.Successful, inQueue("old"))
				e.enqueue(h, e.record(inQueue("young")))
				young := e.claimFrom(h, "young")
				e.pause(apart)
				e.finish(h, young, tasks.Successful) // enqueued and started long ago
				e.must(pruneAll(e, h, tasks.PruneRequest{OlderThan: time.Hour}), "prune")
				e.get(h, old.ID)
				e.must(pruneAll(e, h, tasks.PruneRequest{OlderThan: apart / 2}), "prune")
				e.gone(h, "older than asked for", old.ID)
				e.get(h, young.Record.ID)
				e.must(pruneAll(e, h, tasks.PruneRequest{}), "prune")
				e.gone(h, "no age asked for", young.Record.ID)
			},
		},
		{
			Name: "Prune/Batches", Clauses: []string{"I4"}, Needs: inspecting,
			What: "each call must delete at most Limit records, and following Next must come to the end of all that match",
			run: func(e *env) {
				h := e.connect()
				for i := range 11 {
					e.standing(h, []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled}[i%3], inQueue([]string{"a", "b"}[i%2]))
				}
				e.enqueue(h, e.records(3)...)
				e.must(pruneAll(e, h, tasks.PruneRequest{Limit: 3, Queues: []string{"a"}}), "prune")
				if n := e.counts(h); n[tasks.Successful]+n[tasks.Failed]+n[tasks.Cancelled] != 5 || n[tasks.Ready] != 3 {
					e.Errorf("after pruning queue a: %v left, want 5 final ones and 3 READY", n)
				}
				for _, after := range []string{"garbage", "\x00\xff", "-1", "🙂"} {
					e.step("pruning after %q", after)
					_, _ = h.s.Prune(e.ctx, tasks.PruneRequest{After: after, Queues: []string{"nowhere"}})
				}
				e.must(pruneAll(e, h, tasks.PruneRequest{Limit: 1}), "prune")
				e.countsAre(h, map[string]map[tasks.Status]int64{tasks.DefaultQueue: {tasks.Ready: 3}})
			},
		},
		{
			Name: "Prune/Admin", Clauses: []string{"I4", "I3"}, Needs: inspecting | tasks.CapList,
			What: "the operator's prune must count what it deletes, only count in a dry run, and refuse unfinished statuses",
			run: func(e *env) {
				h := e.connect()
				admin, err := h.app.Admin(tasks.DefaultAlias)
				e.must(err, "admin")
				pruneFill(e, h, "q")
				was := e.snapshot(h)
				_, err = admin.Prune(e.ctx, tasks.PruneRequest{Statuses: []tasks.Status{tasks.Failed, tasks.Ready}}, tasks.Bulk{})
				e.wantErr(err, tasks.ErrInvalidTask, "prune of READY records")
				e.pause(2 * time.Millisecond) // a dry run goes by the clock of the process
				if _, err = admin.Prune(e.ctx, tasks.PruneRequest{}, tasks.Bulk{DryRun: true}); err != nil {
					e.Errorf("dry run: %v", err)
				}
				e.unchanged(h, "after the refused prune and the dry run", was)
				totals, err := admin.Prune(e.ctx, tasks.PruneRequest{Limit: 2}, tasks.Bulk{})
				e.must(err, "prune")
				if totals.Changed != 3 {
					e.Errorf("prune: got %+v, want 3 changed", totals)
				}
			},
		},
	}
}

// pruneFill makes one record of each final status, one RUNNING, and two READY: one
// fresh and one that failed once. It returns their ids by status.
func pruneFill(e *env, h *handle, queue string) map[tasks.Status]string {
	e.Helper()
	ids := make(map[tasks.Status]string)
	for _, status := range []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled, tasks.Running, tasks.Ready} {
		rec, _ := e.standing(h, status, inQueue(queue))
		ids[status] = rec.ID
	}
	rec, _ := e.standing(h, tasks.Failed, inQueue(queue+" to be retried"))
	e.alterOne(h, tasks.Change{Kind: tasks.ChangeDelete}, rec.ID)
	again := e.record(inQueue(queue), attempts(2), priority(9))
	e.enqueue(h, again)
	e.settle(h, e.claimFrom(h, queue), retry("again", 0))
	return ids
}

// pruneAll prunes to the end, and holds each call to its limit.
func pruneAll(e *env, h *handle, req tasks.PruneRequest) error {
	e.Helper()
	limit := req.Limit
	if limit == 0 {
		limit = tasks.DefaultPruneBatch
	}
	for range 1000 {
		e.step("pruning by %+v", req)
		p, err := h.s.Prune(e.ctx, req)
		if err != nil {
			return err
		}
		if p.Deleted > limit {
			e.Errorf("prune by %+v: deleted %d, want at most %d", req, p.Deleted, limit)
		}
		if p.Next == "" {
			return nil
		}
		req.After = p.Next
	}
	return fmt.Errorf("prune by %+v doesn't come to an end", req)
}
