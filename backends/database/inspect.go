package database

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sideman-go/sideman/tasks"
)

// listSQL returns one page of records, of the first that a walk comes to.
//
// In: $1 the id to start behind, $2 statuses, $3 queues, $4 tasks (an empty list of
// these is all), $5 the end of workers that the newest worker makes, or empty, $6 and $7
// the bounds of enqueued_at and $8 that of finished_at, as text or empty, $9 whether only records
// with errors count, $10 how many, $11 how many to look at. It walks the primary key, so that a page never has what an
// earlier one had.
func listSQL(newest bool) string {
	return `SELECT <columns> FROM (
	SELECT * FROM @.tasks t WHERE ` + behind(newest) + ` ORDER BY t.id ` + direction(newest) + ` LIMIT $11::int8
) t
WHERE ` + listed + `
LIMIT $10::int8`
}

// listRestSQL returns the same of all records. In: $1 to $10 as for listSQL.
//
// It's for what few records match, which a walk would look for one page of the table after the
// other, in any order of them on the disk. So the order is by something that no index has: what is
// left is to read the table through, with parallel workers if the server has some, and to sort what matches.
// A statement sees one state of the table, and the ids are in order: so nothing is missed or seen twice.
func listRestSQL(newest bool) string {
	return `SELECT <columns> FROM @.tasks t
WHERE ` + behind(newest) + ` AND ` + listed + `
ORDER BY (t.id || '') COLLATE "C" ` + direction(newest) + `
LIMIT $10::int8`
}

// listed is what a filter selects.
const listed = `t.status = ANY ($2::int2[])
	AND (cardinality($3::text[]) = 0 OR t.queue = ANY ($3::text[]))
	AND (cardinality($4::text[]) = 0 OR t.task = ANY ($4::text[]))
	AND (length($5::bytea) = 0 OR substring(t.workers FROM length(t.workers) - length($5::bytea) + 1) = $5::bytea)
	AND ($6::text = '' OR t.enqueued_at >= $6::text::timestamptz)
	AND ($7::text = '' OR t.enqueued_at < $7::text::timestamptz)
	AND ($8::text = '' OR t.finished_at < $8::text::timestamptz)
	AND (NOT $9::bool OR t.errors IS NOT NULL)`

// listBoundSQL returns the id at which a walk is cut off, if it is. In: $1 the id to start
// behind, $2 how many to look at.
func listBoundSQL(newest bool) string {
	return `SELECT t.id FROM @.tasks t WHERE ` + behind(newest) + ` ORDER BY t.id ` + direction(newest) + ` OFFSET $2::int8 - 1 LIMIT 1`
}

// behind is where a page begins: behind the id $1.
func behind(newest bool) string {
	if newest {
		return `($1::text = '' OR t.id < $1::text)`
	}
	return `t.id > $1::text`
}

func direction(newest bool) string {
	if newest {
		return "DESC"
	}
	return "ASC"
}

// firstLook is how many records a list walks before it reads the table through.
const firstLook = 2 * tasks.MaxPage

// texts returns those of the names that can be in the database.
func texts(names []string) []string {
	return slices.DeleteFunc(append([]string{}, names...), func(n string) bool { return !isText(n) })
}

