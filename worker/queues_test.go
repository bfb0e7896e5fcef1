package worker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// From which queues a worker claims, in what order, and how it waits for them.

func TestOrderAcrossQueues(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		o    worker.Options
		want string
	}{
		{"priority", worker.Options{}, "a9 b5 c5 a1 b0"},
		{"selected", worker.Options{Queues: []string{" b ", "c"}}, "b5 c5 b0"},
		{"excluded", worker.Options{Queues: []string{"*"}, Exclude: []string{"b", "unheard of"}}, "a9 c5 a1"},
		{"strict", worker.Options{Queues: []string{"c", "b", "a"}, Order: worker.OrderStrict}, "c5 b5 b0 a9 a1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, e *env) {
				var ran []string
				task := tasks.Define(e.app, "t", func(_ context.Context, s string) (int, error) {
					ran = append(ran, s)
					return 0, nil
				})
				for _, s := range []string{"b0", "a1", "b5", "c5", "a9"} {
					enqueue(t, task, s, tasks.Queue(s[:1]), tasks.Priority(int(s[1]-'0')))
				}
				tt.o.Concurrency, tt.o.LookAhead = 1, -1
				e.runBatch(tt.o)
				equal(t, "order", strings.Join(ran, " "), tt.want)
			})
		})
	}
}

func TestWeightedOrder(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		first := map[string]int{}
		task := tasks.Define(e.app, "t", nothing)
		for range 1000 {
			for _, q := range []string{"often", "seldom"} {
				enqueue(t, task, 0, tasks.Queue(q))
			}
		}
		e.runBatch(worker.Options{
			Concurrency: 1, LookAhead: -1, MaxTasks: 1000,
			Order: worker.OrderWeighted, Weights: map[string]int{"often": 3, "seldom": 1},
		})
		e.store.set(func(m *memory) {
			for _, out := range m.settled {
				first[m.recs[out.Lease.ID].Queue]++
			}
		})
		if n := first["often"]; n < 650 || n > 850 {
			t.Fatalf("of 1000 the queue with weight 3 of 4 had %d", n)
		}
		equal(t, "total", first["often"]+first["seldom"], 1000)
	})
}

func TestPauseAndResume(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		task := tasks.Define(e.app, "t", nothing)
		r := e.start(worker.Options{})
		synctest.Wait()
		_ = e.store.Pause(t.Context(), "default", true)
		id := enqueue(t, task, 0)
		time.Sleep(time.Minute)
		e.status(id, tasks.Ready)
		_ = e.store.Pause(t.Context(), "default", false)
		time.Sleep(time.Second)
		e.status(id, tasks.Successful)
		r.stop()
	})
}

func TestIdleWorkerStartsAtOnce(t *testing.T) {
	t.Parallel()
	for _, notify := range []bool{true, false} {
		t.Run(fmt.Sprint("notify=", notify), func(t *testing.T) {
			bubble(t, func(t *testing.T, e *env) {
				bound := 100 * time.Millisecond
				if !notify {
					e.store.caps &^= tasks.CapNotify
					bound = 300 * time.Millisecond // the poll interval
				}
				var mu sync.Mutex
				var waits []time.Duration
				task := tasks.Define(e.app, "t", func(_ context.Context, at time.Time) (int, error) {
					mu.Lock()
					defer mu.Unlock()
					waits = append(waits, time.Since(at))
					return 0, nil
				})
				r := e.start(worker.Options{PollInterval: 300 * time.Millisecond})
				time.Sleep(100 * time.Second)
				for i := range 20 {
					enqueue(t, task, time.Now())
					time.Sleep(time.Duration(i) * 137 * time.Millisecond)
				}
				due := time.Now().Add(time.Hour)
				enqueue(t, task, due, tasks.RunAfter(due))
				time.Sleep(2 * time.Hour)
				r.stop()
				equal(t, "started", len(waits), 21)
				if most := slices.Max(waits); most > bound {
					t.Fatalf("started after %v at worst, want %v", most, bound)
				}
				if least := slices.Min(waits); least < -time.Millisecond {
					t.Fatalf("started %v before it was due", -least)
				}
			})
		})
	}
}

func TestStoreThatWakesForNothing(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		e.store.set(func(m *memory) { m.idleWait = true })
		r := e.start(worker.Options{})
		time.Sleep(time.Minute)
		if n := e.store.count("claim"); n > 60*50 {
			t.Fatalf("%d claims in a minute that got nothing: want pauses between them", n)
		}
		task := tasks.Define(e.app, "t", nothing)
		id := enqueue(t, task, 0)
		time.Sleep(100 * time.Millisecond)
		e.status(id, tasks.Successful)
		r.stop()
	})
}
