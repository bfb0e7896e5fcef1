package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

const (
	// cutOff is how long handlers have to return once they were cut off.
	cutOff = 2 * time.Second
	// handBack delays the next attempt of one that hasn't, so that this process may
	// end before.
	handBack = 5 * time.Second
)

// shutdown ends what is held: it is called when nothing is claimed any more.
func (w *Worker) shutdown() error {
	from := time.Now()
	w.releaseBuffer()
	grace := time.NewTimer(w.opts.Grace)
	defer grace.Stop()
	if !w.awaitHandlers(grace.C, w.aborting) {
		w.cutHandlers()
		cut := time.NewTimer(cutOff)
		defer cut.Stop()
		if !w.awaitHandlers(cut.C, nil) {
			w.leaveHandlers()
		}
	}
	w.drain(max(w.opts.Grace-time.Since(from), cutOff))

	w.mu.Lock()
	defer w.mu.Unlock()
	errs := []error{w.fatal}
	if w.interrupted > 0 {
		errs = append(errs, fmt.Errorf("%w: %d", ErrInterrupted, w.interrupted))
	}
	if w.unstored > 0 {
		errs = append(errs, fmt.Errorf("%w: %d", ErrUnsettled, w.unstored))
	}
	return errors.Join(errs...)
}

// releaseBuffer gives back what hasn't started.
func (w *Worker) releaseBuffer() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.halted = true
	for w.buffer.len() > 0 {
		j := w.buffer.pop()
		out := tasks.Outcome{Kind: tasks.OutcomeRelease}
		if j.asked {
			out = tasks.Outcome{Kind: tasks.OutcomeCancel, Reason: j.reason}
		}
		w.giveBack(j, out)
	}
}

// awaitHandlers waits until no handler runs and reports whether that came first.
func (w *Worker) awaitHandlers(over <-chan time.Time, abort <-chan struct{}) bool {
	for {
		w.mu.Lock()
		n := w.running
		w.mu.Unlock()
		if n == 0 {
			return true
		}
		select {
		case <-w.handlerEnd:
		case <-over:
			return false
		case <-abort:
			return false
		}
	}
}

// cutHandlers ends the contexts of all running handlers.
func (w *Worker) cutHandlers() {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, j := range w.jobs {
		if j.state == running {
			j.cut = j.ctx.Context.Err() == nil
			j.cancel(tasks.ErrWorkerStopping)
			n++
		}
	}
	w.log.Warn("Terminating current tasks", "worker_id", w.opts.WorkerID, "running", n)
}

// leaveHandlers hands the records back whose handlers haven't returned.
func (w *Worker) leaveHandlers() {
	w.mu.Lock()
	var left []*job
	for _, j := range w.jobs {
		if j.state == running {
			left = append(left, j)
		}
	}
	for _, j := range left {
		w.count.abandoned.Add(1)
		if !j.lost {
			w.interrupted++
		}
		w.freeSlot(j, tasks.Outcome{
			Kind:  tasks.OutcomeRetry,
			Delay: handBack,
			Error: &tasks.AttemptError{
				Type: tasks.ErrorTypeInterrupted, Message: "the worker was stopped before the handler ended",
			},
		})
	}
	w.mu.Unlock()
	for _, j := range left {
		w.log.Error("Task ignores the end of its context, it is left behind",
			"id", j.rec.ID, "path", j.rec.Task, "attempt", j.lease.Attempt)
	}
}

// drain waits until every outcome is stored, for at most d, or cutOff once the
// worker is aborted. What isn't stored then never will be.
func (w *Worker) drain(d time.Duration) {
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		w.settles.Drain()
		w.finishes.Drain()
	}()
	abort := w.aborting
	over := time.NewTimer(d)
	defer over.Stop()
	for {
		select {
		case <-drained:
			return
		case <-abort:
			abort = nil
			over.Reset(min(d, cutOff))
		case <-over.C:
			w.storing.end()
			w.settles.Drain()
			return // hooks that hang are left behind
		}
	}
}
