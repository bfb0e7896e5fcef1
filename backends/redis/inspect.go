package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/tasks"
)

const (
	// maxLooked bounds how many records one page of a list looks at.
	maxLooked = 20_000
	// listPiece is how many heads one script returns, and fetchPiece how many records are
	// fetched together.
	listPiece  = 500
	fetchPiece = 100
)

// List implements tasks.Lister. The filter looks at the heads of the records; only those
// that match are read whole.
func (b *Backend) List(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
	if err := b.ready(ctx); err != nil {
		return tasks.Page{}, err
	}
	return run(ctx, b, false, func(ctx context.Context) (tasks.Page, error) { return b.list(ctx, &req) })
}

// brief is what a list knows of a record before it is read.
type brief struct{ id, head, worker string }

func (b *Backend) list(ctx context.Context, req *tasks.ListRequest) (page tasks.Page, err error) {
	after, size := req.After, req.PageSize()
	for looked := 0; ; {
		heads, end, err := b.heads(ctx, after, req.Newest, req.Worker != "", min(listPiece, max(size, fetchPiece)))
		if err != nil {
			return tasks.Page{}, err
		}
		for len(heads) > 0 {
			// A few more than are missing, since some may have changed when they are read.
			var ids []string
			n := 0
			for n < len(heads) && len(ids) < min(fetchPiece, size-len(page.Records)) {
				if matches(&req.Filter, &heads[n]) {
					ids = append(ids, heads[n].id)
				}
				n++
			}
			recs, err := b.fetch(ctx, ids)
			if err != nil {
				return tasks.Page{}, err
			}
			for _, r := range recs {
				if req.Match(r) {
					page.Records = append(page.Records, r)
				}
			}
			after = heads[n-1].id
			heads = heads[n:]
			looked += n
			last := end && len(heads) == 0
			if !last && (len(page.Records) == size || looked >= maxLooked) {
				page.Next = after
				return page, nil
			}
		}
		if end {
			return page, nil
		}
	}
}

// heads returns the next ids of all shards in order, and whether that is all there are.
func (b *Backend) heads(ctx context.Context, after string, newest, worker bool, n int) (all []brief, end bool, err error) {
	flag := func(v bool) string {
		if v {
			return "1"
		}
		return "0"
	}
	order := func(x, y string) int {
		if newest {
			x, y = y, x
		}
		return strings.Compare(x, y)
	}
	// Behind the last id of a shard that has more, nothing is known of that shard.
	bound, bounded := "", false
	for shard := range b.shards {
		reply, err := b.eval(ctx, &b.scripts.list, shard, after, flag(newest), n, flag(worker))
		if err != nil {
			return nil, false, err
		}
		l := texts(reply)
		for i := 0; i+2 < len(l); i += 3 {
			all = append(all, brief{l[i], l[i+1], l[i+2]})
		}
		if len(l) == 3*n {
			if last := l[len(l)-3]; !bounded || order(last, bound) < 0 {
				bound, bounded = last, true
			}
		}
	}
	if b.shards > 1 {
		slices.SortFunc(all, func(x, y brief) int { return order(x.id, y.id) })
	}
	if bounded {
		all = slices.DeleteFunc(all, func(x brief) bool { return order(x.id, bound) > 0 })
	}
	return all, !bounded, nil
}

// matches applies what of a filter can be seen in the head: the rest is looked at when the record is read. A record that can't be decoded
// is left out: Check and GetResult tell.
func matches(f *tasks.Filter, x *brief) bool {
	var r tasks.Record
	if _, _, err := decodeHead(x.head, &r); err != nil {
		return false
	}
	r.WorkerIDs = []string{x.worker}
	seen := *f
	seen.Error = "" // errors aren't in the head
	return seen.Match(&r)
}

// fetch reads records that are still there.
func (b *Backend) fetch(ctx context.Context, ids []string) ([]*tasks.Record, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	cmds := make([]*redis.MapStringStringCmd, len(ids))
	_, err := b.client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, id := range ids {
			cmds[i] = p.HGetAll(ctx, b.key(id))
		}
		return nil
	})
	if err != nil {
		return nil, classify(err).err
	}
	recs := make([]*tasks.Record, 0, len(ids))
	for i, id := range ids {
		if fields := cmds[i].Val(); len(fields) > 0 {
			if s, err := decode(id, fields); err == nil {
				recs = append(recs, &s.rec)
			}
		}
	}
	return recs, nil
}

// Queues implements tasks.Inspector. It reads counters, not records.
func (b *Backend) Queues(ctx context.Context) ([]tasks.QueueInfo, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	return run(ctx, b, false, b.queues)
}

