package database_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/internal/testserver"
)

// serverURL returns the server to test on.
func serverURL(tb testing.TB) string {
	tb.Helper()
	if u := os.Getenv("TASKS_TEST_POSTGRES_URL"); u != "" {
		return u
	}
	if slices.Contains(strings.Split(os.Getenv("TASKS_TEST_REQUIRE"), ","), "postgres") {
		tb.Fatal("TASKS_TEST_REQUIRE names postgres, but TASKS_TEST_POSTGRES_URL is not set")
	}
	tb.Skip("NOT TESTED: needs PostgreSQL: make test, or set TASKS_TEST_POSTGRES_URL to one that is for tests, such as postgres://postgres@127.0.0.1:5432/postgres " +
		"(docker run --rm -p 5432:5432 -e POSTGRES_HOST_AUTH_METHOD=trust postgres:17 gives one)")
	return ""
}

// newSchema returns the name of a schema that the test has to itself, dropped at its end.
func newSchema(tb testing.TB, server string) string {
	tb.Helper()
	name := `test "` + strings.ToLower(rand.Text()) + `"`
	testserver.DropSchema(tb, server, name)
	return name
}

// addParam returns a URL with a parameter more.
func addParam(server, name, value string) string {
	u, err := url.Parse(server)
	if err != nil {
		panic(err)
	}
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// open opens a backend on a schema of its own.
func open(tb testing.TB, change ...func(*database.Options)) *database.Backend {
	tb.Helper()
	server := serverURL(tb)
	o := database.Options{URL: server, Schema: newSchema(tb, server), Migrate: true}
	for _, fn := range change {
		fn(&o)
	}
	b, err := database.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := b.Close(ctx); err != nil {
			tb.Errorf("close: %v", err)
		}
	})
	return b
}

func newPool(tb testing.TB, server string, change ...func(*pgxpool.Config)) *pgxpool.Pool {
	tb.Helper()
	cfg, err := pgxpool.ParseConfig(server)
	if err != nil {
		tb.Fatal(err)
	}
	for _, fn := range change {
		fn(cfg)
	}
	pool, err := pgxpool.NewWithConfig(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(pool.Close)
	return pool
}

// connect makes a connection that nobody else uses.
func connect(tb testing.TB, server string) *pgx.Conn {
	tb.Helper()
	conn, err := pgx.Connect(tb.Context(), server)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// holdSnapshot has another connection see the database as it is now, as a long report or a
// backup does, so that nothing that is deleted or changed from now on can be cleaned up.
func holdSnapshot(tb testing.TB, pool *pgxpool.Pool) (release func()) {
	tb.Helper()
	tx, err := pool.BeginTx(tb.Context(), pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err == nil {
		_, err = tx.Exec(tb.Context(), "SELECT count(*) FROM pg_class")
	}
	if err != nil {
		tb.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(context.Background()); err != nil {
			tb.Error(err)
		}
	}
}

// table returns a table of the backend's schema, for SQL.
func table(b *database.Backend, name string) string {
	return fmt.Sprintf("%s.%s", pgx.Identifier{b.Schema()}.Sanitize(), name)
}
