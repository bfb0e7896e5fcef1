package conformance

import (
	"errors"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func alterManyCases() []Case {
	return []Case{
		{
			Name: "Alter/Batch", Clauses: []string{"I3"}, Needs: inspecting,
			What: "a batch must give one answer per id, in order, and one that can't be changed must not keep others from it",
			run:  alterBatch,
		},
		{
			Name: "Alter/SameIDTwice", Clauses: []string{"I3"}, Needs: inspecting,
			What: "an id that is twice in a batch must be changed once, and the second answer must say so",
			run: func(e *env) {
				h := e.connect()
				for _, test := range []struct {
					kind   tasks.ChangeKind
					from   tasks.Status
					second error
				}{
					{tasks.ChangeCancel, tasks.Ready, tasks.ErrNoChange},
					{tasks.ChangeRetry, tasks.Failed, tasks.ErrNoChange},
					{tasks.ChangeDelete, tasks.Successful, tasks.ErrResultNotFound},
				} {
					rec, _ := e.standing(h, test.from, inQueue(string(test.kind)))
					answers := e.alter(h, tasks.Change{Kind: test.kind}, rec.ID, rec.ID)
					if answers[0].Err != nil || !errors.Is(answers[1].Err, test.second) {
						e.Errorf("%s twice of a %s record: got errors %v and %v; want nil and %v",
							test.kind, test.from, answers[0].Err, answers[1].Err, test.second)
					}
				}
			},
		},
		{
			Name: "Alter/Nothing", Clauses: []string{"I3"}, Needs: inspecting,
			What: "an empty batch, and a change of a kind that doesn't exist, must change nothing",
			run: func(e *env) {
				h := e.connect()
				for _, status := range []tasks.Status{tasks.Failed, tasks.Running, tasks.Ready} {
					e.standing(h, status)
				}
				was := e.snapshot(h)
				for _, ids := range [][]string{nil, {}} {
					e.alter(h, tasks.Change{Kind: tasks.ChangeDelete}, ids...)
				}
				e.step("altering by an unknown kind")
				answers, err := h.s.Alter(e.ctx, tasks.Change{Kind: "nonsense"}, idsOf(was.recs))
				for i, answer := range answers {
					if err == nil && answer.Err == nil {
						e.Errorf("a change of unknown kind of a %s record: got no error", was.recs[i].Status)
					}
				}
				e.unchanged(h, "after changes of nothing", was)
			},
		},
		{
			Name: "Alter/Many", Clauses: []string{"I3"}, Needs: inspecting,
			What: "a batch of many ids must be changed whole",
			run: func(e *env) {
				h := e.connect()
				recs := e.records(1200)
				e.enqueue(h, recs...)
				for i, answer := range e.alter(h, tasks.Change{Kind: tasks.ChangeCancel}, idsOf(recs)...) {
					if answer.Err != nil || answer.Status != tasks.Cancelled {
						e.Fatalf("cancel %d of %d: got %+v, want CANCELLED", i, len(recs), answer)
					}
				}
				if n := e.counts(h)[tasks.Cancelled]; n != 1200 {
					e.Errorf("%d records are CANCELLED, want 1200", n)
				}
			},
		},
		{
			Name: "Alter/ByFilter", Clauses: []string{"I3"}, Needs: inspecting | tasks.CapList,
			What: "a change by filter must reach all that match though they stop matching meanwhile, and a dry run must change nothing",
			run:  alterByFilter,
		},
		{
			Name: "Alter/Admin", Clauses: []string{"I3"}, Needs: inspecting | tasks.CapList,
			What: "the operator's calls must give the sentinels, the status and the id",
			run: func(e *env) {
				h := e.connect()
				admin, err := h.app.Admin(tasks.DefaultAlias)
				e.must(err, "admin")
				unknown := e.ids.New()
				_, err = admin.Cancel(e.ctx, unknown, "")
				e.wantErr(err, tasks.ErrResultNotFound, "cancel of an unknown id")
				var full *tasks.Error
				if !errors.As(err, &full) || full.ID != unknown || full.Alias != tasks.DefaultAlias {
					e.Errorf("cancel of an unknown id: error %v doesn't tell id and alias", err)
				}
				done, _ := e.standing(h, tasks.Successful)
				status, err := admin.Cancel(e.ctx, done.ID, "")
				e.wantErr(err, tasks.ErrNoChange, "cancel of a SUCCESSFUL record")
				if status != tasks.Successful {
					e.Errorf("cancel of a SUCCESSFUL record: got status %q", status)
				}
				_, running := e.standing(h, tasks.Running)
				e.wantErr(admin.Delete(e.ctx, running.Record.ID), tasks.ErrNoChange, "delete of a RUNNING record")
				e.must(admin.Delete(e.ctx, done.ID), "delete")
				_, err = admin.Retry(e.ctx, done.ID)
				e.wantErr(err, tasks.ErrResultNotFound, "retry of a deleted record")
				rec := e.record()
				e.enqueue(h, rec)
				at := rec.EnqueuedAt.Add(time.Hour)
				status, err = admin.Reschedule(e.ctx, rec.ID, at)
				e.must(err, "reschedule")
				if got := e.get(h, rec.ID); status != tasks.Ready || !sameTime(got.RunAfter, at) {
					e.Errorf("reschedule: got status %q, run after %v; want READY, %v", status, got.RunAfter, at)
				}
			},
		},
	}
}

func alterBatch(e *env) {
	h := e.connect()
	done, _ := e.standing(h, tasks.Successful)
	failed, _ := e.standing(h, tasks.Failed)
	running, lease := e.standing(h, tasks.Running)
	ready, _ := e.standing(h, tasks.Ready)
	other, _ := e.standing(h, tasks.Ready)
	ids := []string{
		e.ids.New(), ready.ID, "", done.ID, "no uuid", running.ID, "🙂", failed.ID, ready.ID + " ", "' OR 1=1 --", other.ID,
		"../x", "00000000-0000-0000-0000-000000000000", "%", "*",
	}
	want := map[string]tasks.Altered{
		ready.ID: {Status: tasks.Cancelled}, other.ID: {Status: tasks.Cancelled}, running.ID: {Status: tasks.Running},
		done.ID:   {Status: tasks.Successful, Err: tasks.ErrNoChange},
		failed.ID: {Status: tasks.Failed, Err: tasks.ErrNoChange},
	}
	for i, got := range e.alter(h, tasks.Change{Kind: tasks.ChangeCancel}, ids...) {
		w, known := want[ids[i]]
		if !known {
			w.Err = tasks.ErrResultNotFound
		}
		if got.Status != w.Status || !errors.Is(got.Err, w.Err) || (w.Err == nil && got.Err != nil) {
			e.Errorf("answer %d, to cancel of %q: got %+v, want %+v", i, ids[i], got, w)
		}
	}
	e.settle(h, lease, failure("stopped"))
	for id, status := range map[string]tasks.Status{
		ready.ID: tasks.Cancelled, other.ID: tasks.Cancelled, running.ID: tasks.Cancelled, done.ID: tasks.Successful, failed.ID: tasks.Failed,
	} {
		if got := e.get(h, id); got.Status != status {
			e.Errorf("record %s is %s, want %s", id, got.Status, status)
		}
	}
}

// alterByFilter has more records than Admin takes at once, and a filter that they
// stop matching when they are changed.
func alterByFilter(e *env) {
	h := e.connect()
	admin, err := h.app.Admin(tasks.DefaultAlias)
	e.must(err, "admin")
	const many = 1100
	_, running := e.standing(h, tasks.Running, inQueue("wanted"))
	e.enqueue(h, e.records(3, inQueue("other"))...)
	e.enqueue(h, e.records(many, inQueue("wanted"))...)
	filter := tasks.Filter{Queues: []string{"wanted"}, Statuses: []tasks.Status{tasks.Ready}}
	cancel := tasks.Change{Kind: tasks.ChangeCancel, Reason: "all of them"}

	was := e.snapshot(h)
	totals, err := admin.AlterMatching(e.ctx, cancel, filter, tasks.Bulk{DryRun: true})
	e.must(err, "dry run")
	if want := (tasks.Totals{Matched: many}); totals != want {
		e.Errorf("dry run: got %+v, want %+v", totals, want)
	}
	e.unchanged(h, "after the dry run", was)

	var told []int
	totals, err = admin.AlterMatching(e.ctx, cancel, filter, tasks.Bulk{Progress: func(t tasks.Totals) { told = append(told, t.Changed) }})
	e.must(err, "cancel by filter")
	if want := (tasks.Totals{Matched: many, Changed: many}); totals != want {
		e.Errorf("cancel by filter: got %+v, want %+v", totals, want)
	}
	if len(told) == 0 || !slices.IsSorted(told) || told[len(told)-1] != many {
		e.Errorf("progress: got %v, want it to rise to %d", told, many)
	}
	e.countsAre(h, map[string]map[tasks.Status]int64{
		"wanted": {tasks.Running: 1, tasks.Cancelled: many}, "other": {tasks.Ready: 3},
	})
	totals, err = admin.AlterMatching(e.ctx, tasks.Change{Kind: tasks.ChangeDelete}, tasks.Filter{Queues: []string{"wanted"}}, tasks.Bulk{})
	e.must(err, "delete by filter")
	if want := (tasks.Totals{Matched: many + 1, Changed: many, Skipped: 1}); totals != want {
		e.Errorf("delete by filter: got %+v, want %+v: the RUNNING one is skipped", totals, want)
	}
	e.settle(h, running, success("1"))
}
