package database

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/tasks"
)

// insertSQL returns the statement that stores records and tells the waiting workers, in one
// round trip. It fails with 23505 if an id is there already; if some may be, it leaves those
// as they are instead, which costs every record a second write to the WAL.
//
// In: $1…$14 one array for each column, delay and ttl in microseconds and -1 for none,
// times as text and empty for none; $15 how many records; $16 the channel; $17 what to
// say on it. Out: the server's time and how many were stored; if that isn't all, one
// row for each that was, with its id.
//
// An id that another transaction is storing right now has its end waited for. Two batches
// with the same ids don't deadlock, since each takes its ids in order; of an id that is twice
// in the batch the first is stored. The notification is part of the transaction: nobody is
// told of what was rolled back, and it delays nobody.
func insertSQL(someMayBeThere bool) string {
	conflict, result := "", `
SELECT <now>, $15::int8, NULL::text, pg_notify($16::text, $17::text)::text`
	if someMayBeThere {
		conflict, result = `
	ON CONFLICT (id) DO NOTHING
	RETURNING id`, `, n AS (SELECT count(*) AS n FROM ins)
SELECT <now>, n.n, ins.id, CASE WHEN n.n > 0 THEN pg_notify($16::text, $17::text)::text END
FROM n LEFT JOIN ins ON n.n < $15::int8`
	}
	return `WITH ins AS (
	INSERT INTO @.tasks (id, alias, task, queue, priority, args, metadata, max_attempts, timeout, retain,
		enqueued_at, run_after, due, expires_at)
	SELECT w.id, w.alias, w.task, w.queue, w.priority, w.args, w.metadata, w.max_attempts, nullif(w.timeout, 0), w.retain,
		<now>, w.after, greatest(<now>, w.after), ` + timeSQL("w.expires_at", "w.ttl") + `
	FROM (
		SELECT u.*, ` + timeSQL("u.run_after", "u.delay") + ` AS after
		FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int2[], $6::bytea[], $7::bytea[], $8::int8[],
			$9::int8[], $10::int8[], $11::text[], $12::int8[], $13::text[], $14::int8[])
			WITH ORDINALITY
			AS u(id, alias, task, queue, priority, args, metadata, max_attempts, timeout, retain, run_after, delay, expires_at, ttl, n)
	) w
	ORDER BY w.id COLLATE "C", w.n` + conflict + `
)` + result
}

// insertOneSQL is insertSQL for one record that is new, without what it takes for several: a
// third of the time that a single enqueue takes the server besides its fsync. Most records have no
// times, and without those there is nothing left to compute.
//
// In: $1…$10 the columns, $11 the channel, $12 what to say on it; and if the record has times, $13…$16
// run_after, delay, expires_at and ttl, as for insertSQL. Out: as insertSQL.
//
// An id that another transaction is storing right now has its end waited for. It is one statement
// and one row: there is nothing to deadlock with.
func insertOneSQL(timed bool) string {
	columns, values := "due", "<now>"
	if timed {
		after := timeSQL("$13", "$14")
		columns, values = "due, run_after, expires_at", "greatest(<now>, "+after+"), "+after+", "+timeSQL("$15", "$16")
	}
	return `INSERT INTO @.tasks (id, alias, task, queue, priority, args, metadata, max_attempts, timeout, retain, enqueued_at, ` + columns + `)
VALUES ($1::text, $2::text, $3::text, $4::text, $5::int2, $6::bytea, $7::bytea, $8::int8, $9::int8, $10::int8, <now>, ` + values + `)
RETURNING enqueued_at, 1::int8, NULL::text, pg_notify($11::text, $12::text)::text`
}

// timeSQL is the time that two inputs stand for: so many microseconds from now, or if those are
// below 0 the time as text, which is empty for none.
func timeSQL(at, micros string) string {
	return "CASE WHEN " + micros + "::int8 >= 0 THEN <now> + " + micros + "::int8 * interval '1 microsecond' ELSE nullif(" + at + "::text, '')::timestamptz END"
}

// sqlGet reads one record. In: $1 the id.
const sqlGet = `SELECT <columns> FROM @.tasks t WHERE t.id = $1::text`

// fresh is a record on its way in.
type fresh struct {
	in       tasks.Record // as it came, with Delay and TTL
	args     []byte
	metadata []byte
	out      tasks.Record
}

