package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/tasks"
)

// maxLooked bounds how many records one page of a list looks at.
const maxLooked = 50_000

// List implements tasks.Lister.
func (b *Backend) List(ctx context.Context, req tasks.ListRequest) (tasks.Page, error) {
	if err := b.ready(ctx); err != nil {
		return tasks.Page{}, err
	}
	var page tasks.Page
	err := b.view(func(t *txn) (err error) {
		page, err = t.list(ctx, &req)
		return err
	})
	if err != nil {
		return tasks.Page{}, err
	}
	return page, nil
}

func (t *txn) list(ctx context.Context, req *tasks.ListRequest) (page tasks.Page, err error) {
	c := t.cursor(inRecords)
	match := newQuick(&req.Filter)
	size := req.PageSize()
	k, v := start(c, req.After, req.Newest)
	for looked := 1; k != nil; looked++ {
		// A record that can't be decoded is left out: Check and GetResult tell.
		if h, err := readHead(v); err == nil && match.head(h) {
			rec, err := t.whole(string(k))
			if err == nil && req.Match(rec) {
				page.Records = append(page.Records, rec)
			}
		}
		last := k
		if k, v = step(c, req.Newest); k == nil {
			break
		}
		if looked%1000 == 0 && ctx.Err() != nil {
			return tasks.Page{}, ctx.Err()
		}
		if len(page.Records) == size || looked == maxLooked {
			page.Next = string(last)
			break
		}
	}
	return page, nil
}

func start(c *cursor, from string, newest bool) (k, v []byte) {
	switch {
	case from == "" && newest:
		return c.last()
	case from == "":
		return c.first()
	}
	k, v = c.seek([]byte(from))
	switch {
	case newest && k == nil:
		return c.last()
	case newest: // at or behind it
		return c.prev()
	case string(k) == from:
		return c.next()
	}
	return k, v
}

func step(c *cursor, newest bool) (k, v []byte) {
	if newest {
		return c.prev()
	}
	return c.next()
}

// quick is the part of a filter that needs no decoding.
type quick struct {
	f        *tasks.Filter
	statuses []byte
}

func newQuick(f *tasks.Filter) quick {
	q := quick{f: f}
	for _, s := range f.Statuses {
		q.statuses = append(q.statuses, statusCode(s))
	}
	return q
}

func (q *quick) head(h head) bool {
	f := q.f
	switch {
	case len(q.statuses) > 0 && bytes.IndexByte(q.statuses, h.status()) < 0,
		!f.Since.IsZero() && h.time(offEnqueued).Before(f.Since),
		!f.Until.IsZero() && !h.time(offEnqueued).Before(f.Until),
		!f.FinishedBefore.IsZero() && (h.status() < stSuccessful || !h.time(offFinished).Before(f.FinishedBefore)):
		return false
	}
	if len(f.Queues) == 0 && len(f.Tasks) == 0 {
		return true
	}
	queue, task, err := h.queueTask()
	return err == nil && oneOf(f.Queues, queue) && oneOf(f.Tasks, task)
}

// oneOf is slices.Contains for bytes; an empty list has everything.
func oneOf(names []string, name []byte) bool {
	return len(names) == 0 || slices.Contains(names, string(name))
}

// Queues implements tasks.Inspector. It reads counters, not records.
func (b *Backend) Queues(ctx context.Context) ([]tasks.QueueInfo, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	var infos []tasks.QueueInfo
	err := b.view(func(t *txn) error {
		infos = t.queues()
		return nil
	})
	return infos, err
}

func (t *txn) queues() []tasks.QueueInfo {
	byName := make(map[string]*tasks.QueueInfo)
	get := func(name string) *tasks.QueueInfo {
		q := byName[name]
		if q == nil {
			q = &tasks.QueueInfo{Name: name, Counts: make(map[tasks.Status]int64)}
			byName[name] = q
		}
		return q
	}
	_ = t.each(inCounts, func(k, v []byte) error {
		queue, status, task, ok := splitCountKey(k)
		if !ok || len(v) != 8 {
			return nil
		}
		n := int64(binary.BigEndian.Uint64(v))
		q := get(string(queue))
		q.Counts[statusOf(status)] += n
		if status == stReady {
			if q.Waiting == nil {
				q.Waiting = make(map[string]int64)
			}
			q.Waiting[string(task)] += n
		}
		return nil
	})
	_ = t.each(inPaused, func(k, _ []byte) error {
		get(string(k)).Paused = true
		return nil
	})
	c := t.cursor(inReady)
	infos := make([]tasks.QueueInfo, 0, len(byName))
	for name, q := range byName {
		if due, ok := earliest(c, name); ok {
			q.OldestDue = max(t.now.Sub(due), 0)
		}
		infos = append(infos, *q)
	}
	slices.SortFunc(infos, func(a, b tasks.QueueInfo) int { return strings.Compare(a.Name, b.Name) })
	return infos
}

// Pause implements tasks.Inspector.
func (b *Backend) Pause(ctx context.Context, queue string, paused bool) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if err := fits(&tasks.Record{ID: "-", Queue: queue}); err != nil {
		return err
	}
	if queue == "" {
		return tasks.ErrInvalidTask
	}
	key := []byte(queue)
	return b.do(ctx, &op{apply: func(t *txn) error {
		is := t.get(inPaused, key) != nil
		switch {
		case is == paused:
			return nil
		case paused:
			return t.put(inPaused, key, appendTime(nil, t.now))
		}
		t.news.ready = true
		return t.del(inPaused, key)
	}})
}

// Heartbeat implements tasks.Inspector.
func (b *Backend) Heartbeat(ctx context.Context, w tasks.WorkerInfo) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	if w.ID == "" || len(w.ID) > bbolt.MaxKeySize {
		return fmt.Errorf("%w: a worker's id of %d bytes", tasks.ErrInvalidTask, len(w.ID))
	}
	// It is kept as JSON, which would put other text in the place of invalid UTF-8.
	for _, text := range slices.Concat([]string{w.ID, w.Host}, w.Queues, w.Exclude, w.RunningIDs) {
		if !utf8.ValidString(text) {
			return fmt.Errorf("%w: the worker's %q is not valid UTF-8", tasks.ErrInvalidTask, text)
		}
	}
	w.Queues, w.Exclude, w.RunningIDs = slices.Clone(w.Queues), slices.Clone(w.Exclude), slices.Clone(w.RunningIDs)
	w.Age = 0
	return b.do(ctx, &op{apply: func(t *txn) error {
		key := []byte(w.ID)
		if w.Stopped {
			if t.get(inWorkers, key) == nil {
				return nil
			}
			return t.del(inWorkers, key)
		}
		beat := w
		beat.BeatAt = t.now.UTC().Truncate(time.Microsecond)
		value, err := json.Marshal(beat)
		if err != nil {
			return err
		}
		return t.put(inWorkers, key, value)
	}})
}

// Workers implements tasks.Inspector.
func (b *Backend) Workers(ctx context.Context) ([]tasks.WorkerInfo, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	var live []tasks.WorkerInfo
	err := b.view(func(t *txn) error {
		return t.each(inWorkers, func(_, v []byte) error {
			var w tasks.WorkerInfo
			if err := json.Unmarshal(v, &w); err != nil {
				return nil // a sweep removes it
			}
			if w.Age = max(t.now.Sub(w.BeatAt), 0); w.Alive(w.Age) {
				live = append(live, w)
			}
			return nil
		})
	})
	return live, err
}
