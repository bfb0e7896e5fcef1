package bolt

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/tasks"
)

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
		ids := []string{"0 a b c"}
		for i := range 40 {
			id := fmt.Sprintf("d%02d", i)
			if err := b.Enqueue(ctx, []*tasks.Record{{ID: id, Task: "t", Queue: "q", MaxAttempts: 1, Args: args}}); err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		want := strings.Join(ids, " ")
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
