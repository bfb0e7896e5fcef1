package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

type jobState uint8

const (
	buffered jobState = iota
	running
	settling
	gone
)

// job is a claimed record until its outcome is stored. The worker's mu guards
// what changes, except that out belongs to the settler once it is set.
type job struct {
	w      *Worker
	rec    *tasks.Record // read only
	ctx    handlerCtx
	cancel context.CancelCauseFunc

	state   jobState
	index   int // in Worker.jobs
	lease   tasks.Lease
	claimed time.Time // here, when the claim returned
	held    time.Time // here, when the claim or renewal began that the lease counts from

	unknown bool // its task isn't defined here

	ended  bool   // the handler's context has ended by endHandler
	lost   bool   // the lease is another's
	asked  bool   // cancellation was requested
	reason string // of the request
	cut    bool   // its handler was cut off by the end of the worker

	due    time.Time // in the deadlines
	heapAt int       // there; -1 if it isn't

	// What only the handler's goroutine looks at.
	answered bool // it has called done
	next     *job // what it is to run afterwards

	out      tasks.Outcome
	began    time.Time // when the handler began; zero if it never did
	took     time.Duration
	doubtful bool // a settle of it may have been stored
	blamed   bool // the store refused the outcome; out is a substitute
}

// fifo is a queue of jobs.
type fifo struct {
	items []*job
	head  int
}

func (q *fifo) len() int { return len(q.items) - q.head }

func (q *fifo) push(j *job) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 { // rather than grow
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, j)
}

func (q *fifo) pop() *job {
	j := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	return j
}

func (q *fifo) first() *job { return q.items[q.head] }

