package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/tasks"
)

// SetMaxAppended changes how many records may be left to be indexed later, before any are.
func (b *Backend) SetMaxAppended(n int64) { b.tidy.most = n }

// AppendFresh appends records by one script, as those whose ids can't be there.
func (b *Backend) AppendFresh(ctx context.Context, recs []*tasks.Record) error {
	group := make([]*write, len(recs))
	for i, rec := range recs {
		group[i] = &write{}
		if err := b.prepare(group[i], []*tasks.Record{rec}); err != nil {
			return err
		}
		group[i].fresh = true
	}
	if err := b.store(ctx, b.client, 0, group); err != nil {
		return err
	}
	var faults []error
	for i, rec := range recs {
		group[i].fill([]*tasks.Record{rec}, group[i].err)
		faults = append(faults, group[i].err)
	}
	return errors.Join(faults...)
}

// Verify returns everything in which the indexes and counters don't agree with the records.
// It is for tests in which nobody else writes, and waits for what this backend does by itself.
func (b *Backend) Verify(ctx context.Context) error {
	for b.tidy.busy.Load() {
		if err := sleep(ctx, b.done, time.Millisecond); err != nil {
			return err
		}
	}
	var faults []error
	for shard := range b.shards {
		faults = append(faults, b.verifyShard(ctx, shard))
	}
	return errors.Join(faults...)
}

func (b *Backend) verifyShard(ctx context.Context, shard int) error {
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	prefix := b.prefix(shard)
	want := make(map[string][]string)
	counts := make(map[string]int)
	entry := func(index, member string) { want[index] = append(want[index], member) }
	held := make(map[string][]string) // by deadlines and nonces of claims
	damaged, err := b.client.HGetAll(ctx, prefix+"damaged").Result()
	if err != nil {
		return err
	}
	keys, err := b.scan(ctx, prefix+"*")
	if err != nil {
		return err
	}
	there := func(name string) bool {
		_, found := slices.BinarySearch(keys, prefix+name)
		return found
	}
	for _, key := range keys {
		name := key[len(prefix):]
		if kind, id, _ := strings.Cut(name, ":"); len(kind) == 1 && kind != "h" && !there("h:"+id) {
			add("%s is left over", key)
		}
		id, found := strings.CutPrefix(name, "h:")
		if !found {
			if strings.HasPrefix(name, "ready:") {
				want[name] = append(want[name], []string{}...)
			}
			continue
		}
		entry("ids", id)
		readings, err := b.read(ctx, []string{id})
		if err != nil {
			return err
		}
		s := readings[0].rec
		if s == nil || damaged[id] != "" {
			continue
		}
		h := b.client.Get(ctx, key).Val()
		r := &s.rec
		counts[fmt.Sprintf("%s%03d%s%s", statusLetter(r.Status), len(r.Queue), r.Queue, r.Task)]++
		due, _ := formatTime(r.DueAt())
		expires, _ := formatTime(r.ExpiresAt)
		till, _ := formatTime(s.till)
		if len(r.Errors) > 0 {
			entry("erred", id)
		}
		if n := fmt.Sprintf("%d,%d", r.Attempts(), r.MaxAttempts); !strings.Contains(h, n+";") && !strings.Contains(h, n+"+") {
			add("record %q: head %q and %d workers", id, h, r.Attempts())
		}
		if there("x:"+id) && !s.more {
			add("record %q has more than its head %q says", id, h)
		}
		switch r.Status {
		case tasks.Ready:
			entry("ready:"+r.Queue, fmt.Sprintf("%03d%s%s", tasks.MaxPriority-r.Priority, due, id))
			if expires != unset && r.Attempts() == 0 {
				entry("expiry", expires+id)
			}
		case tasks.Running:
			if h[headEnqueued-1] == '1' {
				entry("leases", till+id)
			} else {
				held[till+s.token] = append(held[till+s.token], id)
			}
		default:
			finished, _ := formatTime(r.FinishedAt)
			entry("final", till+finished+id)
			if r.Status != tasks.Successful {
				entry(strings.ToLower(string(r.Status)), id)
			}
		}
	}
	for _, index := range []string{"ids", "expiry", "leases", "final", "failed", "cancelled", "erred"} {
		want[index] = append(want[index], []string{}...)
	}
	for index, members := range want {
		have, err := b.client.ZRangeByLex(ctx, prefix+index, &redis.ZRangeBy{Min: "-", Max: "+"}).Result()
		if err != nil {
			return err
		}
		if index == "final" {
			have = rowsApart(have, 36)
		}
		slices.Sort(members)
		if !slices.Equal(have, members) && len(have)+len(members) > 0 && len(damaged) == 0 {
			add("%s has %q and should have %q", index, have, members)
		}
	}
	if len(damaged) == 0 {
		faults = append(faults, b.verifyClaims(ctx, prefix, held, keys))
	}
	have, err := b.client.HGetAll(ctx, prefix+"counts").Result()
	if err != nil {
		return err
	}
	for k, n := range counts {
		if have[k] != strconv.Itoa(n) && len(damaged) == 0 {
			add("count %q is %q and should be %d", k, have[k], n)
		}
		delete(have, k)
	}
	if len(have) > 0 && len(damaged) == 0 {
		add("counts without records: %q", have)
	}
	return errors.Join(faults...)
}

