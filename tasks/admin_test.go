package tasks_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// admin is of a store with records r00 to r29: by threes READY, RUNNING and FAILED.
func admin(t *testing.T) (*tasks.Admin, *store) {
	t.Helper()
	b := newStore()
	app, _ := newApp(t, b)
	for i := range 30 {
		rec := &tasks.Record{
			ID: fmt.Sprintf("r%02d", i), Task: "t", Queue: "default", MaxAttempts: 1, EnqueuedAt: epoch,
			Status: []tasks.Status{tasks.Ready, tasks.Running, tasks.Failed}[i%3],
		}
		if rec.Status.Final() {
			rec.FinishedAt = epoch
		}
		b.put(rec)
	}
	a, err := app.Admin("default")
	wantNil(t, "Admin", err)
	return a, b
}

func TestI3_ChangesByID(t *testing.T) {
	a, b := admin(t)
	ctx := t.Context()
	at := epoch.Add(time.Hour)
	for _, tt := range []struct {
		name   string
		do     func() (tasks.Status, error)
		id     string
		answer tasks.Status
		target error
		stored tasks.Status
	}{
		{"cancel READY", func() (tasks.Status, error) { return a.Cancel(ctx, "r00", "why\x00") }, "r00", tasks.Cancelled, nil, tasks.Cancelled},
		{"cancel RUNNING", func() (tasks.Status, error) { return a.Cancel(ctx, "r01", "why") }, "r01", tasks.Running, nil, tasks.Running},
		{"cancel FAILED", func() (tasks.Status, error) { return a.Cancel(ctx, "r02", "why") }, "r02", tasks.Failed, tasks.ErrNoChange, tasks.Failed},
		{"retry FAILED", func() (tasks.Status, error) { return a.Retry(ctx, "r02") }, "r02", tasks.Ready, nil, tasks.Ready},
		{"retry READY", func() (tasks.Status, error) { return a.Retry(ctx, "r03") }, "r03", tasks.Ready, tasks.ErrNoChange, tasks.Ready},
		{"reschedule READY", func() (tasks.Status, error) { return a.Reschedule(ctx, "r03", at) }, "r03", tasks.Ready, nil, tasks.Ready},
		{"reschedule RUNNING", func() (tasks.Status, error) { return a.Reschedule(ctx, "r04", at) }, "r04", tasks.Running, tasks.ErrNoChange, tasks.Running},
		{"reschedule too late", func() (tasks.Status, error) { return a.Reschedule(ctx, "r03", at.AddDate(8000, 0, 0)) }, "r03", "", tasks.ErrInvalidTask, tasks.Ready},
		{"delete FAILED", func() (tasks.Status, error) { return "", a.Delete(ctx, "r05") }, "r05", "", nil, ""},
		{"delete RUNNING", func() (tasks.Status, error) { return "", a.Delete(ctx, "r04") }, "r04", "", tasks.ErrNoChange, tasks.Running},
		{"unknown", func() (tasks.Status, error) { return a.Cancel(ctx, "nope", "") }, "nope", "", tasks.ErrResultNotFound, ""},
	} {
		status, err := tt.do()
		if tt.target == nil {
			wantNil(t, tt.name, err)
		} else {
			wantErr(t, tt.name, err, tt.target, `on backend "default"`)
		}
		equal(t, tt.name+": answer", status, tt.answer)
		var stored tasks.Status
		if rec := b.get(tt.id); rec != nil {
			stored = rec.Status
		}
		equal(t, tt.name+": stored", stored, tt.stored)
	}
	equal(t, "reason, cleaned", b.get("r00").CancelReason, "why␀")
	equal(t, "request", b.get("r01").CancelRequested, true)
	equal(t, "RunAfter", b.get("r03").RunAfter, at)
}

func TestI3_AlterAnswersEachID(t *testing.T) {
	a, b := admin(t)
	got, err := a.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeCancel}, "r00", "nope", "r02")
	wantNil(t, "Alter", err)
	if len(got) != 3 || got[0].Err != nil || !errors.Is(got[1].Err, tasks.ErrResultNotFound) || !errors.Is(got[2].Err, tasks.ErrNoChange) {
		t.Errorf("Alter: got %v, want nil, not found, no change", got)
	}
	b.Calls()
	got, err = a.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeCancel})
	if got != nil || err != nil {
		t.Errorf("Alter of nothing: got %v, %v, want nil, nil", got, err)
	}
	equalSlices(t, "calls of the backend", b.Calls(), nil)
}

