package database_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/tasks"
)

// place is a schema, reached through a proxy that can make the server seem away.
type place struct {
	url, schema string
	proxy       *proxy
}

func newPlace(t cleaner, server string) *place {
	t.Helper()
	p := &place{schema: newSchema(t, server)}
	p.proxy, p.url = newProxy(t, server)
	return p
}

func (p *place) Connect(ctx context.Context) (tasks.Backend, error) {
	return conformance.Opened(database.Open(ctx, database.Options{URL: p.url, Schema: p.schema, Migrate: true}))
}

// faults are what a proxy can do.
func faults() conformance.Faults {
	return conformance.Faults{
		Pause: func(_ conformance.T, s conformance.Store) func() {
			p := s.(*place).proxy
			p.pause()
			return p.resume
		},
		Cut: func(_ conformance.T, s conformance.Store) func() {
			p := s.(*place).proxy
			p.setRefuse(true)
			p.cut()
			return func() { p.setRefuse(false) }
		},
	}
}

func TestConformance(t *testing.T) {
	server := serverURL(t)
	conformance.Run(t, conformance.Config{
		Open:   func(t conformance.T) conformance.Store { return newPlace(t, server) },
		Faults: faults(),
	})
}

// The simple protocol, polling only, and a pool of one connection: what it takes behind
// PgBouncer in transaction mode.
func TestConformancePollOnly(t *testing.T) {
	via := os.Getenv("TASKS_TEST_PGBOUNCER_URL")
	if via == "" {
		t.Skip("the whole suite once more: set TASKS_TEST_PGBOUNCER_URL to PgBouncer, or to the server itself")
	}
	server := serverURL(t)
	conformance.Run(t, conformance.Config{Open: func(t conformance.T) conformance.Store {
		schema := newSchema(t, server)
		return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
			return conformance.Opened(database.Open(ctx, database.Options{
				URL:    addParam(addParam(via, "default_query_exec_mode", "simple_protocol"), "pool_max_conns", "1"),
				Schema: schema, Migrate: true, PollOnly: true, PollInterval: 50 * time.Millisecond,
			}))
		})
	}})
}

// Restarts and kills need a server of our own.
func TestConformanceOwnServer(t *testing.T) {
	own := startServer(t)
	all := faults()
	all.Restart = func(t conformance.T, _ conformance.Store) { own.restart(t, "fast") }
	all.Kill = func(t conformance.T, _ conformance.Store) { own.restart(t, "immediate") }
	conformance.Run(t, conformance.Config{
		Open:   func(t conformance.T) conformance.Store { return newPlace(t, own.url) },
		Faults: all,
	})
}
