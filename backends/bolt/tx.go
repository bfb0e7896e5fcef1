package bolt

import (
	"context"
	"fmt"
	"runtime/debug"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/sideman-go/sideman/tasks"
)

// EnqueueTx enqueues a call in the caller's own transaction, which must be a
// writable one of the call's backend's database (Backend.DB). Workers see the
// record, and hooks are told of it, once the transaction is committed; after a
// rollback it never was. Until then only the transaction itself can read it.
//
// After an error other than a refusal of the call itself (ErrInvalidTask,
// ErrUnsupported, ErrClosed), roll back. Middleware around enqueue isn't called:
// the write is the caller's.
//
// bbolt has one writer at a time. A plain Enqueue, or any other write of the
// framework, waits until the transaction ends: don't call one from within.
func EnqueueTx[R any](ctx context.Context, tx *bbolt.Tx, call *tasks.Invocation[R]) (*tasks.Result[R], error) {
	p, err := tasks.PrepareOne(ctx, call)
	if err != nil {
		return nil, err
	}
	if err := enqueueTx(ctx, tx, p); err != nil {
		return nil, err
	}
	return tasks.ResultOf[R](p)
}

// EnqueueManyTx is EnqueueTx for calls of any tasks of one App that are on one
// backend. With no calls it does nothing.
func EnqueueManyTx(ctx context.Context, tx *bbolt.Tx, calls ...tasks.Call) ([]*tasks.RawResult, error) {
	if len(calls) == 0 {
		return nil, nil
	}
	p, err := tasks.Prepare(ctx, calls...)
	if err != nil {
		return nil, err
	}
	if err := enqueueTx(ctx, tx, p); err != nil {
		return nil, err
	}
	return p.Results(), nil
}

func enqueueTx(ctx context.Context, tx *bbolt.Tx, p *tasks.Prepared) error {
	fail := func(err error) error {
		return &tasks.Error{Op: "enqueue", Alias: p.Runtime.Alias(), Task: p.Records[0].Task, ID: p.Records[0].ID, Err: err}
	}
	b, err := backendOf(tx, p)
	if err != nil {
		return fail(err)
	}
	all, _, err := prepare(p.Records)
	if err != nil {
		return fail(err)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	t := b.txn(tx)
	err = b.guard(func() error {
		if err := t.enqueue(all); err != nil {
			return err
		}
		return t.writeCounts()
	})
	if err != nil {
		return fail(b.explain(err))
	}
	fill(p.Records, all)
	tx.OnCommit(func() {
		b.hub.publish(&t.news)
		p.Stored(context.WithoutCancel(ctx))
	})
	return nil
}

// backendOf returns the backend of the records if the transaction is one of its
// database and can take them.
func backendOf(tx *bbolt.Tx, p *tasks.Prepared) (*Backend, error) {
	b, ok := tasks.As[*Backend](p.Runtime.Backend())
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: the backend isn't a bolt one, and so has no bolt transactions", tasks.ErrUnsupported)
	case b.alive() != nil:
		return nil, tasks.ErrClosed
	case b.journal.held() != nil:
		return nil, b.journal.held()
	case tx == nil || tx.DB() == nil:
		return nil, fmt.Errorf("%w: %w", tasks.ErrInvalidTask, bolterrors.ErrTxClosed)
	case tx.DB() != b.db:
		return nil, fmt.Errorf("%w: the transaction is of the database %s, and the task's backend is on %s", tasks.ErrInvalidTask, tx.DB().Path(), b.path)
	case !tx.Writable():
		return nil, fmt.Errorf("%w: %w", tasks.ErrInvalidTask, bolterrors.ErrTxNotWritable)
	}
	return b, nil
}
