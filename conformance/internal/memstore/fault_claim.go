package memstore

import (
	"context"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func claimFaults() []Fault {
	return []Fault{
		{
			Name: "claim-running", Doc: "a record that is RUNNING can be claimed again",
			rules: func(_ *Place, r *rules) {
				r.due = func(rec *tasks.Record, now time.Time) bool {
					return !rec.Status.Final() && !rec.RunAfter.After(now)
				}
			},
		},
		{
			Name: "claim-final", Doc: "a FAILED record can be claimed again",
			rules: func(_ *Place, r *rules) {
				r.due = func(rec *tasks.Record, now time.Time) bool {
					return lifecycle.Due(rec, now) || rec.Status == tasks.Failed
				}
			},
		},
		{
			Name: "claim-race", Doc: "a claim chooses records and marks them in two steps, without a guard (backlite), so two get the same",
			methods: func(s *Store, m *methods) {
				m.claim = func(ctx context.Context, req tasks.ClaimRequest) (claimed []tasks.Claimed, err error) {
					var chosen []*entry
					err = s.do(ctx, func(p *Place, now time.Time) error {
						chosen = p.claimable(req.Selection, now)
						return nil
					})
					if err != nil || len(chosen) == 0 || req.Limit < 1 {
						return nil, err
					}
					chosen = chosen[:min(len(chosen), req.Limit)]
					time.Sleep(time.Millisecond)
					return claimed, s.change(ctx, func(p *Place, now time.Time) error {
						for _, e := range chosen {
							p.rules.claim(e.rec, req.Worker, now)
							e.token, e.deadline = "race", p.rules.deadline(now, req.Lease)
							claimed = append(claimed, tasks.Claimed{Record: p.rules.copyOut(e.rec), Lease: e.lease()})
						}
						return nil
					})
				}
			},
		},
		{
			Name: "claim-over-limit", Doc: "a claim gives one record more than was asked for",
			methods: func(s *Store, m *methods) {
				m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
					req.Limit++
					req.Lease = max(req.Lease, time.Second)
					return s.Claim(ctx, req)
				}
			},
		},
		{
			Name: "claim-one", Doc: "a claim gives one record at most, whatever the limit",
			methods: func(s *Store, m *methods) {
				m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
					req.Limit = min(req.Limit, 1)
					return s.Claim(ctx, req)
				}
			},
		},
		{
			Name: "claim-empty-fails", Doc: "a claim that finds nothing is an error, as sql.ErrNoRows and redis.Nil are",
			methods: func(s *Store, m *methods) {
				m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
					got, err := s.Claim(ctx, req)
					if err == nil && len(got) == 0 {
						return nil, tasks.ErrResultNotFound
					}
					return got, err
				}
			},
		},
		{
			Name: "claim-before-marking", Doc: "a claim returns the record as it was before: READY",
			methods: func(s *Store, m *methods) {
				m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
					got, err := s.Claim(ctx, req)
					for _, c := range got {
						c.Record.Status = tasks.Ready
					}
					return got, err
				}
			},
		},
		{
			Name: "claim-without-arguments", Doc: "a claim returns records without their arguments and metadata",
			methods: func(s *Store, m *methods) {
				m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
					got, err := s.Claim(ctx, req)
					for _, c := range got {
						c.Record.Args, c.Record.Metadata = nil, nil
					}
					return got, err
				}
			},
		},
		{
			Name: "claim-ctx-over", Doc: "a claim whose context is over makes records RUNNING that nobody will run",
			methods: func(s *Store, m *methods) {
				m.claim = func(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
					got, err := s.Claim(context.WithoutCancel(ctx), req)
					if ctx.Err() != nil {
						return nil, ctx.Err()
					}
					return got, err
				}
			},
		},
		{
			Name: "worker-lost", Doc: "the worker's id isn't recorded",
			rules: claimed(func(rec, _ *tasks.Record, _ time.Time) { rec.WorkerIDs[len(rec.WorkerIDs)-1] = "" }),
		},
		{
			Name: "workers-once", Doc: "a worker that tries twice is listed once, so an attempt isn't counted",
			rules: claimed(func(rec, was *tasks.Record, _ time.Time) {
				if slices.Contains(was.WorkerIDs, rec.WorkerIDs[len(rec.WorkerIDs)-1]) {
					rec.WorkerIDs = was.WorkerIDs
				}
			}),
		},
		{
			Name: "started-overwritten", Doc: "StartedAt is that of the newest attempt",
			rules: claimed(func(rec, _ *tasks.Record, now time.Time) { rec.StartedAt = lifecycle.Time(now) }),
		},
		{
			Name: "attempted-stays", Doc: "LastAttemptedAt stays that of the first attempt",
			rules: claimed(func(rec, was *tasks.Record, _ time.Time) {
				if !was.LastAttemptedAt.IsZero() {
					rec.LastAttemptedAt = was.LastAttemptedAt
				}
			}),
		},
	}
}

