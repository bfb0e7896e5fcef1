package conformance

import (
	"context"
	"errors"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// method is one of the backend with harmless arguments.
type method struct {
	name string
	call func(ctx context.Context) error
}

// methods returns every method of the backend that takes a ctx, but for Close and
// those that wait for something.
func methods(e *env, h *handle) []method {
	all := []method{
		{"Enqueue", func(ctx context.Context) error { return h.b.Enqueue(ctx, e.records(1, inQueue("methods"))) }},
		{"Check", func(ctx context.Context) error { h.b.Check(ctx); return nil }},
	}
	if async, ok := tasks.As[tasks.AsyncEnqueuer](h.b); ok {
		all = append(all, method{"AEnqueue", func(ctx context.Context) error {
			done := make(chan error, 1)
			async.AEnqueue(ctx, e.records(1, inQueue("methods")), func(err error) { done <- err })
			select {
			case err := <-done:
				return err
			case <-e.ctx.Done():
				return errors.New("done is not called by the deadline of the case")
			}
		}})
	}
	if h.caps.Has(tasks.CapResults) {
		all = append(all, method{"GetResult", func(ctx context.Context) error { _, err := h.b.GetResult(ctx, e.ids.New()); return err }})
		if waiter, ok := tasks.As[tasks.ResultWaiter](h.b); ok {
			all = append(all, method{"WaitResult", func(ctx context.Context) error { _, err := waiter.WaitResult(ctx, e.ids.New()); return err }})
		}
	}
	if h.caps.Has(tasks.CapList) {
		if lister, ok := tasks.As[tasks.Lister](h.b); ok {
			all = append(all, method{"List", func(ctx context.Context) error { _, err := lister.List(ctx, tasks.ListRequest{}); return err }})
		}
	}
	if h.s == nil {
		return all
	}
	all = append(all, workerMethods(e, h.s)...)
	if h.caps.Has(tasks.CapInspect) {
		all = append(all, inspectorMethods(e, h.s)...)
	}
	return all
}

func workerMethods(e *env, s tasks.Store) []method {
	stale := tasks.Lease{ID: e.ids.New(), Attempt: 1, Token: "stale"}
	return []method{
		{"Claim", func(ctx context.Context) error {
			_, err := s.Claim(ctx, tasks.ClaimRequest{
				Selection: tasks.Selection{Queues: []string{"nothing here"}}, Worker: "w", Limit: 1, Lease: time.Minute,
			})
			return err
		}},
		{"Renew", func(ctx context.Context) error { _, err := s.Renew(ctx, []tasks.Lease{stale}, time.Minute); return err }},
		{"Settle", func(ctx context.Context) error {
			_, err := s.Settle(ctx, []tasks.Outcome{{Lease: stale, Kind: tasks.OutcomeSuccess}})
			return err
		}},
		{"Sweep", func(ctx context.Context) error { _, err := s.Sweep(ctx); return err }},
	}
}

func inspectorMethods(e *env, s tasks.Store) []method {
	return []method{
		{"Queues", func(ctx context.Context) error { _, err := s.Queues(ctx); return err }},
		{"Alter", func(ctx context.Context) error {
			_, err := s.Alter(ctx, tasks.Change{Kind: tasks.ChangeCancel}, []string{e.ids.New()})
			return err
		}},
		{"Pause", func(ctx context.Context) error { return s.Pause(ctx, "paused by methods", true) }},
		{"Prune", func(ctx context.Context) error {
			_, err := s.Prune(ctx, tasks.PruneRequest{Queues: []string{"nothing here"}})
			return err
		}},
		{"Heartbeat", func(ctx context.Context) error {
			return s.Heartbeat(ctx, tasks.WorkerInfo{ID: "beaten by methods", Interval: time.Minute})
		}},
		{"Workers", func(ctx context.Context) error { _, err := s.Workers(ctx); return err }},
	}
}
