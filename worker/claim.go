package worker

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

const (
	// maxIdle bounds one Wait on a store that wakes its waiters.
	maxIdle = 30 * time.Second
	// stopClaim is how long a claim in flight has to return when the worker stops.
	stopClaim = time.Second
	// ahead is the time that claiming ahead covers.
	ahead = 50 * time.Millisecond
	// stuck is how long a record may wait in the buffer.
	stuck = time.Second
)

// turnover measures how many handlers end per second.
type turnover struct {
	n    int // since at
	at   time.Time
	rate float64
}

// ahead returns how many are expected to end in the time that claiming ahead covers, and during
// a claim that takes so long, which counts for no longer than that.
func (t *turnover) ahead(now time.Time, claim time.Duration) (covered, meanwhile int) {
	if dt := now.Sub(t.at); dt >= 2*time.Millisecond {
		share := 1 - math.Exp(-float64(dt)/float64(30*time.Millisecond))
		t.rate += share * (float64(t.n)/dt.Seconds() - t.rate)
		t.n, t.at = 0, now
	}
	return int(t.rate * ahead.Seconds()), int(t.rate * min(claim, ahead).Seconds())
}

// dispatch claims until the worker stops or there is nothing more to do.
func (w *Worker) dispatch() {
	var failures backoff
	var early earlyWakes
	for w.working.ctx.Err() == nil {
		n, state := w.want()
		switch {
		case state == allRun:
			w.logMaxTasks()
			return
		case n == 0:
			w.park(state == holding)
			continue
		}
		got, err := w.claim(n)
		switch {
		case err != nil && w.working.ctx.Err() != nil:
		case errors.Is(err, tasks.ErrClosed):
			w.fail(err)
			return
		case err != nil:
			w.outage.down("claim", err)
			sleep(w.working.ctx, failures.next())
		case got > 0:
			failures.reset()
			early.reset()
		case w.opts.Batch && state == nothing:
			w.logBatchEnd()
			return
		default:
			failures.reset()
			w.idle(&early)
		}
	}
}

type dispatchState uint8

const (
	nothing dispatchState = iota // no record is held
	busy                         // some run or aren't settled
	holding                      // some wait in the buffer too
	allRun                       // MaxTasks have been run
)

// want returns how many records to claim.
func (w *Worker) want() (int, dispatchState) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	w.releaseStuck(now)
	state := busy
	switch {
	case len(w.jobs) == 0 && w.left == 0:
		return 0, allRun
	case len(w.jobs) == 0:
		state = nothing
	case w.buffer.len() > 0:
		state = holding
	}
	free := w.opts.Concurrency - w.running
	spare, meanwhile := w.turnover.ahead(now, w.claimTook)
	spare, meanwhile = min(w.opts.LookAhead, spare), min(w.opts.LookAhead, meanwhile)
	held := w.buffer.len()
	// What is used up while the claim is under way is claimed now, or the slots would be empty
	// until it returns.
	n := free + spare - max(0, held-meanwhile)
	w.lowWater = meanwhile + spare/2
	if held > w.lowWater {
		n = 0 // enough for now: claim more at a time later
	}
	n = min(n, w.maxHeld()-len(w.jobs)-w.finishes.Len())
	if w.left >= 0 {
		n = min(n, w.left)
	}
	return max(n, 0), state
}

// maxHeld bounds what is kept in memory while the store takes no outcomes.
func (w *Worker) maxHeld() int {
	return max(64, 2*(w.opts.Concurrency+w.opts.LookAhead))
}

// releaseStuck gives back what was claimed ahead and isn't being used up, because
// tasks have become slow. The caller holds mu.
func (w *Worker) releaseStuck(now time.Time) {
	if w.halted || w.buffer.len() == 0 || now.Sub(w.buffer.first().claimed) < stuck {
		return
	}
	for w.buffer.len() > 0 {
		j := w.buffer.pop()
		out, ok := w.stale(j, now)
		if !ok {
			out = tasks.Outcome{Kind: tasks.OutcomeRelease}
		}
		w.giveBack(j, out)
	}
	w.turnover.rate = 0
}

// park waits until a slot is free or an outcome is stored. While something is
// buffered it looks again after a while.
func (w *Worker) park(holding bool) {
	var look <-chan time.Time
	if holding {
		t := time.NewTimer(stuck)
		defer t.Stop()
		look = t.C
	}
	select {
	case <-w.kick:
	case <-look:
	case <-w.working.ctx.Done():
	}
}

// claim claims up to n records and starts or buffers them.
func (w *Worker) claim(n int) (got int, err error) {
	for _, sel := range w.opts.round() {
		asked := time.Now()
		ctx, cancel := context.WithTimeout(w.claiming.ctx, callTimeout)
		claimed, err := w.store.Claim(ctx, tasks.ClaimRequest{
			Selection: sel, Worker: w.opts.WorkerID, Limit: n - got, Lease: w.opts.Lease,
		})
		cancel()
		if len(claimed) > 0 {
			w.claimTook = time.Since(asked)
			w.adopt(claimed, asked)
		}
		got += len(claimed)
		if err != nil {
			return got, err
		}
		w.outage.up("claim")
		if got >= n || w.working.ctx.Err() != nil {
			break
		}
	}
	return got, nil
}

// earlyWakes counts Waits in a row that returned at once and were followed by a
// claim that got nothing, so that a store that wakes for nothing isn't asked
// without pause.
type earlyWakes struct {
	n    int
	wait backoff
}

const (
	earlyWake = 2 * time.Millisecond
	maxEarly  = 50 * time.Millisecond
)

func (e *earlyWakes) reset() { e.n = 0 }

func (e *earlyWakes) pause() time.Duration {
	e.n++
	if e.n == 1 {
		return 0
	}
	d := min(time.Millisecond<<min(e.n-2, 10), maxEarly)
	return d/2 + rand.N(d/2+1)
}

// idle waits until a claim may succeed.
func (w *Worker) idle(early *earlyWakes) {
	bound := maxIdle
	if !w.notify {
		bound = w.opts.PollInterval - rand.N(w.opts.PollInterval/10+1)
	}
	w.mu.Lock()
	if w.buffer.len() > 0 {
		bound = min(bound, stuck)
	}
	ctx, cancel := context.WithTimeout(w.working.ctx, bound)
	defer cancel()
	if w.opts.Batch {
		if len(w.jobs) == 0 {
			w.mu.Unlock()
			return // the last one ended meanwhile: claim once more, then it's over
		}
		w.wakeIdle = cancel
		defer func() {
			w.mu.Lock()
			w.wakeIdle = nil
			w.mu.Unlock()
		}()
	}
	w.mu.Unlock()

	from := time.Now()
	err := w.store.Wait(ctx, w.opts.selection())
	switch {
	case err == nil:
		w.outage.up("wait")
		early.wait.reset()
		if time.Since(from) >= earlyWake {
			early.reset()
			return
		}
		if d := early.pause(); d > 0 {
			sleep(ctx, d)
		}
	case ctx.Err() != nil:
		w.outage.up("wait")
		early.reset()
	case errors.Is(err, tasks.ErrClosed):
		w.fail(err)
	default:
		w.outage.down("wait", err)
		sleep(ctx, early.wait.next())
	}
}