func (b *Backend) queues(ctx context.Context) ([]tasks.QueueInfo, error) {
	byName := make(map[string]*tasks.QueueInfo)
	get := func(name string) *tasks.QueueInfo {
		q := byName[name]
		if q == nil {
			q = &tasks.QueueInfo{Name: name, Counts: make(map[tasks.Status]int64)}
			byName[name] = q
		}
		return q
	}
	for shard := range b.shards {
		reply, err := b.eval(ctx, &b.scripts.queues, shard)
		if err != nil {
			return nil, err
		}
		l := list(reply)
		if len(l) != 4 {
			return nil, tasks.ErrDamaged
		}
		now, err := parseTime(text(l[0]))
		if err != nil {
			return nil, err
		}
		for k, v := range pairs(l[1]) {
			status, queue, task, ok := splitCount(k)
			n, err := strconv.ParseInt(v, 10, 64)
			if !ok || err != nil {
				continue
			}
			q := get(queue)
			q.Counts[status] += n
			if status == tasks.Ready {
				if q.Waiting == nil {
					q.Waiting = make(map[string]int64)
				}
				q.Waiting[task] += n
			}
		}
		for _, name := range texts(l[2]) {
			get(name).Paused = true
		}
		for name, due := range pairs(l[3]) {
			if t, err := parseTime(due); err == nil {
				q := get(name)
				q.OldestDue = max(q.OldestDue, now.Sub(t), 0)
			}
		}
	}
	infos := make([]tasks.QueueInfo, 0, len(byName))
	for _, q := range byName {
		infos = append(infos, *q)
	}
	slices.SortFunc(infos, func(x, y tasks.QueueInfo) int { return strings.Compare(x.Name, y.Name) })
	return infos, nil
}

// splitCount reads a field of the counters: status, length of the queue's name, queue, task.
func splitCount(k string) (status tasks.Status, queue, task string, ok bool) {
	if len(k) < 4 {
		return "", "", "", false
	}
	n, err := strconv.Atoi(k[1:4])
	if err != nil || n < 0 || 4+n > len(k) {
		return "", "", "", false
	}
	return statusOf(k[0]), k[4 : 4+n], k[4+n:], true
}

// Pause implements tasks.Inspector. With several shards the queue is paused in one after the
// other; if that fails halfway, the error says so and the call can be repeated.
func (b *Backend) Pause(ctx context.Context, queue string, paused bool) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if queue == "" || len(queue) > 255 {
		return fmt.Errorf("%w: a queue name has 1 to 255 bytes here, not %d", tasks.ErrInvalidTask, len(queue))
	}
	flag := "0"
	if paused {
		flag = "1"
	}
	_, err := run(ctx, b, true, func(ctx context.Context) (struct{}, error) {
		for shard := range b.shards {
			if _, err := b.eval(ctx, &b.scripts.pause, shard, queue, flag); err != nil {
				return struct{}{}, err
			}
		}
		return struct{}{}, nil
	})
	return err
}

// Heartbeat implements tasks.Inspector.
func (b *Backend) Heartbeat(ctx context.Context, w tasks.WorkerInfo) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if w.ID == "" || len(w.ID) > maxWorker {
		return fmt.Errorf("%w: a worker's id of %d bytes", tasks.ErrInvalidTask, len(w.ID))
	}
	// It is kept as JSON, which would put other text in the place of invalid UTF-8.
	for _, s := range slices.Concat([]string{w.ID, w.Host}, w.Queues, w.Exclude, w.RunningIDs) {
		if !utf8.ValidString(s) {
			return fmt.Errorf("%w: the worker's %q is not valid UTF-8", tasks.ErrInvalidTask, s)
		}
	}
	value := ""
	if !w.Stopped {
		w.BeatAt, w.Age = time.Time{}, 0
		raw, err := json.Marshal(w)
		if err != nil {
			return err
		}
		value = string(raw)
	}
	_, err := run(ctx, b, true, func(ctx context.Context) (any, error) {
		return b.eval(ctx, &b.scripts.beat, 0, w.ID, value, "")
	})
	return err
}

// Workers implements tasks.Inspector.
func (b *Backend) Workers(ctx context.Context) ([]tasks.WorkerInfo, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	return run(ctx, b, false, func(ctx context.Context) ([]tasks.WorkerInfo, error) {
		now, beats, err := b.beats(ctx)
		if err != nil {
			return nil, err
		}
		var live []tasks.WorkerInfo
		for _, raw := range beats {
			w, err := decodeBeat(raw)
			if err != nil {
				continue // a sweep removes it
			}
			if w.Age = max(now.Sub(w.BeatAt), 0); w.Alive(w.Age) {
				live = append(live, w)
			}
		}
		slices.SortFunc(live, func(x, y tasks.WorkerInfo) int { return strings.Compare(x.ID, y.ID) })
		return live, nil
	})
}
