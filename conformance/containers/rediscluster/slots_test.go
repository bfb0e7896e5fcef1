package rediscluster_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/conformance/containers/internal/crew"
)

// TestSlotsMove hands the slots of a namespace from node to node while a worker runs what is
// enqueued: everything is stored, run once, and counted.
func TestSlotsMove(t *testing.T) {
	t.Parallel()
	c := containers.StartCluster(t)
	namespace := newNamespace()
	l := crew.NewLocal(t, open(t, redis.Options{Addrs: c.Addrs(), Namespace: namespace, Shards: shards}))
	l.Work()
	stop := make(chan struct{})
	var moving sync.WaitGroup
	moves := 0
	moving.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if err := c.Move(t.Context(), fmt.Sprintf("{%s:%d}", namespace, moves%shards)); err != nil {
				t.Errorf("moving a slot: %v", err)
				return
			}
			moves++
		}
	})
	const n = 500
	all := l.Enqueue(0, n)
	l.Successful(all)
	close(stop)
	moving.Wait()
	l.Agree()
	t.Logf("%d tasks while slots were moved %d times", n, moves)
	if moves < 2*shards {
		t.Errorf("slots were moved %d times only", moves)
	}
}
