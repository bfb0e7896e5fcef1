package memstore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// List returns a page of records by id.
func (s *Store) List(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
	var page tasks.Page
	err := s.do(ctx, func(p *Place, _ time.Time) error {
		page = p.list(req)
		return nil
	})
	return page, err
}

func (p *Place) list(req tasks.ListRequest) (page tasks.Page) {
	all := slices.Clone(p.sorted())
	if req.Newest {
		slices.Reverse(all)
	}
	for _, e := range all {
		id := e.rec.ID
		before := req.After != "" && (id == req.After || (id < req.After) != req.Newest)
		if before || !p.rules.match(&req.Filter, e.rec) {
			continue
		}
		if n := len(page.Records); n == req.PageSize() {
			page.Next = page.Records[n-1].ID
			return page
		}
		page.Records = append(page.Records, p.rules.copyOut(e.rec))
	}
	return page
}

// Queues counts.
func (s *Store) Queues(ctx context.Context) ([]tasks.QueueInfo, error) {
	var infos []tasks.QueueInfo
	err := s.do(ctx, func(p *Place, now time.Time) error {
		infos = p.queues(now)
		return nil
	})
	return infos, err
}

func (p *Place) queues(now time.Time) []tasks.QueueInfo {
	byName := make(map[string]*tasks.QueueInfo)
	get := func(name string) *tasks.QueueInfo {
		if byName[name] == nil {
			byName[name] = &tasks.QueueInfo{
				Name: name, Paused: p.paused[name],
				Counts: make(map[tasks.Status]int64), Waiting: make(map[string]int64),
			}
		}
		return byName[name]
	}
	for name := range p.paused {
		get(name)
	}
	for _, e := range p.entries {
		q := get(e.rec.Queue)
		q.Counts[e.rec.Status]++
		if e.rec.Status == tasks.Ready {
			q.Waiting[e.rec.Task]++
			q.OldestDue = max(q.OldestDue, now.Sub(e.rec.DueAt()))
		}
	}
	infos := make([]tasks.QueueInfo, 0, len(byName))
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		infos = append(infos, *byName[name])
	}
	return infos
}

// Alter applies a change to each record.
func (s *Store) Alter(ctx context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
	answers := make([]tasks.Altered, len(ids))
	err := s.change(ctx, func(p *Place, now time.Time) error {
		for i, id := range ids {
			answers[i] = p.alterOne(change, id, now)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answers, nil
}

func (p *Place) alterOne(change tasks.Change, id string, now time.Time) tasks.Altered {
	e := p.entries[id]
	if e == nil {
		return tasks.Altered{Err: tasks.ErrResultNotFound}
	}
	gone, err := p.rules.alter(e.rec, change, now)
	switch {
	case err != nil:
		return tasks.Altered{Status: e.rec.Status, Err: err}
	case gone:
		p.remove(id)
	case e.rec.Status == tasks.Running && change.Kind == tasks.ChangeCancel:
		p.cancels = append(p.cancels, cancelNote{id, e.rec.CancelReason})
	case change.Kind == tasks.ChangeCancel:
		p.finished(e)
	}
	if p.entries[id] == nil {
		return tasks.Altered{}
	}
	return tasks.Altered{Status: e.rec.Status}
}

// Pause stops claims from a queue.
func (s *Store) Pause(ctx context.Context, queue string, paused bool) error {
	return s.change(ctx, func(p *Place, _ time.Time) error {
		if paused {
			p.paused[queue] = true
		} else {
			delete(p.paused, queue)
		}
		return nil
	})
}

// Prune deletes final records.
func (s *Store) Prune(ctx context.Context, req tasks.PruneRequest) (tasks.Pruned, error) {
	for _, status := range req.Statuses {
		if !status.Final() {
			return tasks.Pruned{}, fmt.Errorf("memstore: %w: %s is not a final status", tasks.ErrInvalidTask, status)
		}
	}
	var pruned tasks.Pruned
	err := s.change(ctx, func(p *Place, now time.Time) error {
		pruned = p.prune(req, now)
		return nil
	})
	return pruned, err
}

func (p *Place) prune(req tasks.PruneRequest, now time.Time) (pruned tasks.Pruned) {
	limit := cmp.Or(max(req.Limit, 0), tasks.DefaultPruneBatch)
	last := ""
	for _, e := range p.sorted() {
		if e.rec.ID <= req.After || !p.rules.prunes(req, e.rec, now) {
			continue
		}
		if pruned.Deleted == limit {
			pruned.Next = last
			return pruned
		}
		last = e.rec.ID
		p.remove(last)
		pruned.Deleted++
	}
	return pruned
}

// prunes reports whether a prune deletes the record.
func prunes(req tasks.PruneRequest, rec *tasks.Record, now time.Time) bool {
	return rec.Status.Final() &&
		(len(req.Statuses) == 0 || slices.Contains(req.Statuses, rec.Status)) &&
		(len(req.Queues) == 0 || slices.Contains(req.Queues, rec.Queue)) &&
		!rec.FinishedAt.After(lifecycle.Time(now.Add(-req.OlderThan)))
}

// Heartbeat notes that a worker is alive.
func (s *Store) Heartbeat(ctx context.Context, w tasks.WorkerInfo) error {
	return s.change(ctx, func(p *Place, now time.Time) error {
		if w.Stopped {
			delete(p.workers, w.ID)
			return nil
		}
		w = copyWorker(w)
		w.BeatAt, w.Age = lifecycle.Time(now), 0
		p.workers[w.ID] = w
		return nil
	})
}

func copyWorker(w tasks.WorkerInfo) tasks.WorkerInfo {
	w.Queues, w.Exclude, w.RunningIDs = slices.Clone(w.Queues), slices.Clone(w.Exclude), slices.Clone(w.RunningIDs)
	return w
}

// Workers returns the live workers.
func (s *Store) Workers(ctx context.Context) ([]tasks.WorkerInfo, error) {
	var live []tasks.WorkerInfo
	err := s.do(ctx, func(p *Place, now time.Time) error {
		for _, id := range slices.Sorted(maps.Keys(p.workers)) {
			w := copyWorker(p.workers[id])
			w.Age = max(now.Sub(w.BeatAt), 0)
			if p.rules.alive(&w) {
				live = append(live, w)
			}
		}
		return nil
	})
	return live, err
}
