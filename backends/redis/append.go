package redis

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/sideman-go/sideman/tasks"
)

// Records that are due at once, each a call of its own, are only appended: a script that needs
// the indexes makes them first, for all that has come since the last one. It spares each of many
// single enqueues most of what it costs the server.

const (
	// maxAppended is how many records one backend leaves for later. Beyond that it has a piece of them
	// indexed at once, now and then: who comes next isn't to wait for long.
	maxAppended = 200_000
	// maxAppendSize is how large a record is appended: those that are larger cost more to move
	// than to index.
	maxAppendSize = 32 << 10
	// appendEach is how many arguments the script has for each record.
	appendEach = 3
)

// encoded is a record as scripts get it: its id, and in one string its head and its envelope.
type encoded struct {
	id   string
	text string
	end  int    // of the head
	rest string // of text, behind where the time of the enqueue belongs
}

func encode(r *tasks.Record) (encoded, error) {
	var room [512]byte
	b, err := appendHead(room[:0], r)
	if err != nil {
		return encoded{}, err
	}
	e := encoded{id: r.ID, end: len(b), text: string(appendEnvelope(b, r, rand.Uint64()))}
	e.rest = e.text[headTail:]
	return e, nil
}

func (e encoded) head() string     { return e.text[:e.end] }
func (e encoded) envelope() string { return e.text[e.end:] }

// sizeHeadLen is how many digits the length of the head has, which is before what is appended.
const sizeHeadLen = 4

// before returns what comes before the time of the enqueue in what is appended.
func (e *encoded) before() string {
	var room [sizeHeadLen + headEnqueued]byte
	return string(append(appendDigits(room[:0], e.end, sizeHeadLen), e.text[:headEnqueued]...))
}

// sameBefore reports whether the same comes before the time of two.
func (e *encoded) sameBefore(other *encoded) bool {
	return e.end == other.end && e.text[:headEnqueued] == other.text[:headEnqueued]
}

// decodeAppended reads a record that append has stored.
func decodeAppended(id, text string) (*stored, error) {
	n, err := strconv.Atoi(text[:min(sizeHeadLen, len(text))])
	if err != nil || n < 0 || sizeHeadLen+n > len(text) {
		return nil, fmt.Errorf("%w: record %q was cut before it was indexed", tasks.ErrDamaged, id)
	}
	return decode(id, raw{head: text[sizeHeadLen : sizeHeadLen+n], envelope: text[sizeHeadLen+n:]})
}

// canAppend reports whether a record is due at once, whatever the server's time, and small.
func canAppend(r *tasks.Record, size int) bool {
	return r.Delay == 0 && r.TTL == 0 && r.RunAfter.IsZero() && r.ExpiresAt.IsZero() && size <= maxAppendSize
}

// append stores the writes of a group, each of one record, and returns those whose ids are there.
func (b *Backend) append(ctx context.Context, c processor, shard int, group []*write) (left []*write, err error) {
	args := make([]any, 0, appendEach*len(group))
	var before any
	for i, w := range group {
		e := &w.encoded[0]
		if i == 0 || !e.sameBefore(&group[i-1].encoded[0]) {
			before = e.before()
		}
		args = append(args, &e.id, before, &e.rest)
	}
	reply, err := b.send(ctx, c, &b.scripts.append, shard, args)
	if err != nil {
		return nil, err
	}
	var there []any // places in the group
	if answers := list(reply); len(answers) > 0 {
		reply, there = answers[0], answers[1:]
	}
	at, err := parseTime(text(reply))
	if err != nil || at.IsZero() {
		return nil, fmt.Errorf("%w: append: %v is no time", tasks.ErrDamaged, reply)
	}
	for i, w := range group {
		if len(there) > 0 && there[0] == int64(i) {
			left, there = append(left, w), there[1:]
			continue
		}
		w.err = w.read(at, nil, 0)
	}
	b.relieve(ctx, c, shard, len(group)-len(left))
	return left, nil
}

// relieve counts n more records as appended. If there are too many it has some indexed at once, and
// otherwise sees that they will be. What it can't do, whoever comes next does.
func (b *Backend) relieve(ctx context.Context, c processor, shard, n int) {
	b.tidy.come.Add(uint64(n))
	switch left := b.appended[shard].Add(int64(n)); {
	case left > b.tidy.most:
		_ = b.admit(ctx, c, shard)
	case left >= tidyFrom:
		b.startTidying() //nolint:contextcheck // it outlives the call
	}
}

// admit has a piece of what is appended indexed, and notes how many are left.
func (b *Backend) admit(ctx context.Context, c processor, shard int) error {
	reply, err := b.send(ctx, c, &b.scripts.admit, shard, nil)
	if err == nil {
		b.appended[shard].Store(number(reply))
	}
	return err
}
