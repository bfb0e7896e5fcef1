package redis_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/conformance/containers"
)

var server = containers.Shared(containers.Redis)

func TestMain(m *testing.M) { os.Exit(server.Main(m)) }

// newNamespace returns a namespace that the test has to itself, emptied at its end.
func newNamespace(t conformance.T, s *containers.Server) string {
	t.Helper()
	name := "test-" + strings.ToLower(rand.Text())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		o, err := goredis.ParseURL(s.Direct())
		if err != nil {
			t.Errorf("the server's URL isn't one of Redis")
			return
		}
		c := goredis.NewClient(o)
		defer c.Close()
		keys := c.Scan(ctx, 0, "{"+name+":*", 1000).Iterator()
		for keys.Next(ctx) {
			if err := c.Unlink(ctx, keys.Val()).Err(); err != nil {
				t.Errorf("emptying the namespace: %v", err)
				return
			}
		}
		if err := keys.Err(); err != nil {
			t.Errorf("emptying the namespace: %v", err)
		}
	})
	return name
}
