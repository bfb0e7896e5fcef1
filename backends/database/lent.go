package database

import (
	"errors"
	"sync"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sideman-go/sideman/tasks"
)

// lent remembers which claims of this process still have records that run, so that the row of a
// claim all of whose records are settled can be deleted by the next claim. It only saves
// the sweeps work: they delete such rows too, when the lease would have run out.
type lent struct {
	mu     sync.Mutex
	claims map[string]*claimRow // by key
	over   []*claimRow
}

// claimRow is a row of leases.
type claimRow struct {
	key     string
	at      pgtype.TID
	running []uint64 // a bit for each record that runs
	left    int
}

// The bounds of what is remembered. What is forgotten is left for the sweeps.
const (
	maxLent = 10_000
	maxOver = 1000
)

// add remembers a claim of n records.
func (l *lent) add(key []byte, at pgtype.TID, n int) {
	c := &claimRow{key: string(key), at: at, running: make([]uint64, (n+63)/64), left: n}
	for i := range n {
		c.running[i/64] |= 1 << (i % 64)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.claims == nil || len(l.claims) >= maxLent {
		l.claims = make(map[string]*claimRow)
	}
	l.claims[c.key] = c
}

// settled notes which records don't run by their leases any more: those that were settled, and
// those whose leases were lost before. It may be told so twice.
func (l *lent) settled(all []settling, verdicts []error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var c *claimRow
	for i := range all {
		one := &all[i].lease
		if v := verdicts[all[i].at]; v != nil && !errors.Is(v, tasks.ErrLeaseLost) {
			continue
		}
		if c == nil || c.key != string(one.key) {
			if c = l.claims[string(one.key)]; c == nil {
				continue
			}
		}
		word, bit := int(one.index/64), uint64(1)<<(one.index%64)
		if word >= len(c.running) || c.running[word]&bit == 0 {
			continue
		}
		c.running[word] &^= bit
		if c.left--; c.left == 0 {
			delete(l.claims, c.key)
			if len(l.over) < maxOver {
				l.over = append(l.over, c)
			}
		}
	}
}

// take returns the rows of claims that are over, and forgets them.
func (l *lent) take() (rows []pgtype.TID, keys [][]byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	rows, keys = make([]pgtype.TID, len(l.over)), make([][]byte, len(l.over))
	for i, c := range l.over {
		rows[i], keys[i] = c.at, []byte(c.key)
	}
	l.over = nil
	return rows, keys
}
