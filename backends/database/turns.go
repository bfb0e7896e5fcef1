package database

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Claims of many records take turns, by a lock on an empty table. Where they don't, each
// comes upon what another has just claimed: it has seen those records READY, locks them in vain,
// since they aren't any more, and has them locked until it is committed. Those who
// settle them wait for that, and with many workers most of their time goes there.
//
// A turn ends with the transaction, which needs nothing more from the client. But one that
// doesn't read its answer, because its process or its path hangs, can keep its turn: so nobody
// waits for long, and who has waited in vain does without turns for a while, unless turns go on and
// there are just many who want one: then it waits again. They make claims faster, and nothing
// depends on them.
//
// LOCK waits without a snapshot, which no function can, pg_advisory_xact_lock no more than others:
// and while anybody has one, the server can't clean up what was claimed and settled since, and
// every claim steps over it.
const (
	// turnFrom is how many records a claim asks for that takes turns. Smaller ones are over soon.
	turnFrom = 200
	// turnPause is for how long turns are done without.
	turnPause = 30 * time.Second
	// turnTuning is tuning for a claim that waits for its turn.
	turnTuning = `, set_config('lock_timeout', '2s', true)`
	// turnTries is how often a claim waits.
	turnTries = 4
)

// sqlTurn waits for a turn. The statement behind it, in the same transaction, sees what the one
// before has done.
const sqlTurn = `LOCK TABLE ONLY @.turns IN EXCLUSIVE MODE`

// sqlTurnMoves says whether turns go on: nobody has one, or who has one began to claim less than two
// seconds ago. In: $1 the schema. Where the server doesn't tell when that was, because it's another
// user's, they don't. It only looks.
const sqlTurnMoves = `SELECT coalesce(bool_and(coalesce(a.query_start > clock_timestamp() - interval '2 seconds', false)), true)
FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
	AND n.nspname = $1::text AND c.relname = 'turns' AND l.mode = 'ExclusiveLock' AND l.granted`

// turnMoves reports whether it's worth to wait for a turn again.
func (b *Backend) turnMoves(ctx context.Context) (moves bool) {
	err := b.read(ctx, b.sql.turnMoves, []any{b.schema}, func() {}, func(scan func(...any) error) error { return scan(&moves) })
	return err == nil && moves
}

// turns says whether to take turns. Its zero value says yes.
type turns struct {
	paused atomic.Pointer[time.Time] // until when
}

func (t *turns) taken() bool {
	until := t.paused.Load()
	return until == nil || time.Now().After(*until)
}

func (t *turns) pause() {
	until := time.Now().Add(turnPause)
	t.paused.Store(&until)
}

// waitedInVain reports whether a lock wasn't to be had in time. Nothing was changed then.
func waitedInVain(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "55P03"
}
