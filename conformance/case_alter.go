package conformance

import (
	"errors"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func alterCases() []Case {
	return slices.Concat(alterKindCases(), alterManyCases())
}

func alterKindCases() []Case {
	return []Case{
		{
			Name: "Alter/Cancel", Clauses: []string{"I3", "T4"}, Needs: inspecting,
			What: "cancelling must end a READY record, ask a RUNNING one, and leave final ones alone and say so",
			run: func(e *env) {
				h := e.connect()
				alterEach(e, h, tasks.Change{Kind: tasks.ChangeCancel, Reason: "not wanted"})
				e.noClaim(h, "after the cancellation of all", all)
			},
		},
		{
			Name: "Alter/CancelTwice", Clauses: []string{"I3", "T4"}, Needs: inspecting,
			What: "a second request to cancel a RUNNING record must keep the first reason, and the worker must see that",
			run: func(e *env) {
				h := e.connect()
				rec, c := e.standing(h, tasks.Running)
				for _, reason := range []string{"first", "second"} {
					if s := e.alterOne(h, tasks.Change{Kind: tasks.ChangeCancel, Reason: reason}, rec.ID); s != tasks.Running {
						e.Errorf("cancel: got status %s, want RUNNING", s)
					}
				}
				states, err := h.s.Renew(e.ctx, []tasks.Lease{c.Lease}, time.Minute)
				e.must(err, "renew")
				if len(states) != 1 || states[0].Lost || !states[0].CancelRequested || states[0].CancelReason != "first" {
					e.Errorf("renew: got %+v, want one state with cancellation requested, reason first", states)
				}
				e.settle(h, c, failure("gave up"))
				if got := e.get(h, rec.ID); got.Status != tasks.Cancelled || got.CancelReason != "first" || got.CancelRequested {
					e.Errorf("settled: got %s, reason %q, requested %v; want CANCELLED, first, false", got.Status, got.CancelReason, got.CancelRequested)
				}
			},
		},
		{
			Name: "Alter/Retry", Clauses: []string{"I3", "R1"}, Needs: inspecting,
			What: "a retry must take FAILED and CANCELLED records back to READY and due, and no others",
			run: func(e *env) {
				h := e.connect()
				alterEach(e, h, tasks.Change{Kind: tasks.ChangeRetry})
			},
		},
		{
			Name: "Alter/RetryRuns", Clauses: []string{"I3", "R1", "R5", "R6"}, Needs: inspecting,
			What: "a retried record must be claimable, with one more attempt allowed, its history kept and its old lease dead",
			run:  retryRuns,
		},
		{
			Name: "Alter/RetryExpired", Clauses: []string{"I3", "T5"}, Needs: inspecting | tasks.CapExpire,
			What: "a retry of a record that had expired must let it run, not have it expire again",
			run: func(e *env) {
				h := e.connect()
				rec := e.record(func(r *tasks.Record) { r.TTL = time.Millisecond })
				e.enqueue(h, rec)
				e.eventually(10*e.timing.Lease, "a sweep cancels the expired record", func() bool {
					e.sweep(h)
					return e.get(h, rec.ID).Status == tasks.Cancelled
				})
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeRetry}, rec.ID)
				e.sweep(h)
				if got := e.get(h, rec.ID); got.Status != tasks.Ready || !got.ExpiresAt.IsZero() {
					e.Errorf("after retry and sweep: got %s, expires at %v; want READY, never", got.Status, got.ExpiresAt)
				}
				if c := e.claimOne(h); c.Record.ID != rec.ID {
					e.Errorf("claim gave record %s, want %s", c.Record.ID, rec.ID)
				}
			},
		},
		{
			Name: "Alter/Delete", Clauses: []string{"I3"}, Needs: inspecting,
			What: "a deletion must remove every record but a RUNNING one, whose worker must not notice",
			run:  deleteEach,
		},
		{
			Name: "Alter/Reschedule", Clauses: []string{"I3"}, Needs: inspecting,
			What: "rescheduling must move READY records only, to a time or by a delay",
			run: func(e *env) {
				h := e.connect()
				at := e.get(h, func() string { rec, _ := e.standing(h, tasks.Ready, inQueue("clock")); return rec.ID }()).EnqueuedAt
				for _, change := range []tasks.Change{
					{Kind: tasks.ChangeReschedule, At: at.Add(time.Hour)},
					{Kind: tasks.ChangeReschedule, At: at.Add(-time.Hour), Delay: time.Hour}, // At counts
					{Kind: tasks.ChangeReschedule, At: at.Add(time.Hour).In(time.FixedZone("far", -11*60*60))},
					{Kind: tasks.ChangeReschedule, Delay: time.Hour},
					{Kind: tasks.ChangeReschedule},
					{Kind: tasks.ChangeReschedule, Delay: -time.Hour}, // negative is none
				} {
					alterEach(e, h, change)
				}
			},
		},
		{
			Name: "Alter/RescheduleClaims", Clauses: []string{"I3", "W1", "W2"}, Needs: inspecting | tasks.CapDefer,
			What: "a rescheduled record must be claimable from its new time, not from its old one, and in its new order",
			run: func(e *env) {
				h := e.connect()
				recs := e.records(3)
				recs[1].Delay = time.Hour
				e.enqueue(h, recs...)
				e.pause(2 * time.Millisecond) // over the precision of the store
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeReschedule, Delay: time.Hour}, recs[0].ID)
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeReschedule}, recs[1].ID)
				got := e.claim(h, 5)
				var ids []string
				for _, c := range got {
					ids = append(ids, c.Record.ID)
				}
				// The third was due since its enqueue, the second since it was rescheduled.
				if want := []string{recs[2].ID, recs[1].ID}; !slices.Equal(ids, want) {
					e.Errorf("claimed %v, want %v: the third and then the second", ids, want)
				}
				e.alterOne(h, tasks.Change{Kind: tasks.ChangeReschedule, At: recs[0].EnqueuedAt.Add(-time.Hour)}, recs[0].ID)
				if c := e.claimOne(h); c.Record.ID != recs[0].ID {
					e.Errorf("claim gave record %s, want %s", c.Record.ID, recs[0].ID)
				}
			},
		},
		{
			Name: "Alter/RescheduleWakes", Clauses: []string{"I3", "W2"}, Needs: inspecting | tasks.CapDefer,
			What: "a worker that waits must be woken when a record is rescheduled to now, or taken back by a retry",
			run: func(e *env) {
				h := e.connect()
				failed, _ := e.standing(h, tasks.Failed)
				later := e.record(delayed(time.Hour))
				e.enqueue(h, later)
				for _, step := range []struct {
					kind tasks.ChangeKind
					id   string
				}{{tasks.ChangeReschedule, later.ID}, {tasks.ChangeRetry, failed.ID}} {
					e.wakes(h, tasks.DefaultQueue, "a "+string(step.kind), step.id, func() {
						e.alterOne(h, tasks.Change{Kind: step.kind}, step.id)
					})
				}
			},
		},
	}
}

