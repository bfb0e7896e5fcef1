package database

import (
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sideman-go/sideman/tasks"
)

// The codes of tasks.status. Every statement that writes it, or attempts, writes tasks.stage too, by
// which the indexes go, if it changes: 0 READY and never tried, 1 READY again, 2 RUNNING or final,
// 9 damaged. A new record has stage 0 by default.
const (
	stReady = iota
	stRunning
	stSuccessful
	stFailed
	stCancelled
	// 9 is a record that can't be decoded, out of the way of claims and sweeps.
)

func statusCode(s tasks.Status) int16 {
	switch s {
	case tasks.Ready:
		return stReady
	case tasks.Running:
		return stRunning
	case tasks.Successful:
		return stSuccessful
	case tasks.Failed:
		return stFailed
	case tasks.Cancelled:
		return stCancelled
	}
	return -1
}

func statusOf(code int16) tasks.Status {
	if all := tasks.Statuses(); code >= 0 && int(code) < len(all) {
		return all[code]
	}
	return ""
}

// row is a record as it is stored.
type row struct {
	rec *tasks.Record
	// until is the lease's deadline of a RUNNING record.
	until time.Time
	token []byte // the key of the claim that it is RUNNING by
	// version changes with every write: PostgreSQL's xmin. Only lookups read it.
	version string
	// damage is why the record can't be decoded.
	damage error
}

// columns are those of tasks that a scanner reads, of the table or alias t. Arguments and
// value are NULL in the short form, for those that only change a record.
func columns(t string, short bool) string {
	list := strings.Split("id alias task queue priority status max_attempts attempts timeout retain "+
		"enqueued_at run_after expires_at started_at attempted_at finished_at until claim "+
		"cancel_requested cancel_reason metadata workers errors args value", " ")
	for i, c := range list {
		switch {
		case short && (c == "args" || c == "value"):
			list[i] = "NULL::bytea"
		default:
			list[i] = t + "." + c
		}
	}
	return strings.Join(list, ", ")
}

func (r *row) lease(l *lease) tasks.Lease {
	return tasks.Lease{ID: r.rec.ID, Attempt: r.rec.Attempts(), Token: l.token(r.rec.ID), Deadline: r.until}
}

func utc(t pgtype.Timestamptz) time.Time {
	if !t.Valid || t.InfinityModifier != pgtype.Finite {
		return time.Time{}
	}
	return t.Time.UTC()
}

// timeText writes a time for the server; a zero one is empty, which is NULL. Text
// goes through every protocol and driver, and none loses a microsecond.
func timeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05.999999+00")
}

// micros is a duration for the server.
func micros(d time.Duration) int64 { return int64(d / time.Microsecond) }
