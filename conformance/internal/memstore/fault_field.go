package memstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func fieldFaults() []Fault {
	times := func(change func(time.Time) time.Time) func(*tasks.Record) {
		return func(rec *tasks.Record) {
			for _, t := range []*time.Time{
				&rec.EnqueuedAt, &rec.RunAfter, &rec.ExpiresAt, &rec.StartedAt, &rec.LastAttemptedAt, &rec.FinishedAt,
			} {
				if !t.IsZero() {
					*t = change(*t)
				}
			}
		}
	}
	zone := time.FixedZone("elsewhere", 2*60*60)
	return []Fault{
		{Name: "metadata-lost", Doc: "metadata isn't stored", rules: stored(func(rec *tasks.Record) { rec.Metadata = nil })},
		{
			Name: "metadata-in-arguments", Doc: "metadata is kept in the arguments, where the handler finds it",
			rules: stored(func(rec *tasks.Record) {
				if len(rec.Metadata) > 0 {
					rec.Args, _ = json.Marshal(map[string]any{"args": rec.Args, "metadata": rec.Metadata})
				}
			}),
		},
		{
			Name: "metadata-keys-folded", Doc: "keys of metadata become lower case, as HTTP headers' do",
			rules: stored(func(rec *tasks.Record) {
				for k, v := range rec.Metadata {
					delete(rec.Metadata, k)
					rec.Metadata[strings.ToLower(k)] = v
				}
			}),
		},
		{
			Name: "arguments-through-floats", Doc: "arguments are decoded and encoded again, so that integers over 2^53 change",
			rules: stored(func(rec *tasks.Record) {
				var v any
				if json.Unmarshal(rec.Args, &v) == nil {
					rec.Args, _ = json.Marshal(v)
				}
			}),
		},
		{
			Name: "arguments-rewritten", Doc: "arguments are embedded in another JSON document, which compacts them and escapes HTML",
			rules: stored(func(rec *tasks.Record) {
				if b, err := json.Marshal(rec.Args); err == nil {
					rec.Args = b
				}
			}),
		},
		{
			Name: "arguments-cut", Doc: "arguments over 64 KiB are cut short, as a column's type may do",
			rules: stored(func(rec *tasks.Record) { rec.Args = rec.Args[:min(len(rec.Args), 64<<10)] }),
		},
		{Name: "queue-folded-stored", Doc: "the queue's name is stored in lower case", rules: stored(func(rec *tasks.Record) { rec.Queue = strings.ToLower(rec.Queue) })},
		{Name: "queue-lost", Doc: "every record is stored in the default queue", rules: stored(func(rec *tasks.Record) { rec.Queue = tasks.DefaultQueue })},
		{Name: "priority-lost", Doc: "the priority isn't stored", rules: stored(func(rec *tasks.Record) { rec.Priority = 0 })},
		{Name: "priority-unsigned", Doc: "a negative priority is stored as 0", rules: stored(func(rec *tasks.Record) { rec.Priority = max(rec.Priority, 0) })},
		{Name: "alias-lost", Doc: "the alias isn't stored", rules: stored(func(rec *tasks.Record) { rec.Alias = "" })},
		{Name: "timeout-lost", Doc: "the timeout isn't stored", rules: stored(func(rec *tasks.Record) { rec.Timeout = 0 })},
		{
			Name: "timeout-seconds", Doc: "the timeout is stored in whole seconds",
			rules: stored(func(rec *tasks.Record) { rec.Timeout = rec.Timeout.Truncate(time.Second) }),
		},
		{Name: "attempts-limit-lost", Doc: "MaxAttempts isn't stored, and is 1", rules: stored(func(rec *tasks.Record) { rec.MaxAttempts = 1 })},
		{Name: "retain-lost", Doc: "Retain isn't stored, so the store's retention is used", rules: stored(func(rec *tasks.Record) { rec.Retain = nil })},
		{
			Name: "times-seconds", Doc: "times are kept to the second",
			rules: readBack(times(func(t time.Time) time.Time { return t.Truncate(time.Second) })),
		},
		{
			Name: "times-milliseconds", Doc: "times are kept to the millisecond",
			rules: readBack(times(func(t time.Time) time.Time { return t.Truncate(time.Millisecond) })),
		},
		{
			Name: "times-zoned", Doc: "times are read in the server's zone",
			rules: readBack(times(func(t time.Time) time.Time { return t.In(zone) })),
		},
		{
			Name: "times-zone-dropped", Doc: "times are stored without their zone and read as local ones",
			rules: readBack(times(func(t time.Time) time.Time {
				return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone).UTC()
			})),
		},
		{
			Name: "value-read-early", Doc: "a value is readable before the record is SUCCESSFUL",
			rules: readBack(func(rec *tasks.Record) {
				if rec.Status == tasks.Running {
					rec.Value = json.RawMessage(`null`)
				}
			}),
		},
	}
}

