package conformance

import (
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func capabilityWorksCases() []Case {
	return []Case{
		{
			Name: "Capability/Constant", Clauses: []string{"CAP1"},
			What: "the declared capabilities must be known ones, and the same on each handle, before and after use and Close",
			run:  capabilityConstant,
		},
		{
			Name: "Capability/Interfaces", Clauses: []string{"CAP1"},
			What: "a declared capability must have its interface: worker a Store, list a Lister, inspect an Inspector",
			run:  capabilityInterfaces,
		},
		{
			Name: "Capability/DeferWorks", Clauses: []string{"CAP1", "V4"}, Needs: tasks.CapDefer | tasks.CapResults,
			What: "where defer is declared, RunIn must be stored as a run_after counted from the enqueue",
			run: func(e *env) {
				h := e.connect()
				res, err := echo[int](h, "later").Using(tasks.RunIn(time.Hour)).Enqueue(e.ctx, 1)
				e.must(err, "enqueue with RunIn")
				rec := e.get(h, res.ID)
				if want := rec.EnqueuedAt.Add(time.Hour); !sameTime(rec.RunAfter, want) || rec.Status != tasks.Ready {
					e.Errorf("stored %s with run_after %v, want READY with %v", rec.Status, rec.RunAfter, want)
				}
				if h.s != nil {
					if got := e.claim(h, 1); len(got) > 0 {
						e.Errorf("a record due in an hour was claimed")
					}
				}
			},
		},
		{
			Name: "Capability/ExpireWorks", Clauses: []string{"CAP1"}, Needs: tasks.CapExpire | tasks.CapResults,
			What: "where expire is declared, ExpiresIn must be stored as an expiry counted from the enqueue",
			run: func(e *env) {
				h := e.connect()
				res, err := echo[int](h, "soon").Using(tasks.ExpiresIn(time.Hour)).Enqueue(e.ctx, 1)
				e.must(err, "enqueue with ExpiresIn")
				rec := e.get(h, res.ID)
				if want := rec.EnqueuedAt.Add(time.Hour); !sameTime(rec.ExpiresAt, want) || rec.Status != tasks.Ready {
					e.Errorf("stored %s with expires_at %v, want READY with %v", rec.Status, rec.ExpiresAt, want)
				}
			},
		},
		{
			Name: "Capability/PriorityWorks", Clauses: []string{"CAP1", "V2"}, Needs: tasks.CapPriority,
			What: "where priority is declared, every priority from -100 to 100 must be accepted and kept",
			run: func(e *env) {
				h := e.connect()
				task := echo[int](h, "urgent")
				for _, p := range []int{tasks.MinPriority, -1, 1, tasks.MaxPriority} {
					res, err := task.Using(tasks.Priority(p)).Enqueue(e.ctx, 1)
					e.must(err, "enqueue with priority %d", p)
					if res.Priority != p {
						e.Errorf("enqueued with priority %d: the result has %d", p, res.Priority)
					}
					if h.caps.Has(tasks.CapResults) {
						if got := e.get(h, res.ID).Priority; got != p {
							e.Errorf("enqueued with priority %d: read back %d", p, got)
						}
					}
				}
			},
		},
		{
			Name: "Capability/ListWorks", Clauses: []string{"CAP1"}, Needs: tasks.CapList,
			What: "where list is declared, App.Admin must list what was enqueued",
			run: func(e *env) {
				h := e.connect()
				res, err := echo[int](h, "listed").Enqueue(e.ctx, 1)
				e.must(err, "enqueue")
				admin, err := h.app.Admin(tasks.DefaultAlias)
				e.must(err, "Admin")
				var ids []string
				for rec, err := range admin.All(e.ctx, tasks.Filter{}) {
					e.must(err, "list")
					ids = append(ids, rec.ID)
				}
				if len(ids) != 1 || ids[0] != res.ID {
					e.Errorf("listed %q, want the one id %q", ids, res.ID)
				}
			},
		},
		{
			Name: "Capability/InspectWorks", Clauses: []string{"CAP1"}, Needs: tasks.CapInspect,
			What: "where inspect is declared, App.Admin must count, cancel and delete what was enqueued",
			run: func(e *env) {
				h := e.connect()
				res, err := echo[int](h, "inspected").Enqueue(e.ctx, 1)
				e.must(err, "enqueue")
				admin, err := h.app.Admin(tasks.DefaultAlias)
				e.must(err, "Admin")
				queues, err := admin.Queues(e.ctx)
				e.must(err, "queues")
				if len(queues) != 1 || queues[0].Counts[tasks.Ready] != 1 {
					e.Errorf("queues are %+v, want one with 1 READY", queues)
				}
				status, err := admin.Cancel(e.ctx, res.ID, "enough")
				if err != nil || status != tasks.Cancelled {
					e.Errorf("cancel: got %s, error %v; want CANCELLED", status, err)
				}
				e.must(admin.Delete(e.ctx, res.ID), "delete")
				e.empty(h, "deleting the only record")
			},
		},
		{
			Name: "Capability/WorkerWorks", Clauses: []string{"CAP1"}, Needs: tasks.CapWorker | tasks.CapResults,
			What: "where worker is declared, a task enqueued through the App must run and leave its value",
			run: func(e *env) {
				h := e.connect()
				task := echo[string](h, "worked")
				res, err := task.Enqueue(e.ctx, "hello")
				e.must(err, "enqueue")
				e.runAll(h)
				e.must(res.Refresh(e.ctx), "refresh")
				if got, err := res.ReturnValue(); err != nil || got != "hello" {
					e.Errorf("the value is %q, error %v (record %s); want %q", got, err, brief(&res.Record), "hello")
				}
			},
		},
	}
}

func capabilityConstant(e *env) {
	h := e.connect()
	want := h.b.Capabilities()
	var known tasks.Capability
	for _, c := range tasks.Capabilities() {
		known |= c
	}
	if unknown := want &^ known; unknown != 0 {
		e.Errorf("the capabilities %v have unknown members %b", want, unknown)
	}
	_, err := echo[int](h, "any").Enqueue(e.ctx, 1)
	e.must(err, "enqueue")
	if got := h.b.Capabilities(); got != want {
		e.Errorf("after an enqueue the capabilities are %v, before they were %v", got, want)
	}
	e.close(h)
	if got := h.b.Capabilities(); got != want {
		e.Errorf("after Close the capabilities are %v, before they were %v", got, want)
	}
	if got := e.connect().b.Capabilities(); got != want {
		e.Errorf("on another handle the capabilities are %v, on the first %v", got, want)
	}
}

func capabilityInterfaces(e *env) {
	h := e.connect()
	_, store := tasks.As[tasks.Store](h.b)
	_, lister := tasks.As[tasks.Lister](h.b)
	_, inspector := tasks.As[tasks.Inspector](h.b)
	for _, c := range []struct {
		declared tasks.Capability
		has      bool
		what     string
	}{
		{tasks.CapWorker, store, "is no tasks.Store"},
		{tasks.CapList, lister, "is no tasks.Lister"},
		{tasks.CapInspect, inspector, "is no tasks.Inspector"},
		// What can't be used without the other isn't declared without it.
		{tasks.CapInspect, h.caps.Has(tasks.CapList), "doesn't declare list, without which App.Admin refuses"},
		{tasks.CapNotify, h.caps.Has(tasks.CapWorker), "doesn't declare worker, and only a Store has Wait"},
	} {
		if h.caps.Has(c.declared) && !c.has {
			e.Errorf("the backend declares %v but %s", c.declared, c.what)
		}
	}
}
