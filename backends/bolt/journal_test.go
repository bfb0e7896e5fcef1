package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/tasks"
)

// In a bubble the timer doesn't fire while a test is busy, so that what is enqueued
// stays pending until something asks for it.

func openLogged(t *testing.T, path string) *Backend {
	t.Helper()
	b, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close(context.Background()) })
	return b
}

func put(t *testing.T, b *Backend, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := b.Enqueue(t.Context(), []*tasks.Record{{ID: id, Task: "t", Queue: "q", MaxAttempts: 1, Args: []byte("1")}}); err != nil {
			t.Fatal(err)
		}
	}
}

// stored returns the ids of all records, in order, and looks at the indexes.
func stored(t *testing.T, b *Backend) string {
	t.Helper()
	page, err := b.List(t.Context(), tasks.ListRequest{Limit: tasks.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, r := range page.Records {
		ids = append(ids, r.ID)
	}
	if err := b.verify(); err != nil {
		t.Error(err)
	}
	return strings.Join(ids, " ")
}

// crash copies the files as a power cut would leave them: what bbolt has synced, and
// the log.
func crash(t *testing.T, b *Backend) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "tasks.db")
	copyFile(t, b.path, path)
	copyFile(t, b.path+logSuffix, path+logSuffix)
	return path
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantStored opens what a crash has left.
func wantStored(t *testing.T, path, want string) *Backend {
	t.Helper()
	b := openLogged(t, path)
	if got := stored(t, b); got != want {
		t.Errorf("after the crash there are %q, want %q", got, want)
	}
	if len(b.remarks) > 0 {
		t.Errorf("remarks %q", b.remarks)
	}
	return b
}

// inBubble runs a test with records a, b and c pending; the first one, 0, has bound the log.
func inBubble(t *testing.T, fn func(t *testing.T, b *Backend)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := openLogged(t, filepath.Join(t.TempDir(), "tasks.db"))
		put(t, b, "0", "a", "b", "c")
		if n := b.journal.len(); n != 3 {
			t.Fatalf("%d are pending, not 3", n)
		}
		fn(t, b)
	})
}

// A commit that was reported as failed may be there all the same.
func TestPendingIsCommittedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		for _, change := range []func(*txn) error{
			func(*txn) error { return nil },
			func(t *txn) error { return t.update(must(t.load("b")), func(*tasks.Record) bool { return true }) },
		} {
			tx, err := b.begin(true)
			if err == nil {
				err = errors.Join(change(tx), tx.writeCounts(), tx.tx.Commit())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if got := stored(t, b); got != "0 a c" {
			t.Errorf("there are %q", got)
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestPendingIsCommittedSoon(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		for _, id := range []string{"d", "e"} {
			put(t, b, id)
			wake := b.hub.register()
			time.Sleep(2 * pendingFor)
			select {
			case <-wake:
				t.Error("workers are woken for what they were told of before")
			default:
			}
			if n := b.journal.len(); n > 0 {
				t.Errorf("%d are pending still", n)
			}
		}
	})
}

func TestDatabaseEndsTheLog(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		n := 0
		err := b.DB().Update(func(tx *bbolt.Tx) error {
			n = len(stored(t, b)) // reading within doesn't wait for the transaction
			return nil
		})
		if err != nil || n != len("0 a b c") {
			t.Errorf("%d, %v", n, err)
		}
		put(t, b, "d")
		if _, err := os.Stat(b.path + logSuffix); !errors.Is(err, os.ErrNotExist) || b.journal.len() > 0 {
			t.Errorf("there is a log still: %v", err)
		}
	})
}

