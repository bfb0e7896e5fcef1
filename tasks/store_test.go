package tasks_test

import (
	"context"
	"slices"
	"sync"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// store is a backend with records that a test changes by lifecycle, and an
// Inspector over them. What it lacks of a Store no test here needs.
type store struct {
	*spy

	mu      sync.Mutex
	recs    map[string]*tasks.Record
	queues  []tasks.QueueInfo
	workers []tasks.WorkerInfo
	broken  error // of every call of the Inspector
	paused  map[string]bool
	pageCap int // bounds a page below its limit
}

func newStore() *store {
	s := &store{spy: newSpy(allCaps | tasks.CapInspect), recs: map[string]*tasks.Record{}, paused: map[string]bool{}}
	return s
}

func (s *store) put(recs ...*tasks.Record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range recs {
		s.recs[r.ID] = r.Clone()
	}
}

func (s *store) get(id string) *tasks.Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.recs[id]; r != nil {
		return r.Clone()
	}
	return nil
}

func (s *store) List(_ context.Context, req tasks.ListRequest) (tasks.Page, error) {
	s.called("list")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return tasks.Page{}, s.broken
	}
	limit := req.PageSize()
	if s.pageCap > 0 {
		limit = min(limit, s.pageCap)
	}
	var ids []string
	for id := range s.recs {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	var page tasks.Page
	seen := 0
	for _, id := range ids {
		if id <= req.After {
			continue
		}
		if seen == limit {
			return page, nil
		}
		seen++
		if req.Match(s.recs[id]) {
			page.Records = append(page.Records, s.recs[id].Clone())
		}
		page.Next = id
	}
	page.Next = ""
	return page, nil
}

func (s *store) Queues(context.Context) ([]tasks.QueueInfo, error) {
	s.called("queues")
	return s.queues, s.broken
}

func (s *store) Workers(context.Context) ([]tasks.WorkerInfo, error) {
	s.called("workers")
	return s.workers, s.broken
}

func (s *store) Alter(_ context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
	s.called("alter")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != nil {
		return nil, s.broken
	}
	altered := make([]tasks.Altered, len(ids))
	for i, id := range ids {
		r := s.recs[id]
		if r == nil {
			altered[i].Err = tasks.ErrResultNotFound
			continue
		}
		gone, err := lifecycle.Alter(r, change, epoch)
		altered[i] = tasks.Altered{Status: r.Status, Err: err}
		if gone {
			delete(s.recs, id)
			altered[i].Status = ""
		}
	}
	return altered, nil
}

func (s *store) Pause(_ context.Context, queue string, paused bool) error {
	s.called("pause")
	s.paused[queue] = paused
	return s.broken
}

func (s *store) Prune(_ context.Context, req tasks.PruneRequest) (tasks.Pruned, error) {
	s.called("prune")
	s.mu.Lock()
	defer s.mu.Unlock()
	var pruned tasks.Pruned
	if s.broken != nil {
		return pruned, s.broken
	}
	filter := tasks.Filter{Statuses: req.Statuses, Queues: req.Queues}
	for id, r := range s.recs {
		if !r.Status.Final() || !filter.Match(r) {
			continue
		}
		if pruned.Deleted == 2 { // a small bound, so that there are several calls
			pruned.Next = id
			break
		}
		delete(s.recs, id)
		pruned.Deleted++
	}
	return pruned, nil
}

func (s *store) Heartbeat(context.Context, tasks.WorkerInfo) error { return nil }