// List implements tasks.Lister.
func (b *Backend) List(ctx context.Context, req tasks.ListRequest) (page tasks.Page, err error) {
	if err := b.enter(ctx); err != nil {
		return page, err
	}
	defer b.inflight.Done()
	if !isText(req.After) {
		return page, nil // nothing is behind what can't be an id
	}
	statuses := []int16{}
	for _, s := range req.Statuses {
		statuses = append(statuses, statusCode(s))
	}
	if len(statuses) == 0 {
		statuses = []int16{stReady, stRunning, stSuccessful, stFailed, stCancelled}
	}
	queues, names := texts(req.Queues), texts(req.Tasks)
	if (len(req.Queues) > 0 && len(queues) == 0) || (len(req.Tasks) > 0 && len(names) == 0) {
		return page, nil
	}
	worker := []byte{}
	if req.Worker != "" {
		worker = appendString(nil, req.Worker)
	}
	query, bound, rest := b.sql.list, b.sql.listBound, b.sql.listRest
	if req.Newest {
		query, bound, rest = b.sql.listNewest, b.sql.listBoundNewest, b.sql.listRestNewest
	}
	size := req.PageSize()
	var seen int
	var last string
	args := []any{
		req.After, statuses, queues, names, worker, bounded(req.Since), bounded(req.Until), bounded(req.FinishedBefore),
		req.Error != "", int64(size + 1), int64(firstLook),
	}
	forget := func() { page, seen, last = tasks.Page{}, 0, "" }
	s := newScanner()
	take := func(scan func(...any) error) error {
		r, err := s.next(scan)
		if err != nil {
			return err
		}
		if seen++; seen > size {
			page.Next = last
			return nil
		}
		last = r.rec.ID
		// What can't be decoded is left out: Check and GetResult tell.
		if r.damage == nil && req.Match(r.rec) {
			page.Records = append(page.Records, r.rec)
		}
		return nil
	}
	if err := b.read(ctx, query, args, forget, take); err != nil {
		return tasks.Page{}, err
	}
	if page.Next != "" {
		return page, nil
	}
	if more, err := b.bound(ctx, bound, req.After, firstLook); err != nil || more == "" {
		return page, err
	}
	if err := b.scan(ctx, rest, args[:10], forget, take); err != nil {
		return tasks.Page{}, err
	}
	return page, nil
}

// bounded is timeText for a bound, which may be any time: no record is beyond these.
func bounded(t time.Time) string {
	switch {
	case t.IsZero():
		return ""
	case t.UTC().Year() > 9999:
		return "infinity"
	case t.UTC().Year() < 1:
		return "-infinity"
	}
	// Not rounded down: what is enqueued a fraction of a microsecond later isn't before it.
	if d := t.Sub(t.Truncate(time.Microsecond)); d > 0 {
		t = t.Add(time.Microsecond - d)
	}
	return timeText(t)
}

// sqlCounts counts the records by queue and status, the READY ones by task too, and finds the oldest
// that is due. It reads every record, in parallel if the server has workers to spare.
const sqlCounts = `SELECT t.queue, t.status, CASE WHEN t.status = 0 THEN t.task END, count(*),
	(extract(epoch FROM <now> - min(t.due) FILTER (WHERE t.status = 0)) * 1000000)::int8
FROM @.tasks t WHERE t.status <> 9 GROUP BY 1, 2, 3`

// sqlPaused returns the queues that are paused.
const sqlPaused = `SELECT p.queue FROM @.paused p`

