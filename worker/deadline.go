package worker

import (
	"container/heap"
	"fmt"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// deadlines is a heap of the running jobs that something is due for: the end of
// their timeout, or after that the end of the grace. One timer serves them all.
// The worker's mu guards it.
type deadlines struct {
	jobs  []*job
	timer *time.Timer
	armed time.Time // when the timer fires; zero if it doesn't
}

func (d *deadlines) Len() int           { return len(d.jobs) }
func (d *deadlines) Less(i, k int) bool { return d.jobs[i].due.Before(d.jobs[k].due) }
func (d *deadlines) Swap(i, k int) {
	d.jobs[i], d.jobs[k] = d.jobs[k], d.jobs[i]
	d.jobs[i].heapAt, d.jobs[k].heapAt = i, k
}

func (d *deadlines) Push(x any) {
	j := x.(*job)
	j.heapAt = len(d.jobs)
	d.jobs = append(d.jobs, j)
}

func (d *deadlines) Pop() any {
	last := len(d.jobs) - 1
	j := d.jobs[last]
	d.jobs[last] = nil
	d.jobs = d.jobs[:last]
	j.heapAt = -1
	return j
}

// setDue puts j into the heap, or moves it there.
func (w *Worker) setDue(j *job, due time.Time) {
	j.due = due
	if j.heapAt < 0 {
		heap.Push(&w.deadlines, j)
	} else {
		heap.Fix(&w.deadlines, j.heapAt)
	}
	w.arm()
}

// dropDue takes j out of the heap. The timer may fire for nothing then.
func (w *Worker) dropDue(j *job) {
	if j.heapAt >= 0 {
		heap.Remove(&w.deadlines, j.heapAt)
	}
}

// arm makes the timer fire for the first of the heap.
func (w *Worker) arm() {
	d := &w.deadlines
	if len(d.jobs) == 0 {
		return
	}
	first := d.jobs[0].due
	if !d.armed.IsZero() && !first.Before(d.armed) {
		return
	}
	d.armed = first
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Until(first), w.onDeadline)
	} else {
		d.timer.Reset(time.Until(first))
	}
}

func (w *Worker) onDeadline() {
	for _, j := range w.onDue(time.Now()) {
		w.abandon(j)
	}
}

// onDue ends the contexts of the handlers that have timed out, and returns the
// jobs of those that have ignored it for the grace.
func (w *Worker) onDue(now time.Time) (ignored []*job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deadlines.armed = time.Time{}
	for len(w.deadlines.jobs) > 0 && !w.deadlines.jobs[0].due.After(now) {
		j := w.deadlines.jobs[0]
		if !j.ended {
			w.endHandler(j, fmt.Errorf("%w after %v", tasks.ErrTimeout, j.rec.Timeout))
			continue
		}
		w.dropDue(j)
		ignored = append(ignored, j)
	}
	w.arm()
	return ignored
}

// stopDeadlines stops the timer.
func (w *Worker) stopDeadlines() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.deadlines.timer != nil {
		w.deadlines.timer.Stop()
	}
	for _, j := range w.deadlines.jobs {
		j.heapAt = -1
	}
	w.deadlines.jobs = nil
}
