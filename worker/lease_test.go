package worker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
	"github.com/sideman-go/sideman/worker"
)

// untilEnd waits for the end of its context and returns the cause.
func untilEnd(causes chan<- error) func(context.Context, int) (int, error) {
	return func(ctx context.Context, _ int) (int, error) {
		<-ctx.Done()
		causes <- context.Cause(ctx)
		return 0, ctx.Err()
	}
}

func (e *env) cancel(id, reason string) {
	e.t.Helper()
	answers, err := e.store.Alter(e.t.Context(), tasks.Change{Kind: tasks.ChangeCancel, Reason: reason}, []string{id})
	if err != nil || answers[0].Err != nil {
		e.t.Fatalf("cancel: %v %v", answers, err)
	}
}

func TestLeaseIsRenewedWhileTheHandlerRuns(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "long", func(context.Context, int) (int, error) { time.Sleep(10 * time.Minute); return 1, nil })
		id := enqueue(t, task, 0)
		a := e.start(worker.Options{WorkerID: "a", Lease: 3 * time.Second, SweepInterval: time.Second})
		time.Sleep(time.Millisecond)
		b := e.start(worker.Options{WorkerID: "b", Lease: 3 * time.Second, SweepInterval: time.Second})
		time.Sleep(11 * time.Minute)
		rec := e.status(id, tasks.Successful)
		equal(t, "workers", strings.Join(rec.WorkerIDs, ","), "a")
		if n := e.store.count("renew"); n < 595 || n > 605 {
			t.Fatalf("renewals in 10 minutes: got %d, want one a second", n)
		}
		a.stop()
		b.stop()
	})
}

func TestLostLeaseEndsTheHandlerAndDropsItsOutcome(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		causes := make(chan error, 1)
		task := tasks.Define(e.app, "t", untilEnd(causes), tasks.MaxAttempts(3))
		id := enqueue(t, task, 0, tasks.Queue("a"))
		r := e.start(worker.Options{Queues: []string{"a"}, Lease: 3 * time.Second})
		synctest.Wait()
		e.store.steal(id)
		// Somebody else has it now.
		if _, err := e.store.Claim(t.Context(), tasks.ClaimRequest{Worker: "other", Limit: 1, Lease: time.Hour}); err != nil {
			t.Fatal(err)
		}
		from := time.Now()
		if cause := <-causes; !errors.Is(cause, tasks.ErrLeaseLost) {
			t.Fatalf("cause: got %v, want ErrLeaseLost", cause)
		}
		if took := time.Since(from); took > time.Second {
			t.Fatalf("the handler was told after %v, want 1 s: a third of the lease", took)
		}
		synctest.Wait()
		rec := e.status(id, tasks.Running)
		equal(t, "workers", strings.Join(rec.WorkerIDs[1:], ","), "other")
		equal(t, "errors", len(rec.Errors), 1) // "lost"
		equal(t, "settled", len(e.store.settled), 0)
		r.stop()
		equal(t, "stats", r.Stats(), worker.Stats{Claimed: 1, LostLeases: 1})
		e.logged(1, "WARN Task lost its lease", "id="+id)
	})
}

func TestLostLeaseFoundAtTheSettle(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { time.Sleep(time.Second); return 1, nil })
		id, other := enqueue(t, task, 0), enqueue(t, task, 0)
		r := e.start(worker.Options{})
		time.Sleep(time.Millisecond)
		e.store.steal(id)
		_, _ = e.store.Claim(t.Context(), tasks.ClaimRequest{Worker: "other", Limit: 1, Lease: time.Hour})
		time.Sleep(2 * time.Second)
		rec := e.store.get(t, id)
		equal(t, "status", rec.Status, tasks.Failed) // as lost, its one attempt being used up
		e.status(other, tasks.Successful)
		r.stop()
		equal(t, "stats", r.Stats(), worker.Stats{Claimed: 2, Succeeded: 1, LostLeases: 1})
	})
}

func TestTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		causes := make(chan error, 1)
		var deadline time.Time
		task := tasks.Define(e.app, "slow", func(ctx context.Context, n int) (int, error) {
			deadline, _ = ctx.Deadline()
			if n == 1 { // as if it had made it
				<-ctx.Done()
				return 1, nil
			}
			return untilEnd(causes)(ctx, n)
		}, tasks.Timeout(3*time.Second))
		start := time.Now()
		id := enqueue(t, task, 0)
		e.runBatch(worker.Options{})
		equal(t, "deadline", deadline.Sub(start), 3*time.Second)
		equal(t, "took", time.Since(start), 3*time.Second)
		if cause := <-causes; !errors.Is(cause, tasks.ErrTimeout) {
			t.Fatalf("cause: got %v, want ErrTimeout", cause)
		}
		rec := e.status(id, tasks.Failed)
		equal(t, "type", rec.Errors[0].Type, tasks.ErrorTypeTimeout)

		id = enqueue(t, task, 1)
		e.runBatch(worker.Options{})
		e.status(id, tasks.Failed)
	})
}

func TestTimeoutsShareOneTimer(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		start := time.Now()
		ends := map[int]time.Duration{}
		causes := make(chan error, 20)
		task := tasks.Define(e.app, "slow", func(ctx context.Context, n int) (int, error) {
			if n%2 == 1 {
				time.Sleep(500 * time.Millisecond) // ends before its timeout
				return 0, nil
			}
			defer func() { ends[n] = time.Since(start) }()
			return untilEnd(causes)(ctx, n)
		})
		for _, n := range []int{7, 2, 9, 4, 6, 8, 1} { // not in order
			enqueue(t, task, n, tasks.Timeout(time.Duration(n)*time.Second))
		}
		s := e.runBatch(worker.Options{})
		equal(t, "timed out", len(ends), 4)
		for n, took := range ends {
			equal(t, "end", took, time.Duration(n)*time.Second)
		}
		equal(t, "succeeded", s.Succeeded, 3)
		equal(t, "failed", s.Failed, 4)
	})
}

func TestHandlerThatIgnoresItsTimeout(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		release := make(chan struct{})
		attempts := 0
		deaf := tasks.Define(e.app, "deaf", func(context.Context, int) (int, error) {
			if attempts++; attempts == 1 {
				<-release
			}
			return 1, nil
		}, tasks.Timeout(time.Second), tasks.MaxAttempts(2), tasks.Backoff(tasks.Constant(time.Hour)))
		next := tasks.Define(e.app, "next", nothing)
		id, after := enqueue(t, deaf, 0), enqueue(t, next, 0)
		r := e.start(worker.Options{Concurrency: 1, Grace: 20 * time.Second, Lease: 3 * time.Second, SweepInterval: time.Second})
		time.Sleep(20 * time.Second)
		e.status(id, tasks.Running) // its slot and its lease are held
		e.status(after, tasks.Ready)
		time.Sleep(2 * time.Second)
		rec := e.status(id, tasks.Ready)
		equal(t, "errors", len(rec.Errors), 1)
		equal(t, "type", rec.Errors[0].Type, tasks.ErrorTypeTimeout)
		e.status(after, tasks.Successful)
		e.logged(1, "ERROR Task ignores the end of its context", "id="+id)
		equal(t, "abandoned", r.Stats().Abandoned, 1)
		close(release) // a late return changes nothing
		time.Sleep(time.Minute)
		equal(t, "still", e.store.get(t, id).Status, tasks.Ready)
		time.Sleep(time.Hour)
		e.status(id, tasks.Successful)
		r.stop()
		equal(t, "stats", r.Stats(), worker.Stats{Claimed: 3, Succeeded: 2, Retried: 1, Abandoned: 1})
	})
}

