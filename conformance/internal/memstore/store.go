package memstore

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// Store is a handle on a Place. It implements tasks.Store and its optional
// interfaces.
type Store struct {
	p     *Place
	done  chan struct{}  // closed by Close
	async sync.WaitGroup // AEnqueue calls under way
}

var (
	_ tasks.Store          = (*Store)(nil)
	_ tasks.AsyncEnqueuer  = (*Store)(nil)
	_ tasks.ResultWaiter   = (*Store)(nil)
	_ tasks.CancelNotifier = (*Store)(nil)
)

// Capabilities returns everything but transactional, and what the options say.
func (s *Store) Capabilities() tasks.Capability {
	caps := tasks.CapResults | tasks.CapDefer | tasks.CapPriority | tasks.CapExpire |
		tasks.CapWorker | tasks.CapNotify | tasks.CapList | tasks.CapInspect
	if s.p.options.Durable {
		caps |= tasks.CapDurable
	}
	if s.p.options.Shared {
		caps |= tasks.CapShared
	}
	return caps &^ s.p.options.Without
}

// do calls fn with the place locked, unless the store is closed or ctx is over.
func (s *Store) do(ctx context.Context, fn func(p *Place, now time.Time) error) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.closed() {
		return tasks.ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return fn(s.p, s.p.rules.now())
}

// change is do for what changes something.
func (s *Store) change(ctx context.Context, fn func(p *Place, now time.Time) error) error {
	return s.do(ctx, func(p *Place, now time.Time) error {
		defer p.announce()
		return fn(p, now)
	})
}

func (s *Store) closed() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// Enqueue stores the records.
func (s *Store) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	return s.change(ctx, func(p *Place, now time.Time) error { return p.enqueue(recs, now) })
}

func (p *Place) enqueue(recs []*tasks.Record, now time.Time) error {
	for i, rec := range recs {
		if rec.ID == "" {
			return fmt.Errorf("memstore: %w: record %d has no id", tasks.ErrInvalidTask, i)
		}
	}
	for _, rec := range recs {
		if e := p.entries[rec.ID]; e != nil {
			*rec = *p.rules.copyOut(e.rec)
			rec.Duplicate = true
			continue
		}
		stored := p.rules.copyIn(rec)
		p.rules.enqueue(stored, now)
		p.put(&entry{rec: stored})
		*rec = *p.rules.copyOut(stored)
	}
	return nil
}

// AEnqueue stores the records on another goroutine, which Close waits for.
func (s *Store) AEnqueue(ctx context.Context, recs []*tasks.Record, done func(error)) {
	err := s.do(ctx, func(*Place, time.Time) error {
		s.async.Add(1)
		return nil
	})
	if err != nil {
		done(err)
		return
	}
	go func() {
		defer s.async.Done()
		done(s.write(recs))
	}()
}

// write stores records also when Close has begun, which waits for it.
func (s *Store) write(recs []*tasks.Record) error {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	defer s.p.announce()
	return s.p.enqueue(recs, s.p.rules.now())
}

// GetResult returns a copy of the record.
func (s *Store) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	var rec *tasks.Record
	err := s.do(ctx, func(p *Place, _ time.Time) error {
		e := p.entries[id]
		if e == nil {
			return tasks.ErrResultNotFound
		}
		rec = p.rules.copyOut(e.rec)
		return nil
	})
	return rec, err
}

// Check finds memstore.E001 if the store is closed.
func (s *Store) Check(context.Context) []tasks.Finding {
	if s.closed() {
		return []tasks.Finding{{ID: "memstore.E001", Level: tasks.LevelError, Message: "the store is closed", Hint: "open it again"}}
	}
	return nil
}

// Close ends the handle. The records stay in a durable place.
func (s *Store) Close(ctx context.Context) error {
	if !s.end() {
		return nil
	}
	written := make(chan struct{})
	go func() {
		s.async.Wait()
		close(written)
	}()
	select {
	case <-written:
	case <-ctx.Done():
		return ctx.Err()
	}
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.disconnect(s)
	return nil
}

// end makes the handle refuse calls, and reports whether it is the first to do so.
func (s *Store) end() bool {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.closed() {
		return false
	}
	close(s.done)
	return true
}
