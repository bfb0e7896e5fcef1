package containers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/conformance"
)

const (
	clusterNodes = 3
	clusterSlots = 16384
)

// Cluster is a Redis Cluster of three masters, whose clients come through the proxies: the
// nodes name those as their addresses, and talk to each other past them.
type Cluster struct{ nodes *nodes }

// StartCluster starts a Cluster that ends with the test. The test is skipped where it can't
// be, or fails if TASKS_TEST_REQUIRE names redis.
func StartCluster(tb testing.TB) *Cluster {
	tb.Helper()
	c := &Cluster{nodes: startNetwork(tb, clusterNodes)}
	if err := c.start(context.Background()); err != nil {
		tb.Fatal(err)
	}
	return c
}

func (c *Cluster) start(ctx context.Context) error {
	for i := range clusterNodes {
		n, err := c.nodes.add(ctx, fmt.Sprintf("node %d of the Cluster", i), func(port, front int) []string {
			return c.nodes.server(port, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--cluster-announce-ip", "127.0.0.1",
				"--cluster-announce-port", strconv.Itoa(front), "--cluster-announce-bus-port", strconv.Itoa(port+busOffset))
		})
		if err != nil {
			return err
		}
		from, to := i*clusterSlots/clusterNodes, (i+1)*clusterSlots/clusterNodes
		err = errors.Join(n.client.ClusterAddSlotsRange(ctx, from, to-1).Err(), n.client.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
		if err != nil {
			return fmt.Errorf("giving out the slots: %w", err)
		}
		if i > 0 {
			if err := n.client.ClusterMeet(ctx, "127.0.0.1", strconv.Itoa(c.nodes.all[0].port)).Err(); err != nil {
				return fmt.Errorf("joining the nodes: %w", err)
			}
		}
	}
	return c.ready(ctx)
}

// ready waits until every node says that all slots are served.
func (c *Cluster) ready(ctx context.Context) error {
	return c.nodes.each(func(n *Node) error {
		return n.box.ready(ctx, n.box.what, func(ctx context.Context) error {
			info, err := n.client.ClusterInfo(ctx).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, fmt.Sprintf("cluster_known_nodes:%d", clusterNodes))) {
				err = fmt.Errorf("the Cluster isn't complete: %.60q", info)
			}
			return err
		})
	})
}

// Addrs are what to connect to.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.nodes.all))
	for i, n := range c.nodes.all {
		addrs[i] = n.Proxy.Addr()
	}
	return addrs
}

// Move hands the slot of a key to another master, with every key in it, as an operator does
// who spreads the load anew.
func (c *Cluster) Move(ctx context.Context, key string) error {
	all := c.nodes.all
	slot, err := all[0].client.ClusterKeySlot(ctx, key).Result()
	if err != nil {
		return err
	}
	from := slices.IndexFunc(all, func(n *Node) bool {
		err := n.client.Get(ctx, key).Err() // who doesn't have the slot answers MOVED
		return err == nil || errors.Is(err, redis.Nil)
	})
	if from < 0 {
		return fmt.Errorf("nobody has the slot of %q", key)
	}
	to := (from + 1) % len(all)
	ids := make([]string, len(all))
	for i, n := range all {
		if ids[i], err = n.client.Do(ctx, "cluster", "myid").Text(); err != nil {
			return err
		}
	}
	set := func(node int, state string, id string) error {
		return all[node].client.Do(ctx, "cluster", "setslot", slot, state, id).Err()
	}
	if err := set(to, "importing", ids[from]); err != nil {
		return err
	}
	if err := set(from, "migrating", ids[to]); err != nil {
		return err
	}
	for {
		keys, err := all[from].client.ClusterGetKeysInSlot(ctx, int(slot), 100).Result()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"migrate", "127.0.0.1", all[to].port, "", 0, 5000, "keys"}
		for _, k := range keys {
			args = append(args, k)
		}
		if err := all[from].client.Do(ctx, args...).Err(); err != nil {
			return err
		}
	}
	for i := range all {
		if err := set((to+len(all)-i)%len(all), "node", ids[to]); err != nil {
			return err
		}
	}
	return c.agreed(ctx, slot, ids[to])
}

// agreed waits until every node knows who has the slot, and how often that has changed. Who moves
// on sooner makes two nodes call different changes by one number, and the Cluster takes
// one of them back.
func (c *Cluster) agreed(ctx context.Context, slot int64, owner string) error {
	return c.nodes.all[0].box.ready(ctx, "the Cluster after a move", func(ctx context.Context) error {
		epochs := make(map[string]bool)
		for _, n := range c.nodes.all {
			shards, err := n.client.ClusterShards(ctx).Result()
			if err != nil {
				return err
			}
			if !slices.ContainsFunc(shards, func(s redis.ClusterShard) bool {
				return len(s.Nodes) > 0 && s.Nodes[0].ID == owner && slices.ContainsFunc(s.Slots, func(r redis.SlotRange) bool {
					return r.Start <= slot && slot <= r.End
				})
			}) {
				return fmt.Errorf("%s doesn't know yet who has slot %d", n.box.what, slot)
			}
			info, err := n.client.ClusterInfo(ctx).Result()
			if err != nil {
				return err
			}
			_, epoch, _ := strings.Cut(info, "cluster_current_epoch:")
			epoch, _, _ = strings.Cut(epoch, "\r")
			epochs[epoch] = true
		}
		if len(epochs) > 1 {
			return fmt.Errorf("the nodes count their changes differently: %v", epochs)
		}
		return nil
	})
}

// Faults are what the conformance suite can do to the Cluster: to all its nodes at once.
func (c *Cluster) Faults() conformance.Faults {
	ctx := context.Background()
	must := func(t conformance.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%v", err)
		}
	}
	again := func(end func(*box, context.Context) error) func(conformance.T, conformance.Store) {
		return func(t conformance.T, _ conformance.Store) {
			t.Helper()
			must(t, c.nodes.each(func(n *Node) error {
				if err := end(n.box, ctx); err != nil {
					return err
				}
				return n.box.start(ctx)
			}))
			must(t, c.ready(ctx))
		}
	}
	return conformance.Faults{
		Pause: func(t conformance.T, _ conformance.Store) func() {
			t.Helper()
			var mu sync.Mutex
			var all []func() error
			must(t, c.nodes.each(func(n *Node) error {
				resume, err := n.box.pause(ctx)
				mu.Lock()
				defer mu.Unlock()
				all = append(all, resume)
				return err
			}))
			return func() {
				for _, resume := range all {
					if err := resume(); err != nil {
						t.Errorf("%v", err)
					}
				}
			}
		},
		Cut: func(conformance.T, conformance.Store) func() {
			for _, n := range c.nodes.all {
				n.Proxy.Cut()
			}
			return func() {
				for _, n := range c.nodes.all {
					n.Proxy.Restore()
				}
			}
		},
		Restart: again((*box).stop),
		Kill:    again((*box).kill),
	}
}