func TestI3_AlterMatching(t *testing.T) {
	a, b := admin(t)
	b.pageCap = 7
	var progress []tasks.Totals
	bulk := tasks.Bulk{DryRun: true, Progress: func(n tasks.Totals) { progress = append(progress, n) }}
	failed := tasks.Filter{Statuses: []tasks.Status{tasks.Failed}}
	got, err := a.AlterMatching(t.Context(), tasks.Change{Kind: tasks.ChangeRetry}, failed, bulk)
	wantNil(t, "dry run", err)
	equal(t, "dry run", got, tasks.Totals{Matched: 10})
	equal(t, "r02 after a dry run", b.get("r02").Status, tasks.Failed)
	if slices.Contains(b.Calls(), "alter") {
		t.Error("dry run: called Alter")
	}

	progress, bulk.DryRun = nil, false
	got, err = a.AlterMatching(t.Context(), tasks.Change{Kind: tasks.ChangeRetry}, failed, bulk)
	wantNil(t, "AlterMatching", err)
	equal(t, "AlterMatching", got, tasks.Totals{Matched: 10, Changed: 10})
	equal(t, "r29", b.get("r29").Status, tasks.Ready)
	equal(t, "progress reports", len(progress), 5)
	equal(t, "last progress", progress[4], got)

	got, err = a.AlterMatching(t.Context(), tasks.Change{Kind: tasks.ChangeDelete}, tasks.Filter{}, tasks.Bulk{})
	wantNil(t, "delete all", err)
	equal(t, "delete all", got, tasks.Totals{Matched: 30, Changed: 20, Skipped: 10})

	b.broken = tasks.ErrUnavailable
	_, err = a.AlterMatching(t.Context(), tasks.Change{Kind: tasks.ChangeDelete}, tasks.Filter{}, tasks.Bulk{})
	wantErr(t, "store away", err, tasks.ErrUnavailable)
}

func TestI1_AllFollowsThePages(t *testing.T) {
	a, b := admin(t)
	b.pageCap = 4
	var ids []string
	for rec, err := range a.All(t.Context(), tasks.Filter{Statuses: []tasks.Status{tasks.Running}}) {
		wantNil(t, "All", err)
		ids = append(ids, rec.ID)
	}
	equal(t, "ids", strings.Join(ids, " "), "r01 r04 r07 r10 r13 r16 r19 r22 r25 r28")
	n := 0
	for _, err := range a.All(t.Context(), tasks.Filter{}) {
		wantNil(t, "All", err)
		if n++; n == 3 {
			break
		}
	}
	from := a.From(t.Context(), tasks.ListRequest{After: "r27", Limit: 1})
	for range 2 { // each use begins anew
		ids = nil
		for rec, err := range from {
			wantNil(t, "From", err)
			ids = append(ids, rec.ID)
		}
		equal(t, "ids behind r27", strings.Join(ids, " "), "r28 r29")
	}
	b.broken = tasks.ErrUnavailable
	n = 0
	for rec, err := range a.All(t.Context(), tasks.Filter{}) {
		n++
		wantErr(t, "All", err, tasks.ErrUnavailable, "list")
		equal(t, "record with an error", rec == nil, true)
	}
	equal(t, "yields after an error", n, 1)
}

func TestI4_Prune(t *testing.T) {
	a, b := admin(t)
	ctx := t.Context()
	_, err := a.Prune(ctx, tasks.PruneRequest{Statuses: []tasks.Status{tasks.Failed, tasks.Running}}, tasks.Bulk{})
	wantErr(t, "a status that isn't final", err, tasks.ErrInvalidTask, "RUNNING is not a final status")
	_, err = a.Prune(ctx, tasks.PruneRequest{OlderThan: -1}, tasks.Bulk{})
	wantErr(t, "negative age", err, tasks.ErrInvalidTask, "negative")
	equalSlices(t, "calls of the backend", b.Calls(), nil)

	got, err := a.Prune(ctx, tasks.PruneRequest{OlderThan: time.Hour}, tasks.Bulk{DryRun: true})
	wantNil(t, "dry run", err)
	equal(t, "dry run", got, tasks.Totals{Matched: 10})
	b.put(&tasks.Record{ID: "young", Status: tasks.Failed, FinishedAt: time.Now()})
	got, err = a.Prune(ctx, tasks.PruneRequest{OlderThan: time.Hour}, tasks.Bulk{DryRun: true})
	wantNil(t, "dry run", err)
	equal(t, "dry run with a young one", got, tasks.Totals{Matched: 10})

	reports := 0
	got, err = a.Prune(ctx, tasks.PruneRequest{}, tasks.Bulk{Progress: func(tasks.Totals) { reports++ }})
	wantNil(t, "Prune", err)
	equal(t, "Prune", got, tasks.Totals{Matched: 11, Changed: 11})
	equal(t, "progress reports", reports, 6)
	equal(t, "left", len(b.recs), 20)
	b.broken = tasks.ErrUnavailable
	_, err = a.Prune(ctx, tasks.PruneRequest{}, tasks.Bulk{})
	wantErr(t, "store away", err, tasks.ErrUnavailable, "prune")
}