// prepare encodes records on the caller's goroutine, and copies what the caller may
// change once it has left.
func prepare(recs []*tasks.Record) (all []fresh, size int, err error) {
	all = make([]fresh, len(recs))
	for i, rec := range recs {
		if err := fits(rec); err != nil {
			return nil, 0, err
		}
		all[i] = fresh{in: *rec, args: slices.Clone(rec.Args), metadata: encodeMetadata(rec.Metadata)}
		size += 256 + len(rec.Args) + len(all[i].metadata)
	}
	return all, size, nil
}

// The longest names and arguments that are taken.
const (
	maxID   = 255
	maxText = 512
	maxArgs = 64 << 20
)

// fits refuses what the tables can't hold. The App has checked the rest.
func fits(rec *tasks.Record) error {
	if rec.ID == "" || len(rec.ID) > maxID || !isText(rec.ID) {
		return fmt.Errorf("%w: an id has 1 to %d bytes of UTF-8 without NUL here, not %q", tasks.ErrInvalidTask, maxID, cut(rec.ID))
	}
	for _, f := range [...]struct{ what, s string }{{"queue", rec.Queue}, {"task", rec.Task}, {"alias", rec.Alias}} {
		if len(f.s) > maxText || !isText(f.s) {
			return fmt.Errorf("%w: a name of a %s has up to %d bytes of UTF-8 without NUL here, not %q", tasks.ErrInvalidTask, f.what, maxText, cut(f.s))
		}
	}
	for _, t := range [...]time.Time{rec.RunAfter, rec.ExpiresAt} {
		if y := t.UTC().Year(); y < 1 || y > 9999 {
			return fmt.Errorf("%w: the year %d", tasks.ErrInvalidTask, y)
		}
	}
	switch {
	case rec.Priority < tasks.MinPriority || rec.Priority > tasks.MaxPriority:
		return fmt.Errorf("%w: priority %d is not within %d…%d", tasks.ErrInvalidTask, rec.Priority, tasks.MinPriority, tasks.MaxPriority)
	case len(rec.Args) > maxArgs:
		return fmt.Errorf("%w: %d bytes of arguments", tasks.ErrTooLarge, len(rec.Args))
	}
	return nil
}

// isText reports whether PostgreSQL takes s as text.
func isText(s string) bool { return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 }

func cut(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}

// insertOne returns the statement of insertOneSQL for a record, and its arguments.
func (b *Backend) insertOne(f *fresh) (query string, args []any) {
	r := &f.in
	delay, ttl := delays(r)
	after, expires := timeText(r.RunAfter), timeText(r.ExpiresAt)
	note := news{r.Queue: delay < 0 && after == ""}
	var timeout, retain *int64
	if r.Timeout != 0 {
		timeout = new(int64(r.Timeout))
	}
	if r.Retain != nil {
		retain = new(int64(*r.Retain))
	}
	args = []any{
		r.ID, r.Alias, r.Task, r.Queue, int16(r.Priority), f.args, f.metadata, int64(r.MaxAttempts), timeout, retain,
		b.sql.channel, note.payload(),
	}
	if delay < 0 && ttl < 0 && after == "" && expires == "" {
		return b.sql.insertOne, args
	}
	return b.sql.insertOneTimed, append(args, after, delay, expires, ttl)
}

// delays are a record's Delay and TTL in microseconds, or -1 for none.
func delays(r *tasks.Record) (delay, ttl int64) {
	delay, ttl = -1, -1
	if r.Delay > 0 {
		delay = micros(r.Delay)
	}
	if r.TTL > 0 {
		ttl = micros(r.TTL)
	}
	return delay, ttl
}

// insertArgs are the arguments of insertSQL.
func (b *Backend) insertArgs(all []*fresh) []any {
	n := len(all)
	var (
		ids, aliases, names, queues = make([]string, n), make([]string, n), make([]string, n), make([]string, n)
		after, expires              = make([]string, n), make([]string, n)
		priority                    = make([]int16, n)
		args, metadata              = make([][]byte, n), make([][]byte, n)
		most, timeout, delay, ttl   = make([]int64, n), make([]int64, n), make([]int64, n), make([]int64, n)
		retain                      = make([]*int64, n)
		note                        = make(news, 1)
	)
	for i, f := range all {
		r := &f.in
		ids[i], aliases[i], names[i], queues[i] = r.ID, r.Alias, r.Task, r.Queue
		after[i], expires[i] = timeText(r.RunAfter), timeText(r.ExpiresAt)
		priority[i] = int16(r.Priority)
		args[i], metadata[i] = f.args, f.metadata
		most[i], timeout[i] = int64(r.MaxAttempts), int64(r.Timeout)
		delay[i], ttl[i] = delays(r)
		if r.Retain != nil {
			retain[i] = new(int64(*r.Retain))
		}
		note.add(r.Queue, delay[i] < 0 && after[i] == "")
	}
	return []any{
		ids, aliases, names, queues, priority, args, metadata, most, timeout, retain, after, delay, expires, ttl,
		int64(n), b.sql.channel, note.payload(),
	}
}

