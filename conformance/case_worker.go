package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func workerCases() []Case {
	return []Case{
		{
			Name: "Worker/Listed", Clauses: []string{"I2"}, Needs: inspecting,
			What: "a heartbeat must read back as it was given, with the store's time of it and its age",
			run: func(e *env) {
				h := e.connect()
				if got := e.workers(h); len(got) > 0 {
					e.Errorf("an empty store has workers %+v", got)
				}
				want := tasks.WorkerInfo{
					ID: "w-1", Host: "host.example", PID: 4711, Queues: []string{"a", "b,c", "*"}, Exclude: []string{"x y"}, Concurrency: 8,
					StartedAt: time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC), Interval: time.Minute,
					Running: 120, Stopping: true,
				}
				for range 100 {
					want.RunningIDs = append(want.RunningIDs, e.ids.New())
				}
				e.beat(h, want)
				got := e.workers(h)["w-1"]
				if got.BeatAt.IsZero() || got.Age < 0 || got.Age > e.timing.Deadline {
					e.Errorf("beat at %v, age %v; want the store's time, and about 0", got.BeatAt, got.Age)
				}
				e.sameWorker(got, want)
			},
		},
		{
			Name: "Worker/StoresClock", Clauses: []string{"W7", "I2"}, Needs: inspecting,
			What: "a worker whose own clock is wrong must be listed as alive: the store's clock sets BeatAt",
			run: func(e *env) {
				h := e.connect()
				now := time.Now()
				for i, at := range []time.Time{{}, now.Add(-24 * time.Hour), now.Add(24 * time.Hour)} {
					id := fmt.Sprintf("w-%d", i)
					e.beat(h, tasks.WorkerInfo{ID: id, Interval: time.Minute, BeatAt: at, Age: 24 * time.Hour, StartedAt: at})
					if w, there := e.workers(h)[id]; !there || w.Age < 0 || w.Age > e.timing.Deadline {
						e.Errorf("worker that says it is %v: listed %v, age %v; want listed, about 0", at, there, w.Age)
					}
				}
			},
		},
		{
			Name: "Worker/Overwrites", Clauses: []string{"I2"}, Needs: inspecting,
			What: "the next heartbeat of a worker must take the place of the one before, with what it no longer has gone",
			run: func(e *env) {
				h := e.connect()
				w := tasks.WorkerInfo{ID: "w", Host: "one", Queues: []string{"a", "b"}, Interval: time.Minute, Running: 1, RunningIDs: []string{"x"}, Stopping: true}
				e.beat(h, w)
				w = tasks.WorkerInfo{ID: "w", Host: "two", Interval: time.Hour}
				e.beat(h, w)
				got := e.workers(h)
				if len(got) != 1 {
					e.Errorf("two heartbeats of one worker: got %d workers, want 1", len(got))
				}
				e.sameWorker(got["w"], w)
			},
		},
		{
			Name: "Worker/Silent", Clauses: []string{"I2"}, Needs: inspecting,
			What: "a worker that is silent for more than three of its own intervals must not be listed, until it beats again",
			run: func(e *env) {
				h := e.connect()
				quick, slow := tasks.WorkerInfo{ID: "quick", Interval: 100 * time.Millisecond}, tasks.WorkerInfo{ID: "slow", Interval: time.Minute}
				e.beat(h, slow)
				e.beat(h, quick)
				e.pause(400 * time.Millisecond)
				e.sweep(h)
				got := e.workers(h)
				if w, there := got["quick"]; there {
					e.Errorf("a worker that beats every %v is listed %v after its last heartbeat", quick.Interval, w.Age)
				}
				if w, there := got["slow"]; !there || w.Age < 400*time.Millisecond {
					e.Errorf("a worker that beats every %v: listed %v, age %v 400ms after its heartbeat", slow.Interval, there, w.Age)
				}
				e.beat(h, tasks.WorkerInfo{ID: "quick", Interval: time.Minute})
				if _, there := e.workers(h)["quick"]; !there {
					e.Errorf("a worker that beats again isn't listed")
				}
			},
		},
		{
			Name: "Worker/Stopped", Clauses: []string{"I2"}, Needs: inspecting,
			What: "the last heartbeat of a worker must have it forgotten, and no other",
			run: func(e *env) {
				h := e.connect()
				names := []string{"w", "w/1", "w*", "W", "w:1", "w 1", "%", "🙂", strings.Repeat("w", tasks.MaxID)}
				for _, id := range names {
					e.beat(h, tasks.WorkerInfo{ID: id, Interval: time.Minute})
				}
				slices.Sort(names)
				e.step("reading the workers")
				listed, err := h.s.Workers(e.ctx)
				e.must(err, "workers")
				if got := workerIDs(listed); !slices.Equal(got, names) {
					e.Errorf("got workers %q, want %q, by id", got, names)
				}
				e.beat(h, tasks.WorkerInfo{ID: "never there", Interval: time.Minute, Stopped: true})
				for i, id := range names {
					e.beat(h, tasks.WorkerInfo{ID: id, Interval: time.Minute, Stopped: true})
					got := e.workers(h)
					if _, there := got[id]; there || len(got) != len(names)-1-i {
						e.Errorf("after worker %q stopped, %d of %d are listed, itself: %v", id, len(got), len(names), there)
					}
				}
			},
		},
		{
			Name: "Worker/HeartbeatCopies", Clauses: []string{"I2", "R7"}, Needs: inspecting,
			What: "heartbeats must not share memory with the caller",
			run: func(e *env) {
				h := e.connect()
				w := tasks.WorkerInfo{ID: "w", Queues: []string{"a"}, RunningIDs: []string{"x"}, Interval: time.Minute}
				e.beat(h, w)
				w.Queues[0], w.RunningIDs[0] = "changed", "changed"
				got := e.workers(h)["w"]
				e.sameWorker(got, tasks.WorkerInfo{ID: "w", Queues: []string{"a"}, RunningIDs: []string{"x"}, Interval: time.Minute})
				if len(got.Queues) > 0 {
					got.Queues[0] = "changed"
				}
				e.sameWorker(e.workers(h)["w"], tasks.WorkerInfo{ID: "w", Queues: []string{"a"}, RunningIDs: []string{"x"}, Interval: time.Minute})
			},
		},
	}
}

