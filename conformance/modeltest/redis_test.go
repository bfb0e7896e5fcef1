package modeltest

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // it is how Redis names scripts
	"encoding/hex"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"pgregory.net/rapid"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/internal/testserver"
	"github.com/sideman-go/sideman/tasks"
)

// TestRedis compares redis on a server. Each sequence has a namespace of its own.
func TestRedis(t *testing.T) {
	t.Parallel()
	url := testserver.URL(t, testserver.Redis)
	name := "model-" + rand.Text()
	testserver.DropNamespace(t, url, name)
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal("TASKS_TEST_REDIS_URL isn't a URL of go-redis") // it may have a password in it
	}
	o.ContextTimeoutEnabled = true
	client := goredis.NewClient(o)
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})
	client.AddHook(&retimed{})
	sequence := 0
	rapid.Check(t, func(rt *rapid.T) {
		sequence++
		namespace := name + ":" + strconv.Itoa(sequence)
		clock := newServed(rt, func(at time.Time) error {
			us := at.UnixMicro()
			return client.HSet(t.Context(), "{"+namespace+":0}:"+told, "s", us/1e6, "us", us%1e6).Err()
		})
		run(rt, subject{clock: clock, open: func(context.Context) (tasks.Store, func() error, error) {
			b, err := redis.New(client, &redis.Options{Namespace: namespace})
			return b, nothing, err
		}})
	})
}

// told is the key, after the prefix of a shard, of the time that is told there.
const told = "told"

// retimed is a hook of a client. It changes scripts so that they look up the time in told
// instead of asking the server, and the names by which they are called then.
type retimed struct{ names sync.Map }

// scriptUnknown is the answer of a server that doesn't know a script by its name.
type scriptUnknown struct{}

func (scriptUnknown) Error() string { return "NOSCRIPT not changed yet" }
func (scriptUnknown) RedisError()   {}

var errTimeless = errors.New("a script has no call('TIME') in it that could be changed")

// ProcessHook implements goredis.Hook.
func (r *retimed) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		args := cmd.Args()
		switch cmd.Name() {
		case "evalsha":
			changed, known := r.names.Load(args[1])
			if !known {
				return scriptUnknown{} // so the text comes
			}
			args[1] = changed
		case "eval":
			text, _ := args[1].(string)
			changed := strings.ReplaceAll(text, "call('TIME')", "call('HMGET', KEYS[1] .. '"+told+"', 's', 'us')")
			if changed == text {
				return errTimeless
			}
			r.names.Store(sum(text), sum(changed))
			args[1] = changed
		}
		return next(ctx, cmd)
	}
}

// ProcessPipelineHook implements goredis.Hook.
func (*retimed) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

// DialHook implements goredis.Hook.
func (*retimed) DialHook(next goredis.DialHook) goredis.DialHook { return next }

// sum is the name of a script.
func sum(text string) string {
	s := sha1.Sum([]byte(text)) //nolint:gosec // it is how Redis names scripts
	return hex.EncodeToString(s[:])
}
