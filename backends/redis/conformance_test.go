package redis_test

import (
	"context"
	"testing"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/tasks"
)

// TestConformance runs each case under a prefix of its own.
func TestConformance(t *testing.T) {
	url := serverURL(t)
	conformance.Run(t, conformance.Config{Open: func(t conformance.T) conformance.Store {
		namespace := freshNamespace(t, url)
		return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
			return redis.Open(ctx, redis.Options{URL: url, Namespace: namespace})
		})
	}})
}
