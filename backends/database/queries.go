package database

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"

	"github.com/jackc/pgx/v5"
)

// queries are the statements for one schema. The constants that they are made from
// are beside the code that runs them, with comments.
type queries struct {
	channel         string
	turn, turnMoves string

	insert, insertNew               string
	insertOne, insertOneTimed       string
	copyIn                          string
	get, lookup                     string
	claimAll, claimSome             string
	claimAllMarked, claimSomeMarked string
	dueAll, dueSome, cancels        string
	success, swap, renew, stillHeld string
	held                            string
	quarantine, quarantineOverdue   string
	sweepDue, lost, expired, rearm  string
	prune, forget, retainNone       string
	pruneWhere, pruneBound          string
	list, listNewest                string
	listRest, listRestNewest        string
	listBound, listBoundNewest      string
	counts, paused, pause, resume   string
	beat, bye, workers              string
	version, check                  string
}

// newQueries fills in the schema, for @, and the columns.
func newQueries(schema string) *queries {
	due := strings.NewReplacer(
		"<due leases>", strings.ReplaceAll(dueRows, "<rows>", "@.leases"),
		"<due finals>", strings.ReplaceAll(dueRows, "<rows>", "@.finals"),
	)
	names := strings.NewReplacer(
		"@.", quote(schema)+".",
		"<columns>", columns("t", false),
		"<short>", columns("t", true),
		"<claimed>", claimedColumns(),
		"<running>", running,
		"<now>", "statement_timestamp()",
	)
	fill := func(query string) string { return names.Replace(due.Replace(query)) }
	with := func(queues, levels, query string) string {
		return fill(strings.NewReplacer("<queues>", queues, "<levels>", levels, "<expired>", hasExpired).Replace(query))
	}
	all := func(query string) string { return with(queuesAll, levels, query) }
	some := func(query string) string { return with(queuesSome, levels, query) }
	return &queries{
		channel: channel(schema), turn: fill(sqlTurn), turnMoves: fill(sqlTurnMoves),
		insert: fill(insertSQL(false)), insertNew: fill(insertSQL(true)),
		insertOne: fill(insertOneSQL(false)), insertOneTimed: fill(insertOneSQL(true)), copyIn: fill(sqlCopy),
		get: fill(sqlGet), lookup: fill(sqlLookup),
		claimAll: all(sqlClaim), claimSome: some(sqlClaim),
		claimAllMarked: with(queuesAllMarked, levelsMarked, sqlClaim), claimSomeMarked: with(queuesSomeMarked, levelsMarked, sqlClaim),
		dueAll: all(sqlDue), dueSome: some(sqlDue), cancels: fill(sqlCancels),
		success: fill(sqlSuccess), swap: fill(sqlSwap), renew: fill(sqlRenew), stillHeld: fill(sqlStillHeld),
		held:       fill(sqlHeld),
		quarantine: fill(sqlQuarantine), quarantineOverdue: fill(sqlQuarantineOverdue),
		sweepDue: fill(sqlSweepDue), lost: fill(sqlLost), expired: fill(sqlExpired), rearm: fill(sqlRearm),
		prune: fill(sqlPrune), forget: fill(sqlForget), retainNone: fill(sqlRetainNone),
		pruneWhere: fill(sqlPruneWhere), pruneBound: fill(sqlPruneBound),
		list: fill(listSQL(false)), listNewest: fill(listSQL(true)),
		listRest: fill(listRestSQL(false)), listRestNewest: fill(listRestSQL(true)),
		listBound: fill(listBoundSQL(false)), listBoundNewest: fill(listBoundSQL(true)),
		counts: fill(sqlCounts), paused: fill(sqlPaused), pause: fill(sqlPause), resume: fill(sqlResume),
		beat: fill(sqlBeat), bye: fill(sqlBye), workers: fill(sqlWorkers),
		version: fill(sqlVersion), check: fill(sqlCheck),
	}
}

// quote quotes a name for SQL.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }

// channel returns the NOTIFY channel of a schema. Channels are the database's, not the
// schema's, and their names have at most 63 bytes.
func channel(schema string) string {
	const prefix = "sideman."
	if len(prefix)+len(schema) <= maxSchema {
		return prefix + schema
	}
	sum := sha256.Sum256([]byte(schema))
	return prefix + hex.EncodeToString(sum[:16])
}

// hash64 makes a key of a name.
func hash64(name string) int64 {
	sum := sha256.Sum256([]byte(name))
	return int64(binary.BigEndian.Uint64(sum[:]))
}
