package tasks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"
)

// Admin is what an operator does with the records of one backend. Get one from
// App.Admin; it is safe for concurrent use.
type Admin struct {
	rt     *Runtime
	lister Lister
	store  Inspector // nil without CapInspect
}

// Admin returns the operator's view of a backend, which must have CapList.
// Without CapInspect only List and All work.
func (a *App) Admin(alias string) (*Admin, error) {
	rt, err := a.Runtime(alias)
	if err != nil {
		return nil, err
	}
	admin := &Admin{rt: rt}
	ok := false
	if admin.lister, ok = As[Lister](rt.slot.backend); !ok || !rt.slot.caps.Has(CapList) {
		return nil, admin.wrap("inspect", fmt.Errorf("%w: list", ErrUnsupported))
	}
	if rt.slot.caps.Has(CapInspect) {
		admin.store, _ = As[Inspector](rt.slot.backend)
	}
	return admin, nil
}

func (a *Admin) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Op: op, Alias: a.rt.alias, Err: err}
}

func (a *Admin) inspector(op string) (Inspector, error) {
	if a.store == nil {
		return nil, a.wrap(op, fmt.Errorf("%w: inspect", ErrUnsupported))
	}
	return a.store, nil
}

// List returns one page; see Lister.
func (a *Admin) List(ctx context.Context, req ListRequest) (Page, error) {
	page, err := a.lister.List(ctx, req)
	return page, a.wrap("list", err)
}

// All yields every record that the filter matches, page by page. It ends after the
// first error.
func (a *Admin) All(ctx context.Context, filter Filter) iter.Seq2[*Record, error] {
	return a.From(ctx, ListRequest{Filter: filter, Limit: MaxPage})
}

