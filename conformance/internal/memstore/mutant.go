package memstore

import (
	"context"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// methods are the methods of a store, so that a fault can replace one.
type methods struct {
	capabilities func() tasks.Capability
	enqueue      func(context.Context, []*tasks.Record) error
	aenqueue     func(context.Context, []*tasks.Record, func(error))
	get          func(context.Context, string) (*tasks.Record, error)
	check        func(context.Context) []tasks.Finding
	close        func(context.Context) error
	claim        func(context.Context, tasks.ClaimRequest) ([]tasks.Claimed, error)
	renew        func(context.Context, []tasks.Lease, time.Duration) ([]tasks.LeaseState, error)
	settle       func(context.Context, []tasks.Outcome) ([]error, error)
	sweep        func(context.Context) (tasks.Swept, error)
	wait         func(context.Context, tasks.Selection) error
	waitResult   func(context.Context, string) (*tasks.Record, error)
	notifyCancel func(context.Context, func(id, reason string)) error
	list         func(context.Context, tasks.ListRequest) (tasks.Page, error)
	queues       func(context.Context) ([]tasks.QueueInfo, error)
	alter        func(context.Context, tasks.Change, []string) ([]tasks.Altered, error)
	pause        func(context.Context, string, bool) error
	prune        func(context.Context, tasks.PruneRequest) (tasks.Pruned, error)
	heartbeat    func(context.Context, tasks.WorkerInfo) error
	workers      func(context.Context) ([]tasks.WorkerInfo, error)
}

// soundMethods are the ones without a fault.
func soundMethods(s *Store) methods {
	return methods{
		capabilities: s.Capabilities,
		enqueue:      s.Enqueue,
		aenqueue:     s.AEnqueue,
		get:          s.GetResult,
		check:        s.Check,
		close:        s.Close,
		claim:        s.Claim,
		renew:        s.Renew,
		settle:       s.Settle,
		sweep:        s.Sweep,
		wait:         s.Wait,
		waitResult:   s.WaitResult,
		notifyCancel: s.NotifyCancel,
		list:         s.List,
		queues:       s.Queues,
		alter:        s.Alter,
		pause:        s.Pause,
		prune:        s.Prune,
		heartbeat:    s.Heartbeat,
		workers:      s.Workers,
	}
}

// mutant is a store with other methods.
type mutant struct {
	*Store

	methods methods
}

var (
	_ tasks.Store          = (*mutant)(nil)
	_ tasks.AsyncEnqueuer  = (*mutant)(nil)
	_ tasks.ResultWaiter   = (*mutant)(nil)
	_ tasks.CancelNotifier = (*mutant)(nil)
)

// Capabilities implements tasks.Backend.
func (m *mutant) Capabilities() tasks.Capability { return m.methods.capabilities() }

// Enqueue implements tasks.Backend.
func (m *mutant) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	return m.methods.enqueue(ctx, recs)
}

// AEnqueue implements tasks.AsyncEnqueuer.
func (m *mutant) AEnqueue(ctx context.Context, recs []*tasks.Record, done func(error)) {
	m.methods.aenqueue(ctx, recs, done)
}

// GetResult implements tasks.Backend.
func (m *mutant) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	return m.methods.get(ctx, id)
}

// Check implements tasks.Backend.
func (m *mutant) Check(ctx context.Context) []tasks.Finding { return m.methods.check(ctx) }

// Close implements tasks.Backend.
func (m *mutant) Close(ctx context.Context) error { return m.methods.close(ctx) }

// Claim implements tasks.Store.
func (m *mutant) Claim(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
	return m.methods.claim(ctx, req)
}

// Renew implements tasks.Store.
func (m *mutant) Renew(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
	return m.methods.renew(ctx, leases, d)
}

// Settle implements tasks.Store.
func (m *mutant) Settle(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
	return m.methods.settle(ctx, outs)
}

// Sweep implements tasks.Store.
func (m *mutant) Sweep(ctx context.Context) (tasks.Swept, error) { return m.methods.sweep(ctx) }

// Wait implements tasks.Store.
func (m *mutant) Wait(ctx context.Context, sel tasks.Selection) error {
	return m.methods.wait(ctx, sel)
}

// WaitResult implements tasks.ResultWaiter.
func (m *mutant) WaitResult(ctx context.Context, id string) (*tasks.Record, error) {
	return m.methods.waitResult(ctx, id)
}

// NotifyCancel implements tasks.CancelNotifier.
func (m *mutant) NotifyCancel(ctx context.Context, fn func(id, reason string)) error {
	return m.methods.notifyCancel(ctx, fn)
}

// List implements tasks.Lister.
func (m *mutant) List(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
	return m.methods.list(ctx, req)
}

// Queues implements tasks.Inspector.
func (m *mutant) Queues(ctx context.Context) ([]tasks.QueueInfo, error) { return m.methods.queues(ctx) }

// Alter implements tasks.Inspector.
func (m *mutant) Alter(ctx context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
	return m.methods.alter(ctx, change, ids)
}

// Pause implements tasks.Inspector.
func (m *mutant) Pause(ctx context.Context, queue string, paused bool) error {
	return m.methods.pause(ctx, queue, paused)
}

// Prune implements tasks.Inspector.
func (m *mutant) Prune(ctx context.Context, req tasks.PruneRequest) (tasks.Pruned, error) {
	return m.methods.prune(ctx, req)
}

// Heartbeat implements tasks.Inspector.
func (m *mutant) Heartbeat(ctx context.Context, w tasks.WorkerInfo) error {
	return m.methods.heartbeat(ctx, w)
}

// Workers implements tasks.Inspector.
func (m *mutant) Workers(ctx context.Context) ([]tasks.WorkerInfo, error) {
	return m.methods.workers(ctx)
}
