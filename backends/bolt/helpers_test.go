package bolt_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
)

// open opens a backend in a fresh folder. When the test ends, its indexes must
// agree with its records.
func open(t *testing.T, change ...func(*bolt.Options)) *bolt.Backend {
	t.Helper()
	o := bolt.Options{Path: filepath.Join(t.TempDir(), "tasks.db")}
	for _, fn := range change {
		fn(&o)
	}
	return openWith(t, o)
}

func openWith(t *testing.T, o bolt.Options) *bolt.Backend {
	t.Helper()
	b, err := bolt.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if b.Check(context.Background()) == nil { // still open
			if err := b.Verify(); err != nil {
				t.Errorf("the indexes don't agree with the records:\n%v", err)
			}
		}
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// openDB opens a database as a program with buckets of its own would.
func openDB(t *testing.T, o *bbolt.Options) *bbolt.DB {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "app.db"), 0o600, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func borrow(t *testing.T, db *bbolt.DB) *bolt.Backend {
	t.Helper()
	b, err := bolt.New(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

var testSeq atomic.Uint64

// rec makes a record whose id sorts behind those before.
func rec(change ...func(*tasks.Record)) *tasks.Record {
	r := &tasks.Record{
		ID:   fmt.Sprintf("0190a6d2-%012d", testSeq.Add(1)),
		Task: "task", Queue: "default", Alias: "default", MaxAttempts: 1, Args: []byte(`{"n":1}`),
	}
	for _, fn := range change {
		fn(r)
	}
	return r
}

func queue(q string) func(*tasks.Record)         { return func(r *tasks.Record) { r.Queue = q } }
func priority(p int) func(*tasks.Record)         { return func(r *tasks.Record) { r.Priority = p } }
func delay(d time.Duration) func(*tasks.Record)  { return func(r *tasks.Record) { r.Delay = d } }
func ttl(d time.Duration) func(*tasks.Record)    { return func(r *tasks.Record) { r.TTL = d } }
func attempts(n int) func(*tasks.Record)         { return func(r *tasks.Record) { r.MaxAttempts = n } }
func retain(d time.Duration) func(*tasks.Record) { return func(r *tasks.Record) { r.Retain = &d } }
func args(a []byte) func(*tasks.Record)          { return func(r *tasks.Record) { r.Args = a } }
func enqueue(t *testing.T, b *bolt.Backend, recs ...*tasks.Record) {
	t.Helper()
	if err := b.Enqueue(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, b *bolt.Backend, id string) *tasks.Record {
	t.Helper()
	r, err := b.GetResult(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func claim(t *testing.T, b *bolt.Backend, limit int, queues ...string) []tasks.Claimed {
	t.Helper()
	got, err := b.Claim(t.Context(), tasks.ClaimRequest{
		Selection: tasks.Selection{Queues: queues}, Worker: "w1", Limit: limit, Lease: 30 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// claimOne claims the one record that there must be.
func claimOne(t *testing.T, b *bolt.Backend) tasks.Claimed {
	t.Helper()
	got := claim(t, b, 1)
	if len(got) != 1 {
		t.Fatalf("claimed %d records, not 1", len(got))
	}
	return got[0]
}

func settle(t *testing.T, b *bolt.Backend, outs ...tasks.Outcome) []error {
	t.Helper()
	verdicts, err := b.Settle(t.Context(), outs)
	if err != nil {
		t.Fatal(err)
	}
	return verdicts
}

func success(c tasks.Claimed) tasks.Outcome {
	return tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeSuccess, Value: []byte(`"ok"`)}
}

func ids[T any](all []T, id func(T) string) []string {
	var s []string
	for _, v := range all {
		s = append(s, id(v))
	}
	return s
}

func claimedIDs(all []tasks.Claimed) []string {
	return ids(all, func(c tasks.Claimed) string { return c.Record.ID })
}

func wantIDs(t *testing.T, got []string, want ...*tasks.Record) {
	t.Helper()
	if w := ids(want, func(r *tasks.Record) string { return r.ID }); !slices.Equal(got, w) {
		t.Errorf("got  %v\nwant %v", got, w)
	}
}

// lines reads a child's output; the last line may be cut by a kill.
type lines struct{ s *bufio.Scanner }

func newLines(r io.Reader) *lines { return &lines{bufio.NewScanner(r)} }

func (l *lines) next() (string, bool) {
	if !l.s.Scan() {
		return "", false
	}
	return l.s.Text(), true
}
