package filestore

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// guide:begin alter

// Alter applies a change to records by id.
func (s *Store) Alter(ctx context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
	altered := make([]tasks.Altered, len(ids))
	err := s.do(ctx, func(tx *tx) error {
		for i, id := range ids {
			e := tx.get(id)
			if e == nil {
				altered[i].Err = tasks.ErrResultNotFound
				continue
			}
			gone, err := lifecycle.Alter(e.rec, change, tx.now)
			switch {
			case err != nil:
				altered[i] = tasks.Altered{Status: e.rec.Status, Err: err}
			case gone:
				tx.delete(id)
			default:
				if err := tx.put(e); err != nil {
					return err
				}
				if tx.get(id) != nil { // unless it was cancelled, and isn't kept when final
					altered[i].Status = e.rec.Status
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return altered, nil
}

// guide:end alter

// guide:begin queues

// Queues counts what is in each queue.
func (s *Store) Queues(ctx context.Context) ([]tasks.QueueInfo, error) {
	queues := map[string]*tasks.QueueInfo{}
	queue := func(name string) *tasks.QueueInfo {
		if queues[name] == nil {
			queues[name] = &tasks.QueueInfo{
				Name: name, Paused: s.paused[name], Counts: map[tasks.Status]int64{}, Waiting: map[string]int64{},
			}
		}
		return queues[name]
	}
	err := s.do(ctx, func(tx *tx) error {
		for name, paused := range s.paused {
			if paused {
				queue(name)
			}
		}
		for _, e := range s.entries {
			q := queue(e.rec.Queue)
			q.Counts[e.rec.Status]++
			if e.rec.Status == tasks.Ready {
				q.Waiting[e.rec.Task]++
				q.OldestDue = max(q.OldestDue, tx.now.Sub(e.rec.DueAt()))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	infos := make([]tasks.QueueInfo, 0, len(queues))
	for _, name := range slices.Sorted(maps.Keys(queues)) {
		infos = append(infos, *queues[name])
	}
	return infos, nil
}

// guide:end queues

// guide:begin pause

// Pause stops claims from a queue, or lets them go on.
func (s *Store) Pause(ctx context.Context, queue string, paused bool) error {
	return s.do(ctx, func(tx *tx) error {
		if len(queue) > tasks.MaxName {
			return fmt.Errorf("%w: a queue's name of %d bytes", tasks.ErrTooLarge, len(queue))
		}
		tx.paused[queue] = paused
		tx.files[pauseName(queue)] = nil
		if paused {
			tx.files[pauseName(queue)] = []byte{}
		}
		return nil
	})
}

// guide:end pause

// guide:begin prune

// Prune deletes final records, ordered by id: its cursor is the last one deleted.
func (s *Store) Prune(ctx context.Context, req tasks.PruneRequest) (tasks.Pruned, error) {
	limit := cmp.Or(max(req.Limit, 0), tasks.DefaultPruneBatch)
	var pruned tasks.Pruned
	err := s.do(ctx, func(tx *tx) error {
		filter := tasks.Filter{Statuses: req.Statuses, Queues: req.Queues}
		before := tx.now.Add(-req.OlderThan)
		for _, id := range slices.Sorted(maps.Keys(s.entries)) {
			rec := s.entries[id].rec
			if id <= req.After || !rec.Status.Final() || !filter.Match(rec) || rec.FinishedAt.After(before) {
				continue
			}
			tx.delete(id)
			if pruned.Deleted++; pruned.Deleted == limit {
				pruned.Next = id
				break
			}
		}
		return nil
	})
	if err != nil {
		return tasks.Pruned{}, err
	}
	return pruned, nil
}

// guide:end prune

// guide:begin heartbeat

// Heartbeat keeps what a worker says of itself. It isn't on disk: the workers of a process
// that is gone are gone too.
func (s *Store) Heartbeat(ctx context.Context, w tasks.WorkerInfo) error {
	return s.do(ctx, func(tx *tx) error {
		if w.Stopped {
			delete(s.workers, w.ID)
			return nil
		}
		w.BeatAt, w.Age = tx.now, 0
		s.workers[w.ID] = cloneWorker(w)
		return nil
	})
}

// Workers returns those whose heartbeat isn't too old.
func (s *Store) Workers(ctx context.Context) ([]tasks.WorkerInfo, error) {
	workers := []tasks.WorkerInfo{}
	err := s.do(ctx, func(tx *tx) error {
		for _, id := range slices.Sorted(maps.Keys(s.workers)) {
			w := cloneWorker(s.workers[id])
			w.Age = tx.now.Sub(w.BeatAt)
			if w.Alive(w.Age) {
				workers = append(workers, w)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return workers, nil
}

func cloneWorker(w tasks.WorkerInfo) tasks.WorkerInfo {
	w.Queues, w.Exclude, w.RunningIDs = slices.Clone(w.Queues), slices.Clone(w.Exclude), slices.Clone(w.RunningIDs)
	return w
}

// guide:end heartbeat
