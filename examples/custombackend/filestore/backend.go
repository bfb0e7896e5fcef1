package filestore

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// guide:begin enqueue

// Enqueue stores the records, all or none, and fills them in once they are stored.
func (s *Store) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	filled := make([]*tasks.Record, len(recs))
	err := s.do(ctx, func(tx *tx) error {
		for i, rec := range recs {
			if stored := tx.get(rec.ID); stored != nil {
				filled[i] = stored.rec
				filled[i].Duplicate = true
				continue
			}
			if err := s.damaged[rec.ID]; err != nil {
				return err // there is a record of that id, and nobody knows which
			}
			filled[i] = rec.Clone()
			lifecycle.Enqueue(filled[i], tx.now)
			if err := tx.put(&entry{rec: filled[i].Clone()}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, rec := range recs {
		*rec = *filled[i]
	}
	return nil
}

// guide:end enqueue

// GetResult returns a copy of the record.
func (s *Store) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	var rec *tasks.Record
	err := s.do(ctx, func(tx *tx) error {
		if e := tx.get(id); e != nil {
			rec = e.rec
			return nil
		}
		return cmp.Or(s.damaged[id], tasks.ErrResultNotFound)
	})
	return rec, err
}

// List returns a page of records, ordered by id. Its cursor is the last id of the page.
func (s *Store) List(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
	order := cmp.Compare[string]
	if req.Newest {
		order = func(a, b string) int { return cmp.Compare(b, a) }
	}
	var page tasks.Page
	err := s.do(ctx, func(*tx) error {
		for _, id := range slices.SortedFunc(maps.Keys(s.entries), order) {
			rec := s.entries[id].rec
			if req.After != "" && order(id, req.After) <= 0 || !req.Match(rec) {
				continue
			}
			if len(page.Records) == req.PageSize() {
				page.Next = page.Records[len(page.Records)-1].ID
				return nil
			}
			page.Records = append(page.Records, rec.Clone())
		}
		return nil
	})
	return page, err
}

// guide:begin waitresult

// WaitResult makes the Store a tasks.ResultWaiter: Result.Wait then needn't poll.
func (s *Store) WaitResult(ctx context.Context, id string) (*tasks.Record, error) {
	for {
		var rec *tasks.Record
		var changed <-chan struct{}
		err := s.do(ctx, func(tx *tx) error {
			e := tx.get(id)
			if e == nil {
				return cmp.Or(s.damaged[id], tasks.ErrResultNotFound)
			}
			rec, changed = e.rec, s.changed
			return nil
		})
		if err != nil {
			return nil, err
		}
		if rec.Status.Final() {
			return rec, nil
		}
		select {
		case <-changed:
		case <-s.closed:
		case <-ctx.Done():
		}
	}
}

// guide:end waitresult
