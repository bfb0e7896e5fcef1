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
	"time"

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

	disk      *disk
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
	s := &Store{
		sem: make(chan struct{}, 1), closed: make(chan struct{}), released: make(chan struct{}),
		entries: map[string]*entry{}, paused: map[string]bool{}, workers: map[string]tasks.WorkerInfo{},
		changed: make(chan struct{}), disk: d, retention: options.Retention.Default(), damaged: map[string]error{},
	}
	if err := s.recover(ctx); err != nil {
		return nil, errors.Join(err, s.Close(context.WithoutCancel(ctx)))
	}
	return s, nil
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

// guide:begin tx

// A tx is what one call reads and changes, with the time at which it does.
type tx struct {
	store   *Store
	now     time.Time
	entries map[string]*entry // what is changed; nil is deleted
	paused  map[string]bool
	files   map[string][]byte // the same, as files; nil is removed
}

// do runs fn alone, and then stores what it changed, all or none.
func (s *Store) do(ctx context.Context, fn func(*tx) error) error {
	if err := s.lock(ctx); err != nil {
		return err
	}
	defer s.unlock()
	tx := &tx{store: s, now: time.Now(), entries: map[string]*entry{}, paused: map[string]bool{}, files: map[string][]byte{}}
	if err := fn(tx); err != nil {
		return err
	}
	return tx.commit()
}

// get returns a copy of an entry, to be changed and put; nil if there is none.
func (tx *tx) get(id string) *entry {
	e, changed := tx.entries[id]
	if !changed {
		e = tx.store.entries[id]
	}
	if e == nil {
		return nil
	}
	return &entry{rec: e.rec.Clone(), lease: e.lease}
}

// put stores an entry, or deletes it if it is final and not to be kept. The caller has no
// use for it afterwards.
func (tx *tx) put(e *entry) error {
	id := e.rec.ID
	if e.rec.Status != tasks.Running {
		e.lease = tasks.Lease{} // whatever ended the attempt ended the lease
	}
	if e.rec.Status.Final() {
		if _, atOnce := tx.store.retention.PruneAt(e.rec); atOnce {
			tx.delete(id)
			return nil
		}
	}
	data, err := encode(e.rec)
	if err != nil {
		return err
	}
	tx.entries[id], tx.files[recordName(id)] = e, data
	return nil
}

func (tx *tx) delete(id string) {
	tx.entries[id], tx.files[recordName(id)] = nil, nil
}

// guide:end tx

// guide:begin commit

// commit writes what was changed, and only then has memory, and who waits, know of it.
func (tx *tx) commit() error {
	if len(tx.files) == 0 {
		return nil
	}
	s := tx.store
	err := s.disk.commit(tx.files)
	if errors.Is(err, tasks.ErrUnknownOutcome) {
		s.broken = err
	}
	if err != nil {
		return err
	}
	for id, e := range tx.entries {
		if e == nil {
			delete(s.entries, id)
		} else {
			s.entries[id] = e
		}
	}
	for queue, paused := range tx.paused {
		s.paused[queue] = paused
	}
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// guide:end commit
