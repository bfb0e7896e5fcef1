package memstore

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func closeFaults() []Fault {
	return []Fault{
		{Name: "close-once", Doc: "the second Close is an error", methods: func(s *Store, m *methods) {
			m.close = func(ctx context.Context) error {
				if s.closed() {
					return tasks.ErrClosed
				}
				return s.Close(ctx)
			}
		}},
		{Name: "close-panics-twice", Doc: "the second Close panics: close of closed channel", methods: func(s *Store, m *methods) {
			m.close = func(ctx context.Context) error {
				if s.closed() {
					panic("close of closed channel")
				}
				return s.Close(ctx)
			}
		}},
		{Name: "close-not-for-reads", Doc: "after Close records can be read still", methods: func(s *Store, m *methods) {
			other := &Store{p: s.p, done: make(chan struct{})}
			m.get = other.GetResult
		}},
		{Name: "close-not-for-writes", Doc: "after Close records can be enqueued still", methods: func(s *Store, m *methods) {
			other := &Store{p: s.p, done: make(chan struct{})}
			m.enqueue = other.Enqueue
		}},
		{Name: "close-not-for-workers", Doc: "after Close records can be claimed still", methods: func(s *Store, m *methods) {
			other := &Store{p: s.p, done: make(chan struct{})}
			m.claim, m.renew, m.settle, m.sweep = other.Claim, other.Renew, other.Settle, other.Sweep
		}},
		{Name: "close-not-for-operators", Doc: "after Close records can be listed and changed still", methods: func(s *Store, m *methods) {
			other := &Store{p: s.p, done: make(chan struct{})}
			m.list, m.queues, m.alter, m.pause, m.prune = other.List, other.Queues, other.Alter, other.Pause, other.Prune
			m.workers, m.heartbeat = other.Workers, other.Heartbeat
		}},
		{Name: "close-other-error", Doc: "after Close calls give the driver's error, not ErrClosed", methods: func(s *Store, m *methods) {
			m.get = func(ctx context.Context, id string) (*tasks.Record, error) {
				rec, err := s.GetResult(ctx, id)
				if errors.Is(err, tasks.ErrClosed) {
					err = errors.New("sql: database is closed")
				}
				return rec, err
			}
		}},
		{Name: "close-waits-for-waiters", Doc: "Close hangs while somebody waits", methods: func(s *Store, m *methods) {
			var waiting atomic.Int32
			m.wait = func(ctx context.Context, sel tasks.Selection) error {
				waiting.Add(1)
				defer waiting.Add(-1)
				deaf := &Store{p: s.p, done: make(chan struct{})}
				ctx, stop := context.WithTimeout(ctx, Stuck)
				defer stop()
				return deaf.Wait(ctx, sel)
			}
			m.close = func(ctx context.Context) error {
				for waiting.Load() > 0 {
					time.Sleep(time.Millisecond)
				}
				return s.Close(ctx)
			}
		}},
		{Name: "close-closes-all", Doc: "closing one handle closes the others of the place", methods: func(s *Store, m *methods) {
			m.close = func(ctx context.Context) error {
				s.p.mu.Lock()
				for other := range s.p.handles {
					if other != s && !other.closed() {
						close(other.done)
					}
				}
				s.p.mu.Unlock()
				return s.Close(ctx)
			}
		}},
		{Name: "close-keeps-the-place", Doc: "after Close the place can't be opened again", Alone: true, methods: func(s *Store, m *methods) {
			m.close = func(ctx context.Context) error {
				err := s.Close(ctx)
				s.p.mu.Lock()
				defer s.p.mu.Unlock()
				s.p.handles[&Store{}] = struct{}{}
				return err
			}
		}},
		{Name: "check-writes", Doc: "Check stores a record to see whether that works", methods: func(s *Store, m *methods) {
			m.check = func(ctx context.Context) []tasks.Finding {
				_ = s.Enqueue(ctx, []*tasks.Record{{ID: "check", Task: "check", Queue: "check", MaxAttempts: 1}})
				return s.Check(ctx)
			}
		}},
		{Name: "check-sweeps", Doc: "Check takes back leases that ran out, and prunes", methods: func(s *Store, m *methods) {
			m.check = func(ctx context.Context) []tasks.Finding {
				_, _ = s.Sweep(ctx)
				return s.Check(ctx)
			}
		}},
		{Name: "check-cries-wolf", Doc: "Check finds something when all is well", methods: func(s *Store, m *methods) {
			m.check = func(ctx context.Context) []tasks.Finding {
				return append(s.Check(ctx), tasks.Finding{ID: "memstore.W001", Level: tasks.LevelWarning, Message: "nothing is durable in memory"})
			}
		}},
		{Name: "check-blind", Doc: "Check finds nothing wrong with a store that is closed", methods: func(_ *Store, m *methods) {
			m.check = func(context.Context) []tasks.Finding { return nil }
		}},
		{Name: "capabilities-vary", Doc: "Capabilities changes from call to call", methods: func(s *Store, m *methods) {
			calls := 0
			m.capabilities = func() tasks.Capability {
				if calls++; calls > 4 {
					return s.Capabilities() &^ tasks.CapNotify
				}
				return s.Capabilities()
			}
		}},
	}
}

