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

// pgxRunner runs statements as they are.
type pgxRunner struct{ q querier }

func (r pgxRunner) run(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	rows, err := r.q.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	return eachRow(rows, each)
}

func eachRow(rows pgx.Rows, each func(scan func(...any) error) error) error {
	defer rows.Close()
	scan := rows.Scan
	for rows.Next() {
		if err := each(scan); err != nil {
			return err
		}
	}
	// Only now is an autocommitted statement known to be committed: errors of the commit
	// are here.
	return rows.Err()
}

// tuning is sent along with a statement, in the same round trip and transaction. A
// prepared statement keeps its plan until the table is analysed again. A plan that was
// made while there were a few records reads the whole table, and a minute later, when
// there are a million, each claim would. These settings leave only plans that go by the
// indexes, which are right at any size; and since the plan is always the same, it needn't
// be made for each call.
const (
	tuning = `SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
	set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true),
	set_config('plan_cache_mode', 'force_generic_plan', true)`
	asyncTuning = tuning + `, set_config('synchronous_commit', 'off', true)`
	// scanTuning is for what reads a whole table, once: compiling takes a third of the time of
	// counting a million records.
	scanTuning = `SELECT set_config('jit', 'off', true)`
)

// tunedRunner runs statements with settings of their own.
type tunedRunner struct {
	conn   *pgxpool.Conn
	tuning string
	// turn is a statement between the two, or empty. It's one for which they have to be in a
	// transaction that is begun.
	turn string
}

func (r tunedRunner) run(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) (err error) {
	var b pgx.Batch
	first := []string{r.tuning}
	if r.turn != "" {
		first = []string{"BEGIN", r.tuning, r.turn}
	}
	for _, s := range first {
		b.Queue(s)
	}
	b.Queue(query, args...)
	if r.turn != "" {
		b.Queue("COMMIT")
	}
	results := r.conn.SendBatch(ctx, &b)
	defer func() {
		// Here the transaction is committed, which can fail as well.
		if end := results.Close(); err == nil {
			err = end
		}
		if r.conn.Conn().PgConn().TxStatus() == 'E' {
			_, _ = r.conn.Exec(ctx, "ROLLBACK") // else the pool closes the connection
		}
	}()
	for range first {
		if _, err := results.Exec(); err != nil {
			return err
		}
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	return eachRow(rows, each)
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
	return nil, unavailable(hinted(err))
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

// call is how to run a statement.
type call struct {
	tuning string
	// turn is what tunedRunner has.
	turn string
	// grace says to wait a little longer than ctx for the outcome.
	grace bool
}

// on runs a statement on a connection of the pool, and again if it certainly hasn't
// been stored and the same may do. The error is raw if sent, and else the framework's.
func (b *Backend) on(ctx context.Context, how call, query string, args []any, each func(scan func(...any) error) error) (sent bool, err error) {
	running := ctx
	if how.grace {
		var cancel context.CancelFunc
		running, cancel = graced(ctx)
		defer cancel()
	}
	rows := false
	for try := 1; ; try++ {
		conn, err := b.acquire(ctx)
		if err != nil {
			return false, err
		}
		err = tunedRunner{conn, how.tuning, how.turn}.run(running, query, args, func(scan func(...any) error) error {
			rows = true
			return each(scan)
		})
		conn.Release()
		if err == nil || rows || try == maxTries || ctx.Err() != nil || judge(err) != faultAgain {
			return true, err
		}
	}
}

// read runs a statement that changes nothing and goes by the indexes. It may run more
// than once; reset, called before each, forgets the rows of the run before.
func (b *Backend) read(ctx context.Context, query string, args []any, reset func(), each func(scan func(...any) error) error) error {
	return b.readBy(ctx, call{tuning: tuning}, query, args, reset, each)
}

// scan is read for a statement that reads a whole table.
func (b *Backend) scan(ctx context.Context, query string, args []any, reset func(), each func(scan func(...any) error) error) error {
	return b.readBy(ctx, call{tuning: scanTuning}, query, args, reset, each)
}

func (b *Backend) readBy(ctx context.Context, how call, query string, args []any, reset func(), each func(scan func(...any) error) error) error {
	for try := 1; ; try++ {
		reset()
		sent, err := b.on(ctx, how, query, args, each)
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
	return b.on(ctx, call{tuning: tuning, grace: true}, query, args, each)
}

// write is change with the framework's errors.
func (b *Backend) write(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	sent, err := b.change(ctx, query, args, each)
	if err != nil && sent {
		return writeError(ctx, err)
	}
	return err
}
