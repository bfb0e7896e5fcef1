package database

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sideman-go/sideman/tasks"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// Migration is one step of the schema's history.
type Migration struct {
	// Version counts from 1, without gaps.
	Version int
	Name    string
	// AppliedAt is when the database took it; zero if it hasn't.
	AppliedAt time.Time
}

// MigrationDB is what migrations are run on: a *pgxpool.Pool or a *pgx.Conn.
type MigrationDB interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// Migrator brings a schema from one version to another. All steps of one call are one
// transaction, under an advisory lock of the schema: when several processes migrate at
// once, one does and the others find it done.
type Migrator struct {
	db     MigrationDB
	schema string
}

// NewMigrator returns the migrator of a schema, DefaultSchema if it is empty.
func NewMigrator(db MigrationDB, schema string) (*Migrator, error) {
	m, err := offline(schema)
	if err != nil {
		return nil, err
	}
	if db == nil {
		return nil, fmt.Errorf("%w: database.NewMigrator needs a pool or a connection", tasks.ErrInvalidConfig)
	}
	m.db = db
	return m, nil
}

// offline is a migrator that can only say what it would do.
func offline(schema string) (*Migrator, error) {
	if schema == "" {
		schema = DefaultSchema
	}
	if err := checkSchema(schema); err != nil {
		return nil, fmt.Errorf("%w: schema: %w", tasks.ErrInvalidConfig, err)
	}
	return &Migrator{schema: schema}, nil
}

// Migrations returns every migration of this version of the package, in order, without
// asking a database which it has.
func Migrations() (all []Migration) {
	for _, s := range steps() {
		all = append(all, s.Migration)
	}
	return all
}

// MigrationSQL is Migrator.SQL for a schema, DefaultSchema if it is empty, without a database.
func MigrationSQL(schema string, from, to int) (string, error) {
	m, err := offline(schema)
	if err != nil {
		return "", err
	}
	return m.SQL(from, to)
}

// Migrator returns the migrator of the backend's schema.
func (b *Backend) Migrator() *Migrator { return &Migrator{b.pool, b.schema} }

// step is a migration and its SQL.
type step struct {
	Migration
	up, down string
}

// steps returns the migrations of this version of the package, in order.
func steps() []step {
	entries, err := migrationFiles.ReadDir("migrations")
	if err != nil {
		panic(err) // the files are part of the program
	}
	byVersion := make(map[int]*step)
	for _, e := range entries {
		number, rest, _ := strings.Cut(e.Name(), "_")
		name, direction, _ := strings.Cut(strings.TrimSuffix(rest, ".sql"), ".")
		version, err := strconv.Atoi(number)
		text, readErr := migrationFiles.ReadFile(path.Join("migrations", e.Name()))
		if err := errors.Join(err, readErr); err != nil {
			panic(err)
		}
		s := byVersion[version]
		if s == nil {
			s = &step{Migration: Migration{Version: version, Name: name}}
			byVersion[version] = s
		}
		if direction == "up" {
			s.up = string(text)
		} else {
			s.down = string(text)
		}
	}
	all := make([]step, len(byVersion))
	for v, s := range byVersion {
		all[v-1] = *s
	}
	return all
}

// latest is the version that this version of the package works with.
func latest() int { return len(steps()) }

// Up applies what is missing up to the version to, or all of it if to is 0, and returns
// the steps that it took. It makes the schema too, if that isn't there.
func (m *Migrator) Up(ctx context.Context, to int) ([]Migration, error) {
	all := steps()
	if to == 0 {
		to = len(all)
	}
	if to < 0 || to > len(all) {
		return nil, fmt.Errorf("database: there is no version %d of the schema: the newest is %d", to, len(all))
	}
	var took []Migration
	err := m.locked(ctx, func(tx pgx.Tx) error {
		took = nil
		if err := m.prepare(ctx, tx); err != nil {
			return err
		}
		applied, err := m.applied(ctx, tx)
		if err != nil {
			return err
		}
		for _, s := range all[:to] {
			if !applied[s.Version].IsZero() {
				continue
			}
			if _, err := tx.Exec(ctx, m.fill(s.up)); err != nil {
				return fmt.Errorf("migration %d up: %w", s.Version, err)
			}
			err := tx.QueryRow(ctx, m.fill("INSERT INTO @.migrations (version, name, applied_at) VALUES ($1, $2, now()) RETURNING applied_at"),
				s.Version, s.Name).Scan(&s.AppliedAt)
			if err != nil {
				return err
			}
			took = append(took, s.Migration)
		}
		return nil
	})
	return took, err
}

