package conformance

import (
	"context"
	"errors"

	"github.com/sideman-go/sideman/tasks"
)

// hostileLookups looks for what can't be there.
func hostileLookups(e *env) {
	h := e.connect()
	rec := e.record(inQueue("a"), named("f"))
	e.enqueue(h, rec)
	was := e.snapshot(h)
	for what, text := range hostileTexts() {
		for _, filter := range []tasks.Filter{
			{Queues: []string{text}}, {Tasks: []string{text}}, {Worker: text}, {Statuses: []tasks.Status{tasks.Status(text)}},
		} {
			e.step("listing by %s", what)
			page, err := e.lister(h).List(e.ctx, tasks.ListRequest{Filter: filter})
			if err == nil && len(page.Records) > 0 {
				e.Errorf("list by %s: got %d records, want none", what, len(page.Records))
			}
		}
		e.step("looking for %s", what)
		if _, err := h.b.GetResult(e.ctx, text); !errors.Is(err, tasks.ErrResultNotFound) {
			e.Errorf("get result of an id with %s: got %.200v, want ErrResultNotFound", what, err)
		}
		for _, kind := range []tasks.ChangeKind{tasks.ChangeCancel, tasks.ChangeDelete} {
			if got := e.alter(h, tasks.Change{Kind: kind}, text)[0]; !errors.Is(got.Err, tasks.ErrResultNotFound) {
				e.Errorf("%s of an id with %s: got %.200v, want ErrResultNotFound", kind, what, got.Err)
			}
		}
		if got, err := h.s.Claim(e.ctx, inQueues(5, text)); err == nil && len(got) > 0 {
			e.hold(got)
			e.Errorf("claim from a queue with %s in its name gave %d records", what, len(got))
		}
		if err := h.s.Pause(e.ctx, text, true); err == nil {
			if q := e.queues(h); !q[text].Paused || q["a"].Paused {
				e.Errorf("pause of a queue with %s in its name was taken, and isn't exactly that", what)
			}
			e.must(h.s.Pause(e.ctx, text, false), "resume")
		}
		if p, err := h.s.Prune(e.ctx, tasks.PruneRequest{Queues: []string{text}}); err == nil && p.Deleted != 0 {
			e.Errorf("prune of a queue with %s in its name deleted %d records", what, p.Deleted)
		}
	}
	e.unchanged(h, "after looking for what isn't there", was)
}

// contextOver calls every method with a ctx that is over.
func contextOver(e *env) {
	h := e.connect()
	inspected := h.s != nil && h.caps.Has(tasks.CapInspect)
	var was snapshot
	if inspected {
		e.standing(h, tasks.Ready, inQueue("nothing here but this"))
		was = e.snapshot(h)
	}
	ctx, cancel := context.WithCancel(e.ctx)
	cancel()
	for _, m := range methods(e, h) {
		if m.name == "Check" {
			continue // it returns findings
		}
		e.within(2*e.timing.Obey, m.name+" with a ctx that is over", func() {
			if err := m.call(ctx); !errors.Is(err, context.Canceled) {
				e.Errorf("%s with a ctx that is over: got error %v, want context.Canceled", m.name, err)
			}
		})
	}
	if inspected {
		e.unchanged(h, "after calls with a ctx that was over", was)
	}
	if h.caps.Has(tasks.CapList) && !inspected {
		e.empty(h, "calls with a ctx that was over")
	}
}