func readFaults() []Fault {
	find := func(match func(stored, asked string) bool) func(*Store, *methods) {
		return func(s *Store, m *methods) {
			m.get = func(ctx context.Context, id string) (*tasks.Record, error) {
				rec, err := s.GetResult(ctx, id)
				if !errors.Is(err, tasks.ErrResultNotFound) {
					return rec, err
				}
				return rec, s.do(ctx, func(p *Place, _ time.Time) error {
					for _, e := range p.sorted() {
						if match(e.rec.ID, id) {
							rec = p.rules.copyOut(e.rec)
							return nil
						}
					}
					return tasks.ErrResultNotFound
				})
			}
		}
	}
	return []Fault{
		{
			Name: "read-aliases", Doc: "what is read shares memory with what is stored",
			rules: func(_ *Place, r *rules) {
				r.copyOut = func(rec *tasks.Record) *tasks.Record {
					c := *rec
					return &c
				}
			},
		},
		{
			Name: "read-malformed", Doc: "an id that isn't a UUID gives the driver's error",
			methods: func(s *Store, m *methods) {
				m.get = func(ctx context.Context, id string) (*tasks.Record, error) {
					if len(id) != 36 || strings.Count(id, "-") != 4 {
						return nil, fmt.Errorf("invalid input syntax for type uuid: %q", id)
					}
					return s.GetResult(ctx, id)
				}
			},
		},
		{
			Name: "read-hostile", Doc: "an id with a NUL byte gives the driver's error (22021 of PostgreSQL)",
			methods: func(s *Store, m *methods) {
				m.get = func(ctx context.Context, id string) (*tasks.Record, error) {
					if strings.ContainsRune(id, 0) {
						return nil, errors.New(`invalid byte sequence for encoding "UTF8": 0x00`)
					}
					return s.GetResult(ctx, id)
				}
			},
		},
		{
			Name: "read-nothing", Doc: "an unknown id gives neither a record nor an error",
			methods: func(s *Store, m *methods) {
				m.get = func(ctx context.Context, id string) (*tasks.Record, error) {
					rec, err := s.GetResult(ctx, id)
					if errors.Is(err, tasks.ErrResultNotFound) {
						return &tasks.Record{ID: id}, nil
					}
					return rec, err
				}
			},
		},
		{Name: "read-by-prefix", Doc: "a part of an id finds the record", methods: find(strings.HasPrefix)},
		{Name: "read-case-folded", Doc: "ids are compared without regard to case", methods: find(strings.EqualFold)},
		{
			Name: "read-trimmed", Doc: "ids are compared without trailing spaces, as CHAR columns do",
			methods: find(func(stored, asked string) bool { return stored == strings.TrimSpace(asked) }),
		},
		{
			Name: "read-without-errors", Doc: "GetResult leaves out the errors of the attempts",
			methods: func(s *Store, m *methods) {
				m.get = func(ctx context.Context, id string) (*tasks.Record, error) {
					rec, err := s.GetResult(ctx, id)
					if err == nil {
						rec.Errors = nil
					}
					return rec, err
				}
			},
		},
		{
			Name: "value-rewritten", Doc: "a value is embedded in another JSON document, which compacts it and escapes HTML",
			rules: settled(func(rec, _ *tasks.Record, _ tasks.Outcome, _ time.Time) {
				if b, err := json.Marshal(rec.Value); err == nil && len(rec.Value) > 0 {
					rec.Value = b
				}
			}),
		},
		{
			Name: "value-through-floats", Doc: "a value is decoded and encoded again, so that integers over 2^53 change",
			rules: settled(func(rec, _ *tasks.Record, _ tasks.Outcome, _ time.Time) {
				var v any
				if len(rec.Value) > 0 && json.Unmarshal(rec.Value, &v) == nil {
					rec.Value, _ = json.Marshal(v)
				}
			}),
		},
		{
			Name: "value-null-lost", Doc: "a success with the value null is stored without a value",
			rules: settled(func(rec, _ *tasks.Record, _ tasks.Outcome, _ time.Time) {
				if bytes.Equal(rec.Value, []byte("null")) {
					rec.Value = nil
				}
			}),
		},
	}
}