// Down takes back what is newer than the version to, newest first, and returns the steps
// that it took back. With 0 it drops every table, and all tasks with them; the schema
// itself stays.
func (m *Migrator) Down(ctx context.Context, to int) ([]Migration, error) {
	all := steps()
	if to < 0 {
		return nil, fmt.Errorf("database: there is no version %d of the schema", to)
	}
	var took []Migration
	err := m.locked(ctx, func(tx pgx.Tx) error {
		took = nil
		there, err := m.exists(ctx, tx)
		if err != nil || !there {
			return err
		}
		applied, err := m.applied(ctx, tx)
		if err != nil {
			return err
		}
		for v := range applied {
			if v > len(all) {
				return fmt.Errorf("database: the schema %q has version %d, which a newer version of this program made: take that one back with it", m.schema, v)
			}
		}
		for _, s := range slices.Backward(all[min(to, len(all)):]) {
			at, ok := applied[s.Version]
			if !ok {
				continue
			}
			if _, err := tx.Exec(ctx, m.fill(s.down)); err != nil {
				return fmt.Errorf("migration %d down: %w", s.Version, err)
			}
			if _, err := tx.Exec(ctx, m.fill("DELETE FROM @.migrations WHERE version = $1"), s.Version); err != nil {
				return err
			}
			s.AppliedAt = at.UTC()
			took = append(took, s.Migration)
		}
		if to == 0 {
			_, err = tx.Exec(ctx, m.fill("DROP TABLE @.migrations"))
		}
		return err
	})
	return took, err
}

// Status returns every migration, and when it was applied. It writes nothing.
func (m *Migrator) Status(ctx context.Context) ([]Migration, error) {
	tx, err := m.db.Begin(ctx)
	if err != nil {
		return nil, migrateError(ctx, err)
	}
	defer rollback(ctx, tx)
	var applied map[int]time.Time
	there, err := m.exists(ctx, tx)
	if err == nil && there {
		applied, err = m.applied(ctx, tx)
	}
	if err != nil {
		return nil, migrateError(ctx, err)
	}
	var all []Migration
	for _, s := range steps() {
		s.AppliedAt = applied[s.Version]
		all = append(all, s.Migration)
	}
	return all, nil
}

// SQL returns what Up would run from one version to a higher one, or Down to a lower
// one, as a script for psql or another tool: for those who let nobody but themselves
// change a schema.
func (m *Migrator) SQL(from, to int) (string, error) {
	all := steps()
	if from < 0 || to < 0 || from > len(all) || to > len(all) {
		return "", fmt.Errorf("database: the versions of the schema are 0 to %d, not %d to %d", len(all), from, to)
	}
	var sql strings.Builder
	fmt.Fprintf(&sql, "BEGIN;\nSELECT pg_advisory_xact_lock(%d);\n\n", m.lockKey())
	switch {
	case from < to:
		if from == 0 {
			fmt.Fprintf(&sql, "CREATE SCHEMA IF NOT EXISTS %s;\n%s;\n\n", quote(m.schema), m.fill(sqlMigrations))
		}
		for _, s := range all[from:to] {
			fmt.Fprintf(&sql, "%s\n%s;\n\n", m.fill(s.up),
				m.fill(fmt.Sprintf("INSERT INTO @.migrations (version, name, applied_at) VALUES (%d, '%s', now())", s.Version, s.Name)))
		}
	case from > to:
		for _, s := range slices.Backward(all[to:from]) {
			fmt.Fprintf(&sql, "%s\n%s;\n\n", m.fill(s.down), m.fill(fmt.Sprintf("DELETE FROM @.migrations WHERE version = %d", s.Version)))
		}
		if to == 0 {
			sql.WriteString(m.fill("DROP TABLE @.migrations;\n\n"))
		}
	}
	sql.WriteString("COMMIT;\n")
	return sql.String(), nil
}

