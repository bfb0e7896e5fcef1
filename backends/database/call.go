package database

import (
	"context"
	"database/sql"

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

// on runs a statement on a connection of the pool, and again if it certainly hasn't
// been stored and the same may do. The error is raw if sent, and else the framework's.
func (b *Backend) on(ctx context.Context, mode pgx.QueryExecMode, query string, args []any, each func(scan func(...any) error) error) (sent bool, err error) {
	for try := 1; ; try++ {
		conn, err := b.acquire(ctx)
		if err != nil {
			return false, err
		}
		err = pgxRunner{conn, mode}.run(ctx, query, args, each)
		conn.Release()
		if err == nil || try == maxTries || ctx.Err() != nil || judge(err) != faultAgain {
			return true, err
		}
	}
}

// read runs a statement that changes nothing. Each is called with rows of one run
// only if reset, called before each run, forgets those of the run before.
func (b *Backend) read(ctx context.Context, query string, args []any, reset func(), each func(scan func(...any) error) error) error {
	for try := 1; ; try++ {
		reset()
		sent, err := b.on(ctx, b.planned, query, args, each)
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

// write runs a statement that changes something.
func (b *Backend) write(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	sent, err := b.on(ctx, b.planned, query, args, each)
	if err != nil && sent {
		return writeError(ctx, err)
	}
	return err
}
