package memstore

import (
	"context"
	"errors"
	"fmt"
	"strings"
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
						if err := refuseNUL(rec); err != nil {
							return err
						}
						if err := s.Enqueue(ctx, []*tasks.Record{rec}); err != nil {
							return err
						}
					}
					return nil
				}
			},
		},
		{
			Name: "enqueue-refused-stored", Doc: "a batch that is refused is stored all the same",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					errs := make([]error, len(recs))
					for i, rec := range recs {
						errs[i] = refuseNUL(rec)
					}
					return errors.Join(append(errs, s.Enqueue(ctx, recs))...)
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
			Name: "enqueue-nothing-fails", Doc: "enqueuing no records is an error, as INSERT without VALUES is",
			methods: func(s *Store, m *methods) {
				m.enqueue = func(ctx context.Context, recs []*tasks.Record) error {
					if len(recs) == 0 {
						return errNothing
					}
					return s.Enqueue(ctx, recs)
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

// errNothing is what a server says to a statement without rows, or a command
// without keys.
var errNothing = errors.New("syntax error at end of input")

// refuseNUL refuses what many stores can't keep in text.
func refuseNUL(rec *tasks.Record) error {
	if strings.ContainsRune(rec.Queue+rec.Task+string(rec.Args), 0) {
		return fmt.Errorf("%w: a NUL byte", tasks.ErrInvalidTask)
	}
	return nil
}
