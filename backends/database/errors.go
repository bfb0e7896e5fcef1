package database

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sideman-go/sideman/tasks"
)

// unavailable reports that the server can't be used now. Nothing was stored.
func unavailable(err error) error { return fmt.Errorf("%w: %w", tasks.ErrUnavailable, err) }

// unknown reports a write of which nobody can say whether it was stored.
func unknown(cause error) error { return fmt.Errorf("%w: %w", tasks.ErrUnknownOutcome, cause) }

// A fault is what a failed statement means for who sent it.
type fault int

const (
	// faultAway: not stored; later it may be.
	faultAway fault = iota
	// faultLost: the reply was lost, or the server went away: it may be stored.
	faultLost
	// faultAgain: not stored, and the same again is likely to do.
	faultAgain
	// faultData: not stored, for what is in it.
	faultData
)

// judge says what the error of a statement means.
func judge(err error) fault {
	if e, ok := errors.AsType[*notStored](err); ok {
		if what := judge(e.err); what != faultLost {
			return what
		}
		return faultAgain
	}
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		severity := e.SeverityUnlocalized
		if severity == "" {
			severity = e.Severity
		}
		switch {
		case severity == "FATAL" || severity == "PANIC":
			return faultLost
		case e.Code == "40001" || e.Code == "40P01": // serialization, deadlock
			return faultAgain
		case strings.HasPrefix(e.Code, "22"), strings.HasPrefix(e.Code, "23"), strings.HasPrefix(e.Code, "54"):
			return faultData
		}
		// The statement was rolled back, whatever the reason. Trying later is right for
		// all of them, a missing table included: a migration may be on its way.
		return faultAway
	}
	if pgconn.SafeToRetry(err) {
		return faultAgain // nothing was sent: the connection was dead before
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return faultAway
	}
	return faultLost
}

// readError turns the error of a statement that changes nothing into the framework's.
func readError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable(hinted(err))
}

// writeError turns the error of a statement that was sent, and changes something,
// into the framework's.
func writeError(ctx context.Context, err error) error {
	switch judge(err) {
	case faultLost:
		if ctx.Err() != nil {
			return unknown(context.Cause(ctx))
		}
		return unknown(err)
	case faultData:
		return fmt.Errorf("database: the server refuses it: %w", err)
	case faultAway, faultAgain:
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable(hinted(err))
}

// poolerHint is what to do behind a pooler in transaction mode.
const poolerHint = "behind a pooler in transaction mode set default_query_exec_mode=simple_protocol and poll_only"

// hinted adds what to do about errors that most users meet once.
func hinted(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return err
	}
	hint := ""
	switch e.Code {
	case "42P01", "3F000": // undefined table, schema
		hint = "the schema isn't there: set the option migrate, or call Migrator.Up"
	case "42703": // undefined column
		hint = "the schema is of another version: call Migrator.Up, or upgrade this program"
	case "25006": // read-only transaction
		hint = "the server takes no writes: is it a standby, or is default_transaction_read_only on?"
	case "53100": // disk full
		hint = "the server's disk is full"
	case "53300": // too many connections
		hint = "the server's connections are used up: lower pool_max_conns, or raise max_connections"
	case "57014": // query canceled
		hint = "the server cut it off: is statement_timeout set too low for this user?"
	case "26000", "42P05": // prepared statement missing, or there already
		hint = poolerHint
	default:
		return err
	}
	return fmt.Errorf("%w (%s)", err, hint)
}
