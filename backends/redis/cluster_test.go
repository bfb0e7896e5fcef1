package redis_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/tasks"
)

// cluster is a Cluster of three masters.
type cluster struct {
	servers []*server
	clients []*goredis.Client
	ids     []string
	addrs   []string
	keys    map[int]string // a key of each slot that is moved
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{keys: make(map[int]string)}
	ctx := t.Context()
	for range 3 {
		s := startServer(t, "--cluster-enabled", "yes", "--appendonly", "yes", "--cluster-node-timeout", "2000")
		rc := rawClient(s.direct())
		t.Cleanup(func() { _ = rc.Close() })
		c.servers = append(c.servers, s)
		c.clients = append(c.clients, rc)
		c.addrs = append(c.addrs, "127.0.0.1:"+s.port)
		id, err := rc.Do(ctx, "cluster", "myid").Text()
		if err != nil {
			t.Fatal(err)
		}
		c.ids = append(c.ids, id)
	}
	for i, rc := range c.clients {
		if err := rc.ClusterAddSlotsRange(ctx, i*5462, min((i+1)*5462, 16384)-1).Err(); err != nil {
			t.Fatal(err)
		}
		if err := rc.Do(ctx, "cluster", "set-config-epoch", i+1).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for _, s := range c.servers[1:] {
		if err := c.clients[0].ClusterMeet(ctx, "127.0.0.1", s.port).Err(); err != nil {
			t.Fatal(err)
		}
	}
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		ready := true
		for _, rc := range c.clients {
			info := rc.ClusterInfo(ctx).Val()
			ready = ready && strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		}
		if ready {
			return c
		}
		if time.Since(start) > 20*time.Second {
			t.Fatal("the Cluster doesn't come up")
		}
	}
}

func (c *cluster) open(ctx context.Context, o redis.Options) (*redis.Backend, error) {
	o.Addrs = c.addrs
	return redis.Open(ctx, o)
}

// move hands a slot to another master, with every key in it.
func (c *cluster) move(ctx context.Context, slot int) error {
	from := slices.IndexFunc(c.clients, func(rc *goredis.Client) bool {
		// Who doesn't have a slot answers with MOVED.
		return errors.Is(rc.Get(ctx, c.keys[slot]).Err(), goredis.Nil)
	})
	if from < 0 {
		return fmt.Errorf("nobody has slot %d", slot)
	}
	to := (from + 1) % 3
	steps := []struct {
		node int
		args []any
	}{
		{to, []any{"cluster", "setslot", slot, "importing", c.ids[from]}},
		{from, []any{"cluster", "setslot", slot, "migrating", c.ids[to]}},
	}
	for _, s := range steps {
		if err := c.clients[s.node].Do(ctx, s.args...).Err(); err != nil {
			return err
		}
	}
	for {
		keys, err := c.clients[from].ClusterGetKeysInSlot(ctx, slot, 100).Result()
		if err != nil {
			return err
		}
		if len(keys) == 0 {
			break
		}
		args := []any{"migrate", "127.0.0.1", c.servers[to].port, "", 0, 5000, "keys"}
		for _, k := range keys {
			args = append(args, k)
		}
		if err := c.clients[from].Do(ctx, args...).Err(); err != nil {
			return err
		}
	}
	for _, node := range []int{to, from, (from + 2) % 3} {
		if err := c.clients[node].Do(ctx, "cluster", "setslot", slot, "node", c.ids[to]).Err(); err != nil {
			return err
		}
	}
	return nil
}

// TestConformanceCluster runs the suite on a Cluster, with the default of one shard, in which
// every promise holds.
func TestConformanceCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	c := startCluster(t)
	conformance.Run(t, conformance.Config{Open: func(t conformance.T) conformance.Store {
		namespace := fmt.Sprintf("case-%d", namespaces.Add(1))
		return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
			return c.open(ctx, redis.Options{Namespace: namespace})
		})
	}})
}

// Work goes on while the slots of a namespace are handed from node to node.
func TestClusterSlotsMove(t *testing.T) {
	c := startCluster(t)
	ctx := t.Context()
	b, err := c.open(ctx, redis.Options{Namespace: "moving", Shards: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	if all := b.Check(ctx); len(all) > 0 {
		t.Errorf("Check says %v", all)
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			key := "{moving:" + strconv.Itoa(i%4) + "}"
			slot, err := c.clients[0].ClusterKeySlot(ctx, key).Result()
			if err == nil {
				c.keys[int(slot)] = key
				err = c.move(ctx, int(slot))
			}
			if err != nil {
				t.Errorf("moving a slot: %v", err)
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	})
	const n = 400
	want := make(map[string]int)
	for i := range n {
		r := rec(func(r *tasks.Record) { r.ID = fmt.Sprintf("id-%06d", i); r.MaxAttempts = 5 })
		again(t, func() error { return b.Enqueue(ctx, []*tasks.Record{r}) })
		want[r.ID] = 0
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		var got []tasks.Claimed
		again(t, func() (err error) {
			got, err = b.Claim(ctx, tasks.ClaimRequest{Worker: "w", Limit: 20, Lease: 5 * time.Second})
			return err
		})
		for _, g := range got {
			want[g.Record.ID]++
			again(t, func() error {
				_, err := b.Settle(ctx, []tasks.Outcome{success(g)})
				return err
			})
		}
		infos, err := b.Queues(ctx)
		if err == nil && len(infos) == 1 && infos[0].Counts[tasks.Successful] == n {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("not all is done: %+v, %v", infos, err)
		}
		if len(got) == 0 {
			_, _ = b.Sweep(ctx)
		}
	}
	close(stop)
	wg.Wait()
	for id, n := range want {
		if n != 1 {
			t.Errorf("%s was claimed %d times", id, n)
		}
	}
}

// again tries until there is no error.
func again(t *testing.T, fn func() error) {
	t.Helper()
	var err error
	for range 200 {
		if err = fn(); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal(err)
}
