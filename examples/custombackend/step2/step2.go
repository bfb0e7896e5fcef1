// Package step2 is step1 with results: what was enqueued can be read and listed.
package step2

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// Backend is a tasks.Backend and a tasks.Lister. New makes one.
type Backend struct {
	mu      sync.Mutex
	records map[string]*tasks.Record // nil once closed
}

// New returns an empty Backend.
func New() *Backend { return &Backend{records: map[string]*tasks.Record{}} }

// guide:begin capabilities

// Capabilities declares what is new.
func (b *Backend) Capabilities() tasks.Capability { return tasks.CapResults | tasks.CapList }

// guide:end capabilities

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
	now := time.Now()
	for _, rec := range recs {
		if stored, ok := b.records[rec.ID]; ok {
			*rec = *stored.Clone()
			rec.Duplicate = true
			continue
		}
		lifecycle.Enqueue(rec, now)
		b.records[rec.ID] = rec.Clone()
	}
	return nil
}

// guide:begin results

// GetResult returns a copy of the record.
func (b *Backend) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	rec, ok := b.records[id]
	if !ok {
		return nil, tasks.ErrResultNotFound
	}
	return rec.Clone(), nil
}

// guide:end results

// guide:begin list

// List returns a page of records, ordered by id. Its cursor is the last id of the page:
// whatever is added or deleted meanwhile, the next page starts behind it.
func (b *Backend) List(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return tasks.Page{}, err
	}
	order := cmp.Compare[string]
	if req.Newest {
		order = func(a, b string) int { return cmp.Compare(b, a) }
	}
	var page tasks.Page
	for _, id := range slices.SortedFunc(maps.Keys(b.records), order) {
		rec := b.records[id]
		if req.After != "" && order(id, req.After) <= 0 || !req.Match(rec) {
			continue
		}
		if len(page.Records) == req.PageSize() {
			page.Next = page.Records[len(page.Records)-1].ID // there is at least one more
			break
		}
		page.Records = append(page.Records, rec.Clone())
	}
	return page, nil
}

// guide:end list

// Check has nothing to find: a map is well, unless it's closed.
func (b *Backend) Check(ctx context.Context) []tasks.Finding {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return []tasks.Finding{{ID: "step2.E001", Level: tasks.LevelError, Message: err.Error()}}
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
