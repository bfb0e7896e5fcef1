package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance/containers/internal/crew"
	"github.com/sideman-go/sideman/tasks"
)

// TestCheck has the findings that are about the server's settings. Those about its state
// are found where the tests bring it there.
func TestCheck(t *testing.T) {
	s, c := ours(t)
	b := open(t, s)
	finds(t, b)
	t.Run("eviction", func(t *testing.T) {
		set(t, c, "maxmemory-policy", "allkeys-lru")
		finds(t, b, "redis.E004")
	})
	t.Run("persistence", func(t *testing.T) {
		t.Cleanup(func() { // when it's switched on again
			crew.Eventually(t, "the server keeps what it is told again", func() bool {
				info := c.Info(context.Background(), "persistence").Val()
				return strings.Contains(info, "aof_rewrite_in_progress:0") && strings.Contains(info, "aof_rewrite_scheduled:0")
			})
		})
		set(t, c, "appendonly", "no")
		finds(t, b, "redis.W001")
		set(t, c, "save", "3600 1") // which is enough for a server that is stopped in good order
		finds(t, b)
	})
	t.Run("away", func(t *testing.T) {
		s.Proxy.Cut()
		defer s.Proxy.Restore()
		finds(t, b, "redis.E002")
	})
	finds(t, b)
}

// TestCheckBorrowed wants a warning about a client that goes on after its deadline.
func TestCheckBorrowed(t *testing.T) {
	s := server.Get(t)
	borrowed, err := redis.New(client(t, s), &redis.Options{Namespace: newNamespace(t, s)})
	if err != nil {
		t.Fatal(err)
	}
	defer borrowed.Close(context.Background())
	var found bool
	for _, f := range borrowed.Check(t.Context()) {
		found = found || f.ID == "redis.W002"
	}
	if !found {
		t.Errorf("Check finds %v, want redis.W002", borrowed.Check(t.Context()))
	}
}

// TestVersion wants a server that is too old to be refused. The one that there is usually isn't:
// then INFO's answer is changed on its way.
func TestVersion(t *testing.T) {
	s := server.Get(t)
	c := client(t, s)
	info, err := c.Info(t.Context(), "server").Result()
	if err != nil {
		t.Fatal(err)
	}
	old := strings.Contains(info, "redis_version:6.0.")
	b, err := redis.Open(t.Context(), redis.Options{URL: s.URL(), Namespace: newNamespace(t, s)})
	if err == nil {
		defer b.Close(context.Background())
	}
	if old {
		if !errors.Is(err, tasks.ErrUnavailable) || !strings.Contains(err.Error(), "6.0.") {
			t.Errorf("opening Redis 6.0: %v", err)
		}
	} else {
		if err != nil {
			t.Fatal(err)
		}
		c.AddHook(aged{})
	}
	borrowed, err := redis.New(c, &redis.Options{Namespace: newNamespace(t, s)})
	if err != nil {
		t.Fatal(err)
	}
	defer borrowed.Close(context.Background())
	var found bool
	for _, f := range borrowed.Check(t.Context()) {
		found = found || f.ID == "redis.E003" && strings.Contains(f.Message, "6.0.")
	}
	if !found {
		t.Errorf("Check of Redis 6.0 finds %v, want redis.E003", borrowed.Check(t.Context()))
	}
}

// aged makes a server say that it is Redis 6.0.
type aged struct{ goredis.Hook }

func (aged) DialHook(next goredis.DialHook) goredis.DialHook { return next }

func (aged) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

func (aged) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		err := next(ctx, cmd)
		if info, ok := cmd.(*goredis.StringCmd); ok && cmd.Name() == "info" {
			lines := strings.Split(info.Val(), "\r\n")
			for i, line := range lines {
				if strings.HasPrefix(line, "redis_version:") {
					lines[i] = "redis_version:6.0.16"
				}
			}
			info.SetVal(strings.Join(lines, "\r\n"))
		}
		return err
	}
}
