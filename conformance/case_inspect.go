package conformance

import (
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func inspectCases() []Case {
	return slices.Concat(listCases(), pagingCases(), queuesCases())
}

func listCases() []Case {
	return []Case{
		{
			Name: "Inspect/List", Clauses: []string{"I1"}, Needs: tasks.CapList,
			What: "a list must have every record once, by id, complete, and the other way round if asked",
			run: func(e *env) {
				h := e.connect()
				if recs := e.list(h, tasks.Filter{}); len(recs) > 0 {
					e.Errorf("an empty store lists %d records", len(recs))
				}
				recs := e.records(7)
				for i, rec := range recs {
					rec.Queue, rec.Task = []string{"one", "two"}[i%2], []string{"f", "g", "h"}[i%3]
					rec.Metadata = map[string]string{"k": rec.Task}
				}
				e.enqueue(h, recs[4], recs[1], recs[6], recs[0])
				e.enqueue(h, recs[5], recs[2], recs[3])
				for _, size := range []int{0, 1, 2, 3, 7, 50} {
					e.sameRecords("oldest first", e.pages(h, tasks.ListRequest{Limit: size}), recs)
					newest := slices.Clone(recs)
					slices.Reverse(newest)
					e.sameRecords("newest first", e.pages(h, tasks.ListRequest{Limit: size, Newest: true}), newest)
				}
			},
		},
		{
			Name: "Inspect/ListByName", Clauses: []string{"I1", "V3"}, Needs: tasks.CapList,
			What: "a filter by queue or task must compare names exactly, whatever characters they have",
			run:  listByName,
		},
		{
			Name: "Inspect/Filters", Clauses: []string{"I1"}, Needs: inspecting,
			What: "each filter, alone and with others, must select exactly the records that Filter.Match does",
			run:  listFilters,
		},
		{
			Name: "Inspect/ListCopies", Clauses: []string{"I1", "R7"}, Needs: tasks.CapList,
			What: "what a list returns must not be memory of the store",
			run: func(e *env) {
				h := e.connect()
				rec := e.record(func(r *tasks.Record) { r.Metadata = map[string]string{"k": "v"} })
				e.enqueue(h, rec)
				want := rec.Clone()
				got := e.list(h, tasks.Filter{})
				if len(got) != 1 {
					e.Fatalf("list has %d records, want 1", len(got))
				}
				got[0].Status, got[0].Queue = tasks.Failed, "changed"
				got[0].Args[0], got[0].Metadata["k"] = 'X', "changed"
				rec.Args[0], rec.Metadata["k"] = 'Y', "changed too"
				e.sameRecords("listed again", e.list(h, tasks.Filter{}), []*tasks.Record{want})
			},
		},
		{
			Name: "Inspect/Admin", Clauses: []string{"I1", "I2"}, Needs: inspecting,
			What: "App.Admin must open on a backend that declares inspect, and show what the store shows",
			run: func(e *env) {
				h := e.connect()
				admin, err := h.app.Admin(tasks.DefaultAlias)
				e.must(err, "admin")
				recs := e.records(3)
				e.enqueue(h, recs...)
				var got []*tasks.Record
				for rec, err := range admin.All(e.ctx, tasks.Filter{Queues: []string{tasks.DefaultQueue}}) {
					e.must(err, "all")
					got = append(got, rec)
				}
				e.sameRecords("all", got, recs)
				queues, err := admin.Queues(e.ctx)
				e.must(err, "queues")
				if len(queues) != 1 || queues[0].Name != tasks.DefaultQueue || queues[0].Counts[tasks.Ready] != 3 {
					e.Errorf("queues: got %+v, want %q with 3 READY", queues, tasks.DefaultQueue)
				}
				workers, err := admin.Workers(e.ctx)
				e.must(err, "workers")
				if len(workers) != 0 {
					e.Errorf("workers: got %+v, want none", workers)
				}
			},
		},
	}
}

func listByName(e *env) {
	h := e.connect()
	names := hostileNames()
	var recs []*tasks.Record
	for i, name := range names {
		recs = append(recs, e.record(inQueue(name), named(names[len(names)-1-i])))
	}
	e.enqueue(h, recs...)
	for i, name := range names {
		byQueue := e.list(h, tasks.Filter{Queues: []string{name}})
		if len(byQueue) != 1 || byQueue[0].ID != recs[i].ID {
			e.Errorf("by queue %q: got %v, want only %v", name, queuesOf(byQueue), recs[i].ID)
		}
		byTask := e.list(h, tasks.Filter{Tasks: []string{recs[i].Task}})
		if len(byTask) != 1 || byTask[0].ID != recs[i].ID {
			e.Errorf("by task %q: got %v, want only %v", recs[i].Task, idsOf(byTask), recs[i].ID)
		}
	}
	e.sameRecords("by all queues", e.list(h, tasks.Filter{Queues: names}), recs)
	for _, filter := range []tasks.Filter{
		{Queues: []string{"b"}},
		{Queues: []string{""}},
		{Tasks: []string{"b"}},
		{Tasks: []string{"***"}},
		{Queues: []string{strings.Repeat("b", tasks.MaxName)}},
	} {
		if got := e.list(h, filter); len(got) > 0 {
			e.Errorf("by %+v: got %d records, want none", filter, len(got))
		}
	}
}

func queuesOf(recs []*tasks.Record) []string {
	names := make([]string, len(recs))
	for i, rec := range recs {
		names[i] = rec.Queue
	}
	return names
}

// listFilters holds every combination of some values of each field against Match.
func listFilters(e *env) {
	h := e.connect()
	var recs []*tasks.Record
	for i, status := range []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled, tasks.Running, tasks.Ready} {
		for j, queue := range []string{"a", "a%", "A"} {
			rec, _ := e.standing(h, status, inQueue(queue), named([]string{"f", "f.g", "F"}[(i+j)%3]))
			recs = append(recs, rec)
			e.pause(time.Millisecond) // so that their times differ
		}
	}
	// One was tried by worker-1, then by another: only the newest counts.
	rec := e.record(inQueue("tried twice"), attempts(3))
	e.enqueue(h, rec)
	e.settle(h, e.claimFrom(h, "tried twice"), retry("again", 0))
	req := tasks.ClaimRequest{Selection: tasks.Selection{Queues: []string{"tried twice"}}, Worker: "worker-2", Limit: 1, Lease: time.Minute}
	if got := e.claimAs(h, req); len(got) != 1 {
		e.Fatalf("claim of the second attempt gave %d records, want 1", len(got))
	}
	recs = append(recs, e.get(h, rec.ID))

	middle, finished := recs[7], recs[4]
	for _, statuses := range [][]tasks.Status{nil, {tasks.Ready}, {tasks.Failed, tasks.Running}, tasks.Statuses()} {
		for _, queues := range [][]string{nil, {"a"}, {"A", "a%", "nowhere"}} {
			for _, names := range [][]string{nil, {"f"}, {"f.g", "F"}} {
				for _, worker := range []string{"", "worker-1", "worker-2", "worker"} {
					e.filtered(h, recs, tasks.Filter{Statuses: statuses, Queues: queues, Tasks: names, Worker: worker})
				}
			}
		}
		for _, queues := range [][]string{nil, {"a"}} {
			base := tasks.Filter{Statuses: statuses, Queues: queues}
			since, until, between, before := base, base, base, base
			since.Since, until.Until = middle.EnqueuedAt, middle.EnqueuedAt
			between.Since, between.Until = recs[2].EnqueuedAt, recs[9].EnqueuedAt
			before.FinishedBefore = finished.FinishedAt
			later := before
			later.FinishedBefore = finished.FinishedAt.Add(time.Microsecond)
			elsewhere := between // the same instants, written in another zone
			zone := time.FixedZone("far", 13*60*60)
			elsewhere.Since, elsewhere.Until = between.Since.In(zone), between.Until.In(zone)
			for _, f := range []tasks.Filter{since, until, between, before, later, elsewhere} {
				e.filtered(h, recs, f)
			}
		}
	}
	for _, text := range []string{"again", "AGAIN", "other", "nothing of that", "%"} {
		e.filtered(h, recs, tasks.Filter{Error: text})
		e.filtered(h, recs, tasks.Filter{Error: text, Statuses: []tasks.Status{tasks.Failed}})
	}
	e.filtered(h, recs, tasks.Filter{Since: middle.EnqueuedAt, Until: middle.EnqueuedAt})
	e.filtered(h, recs, tasks.Filter{Until: time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC)})
	e.filtered(h, recs, tasks.Filter{Since: time.Date(2900, 1, 1, 0, 0, 0, 0, time.UTC)})
}

// filtered lists by a filter, both ways, and compares with Filter.Match.
func (e *env) filtered(h *handle, recs []*tasks.Record, filter tasks.Filter) {
	e.Helper()
	var want []*tasks.Record
	for _, rec := range recs {
		if filter.Match(rec) {
			want = append(want, rec)
		}
	}
	got := e.pages(h, tasks.ListRequest{Filter: filter, Limit: 4})
	if !slices.Equal(idsOf(got), idsOf(want)) {
		e.Errorf("list by %+v: got %d records %v, want %d: %v", filter, len(got), idsOf(got), len(want), idsOf(want))
	}
	slices.Reverse(want)
	got = e.pages(h, tasks.ListRequest{Filter: filter, Limit: 3, Newest: true})
	if !slices.Equal(idsOf(got), idsOf(want)) {
		e.Errorf("list newest first by %+v: got %d records %v, want %d: %v", filter, len(got), idsOf(got), len(want), idsOf(want))
	}
}
