package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

const (
	// sweepLimit bounds each kind of work of one sweep.
	sweepLimit = 1000
	// forgetWorkers is for how long a worker is silent until it is forgotten, if that
	// is longer than ten of its intervals.
	forgetWorkers = time.Hour
)

// Sweep implements tasks.Store. A sweep that finds nothing to do doesn't write.
func (b *Backend) Sweep(ctx context.Context) (tasks.Swept, error) {
	if err := b.ready(ctx); err != nil {
		return tasks.Swept{}, err
	}
	due := false
	err := b.view(func(t *txn) error {
		due = t.sweepDue()
		return nil
	})
	if err != nil || !due {
		return tasks.Swept{}, err
	}
	var swept tasks.Swept
	err = b.do(ctx, &op{size: maxBatchBytes / 8, apply: func(t *txn) (err error) {
		swept, err = t.sweep()
		return err
	}})
	if err != nil {
		return tasks.Swept{}, err
	}
	return swept, nil
}

func (t *txn) sweepDue() bool {
	for _, i := range []space{inLeases, inExpiry, inFinal} {
		if ids, _ := t.overdue(i, t.now, 1); len(ids) > 0 {
			return true
		}
	}
	return len(t.silent()) > 0
}

// overdue returns copies of the first keys of a time index that are due by then,
// and whether there are more.
func (t *txn) overdue(in space, by time.Time, limit int) (keys [][]byte, more bool) {
	c := t.cursor(in)
	by = lifecycle.Time(by)
	for k, _ := c.first(); k != nil; k, _ = c.next() {
		if at, _, ok := splitTimeKey(k); ok && at.After(by) {
			break
		}
		if len(keys) == limit {
			return keys, true
		}
		keys = append(keys, bytes.Clone(k))
	}
	return keys, false
}

// sweep is the apply of a sweep.
func (t *txn) sweep() (tasks.Swept, error) {
	var s tasks.Swept
	err := t.eachDue(inLeases, t.now, &s.More, func(e *envelope) (bool, error) {
		return t.lose(e, &s.Lost)
	})
	if err != nil {
		return s, err
	}
	err = t.eachDue(inExpiry, t.now, &s.More, func(e *envelope) (bool, error) {
		if !lifecycle.Expired(&e.rec, t.now) {
			return false, nil
		}
		s.Expired++
		return true, t.update(e, func(r *tasks.Record) bool {
			lifecycle.Expire(r, t.now)
			return false
		})
	})
	if err != nil {
		return s, err
	}
	err = t.eachDue(inFinal, t.now, &s.More, func(e *envelope) (bool, error) {
		if !e.rec.Status.Final() {
			return false, nil
		}
		s.Pruned++
		return true, t.update(e, func(*tasks.Record) bool { return true })
	})
	if err != nil {
		return s, err
	}
	for _, id := range t.silent() {
		if err := t.del(inWorkers, id); err != nil {
			return s, err
		}
	}
	return s, nil
}

// eachDue calls fn with the records of the overdue entries of a time index. An entry
// that fn says isn't so, or whose record can't be read, is dropped, so that it
// doesn't come up for ever.
func (t *txn) eachDue(in space, by time.Time, more *bool, fn func(e *envelope) (bool, error)) error {
	keys, m := t.overdue(in, by, sweepLimit)
	*more = *more || m
	for _, k := range keys {
		_, id, ok := splitTimeKey(k)
		so := false
		if ok {
			e, err := t.load(string(id))
			switch {
			case err != nil:
				if err := t.put(inDamaged, id, []byte(err.Error())); err != nil {
					return err
				}
			case e != nil:
				if so, err = fn(e); err != nil {
					return err
				}
			}
		}
		if !so {
			if err := t.del(in, k); err != nil {
				return err
			}
		}
	}
	return nil
}

// silent returns the keys of workers to be forgotten.
func (t *txn) silent() (ids [][]byte) {
	_ = t.each(inWorkers, func(k, v []byte) error {
		var w tasks.WorkerInfo
		err := json.Unmarshal(v, &w)
		if err != nil || t.now.Sub(w.BeatAt) > max(forgetWorkers, 10*w.Interval) {
			ids = append(ids, bytes.Clone(k))
		}
		return nil
	})
	return ids
}

// lose takes one RUNNING record back.
func (t *txn) lose(e *envelope, n *int) (bool, error) {
	if e.rec.Status != tasks.Running {
		return false, nil
	}
	*n++
	return true, t.update(e, func(r *tasks.Record) bool {
		lifecycle.Lose(r, t.now)
		return false
	})
}

// recover takes back every RUNNING record and forgets the workers: with the
// file's lock in our hands, nobody can be running them.
func (b *Backend) recover(ctx context.Context) error {
	for more := true; more; {
		err := b.view(func(t *txn) error {
			lease, _ := t.cursor(inLeases).first()
			worker, _ := t.cursor(inWorkers).first()
			more = lease != nil || worker != nil
			return nil
		})
		if err != nil || !more {
			return err
		}
		lost := 0
		err = b.do(ctx, &op{apply: func(t *txn) error {
			lost = 0
			err := t.eachDue(inLeases, lifecycle.Forever(), &more, func(e *envelope) (bool, error) {
				return t.lose(e, &lost)
			})
			if err != nil {
				return err
			}
			var workers [][]byte
			_ = t.each(inWorkers, func(k, _ []byte) error {
				workers = append(workers, bytes.Clone(k))
				return nil
			})
			for _, id := range workers {
				if err := t.del(inWorkers, id); err != nil {
					return err
				}
			}
			return nil
		}})
		if err != nil {
			return err
		}
		b.recovered += lost
	}
	return nil
}
