package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// deferral is for how long the deferred task waits.
const deferral = 300 * time.Millisecond

// enqueued are the results that the story follows.
type enqueued struct {
	michael, low, high, later, nobody *tasks.Result[string]
	fetch                             *tasks.Result[string]
	charge                            *tasks.Result[tasks.None]
	sums                              []*tasks.RawResult
}

// tell enqueues, works and reads results. It prints nothing that differs from run to
// run: no ids, no times.
func (s *story) tell(ctx context.Context) (err error) {
	backend, err := s.app.Backend(tasks.DefaultAlias)
	if err != nil {
		return err
	}
	if !backend.Capabilities().Has(tasks.CapWorker | tasks.CapInspect) {
		return fmt.Errorf("%w: the story has a worker in it, which this backend has no use for; take bolt, database or redis", tasks.ErrUnsupported)
	}
	admin, err := s.app.Admin(tasks.DefaultAlias)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.forget(ctx, admin)) }()

	var e enqueued
	if err := s.enqueue(ctx, &e); err != nil {
		return err
	}
	if err := s.enqueueMany(ctx, &e); err != nil {
		return err
	}

	s.heading("Cancel: it will not run")
	if e.nobody, err = s.greet.Enqueue(ctx, "Nobody"); err != nil {
		return err
	}
	status, err := admin.Cancel(ctx, e.nobody.ID, "the guest has left")
	if err != nil {
		return err
	}
	s.print("greet Nobody", status)

	s.heading("Look inside")
	if err := s.counts(ctx, admin); err != nil {
		return err
	}

	s.heading("Start a worker, one task at a time, and wait for results")
	working, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error, 1)
	go func() {
		stopped <- worker.New(s.app, worker.Options{Queues: []string{s.queue}, Concurrency: 1}).Run(working)
	}()
	err = s.results(ctx, &e)
	stop()
	if err := errors.Join(err, <-stopped); err != nil {
		return err
	}

	s.heading("Look inside again")
	return s.counts(ctx, admin)
}

func (s *story) enqueue(ctx context.Context, e *enqueued) (err error) {
	s.heading("Enqueue: the tasks are stored, and nothing runs them yet")
	if e.michael, err = s.greet.Enqueue(ctx, "Michael"); err != nil {
		return err
	}
	s.print("greet Michael", e.michael.Status)
	if e.fetch, err = s.fetch.Enqueue(ctx, "the page"); err != nil {
		return err
	}
	s.print("fetch the page", e.fetch.Status, "with up to", e.fetch.MaxAttempts, "attempts")
	pending := s.charge.AEnqueue(ctx, card{"4242"}) // returns at once, and the write goes on
	if e.charge, err = pending.Wait(ctx); err != nil {
		return err
	}
	s.print("charge a card", e.charge.Status)

	s.heading("Priority: the last one stored will be the first to run")
	if e.low, err = s.greet.Using(tasks.Priority(-10)).Enqueue(ctx, "Low"); err != nil {
		return err
	}
	s.print("greet Low", e.low.Status, "with priority", e.low.Priority)
	if e.high, err = s.greet.Using(tasks.Priority(50)).Enqueue(ctx, "High"); err != nil {
		return err
	}
	s.print("greet High", e.high.Status, "with priority", e.high.Priority)

	s.heading("Defer: not before its time")
	// Its priority is the lowest, so that it's the last also where it is due before the worker starts.
	if e.later, err = s.greet.Using(tasks.RunIn(deferral), tasks.Priority(-20)).Enqueue(ctx, "Later"); err != nil {
		return err
	}
	s.print("greet Later", e.later.Status, "to run in", deferral)
	return nil
}

func (s *story) enqueueMany(ctx context.Context, e *enqueued) (err error) {
	s.heading("A batch: one write, all or none")
	e.sums, err = s.app.EnqueueMany(ctx, s.add.With(terms{1, 2}), s.add.With(terms{3, 4}), s.add.With(terms{5, 6}))
	if err != nil {
		return err
	}
	for _, sum := range e.sums {
		s.print("add", sum.Status)
	}
	none, err := s.app.EnqueueMany(ctx, s.add.With(terms{7, 8}), s.add.With(terms{9, math.NaN()}))
	if !errors.Is(err, tasks.ErrNotSerializable) {
		return fmt.Errorf("a batch with a NaN in it was not refused: %w", err)
	}
	s.print("add, and add NaN", len(none), "stored:", err)
	return nil
}

// results waits for each result while the worker works, and prints it.
func (s *story) results(ctx context.Context, e *enqueued) error {
	for _, greeting := range []*tasks.Result[string]{e.michael, e.low, e.high, e.later} {
		text, err := greeting.Wait(ctx)
		if err != nil {
			return err
		}
		s.print("greet", greeting.Status, text)
	}
	s.print("the order was", strings.Join(s.order(), ", "))
	s.print("Later was late", e.later.StartedAt.Sub(e.later.EnqueuedAt) >= deferral)

	for _, raw := range e.sums {
		sum, err := s.add.Result(raw) // gives it the task's types
		if err != nil {
			return err
		}
		value, err := sum.Wait(ctx)
		if err != nil {
			return err
		}
		s.print("add", sum.Status, value)
	}

	page, err := e.fetch.Wait(ctx)
	if err != nil {
		return err
	}
	s.print("fetch", e.fetch.Status, page)
	for _, failed := range e.fetch.Errors {
		s.print("", fmt.Sprintf("attempt %d: %s", failed.Attempt, failed.Message))
	}

	if _, err := e.charge.Wait(ctx); !errors.Is(err, tasks.ErrTaskFailed) {
		return fmt.Errorf("the card was charged: %w", err)
	}
	s.print("charge", e.charge.Status, e.charge.LastError()) // type and text

	if err := e.nobody.Refresh(ctx); err != nil {
		return err
	}
	s.print("greet Nobody", e.nobody.Status, e.nobody.CancelReason)
	return nil
}

// counts prints how many of this run's tasks are in which status.
func (s *story) counts(ctx context.Context, admin *tasks.Admin) error {
	queues, err := admin.Queues(ctx)
	if err != nil {
		return err
	}
	for _, q := range queues {
		if q.Name != s.queue {
			continue
		}
		for _, status := range tasks.Statuses() {
			if n := q.Counts[status]; n > 0 {
				s.print(string(status), n)
			}
		}
	}
	return nil
}

// forget deletes this run's tasks, also after a failure.
func (s *story) forget(ctx context.Context, admin *tasks.Admin) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	_, err := admin.AlterMatching(ctx, tasks.Change{Kind: tasks.ChangeDelete}, tasks.Filter{Queues: []string{s.queue}}, tasks.Bulk{})
	return err
}

func (s *story) order() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.greeted
}

func (s *story) heading(text string) { fmt.Printf("\n== %s\n", text) }

func (s *story) print(what string, values ...any) {
	fmt.Printf("%-16s %s", what, fmt.Sprintln(values...))
}
