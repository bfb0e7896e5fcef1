package database

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// copyFrom is from how many records on COPY stores them faster than INSERT does: it has
// three round trips instead of one, and writes a page at a time instead of a row.
const copyFrom = 64

// sqlCopy stores records that were encoded by encodeCopy. In: one row for each, in
// the columns' order. An id that is there already, or twice, fails the whole of it with
// 23505, whatever others do at the same time: the primary key sees to that.
const sqlCopy = `COPY @.tasks (enqueued_at, due, run_after, expires_at, timeout, retain, max_attempts, priority,
	id, queue, task, alias, args, metadata) FROM STDIN (FORMAT binary)`

// copyColumns is how many columns sqlCopy has.
const copyColumns = 14

// sqlNow returns the time of the transaction that it is in, which is that of all that is
// enqueued in it.
const sqlNow = `SELECT now()`

// sqlNotify tells those who wait, once the transaction is committed. In: $1 the channel, $2
// what to say.
const sqlNotify = `SELECT pg_notify($1::text, $2::text)`

// notStored is the error of a step before the commit: the transaction is rolled back by
// the server, whatever became of the connection.
type notStored struct{ err error }

func (e *notStored) Error() string { return e.err.Error() }
func (e *notStored) Unwrap() error { return e.err }

// isDuplicate reports whether an id is there already.
func isDuplicate(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23505"
}

// copyIn stores records in a transaction of its own and fills in their out.
func (b *Backend) copyIn(ctx context.Context, conn *pgxpool.Conn, all []*fresh) error {
	now, err := begin(ctx, conn)
	if err != nil {
		return &notStored{err}
	}
	note := make(news, 1)
	for _, f := range all {
		f.stamp(now)
		note.add(f.in.Queue, !f.out.RunAfter.After(now))
	}
	if _, err := conn.Conn().PgConn().CopyFrom(ctx, bytes.NewReader(encodeCopy(all)), b.sql.copyIn); err != nil {
		if isDuplicate(err) {
			if _, end := conn.Exec(ctx, "ROLLBACK"); end != nil {
				return &notStored{end}
			}
		}
		return &notStored{err}
	}
	return commit(ctx, conn, func(batch *pgx.Batch) { batch.Queue(sqlNotify, b.sql.channel, note.payload()) })
}

// begin begins a transaction and returns its time, in one round trip.
func begin(ctx context.Context, conn *pgxpool.Conn) (now time.Time, err error) {
	var batch pgx.Batch
	batch.Queue("BEGIN")
	batch.Queue(sqlNow)
	results := conn.SendBatch(ctx, &batch)
	if _, err = results.Exec(); err == nil {
		err = results.QueryRow().Scan(&now)
	}
	return now, errors.Join(err, results.Close())
}

// commit runs a statement and ends the transaction, in one round trip.
func commit(ctx context.Context, conn *pgxpool.Conn, last func(*pgx.Batch)) error {
	var batch pgx.Batch
	last(&batch)
	batch.Queue("COMMIT")
	results := conn.SendBatch(ctx, &batch)
	_, err := results.Exec()
	if err == nil {
		_, err = results.Exec()
	}
	if end := results.Close(); err == nil {
		err = end
	}
	return err
}

// stamp works out what is stored of a record that is enqueued at a time of the server's.
func (f *fresh) stamp(now time.Time) {
	f.out = f.in
	lifecycle.Enqueue(&f.out, now)
}

// encodeCopy writes records in PostgreSQL's binary format of COPY.
func encodeCopy(all []*fresh) []byte {
	const header = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	size := len(header) + 2
	for _, f := range all {
		size += 180 + len(f.in.ID) + len(f.in.Queue) + len(f.in.Task) + len(f.in.Alias) + len(f.args) + len(f.metadata)
	}
	w := copyWriter{append(make([]byte, 0, size), header...)}
	for _, f := range all {
		r := &f.out
		w.b = binary.BigEndian.AppendUint16(w.b, copyColumns)
		w.time(r.EnqueuedAt)
		w.time(r.DueAt())
		w.time(r.RunAfter)
		w.time(r.ExpiresAt)
		if r.Timeout != 0 {
			w.int64(int64(r.Timeout))
		} else {
			w.null()
		}
		if r.Retain != nil {
			w.int64(int64(*r.Retain))
		} else {
			w.null()
		}
		w.int64(int64(r.MaxAttempts))
		w.b = binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint32(w.b, 2), uint16(r.Priority))
		for _, s := range [...]string{r.ID, r.Queue, r.Task, r.Alias} {
			w.b = appendString(w.b, s)
		}
		w.bytes(f.args)
		w.bytes(f.metadata)
	}
	return binary.BigEndian.AppendUint16(w.b, 0xffff) // the end
}

// copyWriter appends fields, each after its length.
type copyWriter struct{ b []byte }

func (w *copyWriter) null() { w.b = append(w.b, 0xff, 0xff, 0xff, 0xff) }

func (w *copyWriter) int64(v int64) {
	w.b = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(w.b, 8), uint64(v))
}

// postgresEpoch is where PostgreSQL counts microseconds from: 2000-01-01.
const postgresEpoch = 946_684_800_000_000

// time writes a timestamptz; a zero one is NULL.
func (w *copyWriter) time(t time.Time) {
	if t.IsZero() {
		w.null()
		return
	}
	w.int64(t.UnixMicro() - postgresEpoch)
}

// bytes writes a bytea; nil is NULL.
func (w *copyWriter) bytes(p []byte) {
	if p == nil {
		w.null()
		return
	}
	w.b = append(binary.BigEndian.AppendUint32(w.b, uint32(len(p))), p...)
}