func TestLateReturnChangesNothingThatIsNotStoredYet(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		release := make(chan struct{})
		deaf := tasks.Define(e.app, "deaf", func(context.Context, int) (int, error) { <-release; return 1, nil },
			tasks.Timeout(time.Second))
		id := enqueue(t, deaf, 0)
		r := e.start(worker.Options{Grace: time.Second, Lease: time.Hour})
		time.Sleep(time.Second)
		e.store.set(func(m *memory) { m.fail["settle"] = tasks.ErrUnavailable })
		time.Sleep(time.Minute)
		equal(t, "unsettled", r.Stats().Unsettled, 1)
		close(release)
		time.Sleep(time.Second)
		equal(t, "unsettled", r.Stats().Unsettled, 1)
		e.store.away(nil)
		time.Sleep(10 * time.Second)
		e.status(id, tasks.Failed)
		r.stop()
		equal(t, "stats", r.Stats(), worker.Stats{Claimed: 1, Failed: 1, Abandoned: 1})
	})
}

func TestCancelAfterATimeout(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		var told []string
		e.app.AddHooks(tasks.Hooks{Finished: func(_ context.Context, rec *tasks.Record) error {
			told = append(told, string(rec.Status)+" "+rec.CancelReason)
			return nil
		}})
		late := tasks.Define(e.app, "late", func(context.Context, int) (int, error) { time.Sleep(10 * time.Second); return 1, nil },
			tasks.Timeout(time.Second), tasks.MaxAttempts(3))
		id := enqueue(t, late, 0)
		r := e.start(worker.Options{Lease: 3 * time.Second})
		time.Sleep(2 * time.Second)
		e.cancel(id, "why")
		time.Sleep(10 * time.Second)
		rec := e.status(id, tasks.Cancelled)
		equal(t, "errors", len(rec.Errors), 1)
		r.stop()
		equal(t, "stats", r.Stats(), worker.Stats{Claimed: 1, Cancelled: 1})
		equal(t, "hook", strings.Join(told, ";"), "CANCELLED why")
	})
}

func TestCancelIsSeenAtARenewal(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		causes := make(chan error, 1)
		task := tasks.Define(e.app, "t", untilEnd(causes), tasks.MaxAttempts(3))
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{Lease: 6 * time.Second})
		synctest.Wait()
		from := time.Now()
		e.cancel(id, "changed my mind")
		cause := <-causes
		if !errors.Is(cause, tasks.ErrTaskCancelled) || !strings.Contains(cause.Error(), "changed my mind") {
			t.Fatalf("cause: got %v, want ErrTaskCancelled with the reason", cause)
		}
		if took := time.Since(from); took > 2*time.Second {
			t.Fatalf("seen after %v, want a third of the lease", took)
		}
		synctest.Wait()
		rec := e.status(id, tasks.Cancelled)
		equal(t, "reason", rec.CancelReason, "changed my mind")
		r.stop()
		equal(t, "stats", r.Stats(), worker.Stats{Claimed: 1, Cancelled: 1})
		e.logged(1, "INFO Task", "state=CANCELLED", "reason=changed my mind")
	})
}

func TestCancelIsSeenByNotification(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		e := newEnv(t, notifying{m}, m)
		causes := make(chan error, 1)
		task := tasks.Define(e.app, "t", untilEnd(causes))
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{Lease: time.Hour})
		synctest.Wait()
		from := time.Now()
		e.cancel(id, "now")
		if cause := <-causes; !errors.Is(cause, tasks.ErrTaskCancelled) {
			t.Fatalf("cause: got %v, want ErrTaskCancelled", cause)
		}
		equal(t, "seen after", time.Since(from), 0)
		synctest.Wait()
		e.status(id, tasks.Cancelled)
		r.stop()
	})
}

func TestCancelDoesNotUndoASuccess(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(ctx context.Context, _ int) (string, error) {
			<-ctx.Done()
			return "done anyway", nil
		})
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{Lease: 3 * time.Second})
		synctest.Wait()
		e.cancel(id, "too late")
		time.Sleep(5 * time.Second)
		e.status(id, tasks.Successful)
		r.stop()
	})
}

