// Package filestore is a backend written from the documentation alone: it keeps each
// record in a JSON file of its own. It is an example to learn from, simple before fast,
// and the guide docs/writing-a-backend.md walks through it.
//
// All records are in memory too, and every change is written before memory has it. What
// was stored survives kill -9 and, unless Options.NoSync is set, the loss of power. The
// directory is locked: one process works on it at a time.
package filestore

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// Options are the settings of a Store. The zero value is the default.
type Options struct {
	// Retention is how long final records are kept that don't say so themselves.
	Retention lifecycle.Retention
	// NoSync doesn't wait until the disk has what was written. It is faster, and what
	// was stored still survives the end of the process, but not that of the machine.
	NoSync bool
}

// guide:begin store

// Store is a tasks.Store. Open makes one.
type Store struct {
	sem    chan struct{} // a mutex for what is below, which can be waited for until a ctx ends
	closed chan struct{} // closed by Close

	entries map[string]*entry
	paused  map[string]bool
	workers map[string]tasks.WorkerInfo
	changed chan struct{} // closed, and replaced, at each change: what Wait waits for

	disk      files
	retention lifecycle.Retention
	damaged   map[string]error // the files that can't be read, by id
	broken    error            // why memory may not be what is on disk; nil if it is

	closing  sync.Once
	released chan struct{} // closed when Close has let the directory go
}

// An entry is never changed: a change puts another in its place.
type entry struct {
	rec   *tasks.Record
	lease tasks.Lease // zero unless rec is RUNNING
}

// files is where records are kept besides memory: a *disk, or, up to step 4, nothing.
type files interface {
	load() (map[string][]byte, error)
	commit(changed map[string][]byte) error // all or none; nil is removed
	check() error
	close()
}

// guide:end store

// Capabilities returns what a store in one process can do.
func (s *Store) Capabilities() tasks.Capability {
	return tasks.CapResults | tasks.CapList | // step 2
		tasks.CapWorker | tasks.CapDefer | tasks.CapPriority | tasks.CapExpire | tasks.CapNotify | // step 3
		tasks.CapInspect | // step 4
		tasks.CapDurable // step 5
}

// guide:begin lock

// lock waits for the store, for its end or for that of ctx.
func (s *Store) lock(ctx context.Context) error {
	select {
	case <-s.closed: // before all else: after Close there is no other answer
		return tasks.ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case s.sem <- struct{}{}:
	case <-s.closed:
		return tasks.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	if s.broken != nil {
		s.unlock()
		return fmt.Errorf("%w: open it again: %w", tasks.ErrUnavailable, s.broken)
	}
	return nil
}

func (s *Store) unlock() { <-s.sem }

// guide:end lock

// Check looks whether the directory is there, and whether a record can't be read.
func (s *Store) Check(ctx context.Context) []tasks.Finding {
	var found []tasks.Finding
	err := s.do(ctx, func(*tx) error {
		for id, err := range s.damaged {
			found = append(found, tasks.Finding{
				ID: "filestore.E002", Level: tasks.LevelError,
				Message: fmt.Sprintf("record %q: %v", id, err),
				Hint:    "restore or remove its file while nothing has the directory open",
			})
		}
		return s.disk.check()
	})
	if err != nil {
		found = append(found, tasks.Finding{
			ID: "filestore.E001", Level: tasks.LevelError,
			Message: "the store can't be used: " + err.Error(),
		})
	}
	return found
}

// guide:begin close

// Close waits for the change that is being written, and lets the directory go.
func (s *Store) Close(ctx context.Context) error {
	s.closing.Do(func() {
		close(s.closed) // wakes all that wait, and refuses what comes
		go func() {
			s.sem <- struct{}{} // for good
			s.disk.close()
			close(s.released)
		}()
	})
	select {
	case <-s.released:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// guide:end close

// guide:begin open

// Open opens the directory, and makes it if it isn't there. If it is open elsewhere the
// error is tasks.ErrUnavailable. A nil options is the default.
func Open(ctx context.Context, dir string, options *Options) (*Store, error) {
	if options == nil {
		options = &Options{}
	}
	d, err := openDisk(dir, !options.NoSync)
	if err != nil {
		return nil, err
	}
	s := newStore(d, options.Retention)
	if err := s.recover(ctx); err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func newStore(disk files, retention lifecycle.Retention) *Store {
	return &Store{
		sem: make(chan struct{}, 1), closed: make(chan struct{}), released: make(chan struct{}),
		entries: map[string]*entry{}, paused: map[string]bool{}, workers: map[string]tasks.WorkerInfo{},
		changed: make(chan struct{}), disk: disk, retention: retention.Default(), damaged: map[string]error{},
	}
}

// recover reads the directory, and takes back what was RUNNING: we hold the lock, so the
// worker that ran it is gone. That is why leases needn't be on disk.
func (s *Store) recover(ctx context.Context) error {
	files, err := s.disk.load()
	if err != nil {
		return err
	}
	for name, data := range files {
		key, isRecord, err := parseName(name)
		if err != nil {
			continue // not a file of ours
		}
		if !isRecord {
			s.paused[key] = true
		} else if rec, err := decode(data); err != nil {
			s.damaged[key] = fmt.Errorf("%w: %w", tasks.ErrDamaged, err)
		} else {
			s.entries[key] = &entry{rec: rec}
		}
	}
	return s.do(ctx, func(tx *tx) error {
		for id, e := range s.entries {
			if e.rec.Status != tasks.Running {
				continue
			}
			lost := tx.get(id)
			lifecycle.Lose(lost.rec, tx.now)
			if err := tx.put(lost); err != nil {
				return err
			}
		}
		return nil
	})
}

// guide:end open
