package redis_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	backend "github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

// Sentinel promotes the replica of a master that was killed, and everything goes on.
func TestSentinelFailover(t *testing.T) {
	if testing.Short() {
		t.Skip("takes ten seconds")
	}
	master := startServer(t, "--repl-diskless-sync-delay", "0")
	replica := startServer(t, "--replicaof", "127.0.0.1", master.port)
	port := freePort(t)
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("port %s\nbind 127.0.0.1\nsentinel monitor tasks 127.0.0.1 %s 1\n"+
		"sentinel down-after-milliseconds tasks 1000\nsentinel failover-timeout tasks 5000\n", port, master.port)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	sentinel := &server{tb: t, bin: master.bin, port: port, args: []string{conf, "--sentinel"}}
	sentinel.start()
	t.Cleanup(func() { sentinel.stop(syscall.SIGKILL) })

	ctx := t.Context()
	b, err := backend.Open(ctx, backend.Options{Master: "tasks", Addrs: []string{"127.0.0.1:" + port}})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	before := rec()
	enqueue(t, b, before)
	waiting := make(chan error, 1)
	rc := rawClient(replica.direct())
	defer rc.Close()
	s := redis.NewSentinelClient(&redis.Options{Addr: "127.0.0.1:" + port})
	defer s.Close()
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		known, _ := s.Replicas(ctx, "tasks").Result()
		there, _ := rc.Keys(ctx, "*"+before.ID).Result()
		if len(known) == 1 && strings.Contains(rc.Info(ctx, "replication").Val(), "master_link_status:up") && len(there) == 1 {
			break
		}
		if time.Since(start) > 20*time.Second {
			t.Fatal("the replica isn't in step")
		}
	}
	c := claimOne(t, b)
	for !strings.HasPrefix(rc.HGet(ctx, "{sideman:0}:t:"+before.ID, "h").Val(), "1W") {
		time.Sleep(10 * time.Millisecond) // replication isn't waited for
	}
	go func() {
		for {
			if err := b.Wait(ctx, tasks.Selection{}); err == nil || ctx.Err() != nil {
				waiting <- err
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	time.Sleep(100 * time.Millisecond)
	master.stop(syscall.SIGKILL)

	after := rec()
	start := time.Now()
	for b.Enqueue(ctx, []*tasks.Record{after}) != nil {
		if time.Since(start) > 25*time.Second {
			t.Fatal("nothing can be stored after the fail-over")
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("stored %v after the master was killed", time.Since(start))
	if verdicts := settle(t, b, success(c)); verdicts[0] != nil {
		t.Error(verdicts[0])
	}
	select {
	case err := <-waiting:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("who waited wasn't woken")
	}
	if got := claimOne(t, b); got.Record.ID != after.ID {
		t.Errorf("claimed %s", got.Record.ID)
	}
	if get(t, b, before.ID).Status != tasks.Successful {
		t.Error("the settled record isn't SUCCESSFUL")
	}
}
