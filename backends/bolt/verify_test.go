package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sideman-go/sideman/tasks"
)

// verify returns everything in which the indexes and counters don't agree with the
// records.
func (b *Backend) verify() error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	err := b.view(func(t *txn) error {
		want := make(map[string]bool)
		counts := make(map[string]int64)
		entry := func(in space, key []byte) { want[string([]byte{byte(in)})+string(key)] = true }
		err := t.each(inRecords, func(k, v []byte) error {
			e, err := decode(string(k), v)
			if err != nil {
				add("record %q: %w", k, err)
				return nil
			}
			r := &e.rec
			counts[string(countKey(r.Queue, statusCode(r.Status), r.Task))]++
			switch {
			case r.Status == tasks.Ready:
				entry(inReady, readyKey(r.Queue, levelOf(r.Priority), r.DueAt(), r.ID))
				if canExpire(r) {
					entry(inExpiry, timeKey(r.ExpiresAt, r.ID))
				}
			case r.Status == tasks.Running:
				entry(inLeases, timeKey(e.until, r.ID))
			default:
				entry(inFinal, timeKey(e.until, r.ID))
			}
			if e.farArgs {
				entry(inArgs, k)
				if t.get(inArgs, k) == nil {
					add("record %q: no arguments", k)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, in := range []space{inReady, inExpiry, inLeases, inFinal, inArgs} {
			err := t.each(in, func(k, _ []byte) error {
				key := string([]byte{byte(in)}) + string(k)
				if !want[key] {
					add("space %#x: entry %q without its record", byte(in), k)
				}
				delete(want, key)
				return nil
			})
			if err != nil {
				return err
			}
		}
		for key := range want {
			add("space %#x: entry %q is missing", key[0], key[1:])
		}
		err = t.each(inCounts, func(k, v []byte) error {
			if len(v) != 8 || int64(binary.BigEndian.Uint64(v)) != counts[string(k)] {
				add("count %q is %x and should be %d", k, v, counts[string(k)])
			}
			delete(counts, string(k))
			return nil
		})
		for k, n := range counts {
			add("count %q is missing and should be %d", k, n)
		}
		return err
	})
	return errors.Join(append(faults, err)...)
}

// Verify is verify for the tests of package bolt_test.
func (b *Backend) Verify() error { return b.verify() }

// Size returns how many bytes of the file are in use or were once.
func (b *Backend) Size() (n int64) {
	_ = b.view(func(t *txn) error {
		n = t.tx.Size()
		return nil
	})
	return n
}
