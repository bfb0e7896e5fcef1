package tasks_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/sideman-go/sideman/tasks"
)

// asyncSpy has a native AEnqueue: it keeps the calls until the test ends them.
type asyncSpy struct {
	*spy

	mu    sync.Mutex
	asked []func()
	now   bool // end each call at once, on the caller's goroutine
}

func (s *asyncSpy) AEnqueue(ctx context.Context, recs []*tasks.Record, done func(error)) {
	s.called("async")
	end := func() { done(s.Backend.Enqueue(ctx, recs)) }
	if s.now {
		end()
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, end)
}

func (s *asyncSpy) end() {
	s.mu.Lock()
	asked := s.asked
	s.asked = nil
	s.mu.Unlock()
	for _, end := range asked {
		end()
	}
}

// A road is one of the ways that AEnqueue's write may take.
type road struct {
	name string
	wrap bool // middleware is present
	hook bool
	make func() (b tasks.Backend, block, release func(), calls func() []string)
}

func roads() []road {
	generic := func() (tasks.Backend, func(), func(), func() []string) {
		s := newSpy(allCaps)
		gate := make(chan struct{})
		block := func() {
			s.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
				<-gate
				return s.Backend.Enqueue(ctx, recs)
			}
		}
		return s, block, func() { close(gate) }, s.Calls
	}
	native := func() (tasks.Backend, func(), func(), func() []string) {
		s := &asyncSpy{spy: newSpy(allCaps)}
		return s, func() {}, s.end, s.Calls
	}
	nativeWrapped := func() (tasks.Backend, func(), func(), func() []string) {
		s := &asyncSpy{spy: newSpy(allCaps)}
		gate := make(chan struct{})
		s.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
			<-gate
			return s.Backend.Enqueue(ctx, recs)
		}
		return s, func() {}, func() { close(gate) }, s.Calls
	}
	return []road{
		{"generic", false, false, generic},
		{"generic with hooks", false, true, generic},
		{"generic with middleware", true, false, generic},
		{"native", false, false, native},
		{"native with hooks", false, true, native},
		{"native with middleware", true, true, nativeWrapped},
	}
}

func (r road) app(t *testing.T, b tasks.Backend, options tasks.AppOptions) *tasks.App {
	t.Helper()
	app, _ := newAppWith(t, b, options)
	if r.wrap {
		app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc { return next })
	}
	if r.hook {
		app.AddHooks(tasks.Hooks{Enqueued: func(context.Context, *tasks.Record) error { return errors.New("no matter") }})
	}
	return app
}
