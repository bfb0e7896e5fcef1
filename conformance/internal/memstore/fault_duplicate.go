package memstore

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

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
