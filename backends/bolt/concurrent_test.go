package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/tasks"
)

// Many enqueue, claim, settle, renew, cancel and sweep at once. Each record runs
// at most once at a time, and all end.
func TestConcurrentUse(t *testing.T) { // W3, F3
	const producers, workers, each = 8, 4, 60
	b := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var left atomic.Int64
	left.Store(producers * each)
	var running sync.Map
	var all sync.WaitGroup
	for p := range producers {
		all.Go(func() {
			for i := range each {
				r := rec(queue(fmt.Sprint("q", p%3)), priority(i%3), attempts(2))
				var err error
				switch i % 3 {
				case 0:
					err = b.Enqueue(ctx, []*tasks.Record{r})
				case 1: // applied on this goroutine if nothing else goes on
					err = b.Enqueue(context.Background(), []*tasks.Record{r})
				default:
					done := make(chan error, 1)
					b.AEnqueue(ctx, []*tasks.Record{r}, func(err error) { done <- err })
					err = <-done
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for w := range workers {
		all.Go(func() {
			for left.Load() > 0 {
				got, err := b.Claim(ctx, tasks.ClaimRequest{Worker: fmt.Sprint("w", w), Limit: 7, Lease: time.Minute})
				if err != nil {
					t.Error(err)
					return
				}
				if len(got) == 0 {
					short, stop := context.WithTimeout(ctx, 20*time.Millisecond)
					_ = b.Wait(short, tasks.Selection{})
					stop()
					continue
				}
				var outs []tasks.Outcome
				var leases []tasks.Lease
				for i, c := range got {
					if other, loaded := running.LoadOrStore(c.Record.ID, w); loaded {
						t.Errorf("%s is run by workers %v and %d", c.Record.ID, other, w)
					}
					leases = append(leases, c.Lease)
					out := success(c)
					if i%2 == 1 && c.Lease.Attempt == 1 {
						out = tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeRetry, Error: &tasks.AttemptError{}}
					} else {
						left.Add(-1)
					}
					outs = append(outs, out)
				}
				if _, err := b.Renew(ctx, leases, time.Minute); err != nil {
					t.Error(err)
				}
				for _, c := range got {
					running.Delete(c.Record.ID)
				}
				verdicts, err := b.Settle(ctx, outs)
				if err != nil {
					t.Error(err)
				}
				for _, err := range verdicts {
					if err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Go(func() {
		for left.Load() > 0 && ctx.Err() == nil {
			if _, err := b.Sweep(ctx); err != nil {
				t.Error(err)
			}
			if _, err := b.Queues(ctx); err != nil {
				t.Error(err)
			}
			if _, err := b.List(ctx, tasks.ListRequest{Limit: 10}); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	qs, err := b.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var total int64
	for _, q := range qs {
		total += q.Counts[tasks.Successful]
	}
	if total != producers*each {
		t.Errorf("%d of %d are SUCCESSFUL: %+v", total, producers*each, qs)
	}
}

// An op that fails halfway doesn't hurt the others of its transaction: held
// together by a write transaction of somebody else, they are all in one batch.
func TestBadNeighbours(t *testing.T) {
	db := openDB(t, nil)
	b := borrow(t, db)
	gone := rec(args([]byte(`"` + strings.Repeat("x", 4000) + `"`)))
	enqueue(t, b, gone)
	tx, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	// A record that can't be read any more: enqueuing its id again must fail, and
	// that alone.
	if err := tx.Bucket([]byte("sideman")).Put([]byte("@"+gone.ID), []byte("junk")); err != nil {
		t.Fatal(err)
	}
	const n = 20
	done := make([]chan error, n)
	recs := make([]*tasks.Record, n)
	for i := range n {
		recs[i] = rec()
		batch := []*tasks.Record{recs[i]}
		if i%5 == 2 {
			twin := rec(func(r *tasks.Record) { r.ID = gone.ID })
			batch = append(batch, twin)
		}
		done[i] = make(chan error, 1)
		b.AEnqueue(t.Context(), batch, func(err error) { done[i] <- err })
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		err := <-done[i]
		_, stored := b.GetResult(t.Context(), recs[i].ID)
		if bad := i%5 == 2; bad != errors.Is(err, tasks.ErrDamaged) || bad != errors.Is(stored, tasks.ErrResultNotFound) {
			t.Errorf("op %d: %v, stored: %v", i, err, stored)
		}
	}
	// And it is out of the way of claims, reported, and can be deleted.
	if got := claim(t, b, 100); len(got) != n-4 {
		t.Errorf("%d claimed, not %d", len(got), n-4)
	}
	if f := b.Check(t.Context()); len(f) != 1 || f[0].ID != "bolt.E005" {
		t.Errorf("Check: %v", f)
	}
	if _, err := b.GetResult(t.Context(), gone.ID); !errors.Is(err, tasks.ErrDamaged) || !strings.Contains(err.Error(), db.Path()) {
		t.Errorf("GetResult: %v", err)
	}
	if a, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeDelete}, []string{gone.ID}); err != nil || a[0].Err != nil {
		t.Errorf("delete: %+v, %v", a, err)
	}
	if f := b.Check(t.Context()); len(f) != 0 {
		t.Errorf("Check: %v", f)
	}
}

// Two backends on one database see what the other does, within a second.
func TestTwoBackendsOnOneDatabase(t *testing.T) {
	db := openDB(t, &bbolt.Options{NoSync: true})
	one, two := borrow(t, db), borrow(t, db)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	woken := make(chan error, 1)
	go func() { woken <- two.Wait(ctx, tasks.Selection{}) }()
	r := rec()
	enqueue(t, one, r)
	if err := <-woken; err != nil {
		t.Fatal(err)
	}
	c := claimOne(t, two)
	final := make(chan error, 1)
	go func() {
		got, err := one.WaitResult(ctx, r.ID)
		if err == nil && got.Status != tasks.Successful {
			err = errors.New(string(got.Status))
		}
		final <- err
	}()
	settle(t, two, success(c))
	if err := <-final; err != nil {
		t.Fatal(err)
	}
	if err := two.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	enqueue(t, one, rec()) // the database was lent: closing a backend leaves it open
	if err := one.Verify(); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := one.Enqueue(t.Context(), []*tasks.Record{rec()}); !errors.Is(err, tasks.ErrClosed) {
		t.Errorf("after the database was closed: %v", err)
	}
}
