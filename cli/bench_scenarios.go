package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// The sizes of scenarios: those of package conformance.
const (
	benchBatch   = 1000 // tasks in one call
	benchStored  = 1000 // tasks that are there to be read
	benchPickups = 200  // at most
)

// scenario is something to measure.
type scenario struct {
	name  string
	works bool // it has a worker, whose tasks other workers may take
	steps func(*benchmark) int
	run   func(context.Context, *benchmark) (BenchDoc, error)
}

func scenarios() []scenario {
	all := func(b *benchmark) int { return b.n }
	picked := func(b *benchmark) int { return min(b.n, benchPickups) }
	enqueue := func(goroutines, batch int) func(context.Context, *benchmark) (BenchDoc, error) {
		return func(ctx context.Context, b *benchmark) (BenchDoc, error) { return b.enqueue(ctx, goroutines, batch) }
	}
	return []scenario{
		{"enqueue-1", false, all, enqueue(1, 1)},
		{"enqueue-16", false, all, enqueue(16, 1)},
		{"enqueue-batch", false, all, enqueue(1, benchBatch)},
		{"drain", true, all, func(ctx context.Context, b *benchmark) (BenchDoc, error) { return b.drain(ctx) }},
		{"pickup", true, picked, func(ctx context.Context, b *benchmark) (BenchDoc, error) { return b.pickup(ctx) }},
		{"get", false, all, func(ctx context.Context, b *benchmark) (BenchDoc, error) { return b.get(ctx) }},
		{"list", false, all, func(ctx context.Context, b *benchmark) (BenchDoc, error) { return b.list(ctx) }},
	}
}

func scenarioNames() (names []string) {
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}

// timing collects how long operations took.
type timing struct {
	mu    sync.Mutex
	start time.Time
	took  []time.Duration
}

func (t *timing) add(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.took = append(t.took, d)
}

// doc sums up operations on so many tasks.
func (t *timing) doc(concurrency, tasks int) BenchDoc {
	seconds := time.Since(t.start).Seconds()
	d := BenchDoc{Concurrency: concurrency, Operations: len(t.took), Tasks: tasks, Seconds: rounded(seconds, 6)}
	if seconds > 0 {
		d.TasksPerSecond = rounded(float64(tasks)/seconds, 1)
	}
	if len(t.took) > 0 {
		slices.Sort(t.took)
		d.P50Ms = rounded(t.took[len(t.took)/2].Seconds()*1000, 3)
		d.P99Ms = rounded(t.took[len(t.took)*99/100].Seconds()*1000, 3)
	}
	return d
}

func rounded(f float64, digits int) float64 {
	shift := math.Pow10(digits)
	return math.Round(f*shift) / shift
}

// calls are n calls of the task for a queue, numbered from first.
func (b *benchmark) calls(queue string, first, n int) []tasks.Call {
	task := b.task.Using(tasks.Queue(queue))
	calls := make([]tasks.Call, n)
	for i := range calls {
		calls[i] = task.With(benchArg{Num: first + i})
	}
	return calls
}

// fill stores n tasks and returns their ids.
func (b *benchmark) fill(ctx context.Context, queue string, n int) (ids []string, err error) {
	for len(ids) < n {
		stored, err := b.app.EnqueueMany(ctx, b.calls(queue, len(ids), min(benchBatch, n-len(ids)))...)
		if err != nil {
			return nil, err
		}
		for _, r := range stored {
			ids = append(ids, r.ID)
		}
	}
	return ids, nil
}

// count wants n of a queue's tasks in a status: what was measured is stored.
func (b *benchmark) count(ctx context.Context, queue string, status tasks.Status, n int) error {
	queues, err := b.admin.Queues(ctx)
	if err != nil {
		return err
	}
	got := int64(0)
	for _, q := range queues {
		if q.Name == queue {
			got = q.Counts[status]
		}
	}
	if got != int64(n) {
		return fmt.Errorf("%s tasks are %s afterwards, not %s: did another worker take some?", number(got), status, number(int64(n)))
	}
	return nil
}

func (b *benchmark) enqueue(ctx context.Context, goroutines, batch int) (BenchDoc, error) {
	queue, err := b.queue(ctx, "enqueue", true)
	if err != nil {
		return BenchDoc{}, err
	}
	var next, done atomic.Int64
	var all sync.WaitGroup
	faults := make(chan error, goroutines)
	t := timing{start: time.Now()}
	for range goroutines {
		all.Go(func() {
			for time.Since(t.start) < b.most {
				first := int(next.Add(int64(batch))) - batch
				n := min(batch, b.n-first)
				if n <= 0 {
					return
				}
				calls := b.calls(queue, first, n)
				begin := time.Now()
				if _, err := b.app.EnqueueMany(ctx, calls...); err != nil {
					faults <- err
					return
				}
				t.add(time.Since(begin))
				b.progress(int(done.Add(int64(n))))
			}
		})
	}
	all.Wait()
	doc := t.doc(goroutines, int(done.Load()))
	close(faults)
	if err := <-faults; err != nil { // nil if there is none
		return doc, err
	}
	return doc, b.count(ctx, queue, tasks.Ready, doc.Tasks)
}