// buffered makes the worker claim ahead, by quick tasks, and then fills its one
// slot with a task that runs for hold, while ids wait in the buffer.
func (e *env) buffered(o worker.Options, hold time.Duration, opts ...tasks.Option) (r *running, ids []string) {
	e.t.Helper()
	quick := tasks.Define(e.app, "quick", func(context.Context, int) (int, error) {
		time.Sleep(time.Millisecond)
		return 0, nil
	})
	slow := tasks.Define(e.app, "slow", func(context.Context, int) (int, error) { time.Sleep(hold); return 0, nil })
	victim := tasks.Define(e.app, "victim", nothing)
	for range 500 {
		enqueue(e.t, quick, 0, tasks.Priority(10))
	}
	enqueue(e.t, slow, 0, tasks.Priority(5))
	for range 4 {
		ids = append(ids, enqueue(e.t, victim, 0, opts...))
	}
	o.Concurrency, o.LookAhead = 1, 8
	r = e.start(o)
	time.Sleep(600 * time.Millisecond)
	if s := r.Stats(); s.Running != 1 || s.Buffered != 4 {
		e.t.Fatalf("got %+v, want one running and 4 buffered", s)
	}
	return r, ids
}

func TestBufferedTaskThatExpiresIsNotRun(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		r, ids := e.buffered(worker.Options{}, 400*time.Millisecond, tasks.ExpiresIn(700*time.Millisecond))
		time.Sleep(time.Second)
		for _, id := range ids {
			rec := e.status(id, tasks.Cancelled)
			equal(t, "reason", rec.CancelReason, lifecycle.ReasonExpired)
			equal(t, "attempts", rec.Attempts(), 0)
		}
		e.logged(0, "path=victim state=RUNNING")
		r.stop()
		equal(t, "released", r.Stats().Released, 4)
	})
}

func TestBufferedTaskThatIsCancelledIsNotRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		e := newEnv(t, notifying{m}, m)
		r, ids := e.buffered(worker.Options{}, 300*time.Millisecond)
		e.cancel(ids[0], "not needed")
		time.Sleep(time.Second)
		equal(t, "reason", e.status(ids[0], tasks.Cancelled).CancelReason, "not needed")
		e.status(ids[1], tasks.Successful)
		e.logged(3, "path=victim state=RUNNING")
		r.stop()
	})
}

func TestBufferedTaskWhoseLeaseIsLostIsNotRun(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		r, ids := e.buffered(worker.Options{Lease: 300 * time.Millisecond}, 400*time.Millisecond)
		for _, id := range ids {
			e.store.steal(id)
		}
		e.store.set(func(m *memory) { m.paused["default"] = true })
		time.Sleep(time.Second)
		e.logged(0, "path=victim state=RUNNING")
		r.stop()
		equal(t, "lost", r.Stats().LostLeases, 0) // nothing was lost: they hadn't begun
	})
}

func TestBufferedTasksKeepTheirLeases(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		r, ids := e.buffered(worker.Options{Lease: 300 * time.Millisecond, SweepInterval: 50 * time.Millisecond}, 900*time.Millisecond)
		time.Sleep(time.Second)
		for _, id := range ids {
			equal(t, "attempts", e.status(id, tasks.Successful).Attempts(), 1)
		}
		r.stop()
		equal(t, "released", r.Stats().Released, 0)
	})
}

func TestWhatIsClaimedAheadIsNotKeptFromOthers(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		r, ids := e.buffered(worker.Options{}, time.Hour)
		time.Sleep(2 * time.Second)
		for _, id := range ids {
			rec := e.status(id, tasks.Ready)
			equal(t, "attempts", rec.Attempts(), 0)
		}
		equal(t, "released", r.Stats().Released, 4)
		time.Sleep(time.Minute) // and it isn't claimed again and again
		equal(t, "claimed", r.Stats().Claimed, 505)
		other := e.start(worker.Options{})
		time.Sleep(time.Second)
		for _, id := range ids {
			e.status(id, tasks.Successful)
		}
		other.stop()
		time.Sleep(time.Hour)
		r.stop()
	})
}

func TestNoLookAheadWhileTasksAreSlow(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { time.Sleep(time.Second); return 0, nil })
		for range 100 {
			enqueue(t, task, 0)
		}
		e.runBatch(worker.Options{Concurrency: 5})
		e.store.set(func(m *memory) {
			for _, req := range m.claims {
				if req.Limit > 5 {
					t.Fatalf("a claim for %d, want at most 5: the free slots", req.Limit)
				}
			}
		})
	})
}
