package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
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

func TestPendingSurvivesACrash(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		large := []*tasks.Record{
			{ID: "d", Task: "t", Queue: "q", MaxAttempts: 1, Args: bytes.Repeat([]byte("1"), 5000), TTL: time.Hour},
			{ID: "e", Task: "t", Queue: "q", MaxAttempts: 1, Delay: time.Hour},
		}
		if err := b.Enqueue(t.Context(), large); err != nil {
			t.Fatal(err)
		}
		path := crash(t, b)
		again := wantStored(t, path, "0 a b c d e")
		for _, b := range []*Backend{b, again} {
			for _, want := range large {
				got, err := b.GetResult(t.Context(), want.ID)
				if err != nil || !bytes.Equal(got.Args, want.Args) || !got.ExpiresAt.Equal(want.ExpiresAt) || !got.RunAfter.Equal(want.RunAfter) || !got.EnqueuedAt.Equal(want.EnqueuedAt) {
					t.Errorf("stored %+v, %v\nwas told %+v", got, err, want)
				}
			}
		}
		if b.journal.len() != 5 {
			t.Errorf("%d are pending", b.journal.len())
		}
		wantStored(t, crash(t, again), "0 a b c d e") // whose log isn't missing: it had none
		if err := again.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(path + "?*"); len(left) > 0 {
			t.Errorf("a Close leaves %q", left)
		}
	})
}

// The log is cut at any byte: what was acknowledged before that write is there.
func TestPowerCutWhileLogging(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		whole := crash(t, b)
		log, err := os.ReadFile(whole + logSuffix)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{logPage + 1, logPage + frameHeader, logPage + 60, 2*logPage - 1, 2 * logPage, 2*logPage + 50, 3 * logPage, 3*logPage + 30, 4 * logPage, len(log)} {
			path := filepath.Join(t.TempDir(), "tasks.db")
			copyFile(t, whole, path)
			if err := os.WriteFile(path+logSuffix, log[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			want := "0 a b c"[:min(1+2*((n-logPage+3900)/logPage), 7)]
			wantStored(t, path, want)
		}
	})
}

func TestLogIsReplayedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		log := crash(t, b) + logSuffix
		if got := stored(t, b); got != "0 a b c" { // which has committed it
			t.Errorf("there are %q", got)
		}
		wantStored(t, crash(t, b), "0 a b c")
		for _, kind := range []tasks.ChangeKind{tasks.ChangeCancel, tasks.ChangeDelete} {
			if _, err := b.Alter(t.Context(), tasks.Change{Kind: kind}, []string{"b"}); err != nil {
				t.Fatal(err)
			}
		}
		path := crash(t, b)
		for range 2 {
			copyFile(t, log, path+logSuffix) // as if the removal had been undone, the second time
			if err := wantStored(t, path, "0 a c").Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
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
		wake := b.hub.register()
		if got := stored(t, b); got != "0 a c" {
			t.Errorf("there are %q", got)
		}
		select {
		case <-wake:
			t.Error("workers are woken for what they were told of before")
		default:
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
			time.Sleep(2 * pendingFor)
			if n := b.journal.len(); n > 0 {
				t.Errorf("%d are pending still", n)
			}
		}
	})
}

// Random work, and a power cut after each step.
func TestPowerCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openLogged(t, filepath.Join(t.TempDir(), "tasks.db"))
		for i := range 60 {
			switch rand.N(6) {
			case 0:
				got, err := b.Claim(t.Context(), tasks.ClaimRequest{Worker: "w", Limit: 2, Lease: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range got {
					if _, err := b.Settle(t.Context(), []tasks.Outcome{{Lease: c.Lease, Kind: tasks.OutcomeSuccess}}); err != nil {
						t.Fatal(err)
					}
				}
			default:
				put(t, b, fmt.Sprintf("%03d", i))
			}
			path := crash(t, b)
			want := stored(t, b)
			if err := wantStored(t, path, want).Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestLogOfAnotherDatabase(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		left, fresh := crash(t, b), filepath.Join(t.TempDir(), "tasks.db")
		copyFile(t, left+logSuffix, fresh+logSuffix)
		other := openLogged(t, fresh)
		if got := stored(t, other); got != "" {
			t.Errorf("a new database has %q", got)
		}
		var said bytes.Buffer
		app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.NewTextHandler(&said, nil))})
		if err := app.Use("default", other); err != nil || !strings.Contains(said.String(), "belonged to another database") {
			t.Errorf("%v, said %q", err, said.String())
		}
		if _, err := os.Stat(fresh + logSuffix + logAside); err != nil {
			t.Error(err)
		}
		put(t, other, "x", "y")
		if got := stored(t, other); got != "x y" {
			t.Errorf("then it has %q", got)
		}

		// And this one has lost its log.
		if err := os.Remove(left + logSuffix); err != nil {
			t.Fatal(err)
		}
		for _, want := range []int{1, 0} {
			b := openLogged(t, left)
			if got := stored(t, b); got != "0" || len(b.remarks) != want {
				t.Errorf("without its log there are %q, remarks %q", got, b.remarks)
			}
			if err := b.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestDamagedLog(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		path := crash(t, b)
		log, err := os.ReadFile(path + logSuffix)
		if err != nil {
			t.Fatal(err)
		}
		log[2*logPage+frameHeader+3]++
		if err := os.WriteFile(path+logSuffix, log, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := Open(t.Context(), Options{Path: path}); !errors.Is(err, tasks.ErrDamaged) || !strings.Contains(err.Error(), path+logSuffix) {
				t.Errorf("%v", err)
			}
		}
		if err := os.Rename(path+logSuffix, path+".x"); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, openLogged(t, path)); got != "0" {
			t.Errorf("without it there are %q", got)
		}
	})
}

