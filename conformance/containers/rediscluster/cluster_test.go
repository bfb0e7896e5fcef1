package rediscluster_test

import (
	"context"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/tasks"
)

// TestConformance runs the whole suite on a Cluster, with every fault, and with one shard, in
// which every promise holds.
func TestConformance(t *testing.T) {
	t.Parallel()
	c := containers.StartCluster(t)
	conformance.Run(t, conformance.Config{
		Open: func(conformance.T) conformance.Store {
			namespace := newNamespace()
			return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
				return conformance.Opened(redis.Open(ctx, redis.Options{Addrs: c.Addrs(), Namespace: namespace}))
			})
		},
		Faults: c.Faults(),
		// Beside other tests on a small machine a process may not run for as long as the contract allows.
		Timing: conformance.Timing{Late: 300 * time.Millisecond},
	})
}
