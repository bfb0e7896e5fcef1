package filestore_test

import (
	"context"
	"testing"

	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/examples/custombackend/filestore"
	"github.com/sideman-go/sideman/tasks"
)

// guide:begin test

func TestConformance(t *testing.T) {
	conformance.Run(t, conformance.Config{Virtual: true, Open: open})
}

// open makes a directory for a case. Connect is called again for a second handle, and after
// Close: on the same directory.
func open(t conformance.T) conformance.Store {
	dir := t.TempDir()
	return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
		return conformance.Opened(filestore.Open(ctx, dir, &filestore.Options{NoSync: true}))
	})
}

// guide:end test

// guide:begin bench

func BenchmarkConformance(b *testing.B) {
	conformance.RunBenchmarks(b, conformance.Config{Open: open})
}

// guide:end bench