func reopenFaults() []Fault {
	// forgetting makes a fault of what happens to the place when a handle is closed.
	forgetting := func(forget func(p *Place)) func(*Store, *methods) {
		return func(s *Store, m *methods) {
			m.close = func(ctx context.Context) error {
				first := !s.closed()
				err := s.Close(ctx)
				if first {
					s.p.mu.Lock()
					defer s.p.mu.Unlock()
					forget(s.p)
				}
				return err
			}
		}
	}
	each := func(change func(e *entry)) func(*Store, *methods) {
		return forgetting(func(p *Place) {
			for _, e := range p.entries {
				change(e)
			}
		})
	}
	without := func(lost func(rec *tasks.Record) bool) func(*Store, *methods) {
		return forgetting(func(p *Place) {
			for id, e := range p.entries {
				if lost(e.rec) {
					p.remove(id)
				}
			}
		})
	}
	return []Fault{
		{Name: "reopen-empty", Doc: "closing forgets all records", methods: without(func(*tasks.Record) bool { return true })},
		{Name: "reopen-without-ready", Doc: "closing forgets READY records", methods: without(func(rec *tasks.Record) bool { return rec.Status == tasks.Ready })},
		{Name: "reopen-without-running", Doc: "closing forgets RUNNING records (taskq: gone with the consumer)", methods: without(func(rec *tasks.Record) bool { return rec.Status == tasks.Running })},
		{Name: "reopen-without-final", Doc: "closing forgets final records", methods: without(func(rec *tasks.Record) bool { return rec.Status.Final() })},
		{Name: "reopen-without-deferred", Doc: "closing forgets deferred records (neoq: they are kept in memory)", methods: without(func(rec *tasks.Record) bool {
			return rec.Status == tasks.Ready && rec.RunAfter.After(time.Now())
		})},
		{Name: "reopen-undeferred", Doc: "closing forgets RunAfter", methods: each(func(e *entry) { e.rec.RunAfter = time.Time{} })},
		{Name: "reopen-attempts-lost", Doc: "closing forgets how many attempts there were", methods: each(func(e *entry) { e.rec.WorkerIDs = nil })},
		{Name: "reopen-errors-lost", Doc: "closing forgets errors", methods: each(func(e *entry) { e.rec.Errors = nil })},
		{Name: "reopen-values-lost", Doc: "closing forgets values", methods: each(func(e *entry) { e.rec.Value = nil })},
		{Name: "reopen-metadata-lost", Doc: "closing forgets metadata", methods: each(func(e *entry) { e.rec.Metadata = nil })},
		{Name: "reopen-priority-lost", Doc: "closing forgets priorities", methods: each(func(e *entry) { e.rec.Priority = 0 })},
		{Name: "reopen-cancel-lost", Doc: "closing forgets requests to cancel", methods: each(func(e *entry) { e.rec.CancelRequested, e.rec.CancelReason = false, "" })},
		{Name: "reopen-runs-finals", Doc: "closing makes SUCCESSFUL records READY again", methods: each(func(e *entry) {
			if e.rec.Status == tasks.Successful {
				e.rec.Status = tasks.Ready
			}
		})},
		{Name: "reopen-settles-lost", Doc: "closing makes what was settled RUNNING again", methods: each(func(e *entry) {
			if e.rec.Status.Final() && e.token != "" {
				e.rec.Status, e.rec.FinishedAt, e.rec.Value = tasks.Running, time.Time{}, nil
			}
		})},
		{Name: "reopen-running-orphaned", Doc: "after a reopen the lease of a RUNNING record never runs out", methods: each(func(e *entry) {
			e.deadline = lifecycle.Forever()
		})},
		{Name: "reopen-resumes", Doc: "closing resumes paused queues", methods: forgetting(func(p *Place) { clear(p.paused) })},
		{Name: "reopen-duplicates", Doc: "after a reopen an id that is stored can be stored again", methods: func(s *Store, m *methods) {
			known := make(map[string]bool)
			m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
				return s.change(ctx, func(p *Place, now time.Time) error {
					for _, rec := range recs {
						if !known[rec.ID] {
							p.remove(rec.ID)
						}
						known[rec.ID] = true
					}
					return p.enqueue(recs, now)
				})
			}
		}},
	}
}