func (b *benchmark) worker(queue string, concurrency int, batch bool) *worker.Worker {
	return worker.New(b.app, worker.Options{
		Backend: b.alias, Queues: []string{queue}, Concurrency: concurrency, Batch: batch,
	})
}

func (b *benchmark) drain(ctx context.Context) (BenchDoc, error) {
	queue, err := b.queue(ctx, "drain", false)
	if err != nil {
		return BenchDoc{}, err
	}
	if _, err := b.fill(ctx, queue, b.n); err != nil {
		return BenchDoc{}, err
	}
	w := b.worker(queue, b.concurrency, true)
	over := make(chan error, 1)
	t := timing{start: time.Now()}
	go func() { over <- w.Run(ctx) }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	enough := time.After(b.most)
	for {
		select {
		case <-tick.C:
			b.progress(int(w.Stats().Succeeded))
		case <-enough:
			w.Stop()
		case err := <-over:
			doc := t.doc(b.concurrency, int(w.Stats().Succeeded))
			doc.Operations = doc.Tasks
			if err = errors.Join(err, ctx.Err()); err != nil {
				return doc, err
			}
			if doc.Tasks < b.n && doc.Seconds < b.most.Seconds() {
				return doc, fmt.Errorf("the worker found only %s of %s tasks: did another one take some?", number(int64(doc.Tasks)), number(int64(b.n)))
			}
			return doc, b.count(ctx, queue, tasks.Successful, doc.Tasks)
		}
	}
}

// pickup measures one task at a time, from before its enqueue until a worker that had nothing to do has
// begun it.
func (b *benchmark) pickup(ctx context.Context) (doc BenchDoc, err error) {
	queue, err := b.queue(ctx, "pickup", false)
	if err != nil {
		return BenchDoc{}, err
	}
	w := b.worker(queue, 1, false)
	over := make(chan error, 1)
	go func() { over <- w.Run(ctx) }()
	defer func() {
		if over != nil {
			w.Stop()
			err = errors.Join(err, <-over)
		}
	}()
	task := b.task.Using(tasks.Queue(queue))
	t := timing{start: time.Now()}
	done := 0
	for done < min(b.n, benchPickups) && time.Since(t.start) < b.most {
		begin := time.Now()
		if _, err := task.Enqueue(ctx, benchArg{Num: done, Tell: true}); err != nil {
			return t.doc(1, done), err
		}
		select {
		case at := <-b.began:
			if done > 0 { // the worker may still have been starting
				t.add(at.Sub(begin))
			}
		case err := <-over:
			over = nil
			if err = errors.Join(err, ctx.Err()); err == nil {
				err = errors.New("the worker ended")
			}
			return t.doc(1, done), err
		case <-time.After(b.most):
			return t.doc(1, done), errors.New("the worker didn't take a task that is due: did another one?")
		}
		done++
		b.progress(done)
		if err := b.idle(ctx, w, done); err != nil {
			return t.doc(1, done), err
		}
	}
	doc = t.doc(1, done)
	doc.TasksPerSecond = 0 // there was idling in between
	return doc, nil
}

// idle waits until the worker has nothing to do any more.
func (b *benchmark) idle(ctx context.Context, w *worker.Worker, done int) error {
	for w.Stats().Succeeded < int64(done) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	select { // for it to be waiting for the next
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(5 * time.Millisecond):
		return nil
	}
}

func (b *benchmark) get(ctx context.Context) (BenchDoc, error) {
	ids, err := b.readable(ctx, "get")
	if err != nil {
		return BenchDoc{}, err
	}
	t := timing{start: time.Now()}
	for i := 0; i < b.n && time.Since(t.start) < b.most; i++ {
		id := ids[i*7919%len(ids)] // a prime's steps, so that neighbours aren't read in turn
		begin := time.Now()
		if _, err := b.app.GetResult(ctx, b.alias, id); err != nil {
			return t.doc(1, i), err
		}
		t.add(time.Since(begin))
		b.progress(i + 1)
	}
	return t.doc(1, len(t.took)), nil
}

func (b *benchmark) list(ctx context.Context) (BenchDoc, error) {
	if _, err := b.readable(ctx, "list"); err != nil {
		return BenchDoc{}, err
	}
	req := tasks.ListRequest{Newest: true, Limit: tasks.DefaultPage}
	t := timing{start: time.Now()}
	read, seen := 0, 0
	for read < b.n && time.Since(t.start) < b.most {
		begin := time.Now()
		page, err := b.admin.List(ctx, req)
		if err != nil {
			return t.doc(1, read), err
		}
		t.add(time.Since(begin))
		read += len(page.Records)
		seen += len(page.Records)
		b.progress(min(read, b.n))
		if req.After = page.Next; seen >= benchStored { // behind are those of others
			req.After, seen = "", 0
		}
	}
	if read == 0 {
		return t.doc(1, 0), errors.New("the pages had no tasks")
	}
	return t.doc(1, read), nil
}

// readable stores tasks to be read, of which no worker takes any.
func (b *benchmark) readable(ctx context.Context, name string) ([]string, error) {
	queue, err := b.queue(ctx, name, true)
	if err != nil {
		return nil, err
	}
	return b.fill(ctx, queue, benchStored)
}
