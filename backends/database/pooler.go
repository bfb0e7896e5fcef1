package database

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// sqlBackend returns the number of the server's process that runs it, which is what the server
// told the client when it connected, unless a pooler is in between.
const sqlBackend = `SELECT pg_backend_pid()`

// poolerTries is how often two connections are compared.
const poolerTries = 3

// pooled reports whether a pooler is in between that gives each transaction whatever connection
// to the server is free, as PgBouncer does in transaction mode: if so, two clients meet on
// the same one, or one client is moved to another. A pooler that gives a client one connection
// until it leaves isn't told of, since all works through it.
func (b *Backend) pooled(ctx context.Context) (bool, error) {
	conn, err := b.acquire(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Release()
	first, err := backendOf(ctx, conn.Conn())
	if err != nil || first == conn.Conn().PgConn().PID() {
		return false, err
	}
	other, err := b.connect(ctx)
	if err != nil {
		return false, unavailable(hinted(err))
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = other.Close(ctx)
	}()
	for range poolerTries {
		if pid, err := backendOf(ctx, other); err != nil || pid == first {
			return true, err
		}
		if pid, err := backendOf(ctx, conn.Conn()); err != nil || pid != first {
			return true, err
		}
	}
	return false, nil
}

// backendOf returns the process that serves a connection now.
func backendOf(ctx context.Context, conn *pgx.Conn) (pid uint32, err error) {
	if err := conn.QueryRow(ctx, sqlBackend).Scan(&pid); err != nil {
		return 0, readError(ctx, err)
	}
	return pid, nil
}

// unprepared reports whether a prepared statement wasn't where it had been made, or one of another
// client's was there: that comes of a pooler in between.
func unprepared(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "26000" || e.Code == "42P05")
}
