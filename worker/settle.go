package worker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// settleAll stores the outcomes of a batch of jobs, however long that takes. It
// is the settler's flush: one call at a time.
func (w *Worker) settleAll(batch []*job) {
	left := append([]*job(nil), batch...)
	var failures backoff
	for len(left) > 0 {
		var err error
		left, err = w.settleOnce(left)
		switch {
		case errors.Is(err, tasks.ErrClosed):
			w.giveUp(left)
			w.fail(err)
			return
		case w.storing.ctx.Err() != nil:
			w.giveUp(left)
			return
		case err == nil:
			failures.reset()
			continue
		case failures.n >= 2 && !transient(err):
			left = w.isolate(left)
		}
		if len(left) == 0 {
			return
		}
		w.outage.down("settle", err)
		if !sleep(w.storing.ctx, failures.next()) {
			w.giveUp(left)
			return
		}
	}
	w.outage.up("settle")
}

// settleOnce makes one call to the store. It returns the jobs that are still to
// be settled, and why if the same may be tried again.
func (w *Worker) settleOnce(jobs []*job) ([]*job, error) {
	outs := w.outs[:0]
	w.outs = nil
	for _, j := range jobs {
		outs = append(outs, j.out)
	}
	ctx, cancel := context.WithTimeout(w.storing.ctx, callTimeout)
	defer cancel()
	errs, err := w.store.Settle(ctx, outs)
	if err == nil && len(errs) != len(jobs) {
		err = fmt.Errorf("worker: Settle gave %d answers to %d outcomes", len(errs), len(jobs))
	}
	if err != nil {
		if unknown(err) {
			for _, j := range jobs {
				j.doubtful = true
			}
		}
		return jobs, err
	}
	clear(outs)
	w.outs = outs // not where Settle failed, which may go on in the background
	left, again := jobs[:0], error(nil)
	stored := make([]*job, 0, len(jobs))
	var lost []*job
	for i, j := range jobs {
		switch err := errs[i]; {
		case err == nil, errors.Is(err, tasks.ErrLeaseLost) && j.doubtful && w.wasStored(j):
			stored = append(stored, j)
		case errors.Is(err, tasks.ErrLeaseLost):
			lost = append(lost, j)
		case transient(err):
			j.doubtful = j.doubtful || unknown(err)
			left, again = append(left, j), err
		case w.blame(j, err):
			left = append(left, j)
		}
	}
	w.settled(stored, lost)
	return left, again
}

// settled accounts for jobs whose outcomes are stored, and for those whose lease
// was lost before.
func (w *Worker) settled(stored, lost []*job) {
	if len(stored)+len(lost) == 0 {
		return
	}
	now := time.Now()
	for _, j := range stored {
		w.report(j, now)
	}
	for _, j := range lost {
		if j.began.IsZero() {
			continue // nothing was run, so nothing is lost
		}
		w.count.lost.Add(1)
		w.logLost(j)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range stored {
		w.remove(j)
	}
	for _, j := range lost {
		w.remove(j)
	}
	w.unsettled -= len(stored) + len(lost)
	w.poke()
}

// wasStored finds out whether a settle whose reply was lost had been stored, now
// that the lease isn't ours any more.
func (w *Worker) wasStored(j *job) bool {
	ctx, cancel := context.WithTimeout(w.storing.ctx, callTimeout)
	defer cancel()
	rec, err := w.store.GetResult(ctx, j.rec.ID)
	if err != nil {
		return true // deleted on finishing, most likely
	}
	switch j.out.Kind {
	case tasks.OutcomeSnooze, tasks.OutcomeRelease:
		return true // no trace is left to tell by, and nothing depends on it
	case tasks.OutcomeSuccess:
		return rec.Status == tasks.Successful
	case tasks.OutcomeFailure, tasks.OutcomeRetry, tasks.OutcomeCancel:
	}
	for _, e := range rec.Errors {
		if e.Attempt == j.lease.Attempt {
			return e.Type != tasks.ErrorTypeLost
		}
	}
	return rec.Status == tasks.Cancelled
}

// blame deals with an outcome that the store won't take: the attempt then failed
// with the store's error. It reports whether there is something to settle still.
func (w *Worker) blame(j *job, err error) bool {
	if j.blamed {
		w.count.settleErrors.Add(1)
		w.log.Error("Task outcome can't be stored, its lease will run out",
			"id", j.rec.ID, "path", j.rec.Task, "attempt", j.lease.Attempt, "outcome", string(j.out.Kind), "error", err)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.remove(j)
		w.unsettled--
		w.poke()
		return false
	}
	j.blamed = true
	w.log.Warn("Task outcome is refused by the store, so the attempt failed",
		"id", j.rec.ID, "path", j.rec.Task, "attempt", j.lease.Attempt, "outcome", string(j.out.Kind), "error", err)
	j.out = tasks.Outcome{Lease: j.out.Lease, Kind: tasks.OutcomeFailure, Error: &tasks.AttemptError{
		Type: fmt.Sprintf("%T", err), Message: plain(fmt.Sprintf("the %s couldn't be stored: %v", j.out.Kind, err)),
	}}
	return true
}

// plain makes a text into one that every store takes.
func plain(s string) string {
	const limit = 8 << 10
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "�"), "\x00", "�")
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit], "")
	}
	return s
}

// isolate settles a batch that fails again and again in ever smaller parts, until
// only the bad ones fail. They are blamed if the store takes anything else. It
// returns the jobs that are still to be settled.
func (w *Worker) isolate(jobs []*job) []*job {
	type failure struct {
		j   *job
		err error
	}
	var bad []failure
	var left []*job
	works := false
	var try func(part []*job)
	try = func(part []*job) {
		if w.storing.ctx.Err() != nil {
			left = append(left, part...)
			return
		}
		again, err := w.settleOnce(append([]*job(nil), part...))
		switch {
		case err == nil:
			works = true
			left = append(left, again...)
		case transient(err) || errors.Is(err, tasks.ErrClosed):
			left = append(left, again...)
		case len(again) == 1:
			bad = append(bad, failure{again[0], err})
		default:
			half := len(again) / 2
			try(again[:half])
			try(again[half:])
		}
	}
	if len(jobs) == 1 {
		try(jobs)
	} else {
		try(jobs[:len(jobs)/2])
		try(jobs[len(jobs)/2:])
	}
	if len(bad) > 0 && !works {
		ctx, cancel := context.WithTimeout(w.storing.ctx, callTimeout)
		works = w.beat(ctx, false) == nil // a store that takes heartbeats isn't away
		cancel()
	}
	for _, f := range bad {
		if !works || w.blame(f.j, f.err) {
			left = append(left, f.j)
		}
	}
	return left
}

// giveUp lets go of jobs whose outcomes can't be stored before the worker ends.
func (w *Worker) giveUp(jobs []*job) {
	w.count.settleErrors.Add(int64(len(jobs)))
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range jobs {
		w.remove(j)
		if !j.began.IsZero() {
			w.unstored++
		}
	}
	w.unsettled -= len(jobs)
	w.poke()
}
