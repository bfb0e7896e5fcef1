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
	"github.com/sideman-go/sideman/conformance/containers/internal/crew"
)

var server = containers.Shared(containers.Redis)

// quiet drops go-redis's lines about servers that are away: here that's what is tested.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	goredis.SetLogger(quiet{})
	crew.Main() // does not return in a worker process
	os.Exit(server.Main(m))
}

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
		// Many at a time: the server syncs its file after each command.
		for cursor, first := uint64(0), true; first || cursor != 0; first = false {
			var keys []string
			keys, cursor, err = c.Scan(ctx, cursor, "{"+name+":*", 10_000).Result()
			if err == nil && len(keys) > 0 {
				err = c.Unlink(ctx, keys...).Err()
			}
			if err != nil {
				t.Errorf("emptying the namespace: %v", err)
				return
			}
		}
	})
	return name
}
