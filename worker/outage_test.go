package worker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

func TestOutage(t *testing.T) {
	t.Parallel()
	for _, cause := range []error{tasks.ErrUnavailable, errors.New("dial tcp: connection refused")} {
		t.Run(cause.Error(), func(t *testing.T) {
			bubble(t, func(t *testing.T, e *env) {
				var ran atomic.Int64
				task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) {
					ran.Add(1)
					time.Sleep(10 * time.Second)
					return 1, nil
				})
				id := enqueue(t, task, 0)
				r := e.start(worker.Options{Lease: time.Hour})
				synctest.Wait()
				e.store.away(cause)
				second := enqueue(t, task, 0)
				time.Sleep(5 * time.Minute)
				equal(t, "unsettled", r.Stats().Unsettled, 1)
				e.status(id, tasks.Running)
				if n := e.store.count("claim"); n > 200 {
					t.Fatalf("%d claims in 5 minutes: want growing pauses", n)
				}
				e.store.away(nil)
				time.Sleep(6 * time.Second)
				e.status(id, tasks.Successful)
				e.status(second, tasks.Running)
				time.Sleep(10 * time.Second)
				e.status(second, tasks.Successful)
				equal(t, "runs", ran.Load(), 2)
				r.stop()
				equal(t, "stats", r.Stats(), worker.Stats{Claimed: 2, Succeeded: 2})
				e.logged(1, "ERROR store unavailable", cause.Error())
				e.logged(1, "INFO store is back", "after=5m")
			})
		})
	}
}

func TestClaimsStopWhileOutcomesAreNotStored(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", nothing)
		for range 1000 {
			enqueue(t, task, 0)
		}
		e.store.set(func(m *memory) { m.fail["settle"] = tasks.ErrUnavailable })
		r := e.start(worker.Options{Concurrency: 10, LookAhead: -1, Lease: time.Hour})
		time.Sleep(time.Hour / 2)
		if n := r.Stats().Claimed; n != 64 {
			t.Fatalf("claimed %d while nothing was stored, want 64", n)
		}
		e.store.away(nil)
		time.Sleep(time.Minute)
		r.stop()
		equal(t, "succeeded", r.Stats().Succeeded, 1000)
	})
}

func TestLostReplyOfASettle(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		var ran atomic.Int64
		var finished atomic.Int64
		e.app.AddHooks(tasks.Hooks{Finished: func(context.Context, *tasks.Record) error { finished.Add(1); return nil }})
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { ran.Add(1); return 1, nil })
		id := enqueue(t, task, 0)
		e.store.set(func(m *memory) { m.lostReply = 1 })
		s := e.runBatch(worker.Options{})
		e.status(id, tasks.Successful)
		equal(t, "runs", ran.Load(), 1)
		equal(t, "finished", finished.Load(), 1)
		equal(t, "stats", s, worker.Stats{Claimed: 1, Succeeded: 1})
		e.logged(0, "lost its lease")
	})
}

func TestLeaseLostDuringAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", nothing, tasks.MaxAttempts(2))
		id := enqueue(t, task, 0, tasks.Queue("a"))
		e.store.set(func(m *memory) { m.fail["settle"] = fmt.Errorf("%w: no reply", tasks.ErrUnknownOutcome) })
		r := e.start(worker.Options{Queues: []string{"a"}})
		synctest.Wait()
		e.store.set(func(m *memory) { m.paused["a"] = true })
		e.store.steal(id)
		e.store.away(nil)
		time.Sleep(time.Minute)
		equal(t, "stats", r.Stats(), worker.Stats{Claimed: 1, LostLeases: 1})
		e.logged(0, "SUCCESSFUL")
		r.stop()
	})
}

