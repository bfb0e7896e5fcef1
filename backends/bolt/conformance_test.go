package bolt_test

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/tasks"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Config{Virtual: true, Open: func(t conformance.T) conformance.Store {
		path := filepath.Join(t.TempDir(), "tasks.db")
		return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
			return conformance.Opened(bolt.Open(ctx, bolt.Options{Path: path}))
		})
	}})
}
