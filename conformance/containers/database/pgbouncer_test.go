package database_test

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/tasks"
)

// withParams returns a URL with more parameters, given as name and value by turns.
func withParams(t conformance.T, link string, params ...string) string {
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

// TestBehindPgBouncer runs the suite through PgBouncer in transaction mode, with what that
// takes: polling, the simple protocol, and a pool of one connection, which is enough.
func TestBehindPgBouncer(t *testing.T) {
	s := server.Get(t)
	bouncer := s.GetPgBouncer(t)
	conformance.Run(t, conformance.Config{
		Open: func(t conformance.T) conformance.Store {
			o := database.Options{
				URL:    withParams(t, bouncer.URL(), "default_query_exec_mode", "simple_protocol", "pool_max_conns", "1"),
				Schema: newSchema(t, s), Migrate: true, PollOnly: true, PollInterval: 50 * time.Millisecond,
			}
			return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
				return conformance.Opened(database.Open(ctx, o))
			})
		},
		Faults: bouncer.Faults(),
		Timing: conformance.Timing{Late: 300 * time.Millisecond},
	})
}

var _ = containers.PgBouncer
