package modeltest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	"pgregory.net/rapid"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/conformance/internal/memstore"
	"github.com/sideman-go/sideman/tasks"
)

// TestBolt compares bolt, which owns its file, with the reference. Opening it again
// takes back what was RUNNING.
func TestBolt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			path := scratch(t, dir)
			defer os.RemoveAll(filepath.Dir(path))
			run(t, subject{clock: bubble{}, loses: true, open: func(ctx context.Context) (tasks.Store, func() error, error) {
				b, err := bolt.Open(ctx, bolt.Options{Path: path})
				return b, nothing, err
			}})
		})
	})
}

// TestBorrowedBolt compares bolt on a database that was lent to it: leases live on
// when it is opened again. Without syncs it does several times as much.
func TestBorrowedBolt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		rapid.SyncTest(t, func(t *rapid.T) {
			path := scratch(t, dir)
			defer os.RemoveAll(filepath.Dir(path))
			run(t, subject{clock: bubble{}, open: func(context.Context) (tasks.Store, func() error, error) {
				db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
				if err != nil {
					return nil, nil, err
				}
				b, err := bolt.New(db, nil)
				return b, db.Close, err
			}})
		})
	})
}

// scratch makes a folder for one sequence. The many of a test would fill a disk.
func scratch(t *rapid.T, dir string) string {
	own, err := os.MkdirTemp(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(own, "tasks.db")
}

// lease is what the store and the reference gave for the same claim.
type lease struct{ store, ref tasks.Lease }

// subject is a store that is to be compared with the reference.
type subject struct {
	// open opens it, again and again, and returns what is to be closed after the store.
	open  func(context.Context) (tasks.Store, func() error, error)
	clock clock
	loses bool // opening it again takes back what was RUNNING
	// clears says that a claim which comes upon an expired record and isn't full may cancel
	// all that have expired, as a sweep does: when they are is the store's affair.
	clears bool
}

func nothing() error { return nil }

// machine has the store, the reference, and what was done to both.
type machine struct {
	subject

	ctx    context.Context
	place  *memstore.Place
	store  tasks.Store
	closed func() error // what is to be closed after the store
	ref    tasks.Store

	began  time.Time
	made   int
	ids    []string
	leases []lease // all that there ever were
}

// run does random operations on an open store and the reference.
func run(t *rapid.T, s subject) {
	m := &machine{
		subject: s, ctx: context.Background(), began: s.clock.now(),
		place: memstore.NewPlace(memstore.Options{Durable: true, Now: s.clock.now}),
	}
	m.connect(t)
	defer m.close(t)
	t.Repeat(map[string]func(*rapid.T){
		"enqueue": m.enqueue, "enqueue more": m.enqueue, "enqueue again": m.enqueueAgain,
		"claim": m.claim, "claim more": m.claim, "renew": m.renew,
		"settle": m.settle, "settle more": m.settle,
		"time goes by": m.advance, "sweep": m.sweep,
		"alter": m.alter, "pause": m.pause, "prune": m.prune,
		"crowd": m.crowd, "list": m.list, "heartbeat": m.heartbeat, "reopen": m.reopen,
		"": m.compare,
	})
}

func (m *machine) connect(t *rapid.T) {
	var err error
	if m.store, m.closed, err = m.open(m.ctx); err != nil {
		t.Fatalf("open the store: %v", err)
	}
	ref, err := m.place.Connect(m.ctx)
	if err != nil {
		t.Fatalf("open the reference: %v", err)
	}
	m.ref = ref.(tasks.Store)
}

func (m *machine) close(t *rapid.T) {
	for _, f := range m.store.Check(m.ctx) {
		if f.Level == tasks.LevelError {
			t.Errorf("check finds %+v", f)
		}
	}
	for _, end := range []func() error{
		func() error { return m.store.Close(m.ctx) },
		m.closed,
		func() error { return m.ref.Close(m.ctx) },
	} {
		if err := end(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
}

// compare compares all that can be seen.
func (m *machine) compare(t *rapid.T) {
	store, ref := m.pages(t, m.store, tasks.ListRequest{}), m.pages(t, m.ref, tasks.ListRequest{})
	same(t, "all records", store, ref)
	queues, err := m.store.Queues(m.ctx)
	refQueues, refErr := m.ref.Queues(m.ctx)
	same(t, "the errors of Queues", verdict(err), verdict(refErr))
	same(t, "the queues", counted(queues), counted(refQueues))
	workers, err := m.store.Workers(m.ctx)
	refWorkers, refErr := m.ref.Workers(m.ctx)
	same(t, "the errors of Workers", verdict(err), verdict(refErr))
	same(t, "the workers", workers, refWorkers)
	if len(m.ids) > 0 {
		id := m.ids[len(m.ids)-1]
		rec, err := m.store.GetResult(m.ctx, id)
		refRec, refErr := m.ref.GetResult(m.ctx, id)
		same(t, "the errors of GetResult", verdict(err), verdict(refErr))
		same(t, "the newest record", rec, refRec)
	}
}

// pages reads a list to its end.
func (m *machine) pages(t *rapid.T, s tasks.Store, req tasks.ListRequest) (recs []*tasks.Record) {
	for range 1000 {
		page, err := s.List(m.ctx, req)
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		recs = append(recs, page.Records...)
		if req.After = page.Next; req.After == "" {
			return recs
		}
	}
	t.Fatalf("list by %+v doesn't end", req)
	return nil
}

// someIDs draws ids, most of them of records that were enqueued.
func (m *machine) someIDs(t *rapid.T) []string {
	return rapid.SliceOfN(rapid.SampledFrom(append(slices.Clone(m.ids), "unknown")), 1, 4).Draw(t, "ids")
}
