package database

import (
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sideman-go/sideman/tasks"
)

// scanner reads the rows of one result: columns, and then whatever more there is. What it needs
// for a row is made once for all of them. It works for the rows of pgx and of database/sql.
type scanner struct {
	dest []any

	id                                   string
	alias, task, queue                   word
	priority                             int16
	status                               pgtype.Int2
	attempts                             int32
	maxAttempts                          int64
	timeout, retain                      pgtype.Int8
	enqueued, runAfter, expires, started pgtype.Timestamptz
	attempted, finished, until           pgtype.Timestamptz
	token                                []byte
	cancelRequested                      pgtype.Bool
	reason, metadata, workers, errs      []byte
	args, value                          []byte

	// claim, if it isn't nil, fills in what the columns of a claim leave out.
	claim *claiming
}

// claiming is what the rows of a claim have in common.
type claiming struct {
	worker []byte // as an entry of workers
	key    []byte
	lease  time.Duration
}

func newScanner(more ...any) *scanner {
	s := &scanner{}
	s.dest = append([]any{
		&s.id, &s.alias, &s.task, &s.queue, &s.priority, &s.status, &s.maxAttempts, &s.attempts, &s.timeout, &s.retain,
		&s.enqueued, &s.runAfter, &s.expires, &s.started, &s.attempted, &s.finished, &s.until, &s.token,
		&s.cancelRequested, &s.reason, &s.metadata, &s.workers, &s.errs, &s.args, &s.value,
	}, more...)
	return s
}

// next reads a row.
func (s *scanner) next(scan func(dest ...any) error) (row, error) {
	if err := scan(s.dest...); err != nil {
		return row{}, err
	}
	s.complete()
	rec := &tasks.Record{}
	r := row{rec: rec, until: utc(s.until), token: s.token}
	rec.ID, rec.Alias, rec.Task, rec.Queue = s.id, s.alias.text, s.task.text, s.queue.text
	rec.Priority, rec.Status, rec.MaxAttempts = int(s.priority), statusOf(s.status.Int16), int(s.maxAttempts)
	rec.Timeout = time.Duration(s.timeout.Int64)
	if s.retain.Valid {
		d := time.Duration(s.retain.Int64)
		rec.Retain = &d
	}
	rec.EnqueuedAt, rec.RunAfter, rec.ExpiresAt = utc(s.enqueued), utc(s.runAfter), utc(s.expires)
	rec.StartedAt, rec.LastAttemptedAt, rec.FinishedAt = utc(s.started), utc(s.attempted), utc(s.finished)
	rec.CancelRequested, rec.CancelReason = s.cancelRequested.Bool, string(s.reason)
	rec.Args, rec.Value = s.args, s.value
	s.decode(&r)
	return r, nil
}

// complete fills in what a claim leaves out.
func (s *scanner) complete() {
	if s.claim == nil || s.status.Valid {
		return
	}
	s.status.Int16, s.token = stRunning, s.claim.key
	if !s.started.Valid {
		s.started = s.attempted
	}
	s.until = s.attempted
	s.until.Time = s.until.Time.Add(s.claim.lease.Truncate(time.Microsecond))
	if s.attempts == 1 {
		s.workers = s.claim.worker
	}
}

// decode reads what is a list, and says what is wrong with it.
func (s *scanner) decode(r *row) {
	rec := r.rec
	fault := func(what string, err error) {
		if err != nil && r.damage == nil {
			r.damage = fmt.Errorf("%w: record %q: its %s: %w", tasks.ErrDamaged, rec.ID, what, err)
		}
	}
	var err error
	rec.Metadata, err = decodeMetadata(s.metadata)
	fault("metadata", err)
	rec.WorkerIDs, err = decodeStrings(s.workers)
	fault("workers", err)
	rec.Errors, err = decodeErrors(s.errs)
	fault("errors", err)
	if len(rec.WorkerIDs) != int(s.attempts) {
		fault("attempts", fmt.Errorf("%d, with %d workers", s.attempts, len(rec.WorkerIDs)))
	}
	if rec.Status == "" {
		fault("status", fmt.Errorf("it is %d", s.status.Int16))
	}
}

// word is a text that many rows have in common, and is made once for those that come together.
type word struct{ text string }

// ScanBytes implements pgtype.BytesScanner.
func (w *word) ScanBytes(b []byte) error {
	if string(b) != w.text {
		w.text = string(b)
	}
	return nil
}

// Scan implements sql.Scanner.
func (w *word) Scan(v any) error {
	switch v := v.(type) {
	case string:
		w.text = v
	case []byte:
		return w.ScanBytes(v)
	default:
		return errors.New("a text is expected")
	}
	return nil
}