func (e *env) beat(h *handle, w tasks.WorkerInfo) {
	e.Helper()
	e.step("heartbeat of worker %q", w.ID)
	e.must(h.s.Heartbeat(e.ctx, w), "heartbeat of worker %q", w.ID)
}

// workers returns the live workers by id.
func (e *env) workers(h *handle) map[string]tasks.WorkerInfo {
	e.Helper()
	e.step("reading the workers")
	listed, err := h.s.Workers(e.ctx)
	e.must(err, "workers")
	byID := make(map[string]tasks.WorkerInfo, len(listed))
	for _, w := range listed {
		if _, twice := byID[w.ID]; twice {
			e.Errorf("worker %q is listed twice", w.ID)
		}
		byID[w.ID] = w
	}
	return byID
}

// sameWorker compares what the worker says of itself.
func (e *env) sameWorker(got, want tasks.WorkerInfo) {
	e.Helper()
	if got.ID != want.ID || got.Host != want.Host || got.PID != want.PID || got.Concurrency != want.Concurrency ||
		got.Interval != want.Interval || got.Running != want.Running || got.Stopping != want.Stopping ||
		!sameTime(got.StartedAt, want.StartedAt) || !slices.Equal(got.Queues, want.Queues) ||
		!slices.Equal(got.Exclude, want.Exclude) || !slices.Equal(got.RunningIDs, want.RunningIDs) {
		e.Errorf("worker %q reads back as\n%+v, want\n%+v", want.ID, got, want)
	}
}
