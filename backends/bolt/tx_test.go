package bolt_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
)

type txApp struct {
	*tasks.App
	greet    *tasks.Task[string, string]
	enqueued atomic.Int64
}

func newTxApp(t *testing.T, b tasks.Backend) *txApp {
	t.Helper()
	a := &txApp{App: tasks.NewApp()}
	a.greet = tasks.Define(a.App, "greet", func(_ context.Context, name string) (string, error) { return name, nil })
	a.AddHooks(tasks.Hooks{Enqueued: func(context.Context, *tasks.Record) error { a.enqueued.Add(1); return nil }})
	if err := a.Use("default", b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	return a
}

func TestEnqueueTx(t *testing.T) { // E8
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		b := open(t)
		app := newTxApp(t, b)
		own := []byte("orders")
		var kept, dropped *tasks.Result[string]
		var many []*tasks.RawResult
		woken := make(chan error, 1)
		go func() { woken <- b.Wait(ctx, tasks.Selection{}) }()
		synctest.Wait()

		boom := errors.New("boom")
		err := b.DB().Update(func(tx *bbolt.Tx) (err error) {
			if dropped, err = bolt.EnqueueTx(ctx, tx, app.greet.With("x")); err != nil {
				return err
			}
			return boom
		})
		if !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if _, err := b.GetResult(ctx, dropped.ID); !errors.Is(err, tasks.ErrResultNotFound) {
			t.Errorf("after the rollback: %v", err)
		}
		err = b.DB().Update(func(tx *bbolt.Tx) (err error) {
			bucket, err := tx.CreateBucketIfNotExists(own)
			if err != nil {
				return err
			}
			if err := bucket.Put([]byte("1"), []byte("paid")); err != nil {
				return err
			}
			if kept, err = bolt.EnqueueTx(ctx, tx, app.greet.With("a")); err != nil {
				return err
			}
			if many, err = bolt.EnqueueManyTx(ctx, tx, app.greet.With("b"), app.greet.With("c")); err != nil {
				return err
			}
			if _, err := b.GetResult(ctx, kept.ID); !errors.Is(err, tasks.ErrResultNotFound) {
				t.Errorf("before the commit: %v", err)
			}
			if n := app.enqueued.Load(); n != 0 {
				t.Errorf("%d hooks called before the commit", n)
			}
			synctest.Wait()
			select {
			case err := <-woken:
				t.Errorf("woken before the commit: %v", err)
			default:
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := <-woken; err != nil {
			t.Error(err)
		}
		if n := app.enqueued.Load(); n != 3 {
			t.Errorf("%d hooks called after the commit", n)
		}
		want := []string{kept.ID, many[0].ID, many[1].ID}
		got := claim(t, b, 10)
		if len(got) != 3 {
			t.Fatalf("%d claimed", len(got))
		}
		for i, c := range got {
			if c.Record.ID != want[i] || c.Record.EnqueuedAt.IsZero() || kept.EnqueuedAt.IsZero() {
				t.Errorf("record %d is %+v", i, c.Record)
			}
		}
	})
}

func TestEnqueueTxRefusals(t *testing.T) { // E8
	ctx := t.Context()
	b, other := open(t), openDB(t, nil)
	app := newTxApp(t, b)
	call := app.greet.With("x")
	_ = other.Update(func(tx *bbolt.Tx) error {
		if _, err := bolt.EnqueueTx(ctx, tx, call); !errors.Is(err, tasks.ErrInvalidTask) {
			t.Errorf("another database: %v", err)
		}
		return nil
	})
	_ = b.DB().View(func(tx *bbolt.Tx) error {
		if _, err := bolt.EnqueueTx(ctx, tx, call); !errors.Is(err, bolterrors.ErrTxNotWritable) {
			t.Errorf("read-only: %v", err)
		}
		return nil
	})
	if _, err := bolt.EnqueueTx(ctx, nil, call); !errors.Is(err, bolterrors.ErrTxClosed) {
		t.Errorf("nil: %v", err)
	}
	if res, err := bolt.EnqueueManyTx(ctx, nil); res != nil || err != nil {
		t.Errorf("nothing: %v, %v", res, err)
	}
	if n := app.enqueued.Load(); n != 0 {
		t.Errorf("%d hooks called", n)
	}
	borrowed := borrow(t, other)
	lent := newTxApp(t, borrowed)
	if err := borrowed.Close(ctx); err != nil {
		t.Fatal(err)
	}
	_ = other.Update(func(tx *bbolt.Tx) error {
		if _, err := bolt.EnqueueTx(ctx, tx, lent.greet.With("x")); !errors.Is(err, tasks.ErrClosed) {
			t.Errorf("closed: %v", err)
		}
		return nil
	})
}