func TestOutcomeThatCannotBeStored(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault func(m *memory, bad func(tasks.Outcome) error)
	}{
		{"refused by itself", func(m *memory, bad func(tasks.Outcome) error) { m.refuse = bad }},
		{"with its batch", func(m *memory, bad func(tasks.Outcome) error) {
			m.refuseAll = func(outs []tasks.Outcome) error {
				for _, out := range outs {
					if err := bad(out); err != nil {
						return err
					}
				}
				return nil
			}
		}},
	} {
		for _, n := range []int{1, 20} {
			t.Run(fmt.Sprint(tt.name, " of ", n), func(t *testing.T) {
				bubble(t, func(t *testing.T, e *env) {
					var ran atomic.Int64
					task := tasks.Define(e.app, "t", func(_ context.Context, s string) (string, error) {
						ran.Add(1)
						time.Sleep(time.Second) // so that all end together
						return s, nil
					})
					tt.fault(e.store, func(out tasks.Outcome) error {
						if strings.Contains(string(out.Value), "poison") {
							return errors.New("can't store poison")
						}
						return nil
					})
					bad := enqueue(t, task, "poison")
					var good []string
					for range n - 1 {
						good = append(good, enqueue(t, task, "fine"))
					}
					s := e.runBatch(worker.Options{})
					rec := e.status(bad, tasks.Failed)
					if msg := rec.Errors[0].Message; !strings.Contains(msg, "can't store poison") {
						t.Fatalf("message: got %q, want the store's error", msg)
					}
					for _, id := range good {
						e.status(id, tasks.Successful)
					}
					equal(t, "runs", ran.Load(), int64(n))
					equal(t, "stats", s, worker.Stats{Claimed: int64(n), Succeeded: int64(n - 1), Failed: 1})
				})
			})
		}
	}
}

func TestOutcomeThatCannotBeStoredAtAll(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", nothing)
		bad, good := enqueue(t, task, 0), enqueue(t, task, 0)
		e.store.refuse = func(out tasks.Outcome) error {
			if out.Lease.ID == bad {
				return errors.New("not this one")
			}
			return nil
		}
		s := e.runBatch(worker.Options{})
		e.status(good, tasks.Successful)
		e.status(bad, tasks.Running) // until its lease is over
		equal(t, "stats", s, worker.Stats{Claimed: 2, Succeeded: 1, SettleErrors: 1})
		e.logged(1, "ERROR Task outcome can't be stored", "id="+bad, "not this one")
	})
}

func TestRenewalsGoOnAfterAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { time.Sleep(time.Minute); return 1, nil })
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{Lease: 9 * time.Second, SweepInterval: time.Second})
		time.Sleep(10 * time.Second)
		e.store.set(func(m *memory) { m.fail["renew"] = tasks.ErrUnavailable })
		time.Sleep(7 * time.Second) // the lease runs out in another second
		e.store.away(nil)
		time.Sleep(time.Minute)
		equal(t, "attempts", e.status(id, tasks.Successful).Attempts(), 1)
		r.stop()
	})
}

func TestRenewalThatHangs(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { time.Sleep(time.Minute); return 1, nil })
		id := enqueue(t, task, 0)
		r := e.start(worker.Options{Lease: 9 * time.Second, SweepInterval: time.Second})
		time.Sleep(10 * time.Second)
		e.store.set(func(m *memory) { m.slow["renew"] = time.Hour })
		time.Sleep(3 * time.Second) // long enough for one call to hang
		e.store.set(func(m *memory) { delete(m.slow, "renew") })
		time.Sleep(time.Minute)
		equal(t, "attempts", e.status(id, tasks.Successful).Attempts(), 1)
		r.stop()
	})
}

func TestHungStoreCall(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", nothing)
		e.store.set(func(m *memory) { m.slow["claim"] = 1000 * time.Hour })
		r := e.start(worker.Options{})
		time.Sleep(time.Second)
		e.store.set(func(m *memory) { delete(m.slow, "claim") })
		id := enqueue(t, task, 0)
		time.Sleep(30 * time.Second)
		e.status(id, tasks.Successful)
		r.stop()
	})
}
