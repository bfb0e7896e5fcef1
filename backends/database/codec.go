package database

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// What may hold any bytes, and is a list, is kept in one bytea: each string is
// preceded by its length, so that SQL appends to a list by ||, and no byte means
// anything.
//
//	workers:  string…                                          one for each attempt
//	metadata: (name value)…                                    by name
//	errors:   (attempt:u32 at:i64 type message stack worker)…  at in microseconds

var errCodec = errors.New("it ends in the middle of a value")

func appendString(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func appendError(b []byte, e *tasks.AttemptError) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(e.Attempt))
	b = binary.BigEndian.AppendUint64(b, uint64(e.At.UnixMicro()))
	for _, s := range []string{e.Type, e.Message, e.Stack, e.Worker} {
		b = appendString(b, s)
	}
	return b
}

// encodeStrings returns nil, which is NULL, for none; so do the other two.
func encodeStrings(list []string) (b []byte) {
	for _, s := range list {
		b = appendString(b, s)
	}
	return b
}

func encodeMetadata(m map[string]string) (b []byte) {
	if len(m) == 0 {
		return nil // what sorts allocates, also if there is nothing
	}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		b = appendString(appendString(b, k), m[k])
	}
	return b
}

func encodeErrors(list []tasks.AttemptError) (b []byte) {
	for i := range list {
		b = appendError(b, &list[i])
	}
	return b
}

// reader takes values off the front of b.
type reader struct {
	b   []byte
	err error
}

func (r *reader) more() bool { return len(r.b) > 0 && r.err == nil }

func (r *reader) take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.err = nil, errCodec
		return nil
	}
	taken := r.b[:n]
	r.b = r.b[n:]
	return taken
}

func (r *reader) u32() uint32 {
	if b := r.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (r *reader) u64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *reader) str() string { return string(r.take(int(r.u32()))) }

func decodeStrings(b []byte) (list []string, err error) {
	r := reader{b: b}
	for r.more() {
		list = append(list, r.str())
	}
	return list, r.err
}

func decodeMetadata(b []byte) (m map[string]string, err error) {
	r := reader{b: b}
	for r.more() {
		if m == nil {
			m = make(map[string]string)
		}
		k := r.str()
		m[k] = r.str()
	}
	return m, r.err
}

func decodeErrors(b []byte) (list []tasks.AttemptError, err error) {
	r := reader{b: b}
	for r.more() {
		e := tasks.AttemptError{Attempt: int(r.u32()), At: time.UnixMicro(int64(r.u64())).UTC()}
		e.Type, e.Message, e.Stack, e.Worker = r.str(), r.str(), r.str(), r.str()
		list = append(list, e)
	}
	return list, r.err
}
