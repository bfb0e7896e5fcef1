package filestore

import (
	"context"
	"errors"
	"maps"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

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
	tx := &tx{
		store: s, now: lifecycle.Time(time.Now()), // our clock is the store's clock
		entries: map[string]*entry{}, paused: map[string]bool{}, files: map[string][]byte{},
	}
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
	maps.Copy(s.paused, tx.paused)
	close(s.changed)
	s.changed = make(chan struct{})
	return nil
}

// guide:end commit
