package rediscluster_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
)

// quiet drops go-redis's lines about servers that are away: here that's what is tested.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	goredis.SetLogger(quiet{})
	os.Exit(m.Run())
}

func newNamespace() string { return "test-" + strings.ToLower(rand.Text()) }

// open opens a backend. It is closed with the App that uses it.
func open(t *testing.T, o redis.Options) *redis.Backend {
	t.Helper()
	b, err := redis.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
