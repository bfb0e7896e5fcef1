package redis_test

import (
	"context"
	"testing"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/tasks"
)

// TestConformance runs the whole suite, with every fault, each case in a namespace of its own.
// It isn't parallel: faults hit the server of all cases.
func TestConformance(t *testing.T) {
	s := server.Get(t)
	conformance.Run(t, conformance.Config{
		Open: func(t conformance.T) conformance.Store {
			namespace := newNamespace(t, s)
			return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
				return conformance.Opened(redis.Open(ctx, redis.Options{URL: s.URL(), Namespace: namespace}))
			})
		},
		Faults: s.Faults(),
	})
}
