package modeltest

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"pgregory.net/rapid"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/internal/testserver"
	"github.com/sideman-go/sideman/tasks"
)

// TestDatabase compares database on a PostgreSQL server.
func TestDatabase(t *testing.T) {
	t.Parallel()
	name := "model " + rand.Text()
	pool, set := postgres(t, name+" clock")
	migrator, err := database.NewMigrator(pool, name)
	if err != nil {
		t.Fatal(err)
	}
	testserver.DropSchema(t, testserver.URL(t, testserver.Postgres), name)
	if _, err := migrator.Up(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	schema := pgx.Identifier{name}.Sanitize()
	empty := "DELETE FROM " + schema + ".tasks; DELETE FROM " + schema + ".paused; DELETE FROM " + schema + ".workers"
	rapid.Check(t, func(rt *rapid.T) {
		if _, err := pool.Exec(t.Context(), empty); err != nil {
			rt.Fatal(err)
		}
		run(rt, subject{clock: newServed(rt, set), clears: true, open: func(context.Context) (tasks.Store, func() error, error) {
			b, err := database.New(pool, &database.Options{Schema: name, PollOnly: true})
			return b, nothing, err
		}})
		if err := testserver.Stages(t.Context(), pool, name); err != nil {
			rt.Error(err)
		}
	})
}

// postgres connects to the server, and returns with the connections how to set the time
// that is told there. The functions of the clock are in a schema that is searched before
// that of PostgreSQL's own.
func postgres(t *testing.T, clock string) (*pgxpool.Pool, func(time.Time) error) {
	t.Helper()
	url := testserver.URL(t, testserver.Postgres)
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	schema := pgx.Identifier{clock}.Sanitize()
	cfg.ConnConfig.RuntimeParams["search_path"] = schema + ", pg_catalog"
	cfg.ConnConfig.RuntimeParams["synchronous_commit"] = "off" // the server isn't killed here
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	testserver.DropSchema(t, url, clock)
	_, err = pool.Exec(t.Context(), "CREATE SCHEMA "+schema+`;
CREATE TABLE clock (at timestamptz);
INSERT INTO clock VALUES (pg_catalog.now());
CREATE FUNCTION now() RETURNS timestamptz STABLE LANGUAGE sql AS 'SELECT at FROM clock';
CREATE FUNCTION statement_timestamp() RETURNS timestamptz STABLE LANGUAGE sql AS 'SELECT at FROM clock'`)
	if err != nil {
		t.Fatal(err)
	}
	return pool, func(at time.Time) error {
		_, err := pool.Exec(t.Context(), "UPDATE clock SET at = $1", at)
		return err
	}
}
