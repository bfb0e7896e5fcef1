package containers

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
)

// sentinelMaster is the name by which the Sentinel knows the master.
const sentinelMaster = "tasks"

// Sentinel is a Redis master, its replica, and a Sentinel that watches over them and makes
// the replica the master when that has been away for a second. Clients come past the proxies.
type Sentinel struct {
	// Master and Replica are what they are at the start.
	Master, Replica *Node

	nodes    *nodes
	sentinel *Node
}

// StartSentinel starts them, until the test ends. The test is skipped where that can't be, or
// fails if TASKS_TEST_REQUIRE names redis.
func StartSentinel(tb testing.TB) *Sentinel {
	tb.Helper()
	s := &Sentinel{nodes: startNetwork(tb, 3)}
	if err := s.start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return s
}

func (s *Sentinel) start(ctx context.Context) (err error) {
	s.Master, err = s.nodes.add(ctx, "the master", func(port, _ int) []string {
		return s.nodes.server(port, "--repl-diskless-sync-delay", "0")
	})
	if err != nil {
		return err
	}
	s.Replica, err = s.nodes.add(ctx, "the replica", func(port, _ int) []string {
		return s.nodes.server(port, "--replicaof", "127.0.0.1", strconv.Itoa(s.Master.port))
	})
	if err != nil {
		return err
	}
	s.sentinel, err = s.nodes.add(ctx, "the Sentinel", func(port, _ int) []string {
		// It writes to its file, and wants one before it starts.
		conf := fmt.Sprintf("port %d\nprotected-mode no\nsentinel monitor %[2]s 127.0.0.1 %d 1\nsentinel down-after-milliseconds %[2]s 1000\n"+
			"sentinel failover-timeout %[2]s 5000\n", port, sentinelMaster, s.Master.port)
		return []string{"sh", "-c", `printf '%s' "$1" >sentinel.conf && chmod 666 sentinel.conf && exec docker-entrypoint.sh redis-server sentinel.conf --sentinel`, "sh", conf}
	})
	if err != nil {
		return err
	}
	asked := redis.NewSentinelClient(&redis.Options{Addr: s.sentinel.Addr(), ContextTimeoutEnabled: true})
	defer asked.Close()
	return s.sentinel.box.ready(ctx, "the Sentinel", func(ctx context.Context) error {
		replicas, err := asked.Replicas(ctx, sentinelMaster).Result()
		if err == nil && len(replicas) == 0 {
			err = errors.New("it doesn't know the replica yet")
		}
		if err == nil && !strings.Contains(s.Replica.client.Info(ctx, "replication").Val(), "master_link_status:up") {
			err = errors.New("the replica isn't in step yet")
		}
		return err
	})
}

// Addrs are the addresses of the Sentinels.
func (s *Sentinel) Addrs() []string { return []string{s.sentinel.Addr()} }

// Name is the one by which the Sentinels know the master.
func (s *Sentinel) Name() string { return sentinelMaster }