func asyncFaults() []Fault {
	return []Fault{
		{
			Name: "async-told-early", Doc: "AEnqueue tells of the success before the record is stored",
			methods: func(s *Store, m *methods) {
				m.aenqueue = func(ctx context.Context, recs []*tasks.Record, done func(error)) {
					late := make([]*tasks.Record, len(recs))
					for i, rec := range recs {
						late[i] = rec.Clone()
						s.p.rules.enqueue(rec, time.Now())
					}
					time.AfterFunc(20*time.Millisecond, func() { _ = s.Enqueue(context.WithoutCancel(ctx), late) })
					done(nil)
				}
			},
		},
		{
			Name: "async-dropped-by-close", Doc: "what AEnqueue has taken and not stored yet is dropped by Close, without an error",
			methods: func(s *Store, m *methods) {
				m.aenqueue = func(ctx context.Context, recs []*tasks.Record, done func(error)) {
					time.AfterFunc(10*time.Millisecond, func() {
						err := s.Enqueue(context.WithoutCancel(ctx), recs)
						if errors.Is(err, tasks.ErrClosed) {
							err = nil
						}
						done(err)
					})
				}
			},
		},
		{
			Name: "async-swallows-errors", Doc: "AEnqueue tells of a success whatever happened",
			methods: func(s *Store, m *methods) {
				m.aenqueue = func(ctx context.Context, recs []*tasks.Record, done func(error)) {
					s.AEnqueue(ctx, recs, func(error) { done(nil) })
				}
			},
		},
		{
			Name: "async-never-told", Doc: "AEnqueue stores the record and never tells",
			methods: func(s *Store, m *methods) {
				m.aenqueue = func(ctx context.Context, recs []*tasks.Record, done func(error)) {
					s.AEnqueue(ctx, recs, func(err error) { time.AfterFunc(Stuck, func() { done(err) }) })
				}
			},
		},
		{
			Name: "async-tells-nothing", Doc: "what the store decided isn't filled into a record of AEnqueue",
			methods: func(s *Store, m *methods) {
				m.aenqueue = func(ctx context.Context, recs []*tasks.Record, done func(error)) {
					copies := make([]*tasks.Record, len(recs))
					for i, rec := range recs {
						copies[i] = rec.Clone()
					}
					s.AEnqueue(ctx, copies, done)
				}
			},
		},
		{
			Name: "async-told-twice", Doc: "AEnqueue tells twice",
			methods: func(s *Store, m *methods) {
				m.aenqueue = func(ctx context.Context, recs []*tasks.Record, done func(error)) {
					s.AEnqueue(ctx, recs, func(err error) {
						done(err)
						func() {
							defer func() { _ = recover() }() // the App's future panics
							done(err)
						}()
					})
				}
			},
		},
	}
}
