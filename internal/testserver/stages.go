package testserver

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// querier is a connection to PostgreSQL, or a pool of them.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// Stages returns an error if a record of database isn't in the indexes where its status belongs. Each
// statement that changes the status writes the stage, too, by which the indexes go; this says
// what it must be. Nothing else compares the two: a record with a wrong stage is never claimed,
// or twice.
func Stages(ctx context.Context, conn querier, schema string) error {
	var (
		n, attempts   int
		status, stage int16
		id            string
	)
	// In: nothing. Out: one record that is wrong, and how many there are. It sees one state of the
	// table, in which every statement is done or not begun.
	err := conn.QueryRow(ctx, `SELECT count(*) OVER (), t.id, t.status, t.attempts, t.stage FROM `+pgx.Identifier{schema, "tasks"}.Sanitize()+` t
		WHERE t.stage <> CASE WHEN t.status = 0 AND t.attempts = 0 THEN 0 WHEN t.status = 0 THEN 1 WHEN t.status = 9 THEN 9 ELSE 2 END
		ORDER BY t.id LIMIT 1`).Scan(&n, &id, &status, &attempts, &stage)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("%d records have a wrong stage, as %q: it is %d with status %d after %d attempts", n, id, stage, status, attempts)
}

// missing reports whether there is no such table or column: the test has made none, or that of an
// earlier version.
func missing(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "42P01" || e.Code == "42703")
}
