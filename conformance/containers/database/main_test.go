package database_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/conformance/containers/internal/crew"
)

var server = containers.Shared(containers.Postgres)

func TestMain(m *testing.M) {
	crew.Main() // does not return in a worker process
	os.Exit(server.Main(m))
}

// newSchema returns the name of a schema that the test has to itself, dropped at its end.
func newSchema(t conformance.T, s *containers.Server) string {
	t.Helper()
	name := `test "` + strings.ToLower(rand.Text()) + `"`
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		conn, err := pgx.Connect(ctx, s.Direct())
		if err != nil {
			t.Errorf("dropping the schema: %v", err)
			return
		}
		defer conn.Close(ctx)
		if _, err := conn.Exec(ctx, "SET client_min_messages = warning; DROP SCHEMA IF EXISTS "+pgx.Identifier{name}.Sanitize()+" CASCADE"); err != nil {
			t.Errorf("dropping the schema: %v", err)
		}
	})
	return name
}
