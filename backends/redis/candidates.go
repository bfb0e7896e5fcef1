package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// everyLetter are the statuses' letters, in the order in which lookFor has them.
const everyLetter = "RWSFC"

// lookout looks for the records of one page.
type lookout struct {
	b      *Backend
	newest bool
	n      int // how many ids to ask a script for
	// letters are those of the statuses, empty for all; queues are the filter's, and filter
	// is what the script list is told of it.
	letters string
	queues  []any
	tasks   []any
	filter  []any
	// along are the indexes by id that a walk goes along: that of all records, or those that all
	// which match are in.
	along  []string
	rounds int
	// rest are the ids that are left of those gathered.
	gathered bool
	rest     []string
}

// candidates are ids of records that may match, in order and each once.
type candidates struct {
	ids []string
	// stop is the id up to which everything that matches is there, or end is set.
	stop   string
	end    bool
	looked int
}

// lookFor returns a lookout, and whether any record can match. It may find too much, but never
// too little: where a time has no stored form, or one that doesn't compare as text, there is
// no bound.
func (b *Backend) lookFor(req *tasks.ListRequest) (l *lookout, possible bool) {
	f := &req.Filter
	l = &lookout{b: b, newest: req.Newest, n: min(listPiece, max(req.PageSize(), fetchPiece))}
	for _, s := range []tasks.Status{tasks.Ready, tasks.Running, tasks.Successful, tasks.Failed, tasks.Cancelled} {
		if (len(f.Statuses) == 0 || slices.Contains(f.Statuses, s)) && (s.Final() || f.FinishedBefore.IsZero()) {
			l.letters += statusLetter(s)
		}
	}
	if l.letters == "" {
		return nil, false
	}
	switch l.letters {
	case everyLetter:
		l.letters, l.along = "", []string{"ids"}
	case "F":
		l.along = []string{"failed"}
	case "C":
		l.along = []string{"cancelled"}
	case "FC":
		l.along = []string{"failed", "cancelled"}
	default:
		l.along = []string{"ids"}
	}
	if f.Error != "" {
		l.along = []string{"erred"}
	}
	bound := func(t time.Time) string {
		s, err := formatTime(t)
		if err != nil || s == unset || s[0] == '-' {
			return ""
		}
		return s
	}
	worker := ""
	if f.Worker != "" {
		worker = fmt.Sprintf("%s%06d", f.Worker, len(f.Worker))
	}
	for _, q := range f.Queues {
		l.queues = append(l.queues, q)
	}
	for _, name := range f.Tasks {
		l.tasks = append(l.tasks, name)
	}
	l.filter = []any{l.letters, bound(f.Since), bound(f.Until), bound(f.FinishedBefore), worker, len(f.Queues), len(f.Tasks)}
	l.filter = slices.Concat(l.filter, l.queues, l.tasks)
	return l, true
}

// next returns some candidates behind an id: up to that, the caller has seen all.
func (l *lookout) next(ctx context.Context, after string) (c candidates, err error) {
	l.rounds++
	if l.rounds == 2 && l.along[0] == "ids" && (l.letters != "" || len(l.queues)+len(l.tasks) > 0) {
		if err := l.gather(ctx, after); err != nil {
			return c, err
		}
	}
	if l.gathered {
		return l.sift(ctx)
	}
	return l.walk(ctx, after)
}

// order is that of the list.
func (l *lookout) order(x, y string) int {
	if l.newest {
		x, y = y, x
	}
	return strings.Compare(x, y)
}

// walk returns the next ids of all shards and indexes.
func (l *lookout) walk(ctx context.Context, after string) (c candidates, err error) {
	flag := "0"
	if l.newest {
		flag = "1"
	}
	sources := l.b.shards * len(l.along)
	look := max(listLook/sources, leastLook, l.n)
	c.end = true
	for source := range sources {
		shard, index := source/len(l.along), l.along[source%len(l.along)]
		found, err := l.ask(ctx, shard, []any{after, flag, l.n, look, index}, nil)
		if err != nil {
			return c, err
		}
		// Behind the last id that a source has looked at, nothing is known of it.
		if !found.end && (c.end || l.order(found.stop, c.stop) < 0) {
			c.stop, c.end = found.stop, false
		}
		c.looked += found.looked
		c.ids = append(c.ids, found.ids...)
	}
	if sources > 1 {
		slices.SortFunc(c.ids, l.order)
		// A record can have gone from one index to the other between two scripts.
		c.ids = slices.Compact(c.ids)
	}
	if !c.end {
		c.ids = slices.DeleteFunc(c.ids, func(id string) bool { return l.order(id, c.stop) > 0 })
	}
	return c, nil
}

// ask runs the script list.
func (l *lookout) ask(ctx context.Context, shard int, where, ids []any) (c candidates, err error) {
	reply, err := l.b.eval(ctx, &l.b.scripts.list, shard, slices.Concat(where, l.filter, ids)...)
	if err != nil {
		return c, err
	}
	answers := list(reply)
	if len(answers) != 4 {
		return c, fmt.Errorf("%w: list: %d answers", tasks.ErrDamaged, len(answers))
	}
	return candidates{
		ids: texts(answers[3]), stop: text(answers[1]), end: number(answers[0]) == 1, looked: int(number(answers[2])),
	}, nil
}

// gather reads the ids behind one from the indexes of the wanted statuses, if there are few in all
// shards together. A record has its index in its own shard, so the shards can be asked one
// after the other.
func (l *lookout) gather(ctx context.Context, after string) error {
	var ids []string
	for shard := range l.b.shards {
		letters := l.letters
		if letters == "" {
			letters = everyLetter
		}
		reply, err := l.b.eval(ctx, &l.b.scripts.gather, shard,
			slices.Concat([]any{listFew - len(ids), listMost, letters, len(l.queues)}, l.queues, l.tasks)...)
		if err != nil {
			return err
		}
		answers := list(reply)
		if len(answers) != 2 {
			return nil // there are more
		}
		ids = append(ids, texts(answers[1])...)
	}
	ids = slices.DeleteFunc(ids, func(id string) bool { return after != "" && l.order(id, after) <= 0 })
	slices.SortFunc(ids, l.order)
	l.gathered, l.rest = true, slices.Compact(ids)
	return nil
}

// sift returns the candidates of a piece of what was gathered.
func (l *lookout) sift(ctx context.Context) (c candidates, err error) {
	piece := l.rest[:min(listLook, len(l.rest))]
	l.rest = l.rest[len(piece):]
	if c.end = len(l.rest) == 0; !c.end {
		c.stop = piece[len(piece)-1]
	}
	err = l.b.byShard(len(piece), listLook, func(i int) string { return piece[i] }, func(shard int, which []int) error {
		ids := make([]any, len(which))
		for n, i := range which {
			ids[n] = piece[i]
		}
		found, err := l.ask(ctx, shard, []any{"", "", 0, 0, ""}, ids)
		c.looked += found.looked
		c.ids = append(c.ids, found.ids...)
		return err
	})
	if l.b.shards > 1 {
		slices.SortFunc(c.ids, l.order)
	}
	return c, err
}
