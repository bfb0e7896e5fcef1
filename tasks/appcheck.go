package tasks

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// Check looks at the definitions and at every backend in use, and returns what it
// finds, errors before warnings. It writes nothing. Beside the backends' own
// findings there are
//
//	tasks.E001  a definition is wrong
//	tasks.E002  the store can't be inspected
//	tasks.W001  a queue has due tasks and no worker
//	tasks.W002  tasks are waiting that the App doesn't define
//
// It is Django's check command. The last two need CapInspect.
func (a *App) Check(ctx context.Context) []Finding {
	var found []Finding
	if err := a.Validate(); err != nil {
		for _, fault := range flatten(err) {
			found = append(found, Finding{
				ID: "tasks.E001", Level: LevelError, Message: fault.Error(),
				Hint: "correct the tasks.Define call or the configuration",
			})
		}
	}
	for _, alias := range a.Aliases() {
		s, err := a.slot(alias)
		if err != nil {
			continue // closed meanwhile
		}
		found = append(found, a.checkBackend(ctx, s)...)
	}
	slices.SortStableFunc(found, func(x, y Finding) int {
		switch {
		case x.Level == y.Level:
			return 0
		case x.Level == LevelError:
			return -1
		default:
			return 1
		}
	})
	return found
}

func (a *App) checkBackend(ctx context.Context, s *slot) []Finding {
	found := slices.Clone(s.backend.Check(ctx))
	healthy := !slices.ContainsFunc(found, func(f Finding) bool { return f.Level == LevelError })
	if store, ok := As[Inspector](s.backend); ok && s.caps.Has(CapInspect) && healthy {
		queues, err := store.Queues(ctx)
		if err == nil {
			var workers []WorkerInfo
			if workers, err = store.Workers(ctx); err == nil {
				found = append(found, a.checkQueues(queues, workers)...)
			}
		}
		if err != nil {
			found = append(found, Finding{ID: "tasks.E002", Level: LevelError, Message: "the queues can't be read: " + err.Error()})
		}
	}
	for i := range found {
		found[i].Alias = s.alias
	}
	return found
}

func (a *App) checkQueues(queues []QueueInfo, workers []WorkerInfo) []Finding {
	var found []Finding
	unknown := make(map[string]int64)
	for _, q := range queues {
		served := slices.ContainsFunc(workers, func(w WorkerInfo) bool {
			return !w.Stopping && Selection{Queues: w.Queues, Exclude: w.Exclude}.Has(q.Name)
		})
		if q.OldestDue > 0 && !served && !q.Paused {
			found = append(found, Finding{
				ID: "tasks.W001", Level: LevelWarning,
				Message: fmt.Sprintf("queue %s has tasks that are due, and no live worker takes from it", quote(q.Name)),
				Hint:    "start a worker for the queue",
			})
		}
		for task, n := range q.Waiting {
			if n > 0 && a.lookup(task) == nil {
				unknown[task] += n
			}
		}
	}
	for _, task := range slices.Sorted(maps.Keys(unknown)) {
		found = append(found, Finding{
			ID: "tasks.W002", Level: LevelWarning,
			Message: fmt.Sprintf("%d waiting tasks are named %s, which this App doesn't define", unknown[task], quote(task)),
			Hint:    "another program's worker may run them; otherwise define the task again, or cancel them",
		})
	}
	return found
}

// flatten takes joined errors apart.
func flatten(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error }) // only this level: an *Error that wraps several is one fault
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}
