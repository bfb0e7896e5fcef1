package memstore

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func enqueueFaults() []Fault {
	return []Fault{
		{
			Name: "enqueue-keeps-arguments", Doc: "the store keeps the caller's records, so what the caller does to them later changes what is stored",
			rules: func(_ *Place, r *rules) {
				r.copyIn = func(rec *tasks.Record) *tasks.Record {
					c := *rec // shares what the pointers point at
					return &c
				}
			},
		},
		{
			Name: "enqueue-ctx-over", Doc: "a context that is over before the call doesn't keep the records from being stored",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					err := s.Enqueue(context.WithoutCancel(ctx), recs)
					return errors.Join(err, ctx.Err())
				}
			},
		},
		{
			Name: "enqueue-ctx-ignored", Doc: "a context that is over before the call is not looked at",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					return s.Enqueue(context.WithoutCancel(ctx), recs)
				}
			},
		},
		{
			Name: "enqueue-partly", Doc: "a batch is stored record by record, so that one that can't be stored leaves those before it",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					for _, rec := range recs {
						if err := s.Enqueue(ctx, []*tasks.Record{rec}); err != nil {
							return err
						}
					}
					return nil
				}
			},
		},
		{
			Name: "enqueue-late", Doc: "the record is stored some time after Enqueue has returned",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					late := make([]*tasks.Record, len(recs))
					for i, rec := range recs {
						late[i] = rec.Clone()
						s.p.rules.enqueue(rec, time.Now())
					}
					time.AfterFunc(20*time.Millisecond, func() { _ = s.Enqueue(context.WithoutCancel(ctx), late) })
					return nil
				}
			},
		},
		{
			Name: "enqueue-first-only", Doc: "of a batch only the first record is stored",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					return s.Enqueue(ctx, recs[:min(1, len(recs))])
				}
			},
		},
		{
			Name: "enqueue-tells-nothing", Doc: "what the store decided, such as EnqueuedAt, isn't filled into the caller's record",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					copies := make([]*tasks.Record, len(recs))
					for i, rec := range recs {
						copies[i] = rec.Clone()
					}
					return s.Enqueue(ctx, copies)
				}
			},
		},
		{
			Name: "enqueue-keeps-history", Doc: "attempts, errors and times that the record came with are stored with it",
			rules: func(_ *Place, r *rules) {
				sound := r.enqueue
				r.enqueue = func(rec *tasks.Record, now time.Time) {
					was := rec.Clone()
					sound(rec, now)
					rec.WorkerIDs, rec.Errors, rec.Value, rec.StartedAt = was.WorkerIDs, was.Errors, was.Value, was.StartedAt
				}
			},
		},
		{
			Name: "enqueue-callers-status", Doc: "the record is stored with the status that the caller's record has",
			rules: func(_ *Place, r *rules) {
				sound := r.enqueue
				r.enqueue = func(rec *tasks.Record, now time.Time) {
					status := rec.Status
					if sound(rec, now); status != "" {
						rec.Status = status
					}
				}
			},
		},
		{
			Name: "enqueue-callers-time", Doc: "EnqueuedAt is the caller's, if the record has one",
			rules: func(_ *Place, r *rules) {
				sound := r.enqueue
				r.enqueue = func(rec *tasks.Record, now time.Time) {
					at := rec.EnqueuedAt
					if sound(rec, now); !at.IsZero() {
						rec.EnqueuedAt = at
					}
				}
			},
		},
		{
			Name: "enqueue-shared-lock-time", Doc: "records of one batch get different times of enqueue, the last one the earliest",
			rules: func(_ *Place, r *rules) {
				n := time.Duration(0)
				sound := r.enqueue
				r.enqueue = func(rec *tasks.Record, now time.Time) {
					n++
					sound(rec, now.Add(-n*time.Millisecond))
				}
			},
		},
	}
}