func TestWaitSeesPending(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		wait := func(q string) error {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			defer cancel()
			return b.Wait(ctx, tasks.Selection{Queues: []string{q}})
		}
		if err := wait("q"); err != nil {
			t.Errorf("of the queue: %v", err)
		}
		if err := wait("other"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("of another: %v", err)
		}
		woken := make(chan error)
		go func() { woken <- b.Wait(t.Context(), tasks.Selection{Queues: []string{"w"}}) }()
		synctest.Wait()
		recs := []*tasks.Record{{ID: "w", Task: "t", Queue: "w", MaxAttempts: 1, Delay: time.Minute}}
		if err := b.Enqueue(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
		if b.journal.len() == 0 {
			t.Error("waiting has committed")
		}
		from := time.Now()
		if err := <-woken; err != nil || time.Since(from) != time.Minute {
			t.Errorf("woken after %v: %v", time.Since(from), err)
		}
		go func() { woken <- b.Wait(t.Context(), tasks.Selection{Queues: []string{"v"}}) }()
		synctest.Wait()
		from = time.Now()
		recs[0].ID, recs[0].Queue, recs[0].Delay = "v", "v", 0
		if err := b.Enqueue(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
		if err := <-woken; err != nil || time.Since(from) != 0 {
			t.Errorf("woken after %v: %v", time.Since(from), err)
		}
		if err := b.Pause(t.Context(), "p", true); err != nil {
			t.Fatal(err)
		}
		recs[0].ID, recs[0].Queue = "p", "p"
		if err := b.Enqueue(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
		if err := wait("p"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("of a paused queue: %v", err)
		}
	})
}

func TestPendingDuplicates(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		first, err := b.GetResult(t.Context(), "b")
		if err != nil || b.journal.len() != 3 {
			t.Fatalf("%v, %d pending", err, b.journal.len())
		}
		r := func(id string) *tasks.Record {
			return &tasks.Record{ID: id, Task: "other", Queue: "q", MaxAttempts: 1}
		}
		recs := []*tasks.Record{r("b"), r("n"), r("n"), r("0")}
		for _, batch := range [][]*tasks.Record{recs[:1], recs[1:3], recs[3:]} {
			if err := b.Enqueue(t.Context(), batch); err != nil {
				t.Fatal(err)
			}
			put(t, b, "y"+batch[0].ID)
		}
		if !recs[0].Duplicate || recs[0].Task != "t" || !recs[0].EnqueuedAt.Equal(first.EnqueuedAt) || recs[1].Duplicate || !recs[2].Duplicate || !recs[3].Duplicate {
			t.Errorf("%+v", recs)
		}
		if got := stored(t, b); got != "0 a b c n y0 yb yn" {
			t.Errorf("there are %q", got)
		}
	})
}

// The log is beside the file, whatever the name that it is opened by, and nobody
// else's business.
func TestWhereTheLogIs(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		path := crash(t, b)
		link := filepath.Join(t.TempDir(), "link.db")
		if err := os.Symlink(path, link); err != nil {
			t.Skip(err)
		}
		again := wantStored(t, link, "0 a b c")
		put(t, again, "d")
		info, err := os.Stat(path + logSuffix)
		if err != nil || info.Mode().Perm() != 0o600 || info.Size() != logSize {
			t.Errorf("%+v, %v", info, err)
		}
		if err := os.Remove(path + logSuffix); err != nil {
			t.Fatal(err)
		}
		if f := again.Check(t.Context()); len(f) != 1 || f[0].ID != findMoved {
			t.Errorf("%+v", f)
		}
		if err := again.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		// What is in the way stays, and nothing is written through it.
		victim := filepath.Join(t.TempDir(), "victim")
		if err := os.WriteFile(victim, []byte("!"), 0o600); err != nil {
			t.Fatal(err)
		}
		third := openLogged(t, path)
		if err := os.Symlink(victim, path+logSuffix); err != nil {
			t.Fatal(err)
		}
		put(t, third, "e", "f")
		if f := third.Check(t.Context()); len(f) != 1 || f[0].ID != findNoLog {
			t.Errorf("%+v", f)
		}
		if data, err := os.ReadFile(victim); err != nil || string(data) != "!" {
			t.Errorf("%q, %v", data, err)
		}
	})
}

// More than the log takes, from many goroutines, beside readers and a worker.
func TestManyUseTheLog(t *testing.T) {
	b := openLogged(t, filepath.Join(t.TempDir(), "tasks.db"))
	const callers, each = 8, 200
	ctx, seen := t.Context(), make(map[string]int)
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%03d", c, i)
				if err := b.Enqueue(ctx, []*tasks.Record{{ID: id, Task: "t", Queue: "q", MaxAttempts: 1}}); err != nil {
					t.Error(err)
				}
				if i%20 == 0 {
					if _, err := b.GetResult(ctx, id); err != nil {
						t.Errorf("%s: %v", id, err)
					}
				}
				if i%50 == 0 {
					page, err := b.List(ctx, tasks.ListRequest{After: id[:len(id)-1], Limit: 20})
					if err != nil || !slices.ContainsFunc(page.Records, func(r *tasks.Record) bool { return r.ID == id }) {
						t.Errorf("%s isn't listed: %v", id, err)
					}
				}
			}
		})
	}
	for len(seen) < callers*each && !t.Failed() {
		if err := b.Wait(ctx, tasks.Selection{}); err != nil {
			t.Fatal(err)
		}
		got, err := b.Claim(ctx, tasks.ClaimRequest{Worker: "w", Limit: 100, Lease: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range got {
			seen[c.Record.ID]++
		}
	}
	group.Wait()
	for id, n := range seen {
		if n != 1 {
			t.Errorf("%s was claimed %d times", id, n)
		}
	}
	if err := b.verify(); err != nil {
		t.Error(err)
	}
}
