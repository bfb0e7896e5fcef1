package conformance

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func capabilityCases() []Case {
	return []Case{
		{
			Name: "Capability/DeferRefused", Clauses: []string{"CAP2"}, Lacks: tasks.CapDefer,
			What: "a task with run_after must be refused where defer isn't declared, and leave no trace",
			run:  func(e *env) { e.refused(tasks.CapDefer, tasks.RunIn(time.Hour)) },
		},
		{
			Name: "Capability/ExpireRefused", Clauses: []string{"CAP2"}, Lacks: tasks.CapExpire,
			What: "a task with an expiry must be refused where expire isn't declared, and leave no trace",
			run:  func(e *env) { e.refused(tasks.CapExpire, tasks.ExpiresIn(time.Hour)) },
		},
		{
			Name: "Capability/PriorityRefused", Clauses: []string{"CAP2"}, Lacks: tasks.CapPriority,
			What: "a task with a priority must be refused where priority isn't declared, and leave no trace",
			run:  func(e *env) { e.refused(tasks.CapPriority, tasks.Priority(1)) },
		},
	}
}

// refused enqueues a task with an option that needs a capability which isn't
// declared, and wants the sentinel, the names in the message, and no trace.
func (e *env) refused(missing tasks.Capability, option tasks.Option) {
	e.Helper()
	h := e.connect()
	ran := false
	task := tasks.Define(h.app, "refused", func(context.Context, int) (int, error) { ran = true; return 0, nil })
	id := e.ids.New()
	_, err := task.Using(option, tasks.ID(id)).Enqueue(e.ctx, 1)
	if !errors.Is(err, tasks.ErrUnsupported) {
		e.Fatalf("error %v, want ErrUnsupported", err)
	}
	for _, part := range []string{tasks.DefaultAlias, missing.String()} {
		if !strings.Contains(err.Error(), part) {
			e.Errorf("the error %q doesn't name %q", err, part)
		}
	}
	if ran {
		e.Errorf("the task ran though it was refused")
	}
	if h.caps.Has(tasks.CapResults) {
		if _, err := h.b.GetResult(e.ctx, id); !errors.Is(err, tasks.ErrResultNotFound) {
			e.Errorf("get result of the refused id: %v, want ErrResultNotFound", err)
		}
	}
	if h.caps.Has(tasks.CapList) {
		if recs := e.list(h, tasks.Filter{}); len(recs) > 0 {
			e.Errorf("%d records are stored though the task was refused", len(recs))
		}
	}
}