func TestI2_QueuesWorkersPauseAndResume(t *testing.T) {
	a, b := admin(t)
	b.queues = []tasks.QueueInfo{{Name: "q"}}
	b.workers = []tasks.WorkerInfo{{ID: "w"}}
	queues, err := a.Queues(t.Context())
	wantNil(t, "Queues", err)
	workers, err := a.Workers(t.Context())
	wantNil(t, "Workers", err)
	equal(t, "names", queues[0].Name+workers[0].ID, "qw")
	wantNil(t, "Pause", a.Pause(t.Context(), "q"))
	equal(t, "paused", b.paused["q"], true)
	wantNil(t, "Resume", a.Resume(t.Context(), "q"))
	equal(t, "paused", b.paused["q"], false)
	wantErr(t, "Pause of a bad name", a.Pause(t.Context(), "a\x00"), tasks.ErrInvalidTask, "pause")
	b.broken = tasks.ErrUnavailable
	_, err = a.Queues(t.Context())
	wantErr(t, "Queues", err, tasks.ErrUnavailable, "read queues")
	_, err = a.Workers(t.Context())
	wantErr(t, "Workers", err, tasks.ErrUnavailable, "read workers")
	wantErr(t, "Resume", a.Resume(t.Context(), "q"), tasks.ErrUnavailable, "resume")
}

func TestI1_FilterMatches(t *testing.T) {
	rec := &tasks.Record{Status: tasks.Failed, Queue: "q", Task: "t", WorkerIDs: []string{"w1", "w2"}, EnqueuedAt: epoch, FinishedAt: epoch.Add(time.Hour)}
	for name, tt := range map[string]struct {
		filter tasks.Filter
		want   bool
	}{
		"zero":                      {tasks.Filter{}, true},
		"one of the statuses":       {tasks.Filter{Statuses: []tasks.Status{tasks.Ready, tasks.Failed}}, true},
		"another status":            {tasks.Filter{Statuses: []tasks.Status{tasks.Ready}}, false},
		"queue":                     {tasks.Filter{Queues: []string{"q"}}, true},
		"another queue":             {tasks.Filter{Queues: []string{"r"}}, false},
		"task":                      {tasks.Filter{Tasks: []string{"s", "t"}}, true},
		"another task":              {tasks.Filter{Tasks: []string{"s"}}, false},
		"newest worker":             {tasks.Filter{Worker: "w2"}, true},
		"older worker":              {tasks.Filter{Worker: "w1"}, false},
		"since, included":           {tasks.Filter{Since: epoch}, true},
		"since, later":              {tasks.Filter{Since: epoch.Add(1)}, false},
		"until, not included":       {tasks.Filter{Until: epoch}, false},
		"until, later":              {tasks.Filter{Until: epoch.Add(1)}, true},
		"finished before, not incl": {tasks.Filter{FinishedBefore: epoch.Add(time.Hour)}, false},
		"finished before, later":    {tasks.Filter{FinishedBefore: epoch.Add(time.Hour + 1)}, true},
		"all, but one wrong":        {tasks.Filter{Statuses: []tasks.Status{tasks.Failed}, Queues: []string{"q"}, Tasks: []string{"t"}, Worker: "w"}, false},
	} {
		equal(t, name, tt.filter.Match(rec), tt.want)
	}
	unfinished := tasks.Filter{FinishedBefore: epoch.AddDate(1, 0, 0)}
	equal(t, "finished before, of a RUNNING one", unfinished.Match(&tasks.Record{Status: tasks.Running}), false)
	never := tasks.Filter{Worker: "w"}
	equal(t, "worker, of one that never ran", never.Match(&tasks.Record{}), false)
}

func TestW9_SelectionHas(t *testing.T) {
	for name, tt := range map[string]struct {
		sel  tasks.Selection
		want bool // for "q"
	}{
		"none listed":       {tasks.Selection{}, true},
		"star":              {tasks.Selection{Queues: []string{"other", "*"}}, true},
		"listed":            {tasks.Selection{Queues: []string{"other", "q"}}, true},
		"not listed":        {tasks.Selection{Queues: []string{"other"}}, false},
		"excluded":          {tasks.Selection{Exclude: []string{"q"}}, false},
		"listed, excluded":  {tasks.Selection{Queues: []string{"q"}, Exclude: []string{"q"}}, false},
		"another excluded":  {tasks.Selection{Queues: []string{"*"}, Exclude: []string{"other"}}, true},
		"a star in exclude": {tasks.Selection{Exclude: []string{"*"}}, true}, // a name like any other
	} {
		equal(t, name, tt.sel.Has("q"), tt.want)
	}
}

func TestPageSizeAndAlive(t *testing.T) {
	for limit, want := range map[int]int{-1: 100, 0: 100, 1: 1, 1000: 1000, 1001: 1000} {
		equal(t, fmt.Sprint("Limit ", limit), tasks.ListRequest{Limit: limit}.PageSize(), want)
	}
	w := tasks.WorkerInfo{Interval: time.Second}
	equal(t, "alive at three intervals", w.Alive(3*time.Second), true)
	equal(t, "alive after", w.Alive(3*time.Second+1), false)
}
