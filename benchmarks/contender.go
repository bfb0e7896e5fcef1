package main

import (
	"context"
	"time"
)

// payload is every task's argument, {"num":1}, on every contender.
type payload struct {
	Num int `json:"num"`
}

// settings say how a contender's workers are set.
type settings string

const (
	// defaults are the contender's own: what somebody measures who has just installed it.
	defaults settings = "defaults"
	// tuned are those with which it drains a queue of no-ops fastest here.
	tuned settings = "tuned"
)

// contender is one queue on one store, through its public API. A task is known by the
// number in its payload.
type contender interface {
	// name is "Sideman database", "River" and so on; version what is measured of it.
	name() string
	version() string
	// reset empties the store.
	reset(ctx context.Context) error
	// enqueue stores a task and returns when it is stored.
	enqueue(ctx context.Context, num int) error
	// enqueueMany stores n tasks by the fastest call that there is for it.
	enqueueMany(ctx context.Context, n int) error
	// enqueueIn stores a task that is due after d, and returns when that is.
	enqueueIn(ctx context.Context, num int, d time.Duration) (due time.Time, err error)
	// work starts a worker in this process that calls handler for each task.
	work(ctx context.Context, s settings, handler func(num int)) (stop func() error, err error)
	// completed counts the tasks whose end is stored.
	completed(ctx context.Context) (int, error)
	// isDone says whether the end of a task that enqueue stored is stored.
	isDone(ctx context.Context, num int) (bool, error)
	close(ctx context.Context) error
}
