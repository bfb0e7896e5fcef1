package memstore

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func waitFaults() []Fault {
	// waiting makes a fault of a Wait that looks again whenever look says so.
	waiting := func(look func(s *Store, ctx context.Context, changed <-chan struct{}, sleep time.Duration)) func(*Store, *methods) {
		return func(s *Store, m *methods) {
			m.wait = func(ctx context.Context, sel tasks.Selection) error {
				for {
					var sleep time.Duration
					var changed chan struct{}
					err := s.do(ctx, func(p *Place, now time.Time) error {
						sleep, changed = p.untilDue(sel, now), p.changed
						return nil
					})
					if err != nil || sleep == 0 {
						return err
					}
					look(s, ctx, changed, sleep)
				}
			}
		}
	}
	return []Fault{
		{Name: "wait-edge-only", Doc: "a wait returns only for what is enqueued after it has begun, so what came between claim and wait is missed", methods: func(s *Store, m *methods) {
			m.wait = func(ctx context.Context, sel tasks.Selection) error {
				s.p.mu.Lock()
				changed := s.p.changed
				s.p.mu.Unlock()
				if err := s.do(ctx, func(*Place, time.Time) error { return nil }); err != nil {
					return err
				}
				s.pause(ctx, changed, -1)
				return s.Wait(ctx, sel)
			}
		}},
		{Name: "wait-misses-enqueue", Doc: "a wait isn't woken by an enqueue, though notify is declared", methods: waiting(func(s *Store, ctx context.Context, _ <-chan struct{}, sleep time.Duration) {
			if sleep < 0 || sleep > 5*time.Second {
				sleep = 5 * time.Second
			}
			s.pause(ctx, nil, sleep)
		})},
		{Name: "wait-misses-due", Doc: "a wait doesn't return when a deferred record becomes due", methods: waiting(func(s *Store, ctx context.Context, changed <-chan struct{}, _ time.Duration) {
			s.pause(ctx, changed, -1)
		})},
		{Name: "wait-late", Doc: "a wait returns a second after a deferred record has become due", methods: waiting(func(s *Store, ctx context.Context, changed <-chan struct{}, sleep time.Duration) {
			if sleep >= 0 {
				sleep += time.Second
			}
			s.pause(ctx, changed, sleep)
		})},
		{Name: "wait-fixed-alarm", Doc: "a wait for a record that is due later isn't cut short by one that is due sooner", methods: waiting(func(s *Store, ctx context.Context, changed <-chan struct{}, sleep time.Duration) {
			if sleep >= 0 {
				changed = nil
			}
			s.pause(ctx, changed, sleep)
		})},
		{Name: "wait-one-at-a-time", Doc: "of several who wait only one is woken (a channel with one place)", methods: func(s *Store, m *methods) {
			var waiting atomic.Int32
			m.wait = func(ctx context.Context, sel tasks.Selection) error {
				if waiting.Add(1) > 1 {
					s.pause(ctx, nil, 5*time.Second)
				}
				defer waiting.Add(-1)
				return s.Wait(ctx, sel)
			}
		}},
		{Name: "wait-misses-resume", Doc: "a wait doesn't return when a queue is resumed", methods: func(s *Store, m *methods) {
			m.pause = func(ctx context.Context, queue string, paused bool) error {
				return s.do(ctx, func(p *Place, _ time.Time) error { // without announcing it
					if paused {
						p.paused[queue] = true
					} else {
						delete(p.paused, queue)
					}
					return nil
				})
			}
		}},
		{Name: "wait-misses-settle", Doc: "a wait doesn't return when a record goes back to READY", methods: func(s *Store, m *methods) {
			m.settle = func(ctx context.Context, outs []tasks.Outcome) (errs []error, err error) {
				err = s.do(ctx, func(p *Place, now time.Time) error { // without announcing it
					for _, out := range outs {
						errs = append(errs, p.settle(out, now))
					}
					return nil
				})
				return errs, err
			}
		}},
		{Name: "wait-deaf", Doc: "a wait doesn't return when its context ends (asynq: Dequeue without a timeout)", methods: func(s *Store, m *methods) {
			m.wait = func(ctx context.Context, sel tasks.Selection) error {
				long, stop := context.WithTimeout(context.WithoutCancel(ctx), Stuck)
				defer stop()
				return s.Wait(long, sel)
			}
		}},
		{Name: "wait-hides-ctx", Doc: "a wait whose context ends returns no error", methods: func(s *Store, m *methods) {
			m.wait = func(ctx context.Context, sel tasks.Selection) error {
				if err := s.Wait(ctx, sel); ctx.Err() == nil {
					return err
				}
				return nil
			}
		}},
		{Name: "wait-spins", Doc: "a wait returns at once while a queue that isn't asked for has records", methods: func(s *Store, m *methods) {
			m.wait = func(ctx context.Context, _ tasks.Selection) error { return s.Wait(ctx, tasks.Selection{}) }
		}},
		{Name: "wait-survives-close", Doc: "a wait goes on after Close", methods: func(s *Store, m *methods) {
			m.wait = func(ctx context.Context, sel tasks.Selection) error {
				deaf := &Store{p: s.p, done: make(chan struct{})}
				if s.closed() {
					return tasks.ErrClosed
				}
				return deaf.Wait(ctx, sel)
			}
		}},
		{Name: "result-wait-early", Doc: "WaitResult returns a record that isn't final", methods: func(s *Store, m *methods) {
			m.waitResult = func(ctx context.Context, id string) (*tasks.Record, error) {
				s.pause(ctx, nil, time.Millisecond) // or who asks again at once would never stop
				return s.GetResult(ctx, id)
			}
		}},
		{Name: "result-wait-running", Doc: "WaitResult returns at the first change of the record", methods: func(s *Store, m *methods) {
			m.waitResult = func(ctx context.Context, id string) (*tasks.Record, error) {
				first, err := s.GetResult(ctx, id)
				for rec := first; ; rec, err = s.GetResult(ctx, id) {
					if err != nil || rec.Status.Final() || rec.Status != first.Status {
						return rec, err
					}
					s.pause(ctx, nil, time.Millisecond)
				}
			}
		}},
		{Name: "result-wait-misses-cancel", Doc: "WaitResult doesn't return for a record that is cancelled or expires", methods: func(s *Store, m *methods) {
			m.waitResult = func(ctx context.Context, id string) (*tasks.Record, error) {
				for {
					rec, err := s.WaitResult(ctx, id)
					if err != nil || rec.Status != tasks.Cancelled {
						return rec, err
					}
					s.pause(ctx, nil, time.Second)
				}
			}
		}},
		{Name: "result-wait-unknown", Doc: "WaitResult waits for an id that isn't there", methods: func(s *Store, m *methods) {
			m.waitResult = func(ctx context.Context, id string) (*tasks.Record, error) {
				for {
					rec, err := s.WaitResult(ctx, id)
					if err == nil || ctx.Err() != nil || s.closed() {
						return rec, err
					}
					s.pause(ctx, nil, time.Second)
				}
			}
		}},
		{Name: "result-wait-deaf", Doc: "WaitResult doesn't return when its context ends", methods: func(s *Store, m *methods) {
			m.waitResult = func(ctx context.Context, id string) (*tasks.Record, error) {
				long, stop := context.WithTimeout(context.WithoutCancel(ctx), Stuck)
				defer stop()
				return s.WaitResult(long, id)
			}
		}},
	}
}