// alterEach applies a change to a record of each status and compares answer and
// record with lifecycle.Alter, at the time that the store went by.
func alterEach(e *env, h *handle, change tasks.Change) {
	e.Helper()
	statuses := []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled, tasks.Running, tasks.Ready}
	for _, status := range statuses {
		before, c := e.standing(h, status, inQueue(string(status)+" "+e.ids.New()), attempts(1+len(status)%2))
		want := before.Clone()
		answer := e.alter(h, change, before.ID)[0]
		after := e.get(h, before.ID)
		now := after.FinishedAt // of a cancellation
		switch change.Kind {
		case tasks.ChangeRetry:
			now = after.RunAfter
		case tasks.ChangeReschedule:
			now = after.RunAfter.Add(-max(change.Delay, 0))
		case tasks.ChangeCancel, tasks.ChangeDelete:
		}
		_, wantErr := lifecycle.Alter(want, change, now)
		if wantErr == nil && !now.IsZero() && change.At.IsZero() && now.Before(before.EnqueuedAt) {
			e.Errorf("%+v of a %s record: it happened at %v, before the enqueue at %v", change, status, now, before.EnqueuedAt)
		}
		if !errors.Is(answer.Err, wantErr) {
			e.Errorf("%+v of a %s record: got error %v, want %v", change, status, answer.Err, wantErr)
		}
		if answer.Status != want.Status {
			e.Errorf("%+v of a %s record: answer has status %q, want %q", change, status, answer.Status, want.Status)
		}
		e.same(string(change.Kind)+" of a "+string(status)+" record", after, want)
		if status == tasks.Running {
			e.settle(h, c, success("1")) // its lease is as good as before
		}
	}
}

