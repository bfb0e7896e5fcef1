package memstore

import (
	"context"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func pruneFaults() []Fault {
	keeping := func(at func(p *Place, rec *tasks.Record) (time.Time, bool)) func(*Place, *rules) {
		return func(p *Place, r *rules) {
			r.pruneAt = func(rec *tasks.Record) (time.Time, bool) { return at(p, rec) }
		}
	}
	asking := func(change func(req *tasks.PruneRequest)) func(*Store, *methods) {
		return func(s *Store, m *methods) {
			m.prune = func(ctx context.Context, req tasks.PruneRequest) (tasks.Pruned, error) {
				change(&req)
				return s.Prune(ctx, req)
			}
		}
	}
	touching := func(status tasks.Status) func(*Place, *rules) {
		return func(_ *Place, r *rules) {
			r.prunes = func(req tasks.PruneRequest, rec *tasks.Record, now time.Time) bool {
				return prunes(req, rec, now) || rec.Status == status && len(req.Statuses) == 0 && rec.EnqueuedAt.Before(now.Add(-req.OlderThan))
			}
		}
	}
	return []Fault{
		{Name: "retain-zero-keeps", Doc: "a retention of 0 means the store's, so the record stays", rules: keeping(func(p *Place, rec *tasks.Record) (time.Time, bool) {
			if rec.Retain != nil && *rec.Retain == 0 {
				rec = rec.Clone()
				rec.Retain = nil
			}
			return p.options.Retention.PruneAt(rec)
		})},
		{Name: "retain-negative-deletes", Doc: "a negative retention deletes the record (River SQLite 0.44)", rules: keeping(func(p *Place, rec *tasks.Record) (time.Time, bool) {
			if rec.Retain != nil && *rec.Retain < 0 {
				return rec.FinishedAt, true
			}
			return p.options.Retention.PruneAt(rec)
		})},
		{Name: "retain-negative-swept", Doc: "a record with a negative retention is deleted by the next sweep", rules: keeping(func(p *Place, rec *tasks.Record) (time.Time, bool) {
			if rec.Retain != nil && *rec.Retain < 0 {
				return rec.FinishedAt, false
			}
			return p.options.Retention.PruneAt(rec)
		})},
		{Name: "retain-zero-only-success", Doc: "a retention of 0 deletes only what was SUCCESSFUL", rules: keeping(func(p *Place, rec *tasks.Record) (time.Time, bool) {
			if rec.Retain != nil && rec.Status != tasks.Successful {
				rec = rec.Clone()
				rec.Retain = nil
			}
			return p.options.Retention.PruneAt(rec)
		})},
		{Name: "retain-own-ignored", Doc: "a record's own retention is ignored", rules: keeping(func(p *Place, rec *tasks.Record) (time.Time, bool) {
			if rec.Retain != nil && *rec.Retain > 0 {
				rec = rec.Clone()
				rec.Retain = nil
			}
			return p.options.Retention.PruneAt(rec)
		})},
		{Name: "retain-from-enqueue", Doc: "a retention counts from the enqueue", rules: keeping(func(p *Place, rec *tasks.Record) (time.Time, bool) {
			at, atOnce := p.options.Retention.PruneAt(rec)
			return at.Add(rec.EnqueuedAt.Sub(rec.FinishedAt)), atOnce
		})},
		{Name: "sweep-prunes-nothing", Doc: "a sweep doesn't delete records whose retention is over", rules: keeping(func(p *Place, rec *tasks.Record) (time.Time, bool) {
			at, atOnce := p.options.Retention.PruneAt(rec)
			return at.Add(100 * 365 * 24 * time.Hour), atOnce
		})},
		{Name: "sweep-prunes-all", Doc: "a sweep deletes every final record", rules: keeping(func(p *Place, rec *tasks.Record) (time.Time, bool) {
			_, atOnce := p.options.Retention.PruneAt(rec)
			return rec.FinishedAt, atOnce
		})},
		{Name: "prune-ready", Doc: "a prune deletes READY records that are old enough", rules: touching(tasks.Ready)},
		{Name: "prune-running", Doc: "a prune deletes RUNNING records that are old enough", rules: touching(tasks.Running)},
		{Name: "prune-age-ignored", Doc: "a prune ignores the age", methods: asking(func(req *tasks.PruneRequest) { req.OlderThan = 0 })},
		{Name: "prune-age-from-enqueue", Doc: "a prune goes by the age since the enqueue", rules: func(_ *Place, r *rules) {
			r.prunes = func(req tasks.PruneRequest, rec *tasks.Record, now time.Time) bool {
				c := *rec
				c.FinishedAt = c.EnqueuedAt
				return prunes(req, &c, now)
			}
		}},
		{Name: "prune-status-ignored", Doc: "a prune ignores the statuses", methods: asking(func(req *tasks.PruneRequest) { req.Statuses = nil })},
		{Name: "prune-queue-ignored", Doc: "a prune ignores the queues", methods: asking(func(req *tasks.PruneRequest) { req.Queues = nil })},
		{Name: "prune-limit-ignored", Doc: "a prune deletes everything in one step, whatever the limit", methods: asking(func(req *tasks.PruneRequest) { req.Limit = 1 << 30 })},
		{Name: "prune-one-batch", Doc: "a prune never says that there is more", methods: func(s *Store, m *methods) {
			m.prune = func(ctx context.Context, req tasks.PruneRequest) (tasks.Pruned, error) {
				pruned, err := s.Prune(ctx, req)
				pruned.Next = ""
				return pruned, err
			}
		}},
		{Name: "prune-nothing", Doc: "a prune deletes nothing and says that it did", methods: func(s *Store, m *methods) {
			m.prune = func(ctx context.Context, req tasks.PruneRequest) (pruned tasks.Pruned, err error) {
				err = s.do(ctx, func(p *Place, now time.Time) error {
					for _, e := range p.sorted() {
						if p.rules.prunes(req, e.rec, now) {
							pruned.Deleted++
						}
					}
					return nil
				})
				return pruned, err
			}
		}},
		{Name: "prune-uncounted", Doc: "a prune doesn't say how many it has deleted", methods: func(s *Store, m *methods) {
			m.prune = func(ctx context.Context, req tasks.PruneRequest) (tasks.Pruned, error) {
				pruned, err := s.Prune(ctx, req)
				pruned.Deleted = 0
				return pruned, err
			}
		}},
	}
}

func workerFaults() []Fault {
	telling := func(change func(w *tasks.WorkerInfo)) func(*Store, *methods) {
		return func(s *Store, m *methods) {
			m.workers = func(ctx context.Context) ([]tasks.WorkerInfo, error) {
				workers, err := s.Workers(ctx)
				for i := range workers {
					change(&workers[i])
				}
				return workers, err
			}
		}
	}
	return []Fault{
		{Name: "worker-never-silent", Doc: "a worker whose heartbeats have stopped is listed for ever", rules: func(_ *Place, r *rules) {
			r.alive = func(*tasks.WorkerInfo) bool { return true }
		}},
		{Name: "worker-silent-soon", Doc: "a worker is left out before three of its intervals have passed", rules: func(_ *Place, r *rules) {
			r.alive = func(w *tasks.WorkerInfo) bool { return w.Age <= w.Interval }
		}},
		{Name: "worker-fixed-patience", Doc: "a worker is left out after a minute, whatever its interval", rules: func(_ *Place, r *rules) {
			r.alive = func(w *tasks.WorkerInfo) bool { return w.Age <= time.Minute }
		}},
		{Name: "worker-stopped-stays", Doc: "a worker that has said goodbye is listed still", methods: func(s *Store, m *methods) {
			m.heartbeat = func(ctx context.Context, w tasks.WorkerInfo) error {
				w.Stopped = false
				return s.Heartbeat(ctx, w)
			}
		}},
		{Name: "worker-first-beat", Doc: "later heartbeats don't change what is told of a worker", methods: func(s *Store, m *methods) {
			m.heartbeat = func(ctx context.Context, w tasks.WorkerInfo) error {
				workers, err := s.Workers(ctx)
				if i := slices.IndexFunc(workers, func(k tasks.WorkerInfo) bool { return k.ID == w.ID }); i >= 0 && !w.Stopped {
					return s.Heartbeat(ctx, workers[i])
				}
				if err != nil {
					return err
				}
				return s.Heartbeat(ctx, w)
			}
		}},
		{Name: "worker-own-time", Doc: "BeatAt is the worker's time, not the store's", methods: func(s *Store, m *methods) {
			m.heartbeat = func(ctx context.Context, w tasks.WorkerInfo) error {
				at := w.BeatAt
				err := s.Heartbeat(ctx, w)
				s.p.mu.Lock()
				defer s.p.mu.Unlock()
				if k, ok := s.p.workers[w.ID]; ok && !at.IsZero() {
					k.BeatAt = at
					s.p.workers[w.ID] = k
				}
				return err
			}
		}},
		{Name: "worker-ageless", Doc: "the age of heartbeats isn't told", methods: telling(func(w *tasks.WorkerInfo) { w.Age = 0 })},
		{Name: "worker-queues-lost", Doc: "the queues of a worker aren't told", methods: telling(func(w *tasks.WorkerInfo) { w.Queues, w.Exclude = nil, nil })},
		{Name: "worker-running-lost", Doc: "what a worker runs isn't told", methods: telling(func(w *tasks.WorkerInfo) { w.Running, w.RunningIDs = 0, nil })},
		{Name: "worker-stopping-lost", Doc: "that a worker takes no new work isn't told", methods: telling(func(w *tasks.WorkerInfo) { w.Stopping = false })},
		{Name: "worker-one-only", Doc: "only the newest worker is told of", methods: func(s *Store, m *methods) {
			m.workers = func(ctx context.Context) ([]tasks.WorkerInfo, error) {
				workers, err := s.Workers(ctx)
				return workers[max(len(workers)-1, 0):], err
			}
		}},
		{Name: "worker-unsorted", Doc: "workers aren't listed by id", methods: func(s *Store, m *methods) {
			m.workers = func(ctx context.Context) ([]tasks.WorkerInfo, error) {
				workers, err := s.Workers(ctx)
				slices.Reverse(workers)
				return workers, err
			}
		}},
	}
}
