package database_test

import (
	"context"
	"testing"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/tasks"
)

func TestConformance(t *testing.T) {
	server := serverURL(t)
	conformance.Run(t, conformance.Config{Open: func(t conformance.T) conformance.Store {
		schema := newSchema(t, server)
		return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
			return database.Open(ctx, database.Options{URL: server, Schema: schema, Migrate: true})
		})
	}})
}
