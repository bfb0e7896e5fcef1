package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"syscall"
	"time"

	"github.com/sideman-go/sideman/worker"
)

// childEnv is set for a process that this program starts of itself: childMain instead of main.
const childEnv = "SIDEMAN_BENCHMARKS_CHILD"

// job is the first thing that such a process reads. The second, which may be anything, is the
// word to begin.
type job struct {
	// URL is of the store.
	URL string `json:"url"`
	// Do is what to do.
	Do errand `json:"do"`
	// N is how many tasks to enqueue.
	N int `json:"n,omitempty"`
	// Options are the worker's.
	Options worker.Options `json:"options"`
}

// errand is what such a process does.
type errand string

const (
	// work runs a worker until the input ends.
	work errand = "work"
	// enqueueSingly stores N tasks, one a call, by 16 goroutines.
	enqueueSingly errand = "enqueue"
	// enqueueInBatches stores N tasks in batches.
	enqueueInBatches errand = "batches"
)

// news is what such a process writes, each on a line.
type news struct {
	// Ready: the store is open.
	Ready bool `json:"ready,omitempty"`
	// Done is how many tasks are stored, or stored as done, by now.
	Done int64 `json:"done,omitempty"`
	// Spent is what was used from the word to begin until the end, and the last of the news.
	Spent *spent `json:"spent,omitempty"`
}

// spent is what a process has used.
type spent struct {
	// CPU is its processor time, of the user and of the system.
	CPU time.Duration `json:"cpu"`
	// Allocs and Bytes are what was allocated.
	Allocs uint64 `json:"allocs"`
	Bytes  uint64 `json:"bytes"`
}

// spentByNow is what this process has used since its start.
func spentByNow() (spent, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return spent{}, err
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return spent{CPU: time.Duration(r.Utime.Nano() + r.Stime.Nano()), Allocs: m.Mallocs, Bytes: m.TotalAlloc}, nil
}

// childMain does the job that it reads.
func childMain(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	orders, tell := json.NewDecoder(in), json.NewEncoder(out)
	var j job
	if err := orders.Decode(&j); err != nil {
		return fmt.Errorf("what to do: %w", err)
	}
	s := newSideman(place{url: j.URL})
	if err := s.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if err := tell.Encode(news{Ready: true}); err != nil {
		return err
	}
	var begin any
	if err := orders.Decode(&begin); err != nil {
		return fmt.Errorf("the word to begin: %w", err)
	}
	before, err := spentByNow()
	if err != nil {
		return err
	}
	if err := j.do(ctx, s, orders, tell); err != nil {
		return err
	}
	after, err := spentByNow()
	if err != nil {
		return err
	}
	return tell.Encode(news{Spent: &spent{CPU: after.CPU - before.CPU, Allocs: after.Allocs - before.Allocs, Bytes: after.Bytes - before.Bytes}})
}

func (j *job) do(ctx context.Context, s *sideman, orders *json.Decoder, tell *json.Encoder) error {
	switch j.Do {
	case work:
		return j.work(ctx, s, orders, tell)
	case enqueueSingly:
		stored, err := enqueueWhile(ctx, s, 16, func(begun int64) bool { return begun <= int64(j.N) })
		return errors.Join(err, tell.Encode(news{Done: stored}))
	case enqueueInBatches:
		return errors.Join(fill(ctx, s, j.N), tell.Encode(news{Done: int64(j.N)}))
	}
	return fmt.Errorf("there is nothing to be done by the name of %q", j.Do)
}

// tellEvery is how often a worker process looks for how much is done. With 8 of
// them waking up every 2 ms, a virtual machine switched between threads 20,000 times a second; now 8,000.
const tellEvery = 20 * time.Millisecond

// work runs a worker and says how many tasks are stored as done, until its input ends.
func (j *job) work(ctx context.Context, s *sideman, orders *json.Decoder, tell *json.Encoder) error {
	s.handler = func(int) {}
	w := worker.New(s.app, j.Options)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(context.WithoutCancel(ctx)) }()
	over := make(chan struct{})
	go func() {
		defer close(over)
		var more any
		for orders.Decode(&more) == nil {
			// What comes in beyond the word to begin is of no interest.
		}
	}()
	look := time.NewTicker(tellEvery)
	defer look.Stop()
	for told := int64(0); ; {
		select {
		case <-over:
			w.Stop()
			return <-ended
		case err := <-ended:
			return errors.Join(errors.New("the worker has ended by itself"), err)
		case <-look.C:
			if done := w.Stats().Succeeded; done != told {
				told = done
				if err := tell.Encode(news{Done: done}); err != nil {
					w.Stop()
					return errors.Join(err, <-ended)
				}
			}
		}
	}
}
