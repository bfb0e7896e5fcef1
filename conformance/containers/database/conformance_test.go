package database_test

import (
	"context"
	"testing"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/tasks"
)

// TestConformance runs the whole suite, with every fault, each case in a schema of its own.
// It isn't parallel: faults hit the server of all cases.
func TestConformance(t *testing.T) {
	s := server.Get(t)
	conformance.Run(t, conformance.Config{
		Open: func(t conformance.T) conformance.Store {
			schema := s.NewSchema(t)
			return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
				return conformance.Opened(database.Open(ctx, database.Options{URL: s.URL(), Schema: schema, Migrate: true}))
			})
		},
		Faults: s.Faults(),
	})
}
