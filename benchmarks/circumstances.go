package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// filled is a Sideman whose store has many finished records, and keeps them over resets. It's
// filled when it's first wanted.
type filled struct {
	*sideman

	// fill stores n finished records in the store, which is open and empty.
	fill func(ctx context.Context, s *sideman, n int) error
	// tidy is done before each run, if there is something to be done: what the server would do by
	// and by about what the run before has left behind.
	tidy func(ctx context.Context) error
	n    int
	full bool
	had  int
}

// reset removes nothing: what was drained before is a small part of what's there.
func (f *filled) reset(ctx context.Context) error {
	if !f.full {
		if err := f.sideman.reset(ctx); err != nil {
			return err
		}
		if err := f.fill(ctx, f.sideman, f.n); err != nil {
			return err
		}
		f.full = true
	}
	if f.tidy != nil {
		if err := f.tidy(ctx); err != nil {
			return err
		}
	}
	all, err := f.sideman.completed(ctx)
	if f.had = all; err == nil && all < f.n {
		err = fmt.Errorf("there are %d finished records, want %d", all, f.n)
	}
	return err
}

// completed counts what was finished since reset.
func (f *filled) completed(ctx context.Context) (int, error) {
	all, err := f.sideman.completed(ctx)
	return all - f.had, err
}

// finishMany fills through the product, some at a time.
func finishMany(ctx context.Context, s *sideman, n int) error {
	for done := 0; done < n; {
		part := min(n-done, 100_000)
		if err := fill(ctx, s, part); err != nil {
			return err
		}
		// drain waits for as many as are finished altogether, but runs only these.
		done += part
		if _, err := drain(ctx, &filled{sideman: s, had: done - part}, tuned, part); err != nil {
			return err
		}
	}
	return nil
}

// copyFinished has the product finish a few records and the server copy those, under other ids.
func copyFinished(url, schema string) func(context.Context, *sideman, int) error {
	return func(ctx context.Context, s *sideman, n int) error {
		few := min(n, 5000)
		if err := finishMany(ctx, s, few); err != nil {
			return err
		}
		return onConn(ctx, url, func(conn *pgx.Conn) error {
			table := pgx.Identifier{schema, "tasks"}.Sanitize()
			var columns, values string
			// Inputs: the schema. Outputs: the columns of the table, and for each an expression: the
			// column, but for id, which gets another end. Nobody else uses the schema.
			err := conn.QueryRow(ctx, `SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position),
				string_agg(CASE column_name WHEN 'id' THEN 'left(id, 24) || lpad(to_hex(row_number() OVER ()), 12, ''0'')'
					ELSE quote_ident(column_name) END, ', ' ORDER BY ordinal_position)
				FROM information_schema.columns WHERE table_schema = $1 AND table_name = 'tasks'`, schema).Scan(&columns, &values)
			if err != nil {
				return err
			}
			// Inputs: how many. Outputs: none; as many copies of what is there. Nobody else uses the table.
			sql := "INSERT INTO " + table + " (" + columns + ") SELECT " + values + " FROM " + table + ", generate_series(1, $1) LIMIT $2"
			_, err = conn.Exec(ctx, sql, n/few+1, n-few)
			return err
		})
	}
}

// vacuum has PostgreSQL clean up and write to disk what autovacuum and a checkpoint would.
func vacuum(url, schema string) func(context.Context) error {
	return func(ctx context.Context) error {
		return onConn(ctx, url, func(conn *pgx.Conn) error {
			for _, sql := range []string{"VACUUM (ANALYZE, PARALLEL 0) " + pgx.Identifier{schema, "tasks"}.Sanitize(), "CHECKPOINT"} {
				if _, err := conn.Exec(ctx, sql); err != nil {
					return err
				}
			}
			return nil
		})
	}
}

// onPostgresServer is a contender that keeps its tasks in PostgreSQL.
type onPostgresServer interface{ serverURL() string }

func (s *postgresSideman) serverURL() string { return s.server }

func (r *riverQueue) serverURL() string { return r.url }

// underSnapshot measures while another connection sees the database as it was before the tasks
// came, as a long report or a backup does: the server can clean up nothing that is changed
// meanwhile.
func underSnapshot(run runner) runner {
	return func(ctx context.Context, c contender, s sizes) (m measured, err error) {
		p, ok := c.(onPostgresServer)
		if !ok {
			return measured{}, fmt.Errorf("%s isn't on PostgreSQL", c.name())
		}
		conn, err := pgx.Connect(ctx, p.serverURL())
		if err != nil {
			return measured{}, err
		}
		defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
		if err != nil {
			return measured{}, err
		}
		// Inputs and outputs: none that matter. The first statement takes the snapshot.
		if _, err := tx.Exec(ctx, "SELECT count(*) FROM pg_class"); err != nil {
			return measured{}, err
		}
		defer func() { err = errors.Join(err, tx.Rollback(context.WithoutCancel(ctx))) }()
		return run(ctx, c, s)
	}
}
