package immediate

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sideman-go/sideman/internal/id"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// Backend runs tasks inside Enqueue. It is safe for concurrent use.
type Backend struct {
	worker string

	mu      sync.Mutex
	rt      *tasks.Runtime
	closed  bool
	running sync.WaitGroup
}

var (
	_ tasks.Backend = (*Backend)(nil)
	_ tasks.Binder  = (*Backend)(nil)
)

// New returns a backend for one App. Its id stands for the worker in WorkerIDs.
func New() *Backend {
	var ids id.Source
	return &Backend{worker: "immediate-" + ids.New()}
}

// Driver opens the backend from configuration, as "immediate".
func Driver() tasks.Driver {
	return tasks.Driver{
		Name:    "immediate",
		Schemes: []string{"immediate"},
		Configure: func(s tasks.Settings) (tasks.Opener, error) {
			var none struct{}
			if err := errors.Join(s.Decode(&none), s.NoPath()); err != nil {
				return nil, err
			}
			return func(context.Context) (tasks.Backend, error) { return New(), nil }, nil
		},
	}
}

// Bind is called by the App. A second App is refused.
func (b *Backend) Bind(rt *tasks.Runtime) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.rt != nil {
		return fmt.Errorf("%w: this immediate backend is in use already, and runs the tasks of one App", tasks.ErrInvalidConfig)
	}
	b.rt = rt
	return nil
}

// Capabilities returns CapPriority.
func (b *Backend) Capabilities() tasks.Capability { return tasks.CapPriority }

// Enqueue runs the records, one after the other, and makes them final.
func (b *Backend) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	rt, err := b.enter()
	if err != nil {
		return err
	}
	defer b.running.Done()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	seen := make(map[string]*tasks.Record, len(recs))
	for _, rec := range recs {
		if first := seen[rec.ID]; first != nil {
			*rec = *first.Clone()
			rec.Duplicate = true
			continue
		}
		seen[rec.ID] = rec
		b.run(ctx, rt, rec)
	}
	return nil
}

func (b *Backend) enter() (*tasks.Runtime, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, tasks.ErrClosed
	}
	if b.rt == nil {
		return nil, fmt.Errorf("%w: the immediate backend runs tasks of an App; give it to App.Use first", tasks.ErrInvalidConfig)
	}
	b.running.Add(1)
	return b.rt, nil
}

// run takes a record through its whole life.
func (b *Backend) run(ctx context.Context, rt *tasks.Runtime, rec *tasks.Record) {
	lifecycle.Enqueue(rec, time.Now())
	rt.Enqueued(ctx, rec)
	for rec.Status == tasks.Ready {
		lifecycle.Claim(rec, b.worker, time.Now())
		line := tasks.LogLine{ID: rec.ID, Path: rec.Task, State: rec.Status, Attempt: rec.Attempts()}
		line.Log(ctx, rt.Logger())
		rt.Started(ctx, rec)
		began := time.Now()
		out := attempt(ctx, rt, rec)
		if out.Kind == tasks.OutcomeSnooze {
			out = tasks.Outcome{Kind: tasks.OutcomeFailure, Error: &tasks.AttemptError{
				Type:    "unsupported",
				Message: fmt.Sprintf("the task snoozed for %v, which the immediate backend can't do", out.Delay),
			}}
		}
		lifecycle.Settle(rec, out, time.Now())
		line.State, line.Took, line.Error = rec.Status, time.Since(began), out.Error
		line.Outcome, line.Reason = out.Kind, rec.CancelReason
		line.Log(ctx, rt.Logger())
	}
	rt.Finished(ctx, rec)
}

// attempt runs the handler on a goroutine of its own, which it may end by
// runtime.Goexit.
func attempt(ctx context.Context, rt *tasks.Runtime, rec *tasks.Record) tasks.Outcome {
	if rec.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, rec.Timeout, tasks.ErrTimeout)
		defer cancel()
	}
	ended := make(chan tasks.Outcome, 1)
	// The handler may not keep the record: middleware gets it for reading only, and
	// the arguments are decoded from it.
	go rt.Execute(ctx, rec, func(out tasks.Outcome) { ended <- out })
	return <-ended
}

// GetResult returns ErrUnsupported: nothing is kept.
func (b *Backend) GetResult(context.Context, string) (*tasks.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, tasks.ErrClosed
	}
	return nil, fmt.Errorf("%w: results", tasks.ErrUnsupported)
}

// Check finds immediate.E001 (closed) and nothing else: there is nothing to go
// wrong.
func (b *Backend) Check(context.Context) []tasks.Finding {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return []tasks.Finding{{ID: "immediate.E001", Level: tasks.LevelError, Message: "the backend is closed"}}
	}
	return nil
}

// Close waits for the tasks that run, or for ctx.
func (b *Backend) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	idle := make(chan struct{})
	go func() {
		b.running.Wait()
		close(idle)
	}()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
