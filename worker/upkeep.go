package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// every calls fn again and again until the upkeep ends: after each interval, and
// sooner while it fails. op names it in the log, and limit bounds one call.
func (w *Worker) every(op string, limit time.Duration, interval func() time.Duration, fn func(context.Context) error) {
	var failures backoff
	wait := interval()
	for sleep(w.upkeep.ctx, wait) {
		ctx, cancel := context.WithTimeout(w.upkeep.ctx, limit)
		err := fn(ctx)
		cancel()
		wait = interval()
		switch {
		case err == nil:
			failures.reset()
			w.outage.up(op)
		case w.upkeep.ctx.Err() != nil:
		case errors.Is(err, tasks.ErrClosed):
			w.fail(err)
			return
		default:
			w.outage.down(op, err)
			wait = min(wait/4, failures.next())
		}
	}
}

// renewLoop keeps the leases of all that is held.
func (w *Worker) renewLoop() {
	interval := w.opts.Lease / 3
	// A call that hangs must leave time for another before the leases run out.
	limit := min(callTimeout, max(interval, time.Second))
	w.every("renew", limit, func() time.Duration { return interval }, w.renew)
}

func (w *Worker) renew(ctx context.Context) error {
	w.mu.Lock()
	jobs := make([]*job, 0, len(w.jobs))
	leases := make([]tasks.Lease, 0, len(w.jobs))
	for _, j := range w.jobs {
		if !j.lost {
			jobs = append(jobs, j)
			leases = append(leases, j.lease)
		}
	}
	w.mu.Unlock()
	if len(jobs) == 0 {
		return nil
	}
	asked := time.Now()
	states, err := w.store.Renew(ctx, leases, w.opts.Lease)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, state := range states[:min(len(states), len(jobs))] {
		j := jobs[i]
		switch {
		case state.Lost:
			w.loseLease(j)
			continue
		case state.CancelRequested:
			w.requestCancel(j, state.CancelReason)
		}
		j.held = asked
		j.lease.Deadline = state.Deadline
	}
	return nil
}

// notifyLoop hears of cancellations at once.
func (w *Worker) notifyLoop(n tasks.CancelNotifier) {
	var failures backoff
	for w.upkeep.ctx.Err() == nil {
		from := time.Now()
		err := n.NotifyCancel(w.upkeep.ctx, w.onCancel)
		if errors.Is(err, tasks.ErrClosed) || w.upkeep.ctx.Err() != nil {
			return // other calls say it too
		}
		if time.Since(from) > lastBackoff {
			failures.reset()
		}
		w.log.Debug("Cancellations are seen at renewals only for now", "worker_id", w.opts.WorkerID, "error", err)
		sleep(w.upkeep.ctx, failures.next())
	}
}

func (w *Worker) onCancel(id, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range w.jobs {
		if j.rec.ID == id {
			w.requestCancel(j, reason)
		}
	}
}

// sweepLoop has the store do its upkeep.
func (w *Worker) sweepLoop() {
	w.every("sweep", callTimeout, atOnce(func() time.Duration {
		d := w.opts.SweepInterval
		return d - d/10 + rand.N(d/5+1)
	}), w.sweep)
}

// atOnce makes the first interval 0.
func atOnce(interval func() time.Duration) func() time.Duration {
	first := true
	return func() time.Duration {
		if first {
			first = false
			return 0
		}
		return interval()
	}
}

// maxSweeps bounds how often a sweep that leaves more to do is repeated at once.
const maxSweeps = 20

func (w *Worker) sweep(ctx context.Context) error {
	var sum tasks.Swept
	var err error
	for range maxSweeps {
		var swept tasks.Swept
		if swept, err = w.store.Sweep(ctx); err != nil {
			break
		}
		sum.Lost += swept.Lost
		sum.Expired += swept.Expired
		sum.Pruned += swept.Pruned
		if !swept.More {
			break
		}
	}
	if sum.Lost > 0 || sum.Expired > 0 {
		w.log.Warn("Swept the store", "worker_id", w.opts.WorkerID,
			"lost", sum.Lost, "expired", sum.Expired, "pruned", sum.Pruned)
	}
	return err
}

const (
	maxBeat    = 10 * time.Second
	maxBeatIDs = 100
	lastBeat   = 2 * time.Second
)

func (w *Worker) beatInterval() time.Duration { return min(w.opts.Lease/3, maxBeat) }

func (w *Worker) beatLoop() {
	w.every("heartbeat", callTimeout, atOnce(w.beatInterval), func(ctx context.Context) error { return w.beat(ctx, false) })
}

// tellStopping has a heartbeat say so as soon as the worker stops.
func (w *Worker) tellStopping() {
	select {
	case <-w.working.ctx.Done():
	case <-w.upkeep.ctx.Done():
		return
	}
	ctx, cancel := context.WithTimeout(w.upkeep.ctx, callTimeout)
	defer cancel()
	_ = w.beat(ctx, false) // beatLoop reports what is wrong
}

// beat tells the store that the worker is alive, or that it has stopped.
func (w *Worker) beat(ctx context.Context, stopped bool) error {
	info := tasks.WorkerInfo{
		ID: w.opts.WorkerID, Host: w.host, PID: os.Getpid(), Queues: w.opts.Queues, Exclude: w.opts.Exclude,
		Concurrency: w.opts.Concurrency, StartedAt: w.started.UTC(), Interval: w.beatInterval(),
		Stopping: w.working.ctx.Err() != nil, Stopped: stopped,
	}
	w.mu.Lock()
	info.Running = w.running
	for _, j := range w.jobs {
		if len(info.RunningIDs) == maxBeatIDs {
			break
		}
		if j.state == running {
			info.RunningIDs = append(info.RunningIDs, j.rec.ID)
		}
	}
	w.mu.Unlock()
	return w.store.Heartbeat(ctx, info)
}

// lastBeat says goodbye, unless the store is away.
func (w *Worker) lastBeat(ctx context.Context) {
	w.mu.Lock()
	failed := w.fatal != nil
	w.mu.Unlock()
	if failed || w.outage.is() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, lastBeat)
	defer cancel()
	if err := w.beat(ctx, true); err != nil {
		w.log.Warn("Last heartbeat failed", "worker_id", w.opts.WorkerID, "error", err)
	}
}