func duplicateFaults() []Fault {
	// replacing gives an Enqueue that first deals with ids that are there already.
	replacing := func(deal func(p *Place, e *entry, rec *tasks.Record) error) func(*Store, *methods) {
		return func(s *Store, m *methods) {
			m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
				return s.change(ctx, func(p *Place, now time.Time) error {
					for _, rec := range recs {
						if e := p.entries[rec.ID]; e != nil {
							if err := deal(p, e, rec); err != nil {
								return err
							}
						}
						if err := p.enqueue([]*tasks.Record{rec}, now); err != nil {
							return err
						}
					}
					return nil
				})
			}
		}
	}
	return []Fault{
		{
			Name: "duplicate-overwrites", Doc: "enqueuing an id again replaces the stored record, as INSERT OR REPLACE, HSET and SET do",
			methods: replacing(func(p *Place, _ *entry, rec *tasks.Record) error {
				p.remove(rec.ID)
				return nil
			}),
		},
		{
			Name: "duplicate-reset", Doc: "enqueuing an id again makes the stored record READY again",
			methods: replacing(func(_ *Place, e *entry, _ *tasks.Record) error {
				e.rec.Status = tasks.Ready
				return nil
			}),
		},
		{
			Name: "duplicate-rewrites", Doc: "enqueuing an id again changes arguments of the stored record (River's ON CONFLICT rewrote the kind)",
			methods: replacing(func(_ *Place, e *entry, rec *tasks.Record) error {
				e.rec.Task, e.rec.Args = rec.Task, rec.Args
				return nil
			}),
		},
		{
			Name: "duplicate-refused", Doc: "enqueuing an id again is an error, as a primary key's conflict is",
			methods: replacing(func(*Place, *entry, *tasks.Record) error {
				return errors.New("UNIQUE constraint failed: records.id")
			}),
		},
		{
			Name: "duplicate-stored-twice", Doc: "enqueuing an id again stores a second record that is run too",
			methods: replacing(func(p *Place, e *entry, _ *tasks.Record) error {
				twin := e.rec.Clone()
				twin.ID += "-2"
				twin.Status = tasks.Ready
				p.put(&entry{rec: twin})
				return nil
			}),
		},
		{
			Name: "duplicate-unflagged", Doc: "Duplicate isn't set, so a hook fires again",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					err := s.Enqueue(ctx, recs)
					for _, rec := range recs {
						rec.Duplicate = false
					}
					return err
				}
			},
		},
		{
			Name: "duplicate-own-answer", Doc: "the caller gets its own record back instead of the one that is stored",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					was := make([]*tasks.Record, len(recs))
					for i, rec := range recs {
						was[i] = rec.Clone()
					}
					err := s.Enqueue(ctx, recs)
					for i, rec := range recs {
						if rec.Duplicate {
							*rec = *was[i]
							rec.Duplicate, rec.Status = true, tasks.Ready
						}
					}
					return err
				}
			},
		},
		{
			Name: "duplicate-drops-batch", Doc: "one id that is there already keeps the rest of its batch from being stored, without an error",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					known := false
					for _, rec := range recs {
						_, err := s.GetResult(ctx, rec.ID)
						known = known || err == nil
					}
					if !known {
						return s.Enqueue(ctx, recs)
					}
					for _, rec := range recs {
						if stored, err := s.GetResult(ctx, rec.ID); err == nil {
							*rec = *stored
							rec.Duplicate = true
						}
					}
					return ctx.Err()
				}
			},
		},
		{
			Name: "duplicate-in-batch", Doc: "an id that is twice in one batch is an error",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					seen := make(map[string]bool)
					for _, rec := range recs {
						if seen[rec.ID] {
							return errors.New("ON CONFLICT DO UPDATE command cannot affect row a second time")
						}
						seen[rec.ID] = true
					}
					return s.Enqueue(ctx, recs)
				}
			},
		},
		{
			Name: "duplicate-in-batch-last", Doc: "of an id that is twice in one batch the second is stored",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					last := make(map[string]*tasks.Record)
					for _, rec := range recs {
						last[rec.ID] = rec.Clone()
					}
					err := s.Enqueue(ctx, recs)
					if err != nil {
						return err
					}
					return s.do(ctx, func(p *Place, _ time.Time) error {
						for id, rec := range last {
							if e := p.entries[id]; e != nil && e.rec.Status == tasks.Ready && len(last) < len(recs) {
								e.rec.Args, e.rec.Metadata = rec.Args, maps.Clone(rec.Metadata)
							}
						}
						return nil
					})
				}
			},
		},
	}
}
