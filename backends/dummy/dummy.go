package dummy

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// Backend keeps records and runs nothing. It is safe for concurrent use. The zero
// value is ready.
type Backend struct {
	mu     sync.Mutex
	order  []*tasks.Record
	byID   map[string]*tasks.Record
	closed bool
}

var (
	_ tasks.Backend = (*Backend)(nil)
	_ tasks.Lister  = (*Backend)(nil)
)

// New returns an empty backend.
func New() *Backend { return &Backend{} }

// Driver opens the backend from configuration, as "dummy".
func Driver() tasks.Driver {
	return tasks.Driver{
		Name:    "dummy",
		Schemes: []string{"dummy"},
		Configure: func(s tasks.Settings) (tasks.Opener, error) {
			var none struct{}
			if err := errors.Join(s.Decode(&none), s.NoPath()); err != nil {
				return nil, err
			}
			return func(context.Context) (tasks.Backend, error) { return New(), nil }, nil
		},
	}
}

// Capabilities returns results, defer, priority, expire and list.
func (b *Backend) Capabilities() tasks.Capability {
	return tasks.CapResults | tasks.CapDefer | tasks.CapPriority | tasks.CapExpire | tasks.CapList
}

// Enqueue keeps the records.
func (b *Backend) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return err
	}
	if b.byID == nil {
		b.byID = make(map[string]*tasks.Record)
	}
	now := time.Now()
	for _, rec := range recs {
		if stored := b.byID[rec.ID]; stored != nil {
			*rec = *stored.Clone()
			rec.Duplicate = true
			continue
		}
		lifecycle.Enqueue(rec, now)
		stored := rec.Clone()
		b.byID[rec.ID] = stored
		b.order = append(b.order, stored)
	}
	return nil
}

func (b *Backend) usable(ctx context.Context) error {
	if b.closed {
		return tasks.ErrClosed
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return nil
}

// GetResult returns a copy of the record.
func (b *Backend) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return nil, err
	}
	if rec := b.byID[id]; rec != nil {
		return rec.Clone(), nil
	}
	return nil, tasks.ErrResultNotFound
}

// List returns a page of copies, ordered by id.
func (b *Backend) List(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.usable(ctx); err != nil {
		return tasks.Page{}, err
	}
	sorted := slices.SortedFunc(slices.Values(b.order), func(x, y *tasks.Record) int { return cmp.Compare(x.ID, y.ID) })
	if req.Newest {
		slices.Reverse(sorted)
	}
	var page tasks.Page
	for _, rec := range sorted {
		if req.After != "" && (rec.ID == req.After || rec.ID < req.After != req.Newest) || !req.Match(rec) {
			continue
		}
		if len(page.Records) == req.PageSize() {
			page.Next = page.Records[len(page.Records)-1].ID
			break
		}
		page.Records = append(page.Records, rec.Clone())
	}
	return page, nil
}

// Results returns copies of all records, in the order in which they were
// enqueued.
func (b *Backend) Results() []*tasks.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]*tasks.Record, len(b.order))
	for i, rec := range b.order {
		all[i] = rec.Clone()
	}
	return all
}

// Clear forgets all records.
func (b *Backend) Clear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.order, b.byID = nil, nil
}

// Check finds dummy.E001 (closed) and nothing else.
func (b *Backend) Check(context.Context) []tasks.Finding {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return []tasks.Finding{{ID: "dummy.E001", Level: tasks.LevelError, Message: "the backend is closed"}}
	}
	return nil
}

// Close forgets nothing, so that a test can look at Results afterwards; all else
// is refused from then on.
func (b *Backend) Close(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	return nil
}
