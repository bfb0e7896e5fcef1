package database

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// maxTries is how often a statement is tried that certainly hasn't been stored:
// deadlocks, and connections that were dead when they came out of the pool.
const maxTries = 5

// runner is what can run a statement: a connection of the pool, the caller's pgx.Tx
// or the caller's *sql.Tx. It calls each with every row's Scan.
type runner interface {
	run(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error
}

// querier is a connection or transaction of pgx.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

type pgxRunner struct {
	q    querier
	mode pgx.QueryExecMode
}

func (r pgxRunner) run(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	rows, err := r.q.Query(ctx, query, append([]any{r.mode}, args...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	// Only now is the statement known to be committed: errors of the commit are here.
	return rows.Err()
}

type sqlRunner struct{ tx *sql.Tx }

func (r sqlRunner) run(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	rows, err := r.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		if err := each(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// acquire takes a connection from the pool. Its errors mean that nothing was sent.
func (b *Backend) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	conn, err := b.pool.Acquire(ctx)
	switch {
	case err == nil:
		return conn, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, unavailable(err)
}

// outcomeGrace is how much longer a write that is in flight goes on when its ctx has
// ended, so that in most cases its outcome is known.
const outcomeGrace = 100 * time.Millisecond

// graced returns a ctx that ends outcomeGrace after ctx.
func graced(ctx context.Context) (context.Context, context.CancelFunc) {
	if ctx.Done() == nil {
		return ctx, func() {}
	}
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		timer := time.NewTimer(outcomeGrace)
		defer timer.Stop()
		select {
		case <-timer.C:
			cancel(context.Cause(ctx))
		case <-late.Done():
		}
	})
	return late, func() {
		stop()
		cancel(context.Canceled)
	}
}

// on runs a statement on a connection of the pool, and again if it certainly hasn't
// been stored and the same may do. Once sent it goes on until running ends, which is
// ctx or a little later. The error is raw if sent, and else the framework's.
func (b *Backend) on(ctx, running context.Context, query string, args []any, each func(scan func(...any) error) error) (sent bool, err error) {
	for try := 1; ; try++ {
		conn, err := b.acquire(ctx)
		if err != nil {
			return false, err
		}
		err = pgxRunner{conn, b.planned}.run(running, query, args, each)
		conn.Release()
		if err == nil || try == maxTries || ctx.Err() != nil || judge(err) != faultAgain {
			return true, err
		}
	}
}

// read runs a statement that changes nothing. It may run more than once; reset, called
// before each, forgets the rows of the run before.
func (b *Backend) read(ctx context.Context, query string, args []any, reset func(), each func(scan func(...any) error) error) error {
	for try := 1; ; try++ {
		reset()
		sent, err := b.on(ctx, ctx, query, args, each)
		switch {
		case err == nil:
			return nil
		case !sent:
			return err
		case try == maxTries || ctx.Err() != nil || judge(err) != faultLost:
			return readError(ctx, err)
		}
		// The connection was cut, perhaps because the server was restarted meanwhile.
	}
}

// change runs a statement that changes something. The error is raw if sent, and else the
// framework's.
func (b *Backend) change(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) (sent bool, err error) {
	running, cancel := graced(ctx)
	defer cancel()
	return b.on(ctx, running, query, args, each)
}

// write is change with the framework's errors.
func (b *Backend) write(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	sent, err := b.change(ctx, query, args, each)
	if err != nil && sent {
		return writeError(ctx, err)
	}
	return err
}