// From yields the records of the page that List would return and of all pages behind it;
// the request's Limit is the size of each. It ends after the first error.
func (a *Admin) From(ctx context.Context, req ListRequest) iter.Seq2[*Record, error] {
	return func(yield func(*Record, error) bool) {
		req := req // each use begins anew
		for {
			page, err := a.List(ctx, req)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, rec := range page.Records {
				if !yield(rec, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			req.After = page.Next
		}
	}
}

// Queues returns how each queue stands, by name.
func (a *Admin) Queues(ctx context.Context) ([]QueueInfo, error) {
	store, err := a.inspector("read queues")
	if err != nil {
		return nil, err
	}
	queues, err := store.Queues(ctx)
	return queues, a.wrap("read queues", err)
}

// Workers returns the live workers, by id.
func (a *Admin) Workers(ctx context.Context) ([]WorkerInfo, error) {
	store, err := a.inspector("read workers")
	if err != nil {
		return nil, err
	}
	workers, err := store.Workers(ctx)
	return workers, a.wrap("read workers", err)
}

// Pause stops every worker from taking tasks of a queue, within a second. Those
// that run go on, and enqueuing does.
func (a *Admin) Pause(ctx context.Context, queue string) error { return a.pause(ctx, queue, true) }

// Resume ends a Pause.
func (a *Admin) Resume(ctx context.Context, queue string) error { return a.pause(ctx, queue, false) }

func (a *Admin) pause(ctx context.Context, queue string, paused bool) error {
	op := "resume"
	if paused {
		op = "pause"
	}
	store, err := a.inspector(op)
	if err != nil {
		return err
	}
	if err := checkName(queue); err != nil {
		return a.wrap(op, fmt.Errorf("%w: queue: %w", ErrInvalidTask, err))
	}
	return a.wrap(op, store.Pause(ctx, queue, paused))
}

// Cancel cancels one record: at once if it is READY; if it is RUNNING its handler's
// context ends soon, and the record is CANCELLED when the handler has returned,
// unless that was a success. The status tells which. A final record gives
// ErrNoChange with its status.
func (a *Admin) Cancel(ctx context.Context, id, reason string) (Status, error) {
	return a.one(ctx, Change{Kind: ChangeCancel, Reason: reason}, id)
}

// Retry makes a FAILED or CANCELLED record READY again, with at least one more
// attempt.
func (a *Admin) Retry(ctx context.Context, id string) (Status, error) {
	return a.one(ctx, Change{Kind: ChangeRetry}, id)
}

// Delete deletes a record that isn't RUNNING.
func (a *Admin) Delete(ctx context.Context, id string) error {
	_, err := a.one(ctx, Change{Kind: ChangeDelete}, id)
	return err
}

// Reschedule moves a READY record to another time.
func (a *Admin) Reschedule(ctx context.Context, id string, at time.Time) (Status, error) {
	return a.one(ctx, Change{Kind: ChangeReschedule, At: at}, id)
}

func (a *Admin) one(ctx context.Context, change Change, id string) (Status, error) {
	altered, err := a.Alter(ctx, change, id)
	if err != nil {
		return "", err
	}
	if err := altered[0].Err; err != nil {
		return altered[0].Status, &Error{Op: string(change.Kind), Alias: a.rt.alias, ID: id, Err: err}
	}
	return altered[0].Status, nil
}

// Alter applies a change to records by id and returns one answer for each, in
// order.
func (a *Admin) Alter(ctx context.Context, change Change, ids ...string) ([]Altered, error) {
	store, err := a.inspector(string(change.Kind))
	if err != nil {
		return nil, err
	}
	change.Reason = clean(change.Reason, maxMessage)
	if err := checkYear(change.At); err != nil {
		return nil, a.wrap(string(change.Kind), fmt.Errorf("%w: the new time: %w", ErrInvalidTask, err))
	}
	if len(ids) == 0 {
		return nil, nil
	}
	altered, err := store.Alter(ctx, change, ids)
	return altered, a.wrap(string(change.Kind), err)
}

// Bulk says how a change by filter goes.
type Bulk struct {
	// DryRun counts what matches and changes nothing.
	DryRun bool
	// Progress, if not nil, is called after every batch.
	Progress func(Totals)
}

// Totals counts what a change by filter did, so far.
type Totals struct {
	// Matched records were listed, Changed ones changed; Skipped ones were in, or had
	// come into, a status that the change doesn't apply to, or were gone.
	Matched, Changed, Skipped int
}

// bulkBatch is how many records one step of a change by filter changes: few enough
// to leave room for others' writes between.
const bulkBatch = 500

// AlterMatching applies a change to every record that the filter matches. It goes
// in batches, each atomic; after an error the totals say how far it came, and
// doing it again goes on from there.
func (a *Admin) AlterMatching(ctx context.Context, change Change, filter Filter, bulk Bulk) (Totals, error) {
	var totals Totals
	if _, err := a.inspector(string(change.Kind)); err != nil {
		return totals, err
	}
	req := ListRequest{Filter: filter, Limit: bulkBatch}
	for {
		page, err := a.List(ctx, req)
		if err != nil {
			return totals, err
		}
		ids := make([]string, len(page.Records))
		for i, rec := range page.Records {
			ids[i] = rec.ID
		}
		totals.Matched += len(ids)
		if !bulk.DryRun && len(ids) > 0 {
			altered, err := a.Alter(ctx, change, ids...)
			if err != nil {
				return totals, err
			}
			for _, one := range altered {
				switch {
				case one.Err == nil:
					totals.Changed++
				case errors.Is(one.Err, ErrNoChange), errors.Is(one.Err, ErrResultNotFound):
					totals.Skipped++
				default:
					return totals, a.wrap(string(change.Kind), one.Err)
				}
			}
		}
		if bulk.Progress != nil {
			bulk.Progress(totals)
		}
		if page.Next == "" {
			return totals, nil
		}
		req.After = page.Next
	}
}

// Prune deletes every final record of those statuses (none: all three) and queues
// (none: all) that finished at least olderThan ago, in bounded batches. Others are
// never touched. A dry run counts by the process's clock, the deletion goes by the
// store's. It is Django's prune_db_task_results; workers prune by themselves what
// has outlived its retention.
func (a *Admin) Prune(ctx context.Context, req PruneRequest, bulk Bulk) (Totals, error) {
	var totals Totals
	store, err := a.inspector("prune")
	if err != nil {
		return totals, err
	}
	for _, s := range req.Statuses {
		if !s.Final() {
			return totals, a.wrap("prune", fmt.Errorf("%w: %s is not a final status", ErrInvalidTask, s))
		}
	}
	if req.OlderThan < 0 {
		return totals, a.wrap("prune", fmt.Errorf("%w: the age %v is negative", ErrInvalidTask, req.OlderThan))
	}
	if bulk.DryRun {
		filter := Filter{Statuses: req.Statuses, Queues: req.Queues, FinishedBefore: time.Now().Add(-req.OlderThan)}
		for _, err := range a.All(ctx, filter) {
			if err != nil {
				return totals, err
			}
			totals.Matched++
		}
		return totals, nil
	}
	for {
		pruned, err := store.Prune(ctx, req)
		if err != nil {
			return totals, a.wrap("prune", err)
		}
		totals.Matched += pruned.Deleted
		totals.Changed += pruned.Deleted
		if bulk.Progress != nil {
			bulk.Progress(totals)
		}
		if pruned.Next == "" {
			return totals, nil
		}
		req.After = pruned.Next
	}
}