// Queues implements tasks.Inspector. It counts every record, which takes some time on a
// table of millions.
func (b *Backend) Queues(ctx context.Context) ([]tasks.QueueInfo, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.inflight.Done()
	byName := make(map[string]*tasks.QueueInfo)
	get := func(name string) *tasks.QueueInfo {
		q := byName[name]
		if q == nil {
			q = &tasks.QueueInfo{Name: name, Counts: make(map[tasks.Status]int64)}
			byName[name] = q
		}
		return q
	}
	err := b.scan(ctx, b.sql.counts, nil, func() { clear(byName) }, func(scan func(...any) error) error {
		var queue string
		var task pgtype.Text
		var status int16
		var n int64
		var age pgtype.Int8
		if err := scan(&queue, &status, &task, &n, &age); err != nil {
			return err
		}
		q := get(queue)
		q.Counts[statusOf(status)] += n
		if status == stReady {
			if q.Waiting == nil {
				q.Waiting = make(map[string]int64)
			}
			q.Waiting[task.String] += n
			// Of what is due in centuries the nanoseconds would overflow.
			q.OldestDue = max(q.OldestDue, time.Duration(max(age.Int64, 0))*time.Microsecond)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = b.scan(ctx, b.sql.paused, nil, func() {}, func(scan func(...any) error) error {
		var queue string
		if err := scan(&queue); err != nil {
			return err
		}
		get(queue).Paused = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	infos := make([]tasks.QueueInfo, 0, len(byName))
	for _, q := range byName {
		infos = append(infos, *q)
	}
	slices.SortFunc(infos, func(a, b tasks.QueueInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos, nil
}

// sqlPause and sqlResume pause a queue and let it go on. In: $1 the queue; $2 the channel
// and $3 what to say on it.
const (
	sqlPause  = `INSERT INTO @.paused (queue, paused_at) VALUES ($1::text, <now>) ON CONFLICT DO NOTHING RETURNING 1`
	sqlResume = `WITH gone AS (DELETE FROM @.paused p WHERE p.queue = $1::text RETURNING 1)
SELECT 1 FROM gone WHERE pg_notify($2::text, $3::text) IS NOT NULL`
)

// Pause implements tasks.Inspector.
func (b *Backend) Pause(ctx context.Context, queue string, paused bool) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.inflight.Done()
	if err := fits(&tasks.Record{ID: "-", Queue: queue}); err != nil {
		return err
	}
	if queue == "" {
		return tasks.ErrInvalidTask
	}
	if paused {
		return b.write(ctx, b.sql.pause, []any{queue}, ignore)
	}
	return b.write(ctx, b.sql.resume, []any{queue, b.sql.channel, news{queue: false}.payload()}, ignore)
}

// sqlBeat stores a heartbeat. In: $1 the worker's id, $2 its info, $3 after how many
// microseconds of silence it may be forgotten. An older heartbeat that arrives late has
// an older start, but the same id can be used again, so the last to arrive counts.
const sqlBeat = `INSERT INTO @.workers AS w (id, beat_at, forget, info)
VALUES ($1::bytea, <now>, <now> + $3::int8 * interval '1 microsecond', $2::bytea)
ON CONFLICT (id) DO UPDATE SET beat_at = excluded.beat_at, forget = excluded.forget, info = excluded.info`

// sqlBye forgets a worker. In: $1 its id.
const sqlBye = `DELETE FROM @.workers w WHERE w.id = $1::bytea`

// sqlWorkers returns the workers, with the age of their heartbeat in microseconds.
const sqlWorkers = `SELECT w.id, w.info, w.beat_at, (extract(epoch FROM <now> - w.beat_at) * 1000000)::int8 FROM @.workers w ORDER BY w.id`

// Heartbeat implements tasks.Inspector.
func (b *Backend) Heartbeat(ctx context.Context, w tasks.WorkerInfo) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.inflight.Done()
	if w.ID == "" || len(w.ID) > maxText {
		return fmt.Errorf("%w: a worker's id of %d bytes", tasks.ErrInvalidTask, len(w.ID))
	}
	// It is kept as JSON, which would put other text in the place of invalid UTF-8.
	for _, text := range slices.Concat([]string{w.ID, w.Host}, w.Queues, w.Exclude, w.RunningIDs) {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%w: the worker's %q is not valid UTF-8", tasks.ErrInvalidTask, cut(text))
		}
	}
	if w.Stopped {
		return b.write(ctx, b.sql.bye, []any{[]byte(w.ID)}, ignore)
	}
	w.Age, w.BeatAt = 0, time.Time{}
	info, err := json.Marshal(w)
	if err != nil {
		return err
	}
	forget := forgetWorkers
	if w.Interval > 0 && w.Interval < 1000*time.Hour {
		forget = max(forget, 10*w.Interval)
	}
	return b.write(ctx, b.sql.beat, []any{[]byte(w.ID), info, micros(forget)}, ignore)
}

// Workers implements tasks.Inspector.
func (b *Backend) Workers(ctx context.Context) ([]tasks.WorkerInfo, error) {
	if err := b.enter(ctx); err != nil {
		return nil, err
	}
	defer b.inflight.Done()
	var live []tasks.WorkerInfo
	err := b.scan(ctx, b.sql.workers, nil, func() { live = nil }, func(scan func(...any) error) error {
		var id, info []byte
		var at time.Time
		var age int64
		if err := scan(&id, &info, &at, &age); err != nil {
			return err
		}
		var w tasks.WorkerInfo
		if err := json.Unmarshal(info, &w); err != nil {
			return nil // a sweep removes it
		}
		w.ID, w.BeatAt, w.Age = string(id), at.UTC(), max(time.Duration(age)*time.Microsecond, 0)
		if w.Alive(w.Age) {
			live = append(live, w)
		}
		return nil
	})
	return live, err
}
