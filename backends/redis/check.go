package redis

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/tasks"
)

// The findings of Check; doc.go explains them.
const (
	findClosed      = "redis.E001"
	findUnreachable = "redis.E002"
	findOld         = "redis.E003"
	findEviction    = "redis.E004"
	findDamaged     = "redis.E005"
	findReplica     = "redis.E006"
	findDisk        = "redis.E007"
	findLayout      = "redis.E008"
	findPersistence = "redis.W001"
	findContext     = "redis.W002"
	findMemory      = "redis.W003"
)

// minVersion is the oldest Redis that this package runs on.
const minVersion = "6.2"

// Check implements tasks.Backend. Of a Cluster every master is looked at.
func (b *Backend) Check(ctx context.Context) []tasks.Finding {
	if err := b.ready(ctx); err != nil {
		return []tasks.Finding{{
			ID: findClosed, Level: tasks.LevelError,
			Message: fmt.Sprintf("namespace %q can't be checked: %v", b.namespace, err),
			Hint:    "open it again",
		}}
	}
	all, err := run(ctx, b, false, func(ctx context.Context) ([]tasks.Finding, error) { return b.check(ctx), nil })
	if err != nil {
		return []tasks.Finding{unreachable(err)}
	}
	return all
}

func unreachable(err error) tasks.Finding {
	return tasks.Finding{
		ID: findUnreachable, Level: tasks.LevelError,
		Message: fmt.Sprintf("the server can't be used: %v", err),
		Hint:    "see that it runs, and that address, user and password are right",
	}
}

func (b *Backend) check(ctx context.Context) []tasks.Finding {
	var all []tasks.Finding
	if !b.obeysContext() {
		all = append(all, tasks.Finding{
			ID: findContext, Level: tasks.LevelWarning,
			Message: "the client's ContextTimeoutEnabled isn't set, so commands go on after their deadline",
			Hint:    "set ContextTimeoutEnabled in the options of the client",
		})
	}
	var mu sync.Mutex
	look := func(ctx context.Context, node *redis.Client) error {
		found := checkNode(ctx, node)
		mu.Lock()
		defer mu.Unlock()
		for _, f := range found {
			if !slices.Contains(all, f) { // another node may have said so
				all = append(all, f)
			}
		}
		return nil
	}
	switch c := b.client.(type) {
	case *redis.ClusterClient:
		if err := c.ForEachMaster(ctx, look); err != nil {
			return append(all, unreachable(err))
		}
	case *redis.Client:
		_ = look(ctx, c)
	default:
		all = append(all, checkInfo(ctx, b.client, b.client.Info)...)
	}
	for _, f := range all {
		if f.ID == findUnreachable {
			return all
		}
	}
	return append(all, b.checkNamespace(ctx)...)
}

func (b *Backend) obeysContext() bool {
	switch c := b.client.(type) {
	case *redis.Client:
		return c.Options().ContextTimeoutEnabled
	case *redis.ClusterClient:
		return c.Options().ContextTimeoutEnabled
	}
	return true // not to be seen
}

func checkNode(ctx context.Context, node *redis.Client) []tasks.Finding {
	return checkInfo(ctx, node, node.Info)
}

// checkInfo looks at one server. What it may not ask (managed servers often forbid CONFIG) it
// leaves out.
func checkInfo(ctx context.Context, c redis.Cmdable, info func(context.Context, ...string) *redis.StringCmd) (all []tasks.Finding) {
	add := func(id string, level tasks.Level, hint, format string, args ...any) {
		all = append(all, tasks.Finding{ID: id, Level: level, Message: fmt.Sprintf(format, args...), Hint: hint})
	}
	raw, err := info(ctx).Result()
	if err != nil {
		return []tasks.Finding{unreachable(err)}
	}
	is := parseInfo(raw)
	if v, old := tooOld(is); old {
		add(findOld, tasks.LevelError, "use Redis "+minVersion+" or later, or Valkey", "the server is Redis %s, and %s is the least", v, minVersion)
	}
	if is["role"] == "slave" {
		add(findReplica, tasks.LevelError, "connect to the master, or through Sentinel or Cluster, which know it",
			"the server is a replica, which can't be written")
	}
	if p := is["maxmemory_policy"]; p != "" && p != "noeviction" {
		add(findEviction, tasks.LevelError, "set maxmemory-policy noeviction",
			"maxmemory-policy is %s: a server that is short of memory deletes tasks", p)
	}
	if is["rdb_last_bgsave_status"] == "err" || is["aof_last_write_status"] == "err" || is["aof_last_bgrewrite_status"] == "err" {
		add(findDisk, tasks.LevelError, "see the server's log, its disk and the rights on its folder", "the server can't write its files")
	}
	used, _ := strconv.ParseInt(is["used_memory"], 10, 64)
	limit, _ := strconv.ParseInt(is["maxmemory"], 10, 64)
	if limit > 0 && used > limit/10*9 {
		add(findMemory, tasks.LevelWarning, "raise maxmemory, keep results for a shorter time, or run more workers",
			"%d of maxmemory %d bytes are in use; at the limit no task is stored any more", used, limit)
	}
	if is["aof_enabled"] == "0" {
		save, err := c.ConfigGet(ctx, "save").Result()
		if err == nil && save["save"] == "" {
			add(findPersistence, tasks.LevelWarning, "set appendonly yes", "the server keeps nothing on disk: a restart loses all tasks")
		}
	}
	return all
}

// checkNamespace looks at what is stored.
func (b *Backend) checkNamespace(ctx context.Context) (all []tasks.Finding) {
	damaged := int64(0)
	for shard := range b.shards {
		n, err := b.client.HLen(ctx, b.prefix(shard)+"damaged").Result()
		if err != nil {
			return []tasks.Finding{unreachable(err)}
		}
		damaged += n
	}
	if damaged > 0 {
		all = append(all, tasks.Finding{
			ID: findDamaged, Level: tasks.LevelError,
			Message: fmt.Sprintf("namespace %q has %d records that can't be decoded and so aren't run", b.namespace, damaged),
			Hint:    "use the newest version of this program, or delete them by id",
		})
	}
	values, err := b.client.HMGet(ctx, b.prefix(0)+"layout", "version", "shards").Result()
	if err != nil {
		return append(all, unreachable(err))
	}
	if fields := texts(values); len(fields) == 2 && fields[0] != "" {
		if err := b.checkLayout(fields); err != nil {
			all = append(all, tasks.Finding{
				ID: findLayout, Level: tasks.LevelError, Message: err.Error(),
				Hint: "give all programs that share the namespace the same options and version",
			})
		}
	}
	return all
}

// parseInfo reads the answer of INFO.
func parseInfo(s string) map[string]string {
	m := make(map[string]string)
	for line := range strings.Lines(s) {
		if k, v, found := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); found {
			m[k] = v
		}
	}
	return m
}

// tooOld returns the version and whether it is below minVersion. Valkey says there which
// Redis it is compatible with.
func tooOld(info map[string]string) (version string, old bool) {
	version = info["redis_version"]
	var have, want [2]int
	if _, err := fmt.Sscanf(version, "%d.%d", &have[0], &have[1]); err != nil {
		return version, false // some proxies and servers don't tell
	}
	if _, err := fmt.Sscanf(minVersion, "%d.%d", &want[0], &want[1]); err != nil {
		return version, false
	}
	return version, have[0] < want[0] || have[0] == want[0] && have[1] < want[1]
}
