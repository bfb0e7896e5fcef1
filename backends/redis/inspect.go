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

	"github.com/sideman-go/sideman/tasks"
)

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