// The disk is full when what was acknowledged is to be written to the database.
func TestCommitOfPendingFails(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		ctx, args := t.Context(), bytes.Repeat([]byte("1"), 900)
		want := "0 a b c"
		for i := range 40 {
			id := fmt.Sprintf("d%02d", i)
			if err := b.Enqueue(ctx, []*tasks.Record{{ID: id, Task: "t", Queue: "q", MaxAttempts: 1, Args: args}}); err != nil {
				t.Fatal(err)
			}
			want += " " + id
		}
		b.db.MaxSize = 1
		for range 2 {
			_, err1 := b.List(ctx, tasks.ListRequest{})
			err2 := b.Enqueue(ctx, []*tasks.Record{{ID: "x", Task: "t", Queue: "q", MaxAttempts: 1}})
			_, err3 := b.Claim(ctx, tasks.ClaimRequest{Worker: "w", Limit: 1, Lease: time.Minute})
			for _, err := range []error{err1, err2, err3} {
				if !errors.Is(err, tasks.ErrUnavailable) || errors.Is(err, tasks.ErrUnknownOutcome) || !strings.Contains(fmt.Sprint(err), b.path) {
					t.Errorf("refused with %v", err)
				}
			}
			if r, err := b.GetResult(ctx, "d39"); err != nil || r.Status != tasks.Ready || !bytes.Equal(r.Args, args) {
				t.Errorf("%+v, %v", r, err)
			}
			if f := b.Check(ctx); len(f) != 1 || f[0].ID != findHeld {
				t.Errorf("%+v", f)
			}
		}
		wantStored(t, crash(t, b), want)
		b.db.MaxSize = 0
		put(t, b, "x", "y")
		if got := stored(t, b); got != want+" x y" {
			t.Errorf("once there is room again there are %q", got)
		}
		if f := b.Check(ctx); len(f) > 0 {
			t.Errorf("%+v", f)
		}

		for i := range 40 {
			put(t, b, fmt.Sprintf("z%02d", i))
		}
		all := crash(t, b)
		b.db.MaxSize = 1
		if err := b.Enqueue(ctx, []*tasks.Record{{ID: "w", Task: "t", Queue: "q", MaxAttempts: 1, Args: make([]byte, 1<<20)}}); !errors.Is(err, tasks.ErrUnavailable) {
			t.Errorf("%v", err)
		}
		db := b.DB() // a program that waits in its own transaction isn't waited for
		tx, err := db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.List(ctx, tasks.ListRequest{}); !errors.Is(err, tasks.ErrUnavailable) {
			t.Errorf("List: %v", err)
		}
		_ = tx.Rollback()
		if err := b.Close(ctx); !errors.Is(err, tasks.ErrUnavailable) {
			t.Errorf("Close: %v", err)
		}
		want = stored(t, openLogged(t, all))
		if got := stored(t, openLogged(t, b.path)); got != want {
			t.Errorf("the next process has %q, want %q", got, want)
		}
	})
}

// What can't be written to the database stops the log too.
func TestPendingWithoutTheDatabase(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		_ = b.file.Close() // which bbolt writes to
		if _, err := b.List(t.Context(), tasks.ListRequest{}); !errors.Is(err, tasks.ErrUnavailable) {
			t.Errorf("List: %v", err)
		}
		err := b.Enqueue(t.Context(), []*tasks.Record{{ID: "x", Task: "t", Queue: "q", MaxAttempts: 1}})
		if !errors.Is(err, tasks.ErrUnavailable) {
			t.Errorf("Enqueue: %v", err)
		}
		wantStored(t, crash(t, b), "0 a b c")
	})
}

func TestLogCantBeWritten(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		b.journal.file.f.Close()
		put(t, b, "d", "e")
		if got := stored(t, b); got != "0 a b c d e" || b.journal.len() > 0 {
			t.Errorf("there are %q", got)
		}
		if f := b.Check(t.Context()); len(f) != 1 || f[0].ID != findNoLog {
			t.Errorf("%+v", f)
		}
		wantStored(t, crash(t, b), "0 a b c d e")
	})
	inBubble(t, func(t *testing.T, b *Backend) { // nor the database
		b.journal.file.f.Close()
		_ = b.file.Close()
		err := b.do(t.Context(), enqueueOp(encoded(t, "x"), 1))
		if !errors.Is(err, tasks.ErrUnknownOutcome) {
			t.Errorf("the frame may be there, and the caller is told %v", err)
		}
		wantStored(t, crash(t, b), "0 a b c")
	})
}

func TestNoLog(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		path := crash(t, b)
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		lent, err := New(db, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range []*Backend{lent, nil} {
			if b == nil {
				_ = lent.Close(t.Context())
				_ = db.Close()
				if b, err = Open(t.Context(), Options{Path: path, NoLog: true}); err != nil {
					t.Fatal(err)
				}
				defer b.Close(t.Context())
			}
			put(t, b, "d")
			if got := stored(t, b); got != "0 a b c d" {
				t.Errorf("there are %q", got)
			}
			if left, _ := filepath.Glob(path + "?*"); len(left) > 0 {
				t.Errorf("there is %q", left)
			}
		}
		if _, err := New(db, &Options{NoLog: true}); !errors.Is(err, tasks.ErrInvalidConfig) {
			t.Errorf("%v", err)
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
