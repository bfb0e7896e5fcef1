package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
)

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
