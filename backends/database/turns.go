package database

import (
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
// waits for long, and who has waited in vain does without turns for a while. They make claims
// faster, and nothing depends on them.
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
	turnTuning = `, set_config('lock_timeout', '1s', true)`
)

// sqlTurn waits for a turn. The statement behind it, in the same transaction, sees what the one
// before has done.
const sqlTurn = `LOCK TABLE ONLY @.turns IN EXCLUSIVE MODE`

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