func retryRuns(e *env) {
	h := e.connect()
	for _, allowed := range []int{1, 2, 5} {
		before, old := e.standing(h, tasks.Failed, attempts(allowed))
		e.alterOne(h, tasks.Change{Kind: tasks.ChangeRetry}, before.ID)
		c := e.claimOne(h)
		rec := c.Record
		if want := max(allowed, 2); rec.ID != before.ID || rec.MaxAttempts != want || rec.Attempts() != 2 || c.Lease.Attempt != 2 {
			e.Errorf("claim of the retried record %s: got %s with MaxAttempts %d, attempt %d, lease of attempt %d; want MaxAttempts %d, attempt 2",
				before.ID, rec.ID, rec.MaxAttempts, rec.Attempts(), c.Lease.Attempt, want)
		}
		if len(rec.Errors) != 1 || rec.Errors[0].Message != "made to fail" || !sameTime(rec.StartedAt, before.StartedAt) {
			e.Errorf("claim of the retried record: got errors %+v, started at %v; want the first error, %v", rec.Errors, rec.StartedAt, before.StartedAt)
		}
		late := success(`"late"`)
		late.Lease = old.Lease
		if errs := e.settleAll(h, late); !errors.Is(errs[0], tasks.ErrLeaseLost) {
			e.Errorf("settle with the lease of before the retry: got %v, want ErrLeaseLost", errs[0])
		}
		e.settle(h, c, retry("again", 0))
		if allowed > 2 {
			if again := e.claimOne(h); again.Record.ID == before.ID {
				e.settle(h, again, success("1"))
			}
			continue
		}
		if got := e.get(h, before.ID); got.Status != tasks.Failed || len(got.Errors) != 2 {
			e.Errorf("the one more attempt is used up: got %s with %d errors, want FAILED with 2", got.Status, len(got.Errors))
		}
	}
}

func deleteEach(e *env) {
	h := e.connect()
	for _, status := range []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled, tasks.Running, tasks.Ready} {
		rec, c := e.standing(h, status, inQueue("deleted"))
		answer := e.alter(h, tasks.Change{Kind: tasks.ChangeDelete}, rec.ID)[0]
		if status == tasks.Running {
			if !errors.Is(answer.Err, tasks.ErrNoChange) || answer.Status != tasks.Running {
				e.Errorf("delete of a RUNNING record: got %+v, want RUNNING and ErrNoChange", answer)
			}
			e.same("after the refused delete", e.get(h, rec.ID), rec)
			e.settle(h, c, success("1"))
			continue
		}
		if answer.Err != nil || answer.Status != "" {
			e.Errorf("delete of a %s record: got %+v, want no status and no error", status, answer)
		}
		e.absent(h, rec.ID)
		again := e.alter(h, tasks.Change{Kind: tasks.ChangeDelete}, rec.ID)[0]
		if !errors.Is(again.Err, tasks.ErrResultNotFound) {
			e.Errorf("second delete: got %+v, want ErrResultNotFound", again)
		}
		if status != tasks.Ready {
			continue
		}
		e.noClaim(h, "after the delete of the READY record", all)
		// Its id is free again, and nothing of the old record comes back with it.
		fresh := e.record(func(r *tasks.Record) { r.ID, r.Queue = rec.ID, "deleted" })
		e.enqueue(h, fresh)
		if fresh.Duplicate {
			e.Errorf("an enqueue with the id of a deleted record is reported as a duplicate")
		}
		if got := e.claimFrom(h, "deleted"); got.Record.ID != rec.ID || got.Record.Attempts() != 1 {
			e.Errorf("claim gave record %s, attempt %d; want %s, attempt 1", got.Record.ID, got.Record.Attempts(), rec.ID)
		}
	}
}
