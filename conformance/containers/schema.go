package containers

import (
	"context"
	"crypto/rand"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sideman-go/sideman/conformance"
)

// NewSchema returns the name of a schema of PostgreSQL that the test has to itself, dropped at
// its end. It has what a name can have that isn't quoted everywhere.
func (s *Server) NewSchema(t conformance.T) string {
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

// WithParams returns a URL with more parameters, given as name and value by turns.
func WithParams(t conformance.T, link string, params ...string) string {
	t.Helper()
	u, err := url.Parse(link)
	if err != nil {
		t.Fatalf("%v", err)
	}
	q := u.Query()
	for i := 0; i < len(params); i += 2 {
		q.Set(params[i], params[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}