// insert stores records by a statement of insertSQL, or insertOneSQL, and fills in their out,
// without the duplicates, which it returns.
func (b *Backend) insert(ctx context.Context, r runner, query string, args []any, all []*fresh) (dups []*fresh, err error) {
	var now time.Time
	var stored int64
	var ids map[string]bool
	err = r.run(ctx, query, args, func(scan func(...any) error) error {
		var id, void *string
		if err := scan(&now, &stored, &id, &void); err != nil {
			return err
		}
		if id != nil {
			if ids == nil {
				ids = make(map[string]bool, stored)
			}
			ids[*id] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, f := range all {
		if stored < int64(len(all)) {
			if !ids[f.in.ID] {
				dups = append(dups, f)
				continue
			}
			delete(ids, f.in.ID) // the second with this id in the batch is a duplicate
		}
		f.stamp(now)
	}
	return dups, nil
}

// put stores records in the fastest way that there is for so many. Nearly always all of them
// are new; when one isn't, nothing is stored at first, and then all is done over with that in mind.
func (b *Backend) put(ctx context.Context, conn *pgxpool.Conn, all []*fresh) (dups []*fresh, err error) {
	switch n := len(all); {
	case n == 1:
		query, args := b.insertOne(all[0])
		_, err = b.insert(ctx, pgxRunner{conn}, query, args, all)
	case n < copyFrom:
		_, err = b.insert(ctx, pgxRunner{conn}, b.sql.insert, b.insertArgs(all), all)
	default:
		err = b.copyIn(ctx, conn, all)
	}
	if err != nil && isDuplicate(err) {
		return b.insert(ctx, pgxRunner{conn}, b.sql.insertNew, b.insertArgs(all), all)
	}
	return nil, err
}

// readDups fills in the out of duplicates. Those whose record has been deleted since
// are returned, to be stored after all.
func (b *Backend) readDups(ctx context.Context, r runner, dups []*fresh) (gone []*fresh, err error) {
	for _, f := range dups {
		found := false
		err := r.run(ctx, b.sql.get, []any{f.in.ID}, func(scan func(...any) error) error {
			stored, err := newScanner().next(scan)
			if err != nil {
				return err
			}
			if stored.damage != nil {
				return stored.damage
			}
			found = true
			f.out = *stored.rec
			f.out.Duplicate = true
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !found {
			gone = append(gone, f)
		}
	}
	return gone, nil
}

// fill tells the caller what the store decided.
func fill(recs []*tasks.Record, all []fresh) {
	for i, rec := range recs {
		*rec = all[i].out
	}
}

// Enqueue implements tasks.Backend.
func (b *Backend) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	if err := b.alive(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(recs) == 0 {
		return nil
	}
	all, size, err := prepare(recs)
	if err != nil {
		return err
	}
	if err := b.do(ctx, &op{all: all, size: size}); err != nil {
		return err
	}
	fill(recs, all)
	return nil
}

// AEnqueue implements tasks.AsyncEnqueuer. No goroutine waits: the writer calls done.
func (b *Backend) AEnqueue(ctx context.Context, recs []*tasks.Record, done func(error)) {
	if err := ctx.Err(); err != nil {
		done(err)
		return
	}
	all, size, err := prepare(recs)
	if err != nil {
		done(err)
		return
	}
	o := &op{all: all, size: size}
	stop := func() bool { return true }
	o.finish = func(err error) {
		stop()
		if err == nil {
			fill(recs, all)
		}
		done(err)
	}
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, func() {
			if err := o.leave(ctx); err != nil {
				done(err)
			}
		})
	}
	if err := b.submit(o); err != nil && o.state.CompareAndSwap(opWaiting, opLeft) {
		stop()
		done(err)
	}
}

// GetResult implements tasks.Backend.
func (b *Backend) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.inflight.Done()
	if id == "" || len(id) > maxID || !isText(id) {
		return nil, tasks.ErrResultNotFound
	}
	var found row
	err := b.read(ctx, b.sql.get, []any{id}, func() { found = row{} }, func(scan func(...any) error) (err error) {
		found, err = newScanner().next(scan)
		return err
	})
	switch {
	case err != nil:
		return nil, err
	case found.rec == nil:
		return nil, tasks.ErrResultNotFound
	case found.damage != nil:
		return nil, found.damage
	}
	return found.rec, nil
}