func queueFaults() []Fault {
	matching := func(match func(pattern, queue string) bool) func(*Place, *rules) {
		return selecting(func(sel tasks.Selection, queue string) bool {
			return (sel.All() || slices.ContainsFunc(sel.Queues, func(q string) bool { return match(q, queue) })) &&
				!slices.Contains(sel.Exclude, queue)
		})
	}
	return []Fault{
		{
			Name: "queues-ignored", Doc: "a claim gives records of queues that weren't asked for",
			rules: selecting(func(sel tasks.Selection, queue string) bool { return !slices.Contains(sel.Exclude, queue) }),
		},
		{
			Name: "exclude-ignored", Doc: "a claim gives records of queues that are excluded",
			rules: selecting(func(sel tasks.Selection, queue string) bool { return sel.All() || slices.Contains(sel.Queues, queue) }),
		},
		{
			Name: "exclude-only-all", Doc: "queues are excluded only where all are selected",
			rules: selecting(func(sel tasks.Selection, queue string) bool {
				return sel.All() && !slices.Contains(sel.Exclude, queue) || slices.Contains(sel.Queues, queue)
			}),
		},
		{
			Name: "star-default-only", Doc: "a star selects the default queue only",
			rules: selecting(func(sel tasks.Selection, queue string) bool {
				return sel.Has(queue) && (!sel.All() || queue == tasks.DefaultQueue)
			}),
		},
		{
			Name: "star-literal", Doc: "a star selects the queue of that name",
			rules: selecting(func(sel tasks.Selection, queue string) bool {
				return (len(sel.Queues) == 0 || slices.Contains(sel.Queues, queue)) && !slices.Contains(sel.Exclude, queue)
			}),
		},
		{
			Name: "no-queues-none", Doc: "a selection without names selects nothing",
			rules: selecting(func(sel tasks.Selection, queue string) bool { return len(sel.Queues) > 0 && sel.Has(queue) }),
		},
		{
			Name: "first-queue-only", Doc: "only the first of several queues is looked at",
			rules: selecting(func(sel tasks.Selection, queue string) bool {
				sel.Queues = sel.Queues[:min(1, len(sel.Queues))]
				return sel.Has(queue)
			}),
		},
		{
			Name: "queue-by-prefix", Doc: "a queue's name selects those that begin with it, as a key prefix does",
			rules: matching(func(pattern, queue string) bool { return strings.HasPrefix(queue, pattern) }),
		},
		{Name: "queue-case-folded", Doc: "queues are compared without regard to case", rules: matching(strings.EqualFold)},
		{
			Name: "queue-globbed", Doc: "a queue's name is taken for a pattern, as KEYS and PSUBSCRIBE do",
			rules: matching(func(pattern, queue string) bool {
				ok, err := path.Match(pattern, queue)
				return ok && err == nil || pattern == queue
			}),
		},
		{
			Name: "queue-like", Doc: "a percent sign in a queue's name is taken for a pattern, as LIKE does",
			rules: matching(func(pattern, queue string) bool {
				before, _, found := strings.Cut(pattern, "%")
				return pattern == queue || found && strings.HasPrefix(queue, before)
			}),
		},
		{
			Name: "queue-split", Doc: "a separator in a queue's name ends it: a/b is claimed as a",
			rules: matching(func(pattern, queue string) bool {
				head, _, _ := strings.Cut(queue, "/")
				return head == pattern || pattern == queue && head == queue
			}),
		},
		{Name: "pause-ignored", Doc: "a paused queue goes on giving out records", rules: func(_ *Place, r *rules) {
			r.paused = func(string) bool { return false }
		}},
		{Name: "pause-everything", Doc: "pausing one queue pauses all", rules: func(p *Place, r *rules) {
			r.paused = func(string) bool { return len(p.paused) > 0 }
		}},
		{
			Name: "pause-when-named", Doc: "a paused queue goes on giving out records to those who ask for all queues",
			rules: func(_ *Place, r *rules) {
				named := false
				r.selects = func(sel tasks.Selection, queue string) bool {
					named = slices.Contains(sel.Queues, queue)
					return sel.Has(queue)
				}
				sound := r.paused
				r.paused = func(queue string) bool { return named && sound(queue) }
			},
		},
		{
			Name: "pause-known-only", Doc: "a queue can be paused only while it has records",
			methods: func(s *Store, m *methods) {
				m.pause = func(ctx context.Context, queue string, paused bool) error {
					queues, err := s.Queues(ctx)
					if err != nil || !slices.ContainsFunc(queues, func(q tasks.QueueInfo) bool { return q.Name == queue }) {
						return err
					}
					return s.Pause(ctx, queue, paused)
				}
			},
		},
		{
			Name: "pause-refuses-enqueue", Doc: "a paused queue takes no records",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					for _, rec := range recs {
						if s.p.isPaused(rec.Queue) {
							return tasks.ErrUnavailable
						}
					}
					return s.Enqueue(ctx, recs)
				}
			},
		},
		{
			Name: "pause-for-ever", Doc: "a queue can't be resumed",
			methods: func(s *Store, m *methods) {
				m.pause = func(ctx context.Context, queue string, _ bool) error { return s.Pause(ctx, queue, true) }
			},
		},
		{
			Name: "pause-toggles", Doc: "pausing a queue that is paused resumes it",
			methods: func(s *Store, m *methods) {
				m.pause = func(ctx context.Context, queue string, paused bool) error {
					return s.Pause(ctx, queue, paused && !s.p.isPaused(queue))
				}
			},
		},
	}
}

func (p *Place) isPaused(queue string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused[queue]
}
