package conformance

import (
	"strings"

	"github.com/sideman-go/sideman/tasks"
)

func validateQueueCases() []Case {
	return []Case{
		{
			Name: "Validate/Queues", Clauses: []string{"V3"},
			What: "only the alias's configured queues must be accepted: \"default\" if none are listed, any if the list is empty",
			run:  validateQueues,
		},
		{
			Name: "Validate/QueueNames", Clauses: []string{"V3"},
			What: "every legal queue name must be stored, told apart from its likes, listed and claimed from as it is",
			run:  func(e *env) { e.names("queue") },
		},
		{
			Name: "Validate/TaskNames", Clauses: []string{"V1", "V3"},
			What: "every legal task name must be stored, told apart from its likes, and listed as it is",
			run:  func(e *env) { e.names("task") },
		},
	}
}

func validateQueues(e *env) {
	for _, c := range []struct {
		configured  []string
		good, wrong []string
	}{
		{nil, []string{"default"}, []string{"mail", "Default", "default ", "*"}},
		{[]string{"mail", "a/b"}, []string{"mail", "a/b"}, []string{"default", "a", "*"}},
		{[]string{}, []string{"default", "mail", "*"}, nil},
	} {
		h := e.connectWith(tasks.AppOptions{}, tasks.UseOptions{Queues: c.configured})
		task := echo[int](h, "queued")
		for _, q := range c.wrong {
			ids := []string{e.ids.New(), e.ids.New()}
			_, err := task.Using(tasks.Queue(q), tasks.ID(ids[0])).Enqueue(e.ctx, 1)
			e.wantErr(err, tasks.ErrInvalidTask, "Enqueue to %q where the queues are %q", q, c.configured)
			_, err = task.Using(tasks.Queue(q), tasks.ID(ids[1])).AEnqueue(e.ctx, 1).Wait(e.ctx)
			e.wantErr(err, tasks.ErrInvalidTask, "AEnqueue to %q where the queues are %q", q, c.configured)
			e.absent(h, ids...)
		}
		for _, q := range c.good {
			res, err := task.Using(tasks.Queue(q)).Enqueue(e.ctx, 1)
			if err != nil || res.Queue != q {
				e.Errorf("enqueue to %q where the queues are %q: error %v", q, c.configured, err)
			}
		}
		e.close(h)
	}
}

// oddNames are legal names, several of which differ only by what a store may
// fold: case, trailing spaces, the form of an accent, the end of a prefix.
func oddNames() []string {
	return []string{
		"a", "A", "a ", " a", "aa", "a/b", "a.b", "a:b", "a%b", "a_b", "a*b", "a?b", "a\\b", "a,b", "a;b",
		`"a"`, "'a'", "`a`", "{a}", "{a}b", "[a]", "$1", "%s", "--", "#", "&", "=", "|", "<a>", "..", "/", "%", "_", "null", "0", "-1",
		"é", "e\u0301", "ß", "SS", "İ", "ı", "日本語", "😀", "👩\u200d💻", "\u00a0",
		strings.Repeat("n", tasks.MaxName), strings.Repeat("n", tasks.MaxName-1), strings.Repeat("😀", tasks.MaxName/4),
	}
}

// names stores one record under each odd name of a kind and looks for it on every
// road that goes by names.
func (e *env) names(kind string) {
	h := e.connect()
	names := oddNames()
	ids := make(map[string]string)
	calls := make([]tasks.Call, len(names))
	base := echo[string](h, "echo")
	for i, name := range names {
		if kind == "queue" {
			calls[i] = base.Using(tasks.Queue(name)).With(name)
		} else {
			calls[i] = echo[string](h, name).With(name)
		}
	}
	results, err := h.app.EnqueueMany(e.ctx, calls...)
	e.must(err, "enqueue %d records, each with its own %s", len(names), kind)
	of := func(rec *tasks.Record) string {
		if kind == "queue" {
			return rec.Queue
		}
		return rec.Task
	}
	for i, name := range names {
		ids[name] = results[i].ID
		if got := of(&results[i].Record); got != name {
			e.Errorf("enqueued with %s %q, the result has %q", kind, name, got)
		}
		if h.caps.Has(tasks.CapResults) {
			if got := of(e.get(h, results[i].ID)); got != name {
				e.Errorf("enqueued with %s %q, read back as %q", kind, name, got)
			}
		}
		if h.caps.Has(tasks.CapList) {
			filter := tasks.Filter{Queues: []string{name}}
			if kind == "task" {
				filter = tasks.Filter{Tasks: []string{name}}
			}
			if got := e.list(h, filter); len(got) != 1 || got[0].ID != ids[name] {
				e.Errorf("list by %s %q gives %d records, want just its own", kind, name, len(got))
			}
		}
	}
	if h.s != nil && kind == "queue" {
		e.claimByName(h, ids)
	}
}

func (e *env) claimByName(h *handle, ids map[string]string) {
	e.Helper()
	if h.caps.Has(tasks.CapInspect) {
		queues := e.queues(h)
		for name := range ids {
			if got := queues[name].Counts[tasks.Ready]; got != 1 {
				e.Errorf("queue %q is counted with %d READY, want 1", name, got)
			}
		}
	}
	req := tasks.ClaimRequest{Worker: "w", Limit: len(ids), Lease: e.timing.Deadline}
	for name, id := range ids {
		req.Queues = []string{name}
		got := e.claimAs(h, req)
		if len(got) != 1 || got[0].Record.ID != id {
			e.Errorf("a claim from queue %q gives %d records, want just its own", name, len(got))
		}
		for _, c := range got {
			e.settle(h, c, success("1"))
		}
	}
}
