package memstore

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func handleFaults() []Fault {
	return []Fault{
		{Name: "handle-cached", Doc: "a handle reads each record once, so it doesn't see what others do", methods: func(s *Store, m *methods) {
			var mu sync.Mutex
			seen := make(map[string]*tasks.Record)
			m.get = func(ctx context.Context, id string) (*tasks.Record, error) {
				mu.Lock()
				defer mu.Unlock()
				if rec := seen[id]; rec != nil && !s.closed() && ctx.Err() == nil {
					return rec.Clone(), nil
				}
				rec, err := s.GetResult(ctx, id)
				if err == nil {
					seen[id] = rec.Clone()
				}
				return rec, err
			}
		}},
		{Name: "handle-own-records", Doc: "a handle reads only records that were enqueued through it", methods: func(s *Store, m *methods) {
			var mu sync.Mutex
			own := make(map[string]bool)
			m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
				mu.Lock()
				defer mu.Unlock()
				for _, rec := range recs {
					own[rec.ID] = true
				}
				return s.Enqueue(ctx, recs)
			}
			m.get = func(ctx context.Context, id string) (*tasks.Record, error) {
				mu.Lock()
				defer mu.Unlock()
				if !own[id] && !s.closed() && ctx.Err() == nil {
					return nil, tasks.ErrResultNotFound
				}
				return s.GetResult(ctx, id)
			}
		}},
		{Name: "handle-own-leases", Doc: "a lease can be settled only by the handle that claimed it", methods: func(s *Store, m *methods) {
			var mu sync.Mutex
			own := make(map[string]bool)
			m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
				got, err := s.Claim(ctx, req)
				mu.Lock()
				defer mu.Unlock()
				for _, c := range got {
					own[c.Lease.Token] = true
				}
				return got, err
			}
			m.settle = func(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
				mu.Lock()
				outs = slices.Clone(outs)
				for i := range outs {
					if !own[outs[i].Lease.Token] {
						outs[i].Lease.Token = "not mine"
					}
				}
				mu.Unlock()
				return s.Settle(ctx, outs)
			}
		}},
		{Name: "handle-own-sweep", Doc: "a sweep takes back only leases that were claimed through the same handle", methods: func(s *Store, m *methods) {
			var mu sync.Mutex
			own := make(map[string]bool)
			m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
				got, err := s.Claim(ctx, req)
				mu.Lock()
				defer mu.Unlock()
				for _, c := range got {
					own[c.Lease.ID] = true
				}
				return got, err
			}
			m.sweep = func(ctx context.Context) (swept tasks.Swept, err error) {
				mu.Lock()
				defer mu.Unlock()
				err = s.change(ctx, func(p *Place, now time.Time) error {
					sound := p.rules.lost
					p.rules.lost = func(e *entry, now time.Time) bool { return own[e.rec.ID] && sound(e, now) }
					swept = p.sweep(now)
					p.rules.lost = sound
					return nil
				})
				return swept, err
			}
		}},
		{Name: "handle-own-pause", Doc: "a queue is paused only for the handle that paused it", methods: func(s *Store, m *methods) {
			var mu sync.Mutex
			paused := make(map[string]bool)
			m.pause = func(ctx context.Context, queue string, on bool) error {
				mu.Lock()
				paused[queue] = on
				mu.Unlock()
				return s.Pause(ctx, queue, false)
			}
			m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
				mu.Lock()
				for queue, on := range paused {
					if on {
						req.Exclude = append(slices.Clip(req.Exclude), queue)
					}
				}
				mu.Unlock()
				return s.Claim(ctx, req)
			}
		}},
		{Name: "handle-own-wake", Doc: "a wait is woken only by an enqueue through the same handle", methods: func(s *Store, m *methods) {
			var mu sync.Mutex
			news := make(chan struct{})
			m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
				defer func() {
					mu.Lock()
					defer mu.Unlock()
					close(news)
					news = make(chan struct{})
				}()
				return s.Enqueue(ctx, recs)
			}
			m.wait = func(ctx context.Context, sel tasks.Selection) error {
				for {
					mu.Lock()
					changed := news
					mu.Unlock()
					sleep := time.Duration(0)
					err := s.do(ctx, func(p *Place, now time.Time) error {
						sleep = p.untilDue(sel, now)
						return nil
					})
					if err != nil || sleep == 0 {
						return err
					}
					if sleep < 0 || sleep > 5*time.Second {
						sleep = 5 * time.Second
					}
					s.pause(ctx, changed, sleep)
				}
			}
		}},
		{Name: "handle-second-hangs", Doc: "a second handle waits until the first is closed, without an end", Alone: true, rules: func(p *Place, r *rules) {
			r.admit = func() bool {
				p.mu.Unlock() // as flock does without a deadline
				time.Sleep(Stuck)
				p.mu.Lock()
				return false
			}
		}},
		{Name: "handle-second-admitted", Doc: "a second handle is opened though the place isn't shared", Alone: true, rules: func(_ *Place, r *rules) {
			r.admit = func() bool { return true }
		}},
	}
}
