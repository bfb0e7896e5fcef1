package database

import (
	"context"
	"errors"
	"fmt"

	"github.com/sideman-go/sideman/tasks"
)

// The findings of Check; doc.go explains them.
const (
	findClosed      = "database.E001"
	findUnreachable = "database.E002"
	findNoSchema    = "database.E003"
	findBehind      = "database.E004"
	findOld         = "database.E005"
	findReadOnly    = "database.E006"
	findRights      = "database.E007"
	findDamaged     = "database.E008"
	findUnprepared  = "database.E009"
	findAhead       = "database.W001"
	findNoSync      = "database.W002"
	findEncoding    = "database.W003"
	findUnheard     = "database.W004"
)

// oldest is the oldest server that is supported.
const oldest = 140000

// sqlServer returns what there is to know of the server and the schema. In: $1 the name
// of the table of migrations, $2 that of the tasks. It reads no table of ours, since
// there may be none.
const sqlServer = `SELECT current_setting('server_version_num')::int, current_setting('server_version'),
	pg_is_in_recovery(), current_setting('transaction_read_only')::bool,
	current_setting('fsync')::bool, current_setting('synchronous_commit'), current_setting('server_encoding'),
	to_regclass($1::text) IS NOT NULL, to_regclass($2::text) IS NOT NULL`

// sqlVersion returns the newest migration that the schema has.
const sqlVersion = `SELECT coalesce(max(m.version), 0) FROM @.migrations m`

// sqlCheck returns, for $1 the names of the tables, whether this user may do what it must with
// those that are there, and how many records are damaged, up to a thousand. It is for a schema that has every migration.
const sqlCheck = `SELECT
	(SELECT coalesce(bool_and(has_table_privilege(to_regclass(n.name), p.privilege)), true)
		FROM unnest($1::text[]) AS n(name) CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p(privilege)),
	(SELECT count(*) FROM (SELECT FROM @.tasks t WHERE t.stage = 9 LIMIT 1000) d)`

// Check implements tasks.Backend.
func (b *Backend) Check(ctx context.Context) []tasks.Finding {
	var all []tasks.Finding
	add := func(id string, level tasks.Level, hint, format string, args ...any) {
		all = append(all, tasks.Finding{ID: id, Level: level, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	if err := b.enter(ctx); err != nil {
		add(findClosed, tasks.LevelError, "open it again", "the backend can't be checked: %v", err)
		return all
	}
	defer b.inflight.Done()
	failed := func(err error) []tasks.Finding {
		switch {
		case errors.Is(err, tasks.ErrClosed):
			add(findClosed, tasks.LevelError, "open it again", "the backend is closed")
		case unprepared(err):
			add(findUnprepared, tasks.LevelError, poolerHint, "a pooler in transaction mode is in between, and it keeps no prepared statements: calls fail now and then: %v", err)
		default:
			add(findUnreachable, tasks.LevelError, "see that the server runs and can be reached from here",
				"the server can't be asked: %v", err)
		}
		return all
	}
	var (
		version                    int
		name, syncCommit, encoding string
		recovery, readOnly, fsync  bool
		migrations, table, rights  bool
		newest, damaged            int
		prefix                     = quote(b.schema) + "."
	)
	err := b.scan(ctx, sqlServer, []any{prefix + "migrations", prefix + "tasks"}, func() {}, func(scan func(...any) error) error {
		return scan(&version, &name, &recovery, &readOnly, &fsync, &syncCommit, &encoding, &migrations, &table)
	})
	if err != nil {
		return failed(err)
	}
	pooled, err := b.pooled(ctx)
	if err != nil {
		return failed(err)
	}
	if pooled && !b.opts.PollOnly {
		add(findUnheard, tasks.LevelWarning, "set poll_only, or connect to the server itself",
			"a pooler in transaction mode is in between, through which LISTEN hears nothing: workers find work only by looking, every %v", b.opts.pollInterval())
	}
	if version < oldest {
		add(findOld, tasks.LevelError, "upgrade the server", "PostgreSQL %s is older than 14, the oldest that is supported", name)
	}
	switch {
	case recovery:
		add(findReadOnly, tasks.LevelError, "connect to the primary: target_session_attrs=read-write", "the server is a standby and takes no writes")
	case readOnly:
		add(findReadOnly, tasks.LevelError, "turn default_transaction_read_only off for this user and database", "transactions are read-only here")
	}
	if !fsync {
		add(findNoSync, tasks.LevelWarning, "turn fsync on", "the server has fsync off: a crash of its machine loses tasks, or all there is")
	}
	if syncCommit == "off" {
		add(findNoSync, tasks.LevelWarning, "turn synchronous_commit on for this user and database", "synchronous_commit is off: a crash of the server loses tasks")
	}
	if encoding != "UTF8" {
		add(findEncoding, tasks.LevelWarning, "use a database with the encoding UTF8", "the database's encoding is %s: it can't hold every name of a queue or task", encoding)
	}
	if !migrations || !table {
		add(findNoSchema, tasks.LevelError, "set the option migrate, or call Migrator.Up", "the schema %q has no tables of Sideman", b.schema)
		return all
	}
	tables := []string{prefix + "tasks", prefix + "leases", prefix + "finals", prefix + "paused", prefix + "workers", prefix + "turns"}
	err = b.scan(ctx, b.sql.version, nil, func() {}, func(scan func(...any) error) error { return scan(&newest) })
	if err != nil {
		return failed(err)
	}
	switch want := latest(); {
	case newest < want:
		add(findBehind, tasks.LevelError, "set the option migrate, or call Migrator.Up", "the schema %q is at version %d, and this program needs %d", b.schema, newest, want)
		return all
	case newest > want:
		add(findAhead, tasks.LevelWarning, "upgrade this program", "the schema %q is at version %d, and this program knows %d", b.schema, newest, want)
	}
	err = b.scan(ctx, b.sql.check, []any{tables}, func() {}, func(scan func(...any) error) error { return scan(&rights, &damaged) })
	if err != nil {
		return failed(err)
	}
	if !rights {
		add(findRights, tasks.LevelError, "grant SELECT, INSERT, UPDATE and DELETE on the tables of the schema", "the user may not read and write the tables of the schema %q", b.schema)
	}
	if damaged > 0 {
		add(findDamaged, tasks.LevelError, "delete them by id once they aren't needed any more",
			"%d records can't be decoded and so aren't run", damaged)
	}
	return all
}