const sqlMigrations = `CREATE TABLE IF NOT EXISTS @.migrations (
    version    integer PRIMARY KEY,
    name       text NOT NULL,
    applied_at timestamptz NOT NULL
)`

func (m *Migrator) fill(sql string) string {
	return strings.ReplaceAll(sql, "@.", quote(m.schema)+".")
}

// lockKey returns the key of the schema's advisory lock. Keys are the database's, and
// other programs have theirs: a hash of 64 bits doesn't meet them.
func (m *Migrator) lockKey() int64 { return hash64("sideman migrations\x00" + m.schema) }

// locked runs fn in a transaction that has the schema's lock, which the end of the
// transaction gives back: that works behind a pooler too.
func (m *Migrator) locked(ctx context.Context, fn func(tx pgx.Tx) error) error {
	tx, err := m.db.Begin(ctx)
	if err != nil {
		return migrateError(ctx, err)
	}
	defer rollback(ctx, tx)
	if _, err := tx.Exec(ctx, fmt.Sprintf("SELECT pg_advisory_xact_lock(%d)", m.lockKey())); err != nil {
		return migrateError(ctx, err)
	}
	if err := fn(tx); err != nil {
		return migrateError(ctx, err)
	}
	if err := tx.Commit(ctx); err != nil {
		return writeError(ctx, err)
	}
	return nil
}

// rollback ends a transaction that wasn't committed; else it does nothing.
func rollback(ctx context.Context, tx pgx.Tx) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = tx.Rollback(ctx)
}

// migrateError is for errors before the commit: nothing was changed.
func migrateError(ctx context.Context, err error) error {
	var e *pgconn.PgError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &e) && judge(err) == faultAway && !strings.HasPrefix(e.Code, "08") && !strings.HasPrefix(e.Code, "5"):
		return fmt.Errorf("database: migrating: %w", hinted(err)) // such as missing rights: trying later doesn't help
	case errors.As(err, &e), pgconn.SafeToRetry(err):
		return unavailable(err)
	}
	return err
}

// prepare makes the schema and the table of migrations. CREATE SCHEMA IF NOT EXISTS
// needs the right to create even if it does exist, so it is asked first.
func (m *Migrator) prepare(ctx context.Context, tx pgx.Tx) error {
	var there bool
	if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", m.schema).Scan(&there); err != nil {
		return err
	}
	if !there {
		if _, err := tx.Exec(ctx, "CREATE SCHEMA IF NOT EXISTS "+quote(m.schema)); err != nil {
			return err
		}
	}
	if there, err := m.exists(ctx, tx); err != nil || there {
		return err
	}
	_, err := tx.Exec(ctx, m.fill(sqlMigrations))
	return err
}

// exists reports whether there is a table of migrations.
func (m *Migrator) exists(ctx context.Context, tx pgx.Tx) (there bool, err error) {
	err = tx.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", quote(m.schema)+".migrations").Scan(&there)
	return there, err
}

// applied returns when each version was applied.
func (m *Migrator) applied(ctx context.Context, tx pgx.Tx) (map[int]time.Time, error) {
	rows, err := tx.Query(ctx, m.fill("SELECT version, applied_at FROM @.migrations"))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	applied := make(map[int]time.Time)
	for rows.Next() {
		var v int
		var at time.Time
		if err := rows.Scan(&v, &at); err != nil {
			return nil, err
		}
		applied[v] = at.UTC()
	}
	return applied, rows.Err()
}
