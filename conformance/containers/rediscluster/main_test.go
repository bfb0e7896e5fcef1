package rediscluster_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"
)

// quiet drops go-redis's lines about servers that are away: here that's what is tested.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

func TestMain(m *testing.M) {
	goredis.SetLogger(quiet{})
	os.Exit(m.Run())
}

func newNamespace() string { return "test-" + strings.ToLower(rand.Text()) }
