package database

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/sideman-go/sideman/tasks"
)

// EnqueueTx enqueues a call in the caller's own transaction, which must be one of the
// call's backend's database; the connection needn't be of the backend's pool. Workers
// see the record once the transaction is committed; after a rollback it never was, and
// nobody was told of it. It takes one round trip.
//
// After an error other than a refusal of the call itself (ErrInvalidTask,
// ErrUnsupported, ErrClosed), roll back. Middleware around enqueue isn't called, since
// the write is the caller's, and hooks aren't told, since nothing says when the
// transaction is committed.
//
// With a pool of one connection, a plain Enqueue from within the transaction waits for
// ever for a second one: don't call it.
func EnqueueTx[R any](ctx context.Context, tx pgx.Tx, call *tasks.Invocation[R]) (*tasks.Result[R], error) {
	if tx == nil {
		return one(ctx, nil, call)
	}
	return one(ctx, pgxRunner{tx}, call)
}

// EnqueueSQLTx is EnqueueTx for a transaction of database/sql with the driver of
// github.com/jackc/pgx/v5/stdlib. Others don't know arrays.
func EnqueueSQLTx[R any](ctx context.Context, tx *sql.Tx, call *tasks.Invocation[R]) (*tasks.Result[R], error) {
	if tx == nil {
		return one(ctx, nil, call)
	}
	return one(ctx, sqlRunner{tx}, call)
}

// EnqueueManyTx is EnqueueTx for calls of any tasks of one App that are on one backend.
// With no calls it does nothing.
func EnqueueManyTx(ctx context.Context, tx pgx.Tx, calls ...tasks.Call) ([]*tasks.RawResult, error) {
	if tx == nil {
		return many(ctx, nil, calls)
	}
	return many(ctx, pgxRunner{tx}, calls)
}

// EnqueueManySQLTx is EnqueueManyTx for a transaction of database/sql; see EnqueueSQLTx.
func EnqueueManySQLTx(ctx context.Context, tx *sql.Tx, calls ...tasks.Call) ([]*tasks.RawResult, error) {
	if tx == nil {
		return many(ctx, nil, calls)
	}
	return many(ctx, sqlRunner{tx}, calls)
}

func one[R any](ctx context.Context, r runner, call *tasks.Invocation[R]) (*tasks.Result[R], error) {
	p, err := tasks.PrepareOne(ctx, call)
	if err != nil {
		return nil, err
	}
	if err := enqueueTx(ctx, r, p); err != nil {
		return nil, err
	}
	return tasks.ResultOf[R](p)
}

func many(ctx context.Context, r runner, calls []tasks.Call) ([]*tasks.RawResult, error) {
	if len(calls) == 0 {
		return nil, nil
	}
	p, err := tasks.Prepare(ctx, calls...)
	if err != nil {
		return nil, err
	}
	if err := enqueueTx(ctx, r, p); err != nil {
		return nil, err
	}
	return p.Results(), nil
}

func enqueueTx(ctx context.Context, r runner, p *tasks.Prepared) error {
	fail := func(err error) error {
		return &tasks.Error{Op: "enqueue", Alias: p.Runtime.Alias(), Task: p.Records[0].Task, ID: p.Records[0].ID, Err: err}
	}
	b, ok := tasks.As[*Backend](p.Runtime.Backend())
	switch {
	case !ok:
		return fail(fmt.Errorf("%w: the backend isn't a database one, and so has no PostgreSQL transactions", tasks.ErrUnsupported))
	case r == nil:
		return fail(fmt.Errorf("%w: no transaction", tasks.ErrInvalidTask))
	}
	if err := b.enter(ctx); err != nil {
		return fail(err)
	}
	defer b.inflight.Done()
	all, _, err := prepare(p.Records)
	if err != nil {
		return fail(err)
	}
	todo := make([]*fresh, len(all))
	for i := range all {
		todo[i] = &all[i]
	}
	for len(todo) > 0 {
		dups, err := b.insert(ctx, r, b.sql.insertNew, b.insertArgs(todo), todo)
		if err == nil {
			todo, err = b.readDups(ctx, r, dups)
		}
		if err != nil {
			return fail(txError(ctx, err))
		}
	}
	fill(p.Records, all)
	return nil
}

// txError turns the error of a statement in the caller's transaction into the
// framework's. It is never unknown what became of it: the transaction isn't committed.
func txError(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, pgx.ErrTxClosed), errors.Is(err, sql.ErrTxDone):
		return fmt.Errorf("%w: %w", tasks.ErrInvalidTask, err)
	case ctx.Err() != nil:
		return ctx.Err()
	case judge(err) == faultData:
		return fmt.Errorf("%w: the server refuses it: %w", tasks.ErrInvalidTask, err)
	}
	return unavailable(hinted(err))
}
