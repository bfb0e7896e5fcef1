// Package step1 is the least that is a backend: it takes tasks and keeps them in
// memory, and nobody runs them or reads their results.
package step1

import (
	"context"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// guide:begin backend

// Backend is a tasks.Backend without capabilities. New makes one.
type Backend struct {
	mu      sync.Mutex
	records map[string]*tasks.Record // nil once closed
}

// New returns an empty Backend.
func New() *Backend { return &Backend{records: map[string]*tasks.Record{}} }

// Capabilities returns the empty set: the App refuses whatever needs more.
func (b *Backend) Capabilities() tasks.Capability { return 0 }

// usable says why a method can't go on: the backend is closed, or ctx is over.
func (b *Backend) usable(ctx context.Context) error {
	if b.records == nil {
		return tasks.ErrClosed
	}
	return ctx.Err()
}

// Enqueue stores the records, all or none.
func (b *Backend) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return err
	}
	now := time.Now() // our clock is the store's clock
	for _, rec := range recs {
		if stored, ok := b.records[rec.ID]; ok {
			*rec = *stored.Clone()
			rec.Duplicate = true
			continue
		}
		lifecycle.Enqueue(rec, now)
		b.records[rec.ID] = rec.Clone() // the caller keeps rec, and may change it
	}
	return nil
}

// GetResult is never called through an App, as results aren't declared.
func (b *Backend) GetResult(ctx context.Context, _ string) (*tasks.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	return nil, tasks.ErrResultNotFound
}

// Check has nothing to find: a map is well, unless it's closed.
func (b *Backend) Check(ctx context.Context) []tasks.Finding {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return []tasks.Finding{{ID: "step1.E001", Level: tasks.LevelError, Message: err.Error()}}
	}
	return nil
}

// Close drops the records.
func (b *Backend) Close(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.records = nil
	return nil
}

// guide:end backend