// rowsApart returns what members that have several ids behind some bytes would be if each had one.
func rowsApart(members []string, behind int) (all []string) {
	for _, m := range members {
		for rest := m[min(behind, len(m)):]; rest != ""; {
			n, err := strconv.Atoi(rest[:min(3, len(rest))])
			if err != nil || n < 1 || 3+n > len(rest) {
				all = append(all, "no row: "+m)
				break
			}
			all = append(all, m[:behind]+rest[3:3+n])
			rest = rest[3+n:]
		}
	}
	slices.Sort(all)
	return all
}

// verifyClaims looks at what is noted of claims of which records are RUNNING, each with its ids.
func (b *Backend) verifyClaims(ctx context.Context, prefix string, held map[string][]string, keys []string) error {
	have, err := b.client.ZRangeByLex(ctx, prefix+"claims", &redis.ZRangeBy{Min: "-", Max: "+"}).Result()
	if err != nil {
		return err
	}
	left, err := b.client.HGetAll(ctx, prefix+"left").Result()
	if err != nil {
		return err
	}
	var faults []error
	add := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, claim := range have {
		nonce := claim[sizeTime:]
		row, err := b.client.Get(ctx, prefix+"claim:"+nonce).Result()
		if err != nil {
			return err
		}
		n := left[nonce]
		if n == "" {
			n = "1"
		}
		if n != strconv.Itoa(len(held[claim])) {
			add("claim %q has %s left and should have %d", claim, n, len(held[claim]))
		}
		ids := rowsApart([]string{row}, 0)
		for _, id := range held[claim] {
			if !slices.Contains(ids, id) {
				add("claim %q doesn't have %q", claim, id)
			}
		}
		keys = slices.DeleteFunc(keys, func(k string) bool { return k == prefix+"claim:"+nonce })
		delete(held, claim)
		delete(left, nonce)
	}
	if len(held)+len(left) > 0 {
		add("no claims for %q, left over %q", held, left)
	}
	for _, k := range keys {
		if strings.HasPrefix(k, prefix+"claim:") && b.client.StrLen(ctx, k).Val() > 0 {
			add("%s is left over", k)
		}
	}
	return errors.Join(faults...)
}

func (b *Backend) scan(ctx context.Context, pattern string) (keys []string, err error) {
	c, ok := b.client.(*redis.Client)
	if !ok {
		return nil, nil // a Cluster's keys are on many nodes
	}
	it := c.Scan(ctx, 0, strings.NewReplacer("[", `\[`, "*", "*").Replace(pattern), 1000).Iterator()
	for it.Next(ctx) {
		keys = append(keys, it.Val())
	}
	slices.Sort(keys)
	return slices.Compact(keys), it.Err()
}
