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
	// maxAppended is how many records one backend leaves for later, about three seconds' work. Beyond
	// that it has a piece of them indexed at once, now and then: who comes next isn't to wait for longer.
	maxAppended = 400_000
	// maxAppendSize is how large a record is appended: those that are larger cost more to move
	// than to index.
	maxAppendSize = 32 << 10
	// appendEach is how many arguments the script has for each record.
	appendEach = 2
)

// encoded is a record as scripts get it: its id, and in one string its head and its envelope, with
// room for the time of the enqueue.
type encoded struct {
	id   string
	text string
	end  int // of the head
	// appended says that the text is what append gets: the length of the head comes first, and
	// there is no room for the time, which append puts before all of it.
	appended bool
}

func encode(r *tasks.Record, toAppend bool) (encoded, error) {
	var room [512]byte
	b := room[:0]
	if toAppend {
		b = append(b, "0000"...)
	}
	at := len(b)
	b, err := appendHead(b, r)
	if err != nil {
		return encoded{}, err
	}
	e := encoded{id: r.ID, end: len(b) - at, appended: toAppend}
	if toAppend {
		b = append(b[:at+headEnqueued], b[at+headTail:]...)
		appendDigits(b[:0], e.end, sizeHeadLen)
	}
	e.text = string(appendEnvelope(b, r, rand.Uint64()))
	return e, nil
}

// parts returns the head and the envelope.
func (e *encoded) parts() (head, envelope string) {
	if !e.appended {
		return e.text[:e.end], e.text[e.end:]
	}
	return appendedParts(unset, e.text, e.end)
}

// sizeHeadLen is how many digits the length of the head has, which is before what is appended.
const sizeHeadLen = 4

// appendedParts returns the head, which has n bytes, and the envelope of what was appended.
func appendedParts(at, text string, n int) (head, envelope string) {
	const front = sizeHeadLen + headEnqueued
	stop := sizeHeadLen + n - sizeTime
	return text[sizeHeadLen:front] + at + text[front:stop], text[stop:]
}

// decodeAppended reads a record that append has stored.
func decodeAppended(id, text string) (*stored, error) {
	at, rest := text[:min(sizeTime, len(text))], text[min(sizeTime, len(text)):]
	n, err := strconv.Atoi(rest[:min(sizeHeadLen, len(rest))])
	if err != nil || n < headTail || sizeHeadLen+n-sizeTime > len(rest) {
		return nil, fmt.Errorf("%w: record %q was cut before it was indexed", tasks.ErrDamaged, id)
	}
	head, envelope := appendedParts(at, rest, n)
	return decode(id, raw{head: head, envelope: envelope})
}

// canAppend reports whether a record is due at once, whatever the server's time.
func canAppend(r *tasks.Record) bool {
	return r.Delay == 0 && r.TTL == 0 && r.RunAfter.IsZero() && r.ExpiresAt.IsZero()
}

// append stores the writes of a group, each of one record, and returns those whose ids are there.
func (b *Backend) append(ctx context.Context, c processor, shard int, group []*write) (left []*write, err error) {
	args := make([]any, 2, 2+appendEach*len(group))
	args[0] = 1
	var line []byte
	for _, w := range group {
		id := &w.encoded[0].id
		line = append(appendDigits(line, len(*id), 3), *id...)
		args = append(args, id, &w.encoded[0].text)
		if !w.fresh {
			args[0] = 0
		}
		w.fresh = false // from now on it may be there
	}
	args[1] = line
	var reply any
	err = b.patiently(ctx, again, func() (err error) {
		reply, err = b.sendOnce(ctx, c, &b.scripts.append, shard, args)
		args[0] = 0
		return err
	})
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