// adopt takes in what a claim gave.
func (w *Worker) adopt(claimed []tasks.Claimed, asked time.Time) {
	now := time.Now()
	jobs := make([]*job, len(claimed))
	for i, c := range claimed {
		j := &job{w: w, rec: c.Record, lease: c.Lease, claimed: now, held: asked, heapAt: -1}
		j.ctx.Context, j.cancel = context.WithCancelCause(w.base.ctx)
		jobs[i] = j
	}
	w.count.claimed.Add(int64(len(jobs)))
	for _, j := range jobs {
		if j.unknown = !w.rt.Defined(j.rec.Task); j.unknown {
			w.unknown.saw(w, j.rec)
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, j := range jobs {
		j.index = len(w.jobs)
		w.jobs = append(w.jobs, j)
		if w.left > 0 {
			w.left--
		}
		if j.unknown {
			w.giveBack(j, tasks.Outcome{Kind: tasks.OutcomeRelease, Delay: w.opts.UnknownDelay})
			continue
		}
		w.buffer.push(j)
	}
	w.fill()
}

// fill starts buffered jobs while there are free slots: one, whose goroutine starts the next before
// it runs its own. So as many run as have slots, at once if their handlers wait for something; but handlers
// that are over in microseconds need a few goroutines, which take one job after the other,
// and not one each, whose stack has to grow anew. The caller holds mu.
func (w *Worker) fill() {
	if w.starting || w.halted || w.buffer.len() == 0 || w.running >= w.opts.Concurrency {
		return
	}
	if j := w.start(time.Now()); j != nil {
		w.starting = true
		go func() {
			w.mu.Lock()
			w.starting = false
			w.fill()
			w.mu.Unlock()
			j.run()
		}()
	}
}

// start gives a slot to the next buffered job, if there are both. Its goroutine is the
// caller's part; so is mu.
func (w *Worker) start(now time.Time) *job {
	for !w.halted && w.running < w.opts.Concurrency && w.buffer.len() > 0 {
		j := w.buffer.pop()
		if out, ok := w.stale(j, now); ok {
			w.giveBack(j, out)
			continue
		}
		w.running++
		j.state, j.began = running, now
		if t := j.rec.Timeout; t > 0 {
			j.ctx.deadline = now.Add(t)
			w.setDue(j, j.ctx.deadline)
		}
		return j
	}
	return nil
}

// stale reports whether a buffered job must not be started any more, and what
// becomes of it.
func (w *Worker) stale(j *job, now time.Time) (tasks.Outcome, bool) {
	switch {
	case j.asked:
		return tasks.Outcome{Kind: tasks.OutcomeCancel, Reason: j.reason}, true
	case j.lost, now.Sub(j.held) >= w.opts.Lease:
		return tasks.Outcome{Kind: tasks.OutcomeRelease}, true
	case j.rec.Attempts() == 1 && !j.rec.ExpiresAt.IsZero() && !j.rec.ExpiresAt.After(j.storeTime(now)):
		// Given back, it is cancelled by the store, whose clock decides, and without an
		// attempt that never was.
		return tasks.Outcome{Kind: tasks.OutcomeRelease}, true
	}
	return tasks.Outcome{}, false
}

// storeTime estimates the store's time: that of the claim, and what has passed
// here since.
func (j *job) storeTime(now time.Time) time.Time {
	return j.rec.LastAttemptedAt.Add(now.Sub(j.claimed))
}

// giveBack settles a job that never started. The caller holds mu.
func (w *Worker) giveBack(j *job, out tasks.Outcome) {
	if w.left >= 0 {
		w.left++
	}
	w.settle(j, out)
}

// settle hands a job to the settler. The caller holds mu.
func (w *Worker) settle(j *job, out tasks.Outcome) {
	out.Lease = j.lease
	j.out = out
	j.state = settling
	w.unsettled++
	w.settles.Add(j)
}

// run is a handler's goroutine. It goes on with the next job: its stack has grown to what
// handlers need, which a new one's would have to do again.
func (j *job) run() {
	for j != nil {
		j.runOne()
		j = j.take()
	}
}

// take returns what is to run next, and lets go of it: a handler may keep its context, which is
// part of its job, and must not keep all that came after.
func (j *job) take() *job {
	next := j.next
	j.next = nil
	return next
}

func (j *job) runOne() {
	returned := false
	defer func() {
		if !j.answered { // a hook ended the goroutine before Execute was called
			j.w.finish(j, tasks.Outcome{Kind: tasks.OutcomeFailure, Error: &tasks.AttemptError{
				Type: tasks.ErrorTypeGoexit, Message: "a hook ended the goroutine by runtime.Goexit",
			}})
		}
		j.cancel(nil)
		if !returned { // runtime.Goexit ends this goroutine
			if next := j.take(); next != nil {
				go next.run()
			}
		}
	}()
	j.w.logRunning(j)
	if j.w.hooked {
		j.w.rt.Started(&j.ctx, j.rec)
	}
	j.w.rt.Execute(&j.ctx, j.rec, j.done)
	returned = true
}

func (j *job) done(out tasks.Outcome) {
	j.answered = true
	j.w.finish(j, out)
}

// finish takes a handler's outcome, unless the job was given up before.
func (w *Worker) finish(j *job, out tasks.Outcome) {
	w.mu.Lock()
	if j.state != running {
		w.mu.Unlock()
		return
	}
	if j.cut && out.Kind != tasks.OutcomeSuccess && !j.lost {
		w.interrupted++
	}
	w.freeSlot(j, out)
	j.next = w.start(j.began.Add(j.took))
	w.fill()
	lost := j.lost
	w.mu.Unlock()
	if lost {
		w.logLost(j)
	}
}

// freeSlot ends a running job with that outcome; what is to run in its slot is up to the
// caller, who holds mu.
func (w *Worker) freeSlot(j *job, out tasks.Outcome) {
	w.dropDue(j)
	w.running--
	w.turnover.n++
	j.took = time.Since(j.began)
	if j.lost {
		w.remove(j)
		w.count.lost.Add(1)
	} else {
		w.settle(j, out)
	}
	if w.buffer.len() <= w.lowWater+1 { // the slot takes one
		w.poke()
	}
	if w.halted {
		select {
		case w.handlerEnd <- struct{}{}:
		default:
		}
	}
}

// endHandler ends a running handler's context. If it doesn't return within the
// grace, it is abandoned. The caller holds mu.
func (w *Worker) endHandler(j *job, cause error) {
	if !j.ended {
		j.ended = true
		w.setDue(j, time.Now().Add(w.opts.Grace))
	}
	j.cancel(cause)
}

// abandon gives up a handler that ignores its context: its slot is used again.
func (w *Worker) abandon(j *job) {
	cause := context.Cause(j.ctx.Context)
	out := w.rt.Failed(j.rec, cause)
	w.mu.Lock()
	given := j.state == running
	if given {
		w.count.abandoned.Add(1)
		w.freeSlot(j, out)
		w.fill()
	}
	w.mu.Unlock()
	if !given {
		return
	}
	w.log.Error("Task ignores the end of its context, its slot is used again",
		"id", j.rec.ID, "path", j.rec.Task, "attempt", j.lease.Attempt, "error", cause)
}

// remove lets go of a job. The caller holds mu.
func (w *Worker) remove(j *job) {
	last := len(w.jobs) - 1
	w.jobs[j.index] = w.jobs[last]
	w.jobs[j.index].index = j.index
	w.jobs[last] = nil
	w.jobs = w.jobs[:last]
	j.state = gone
	if last == 0 && w.wakeIdle != nil {
		w.wakeIdle()
	}
}

// requestCancel ends a job because its cancellation was requested. The caller
// holds mu.
func (w *Worker) requestCancel(j *job, reason string) {
	if j.asked || j.lost || j.state > running {
		return // what has ended stays as it ended
	}
	j.asked, j.reason = true, reason
	if j.state == running {
		cause := tasks.ErrTaskCancelled
		if reason != "" {
			cause = fmt.Errorf("%w: %s", tasks.ErrTaskCancelled, reason)
		}
		j.cancel(cause)
	}
}

// loseLease ends a job whose lease is lost. The caller holds mu.
func (w *Worker) loseLease(j *job) {
	if j.lost {
		return
	}
	switch j.state {
	case running:
		j.lost = true
		w.endHandler(j, fmt.Errorf("%w: another worker may run the task now", tasks.ErrLeaseLost))
	case buffered:
		j.lost = true // settling it will say the same
	case settling, gone:
		// The settle in flight knows better.
	}
}
