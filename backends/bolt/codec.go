package bolt

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// A stored record is a fixed head, then fields.
//
//	0       codec version
//	1       status
//	2       100 - priority, as in the ready index
//	3       flags
//	4..52   six times: enqueued, run after, expires, started, last attempt, finished
//	52..60  until: the deadline of a RUNNING record, when a final one is pruned
//	60..76  with flagLease only: the token
//
// A field is a tag byte, the length of its value as a uvarint, and the value.
// Queue and task come first, so that filters need read no further. Fields with
// zero values are left out.
//
// The head is fixed so that an enqueue can be encoded by its caller and have its
// times patched by the writer, and so that a renewal needn't decode anything.
//
// The rule for newer writers: a tag below 64 that isn't known is an error,
// because it may change what the record means. Others are kept as they are.
const (
	codecVersion = 1

	offStatus   = 1
	offPriority = 2
	offFlags    = 3
	offTimes    = 4
	offEnqueued = offTimes
	offRunAfter = offTimes + 8
	offExpires  = offTimes + 16
	offFinished = offTimes + 40
	offUntil    = offTimes + 48
	offToken    = offUntil + 8
	sizeHead    = offToken
	sizeToken   = 16

	flagCancel   = 1 << 0 // cancellation was requested
	flagLease    = 1 << 1 // the head has a lease
	flagFarArgs  = 1 << 2 // the arguments are in the bucket of large ones
	flagNoArgs   = 1 << 3 // Args is nil, not empty
	flagsKnown   = flagCancel | flagLease | flagFarArgs | flagNoArgs
	firstSkipped = 64
)

const (
	tagQueue byte = iota + 1
	tagTask
	tagAlias
	tagMaxAttempts
	tagTimeout
	tagRetain
	tagArgs
	tagMetadata
	tagWorker
	tagError
	tagValue
	tagReason
)

// Statuses as they are stored; the numbers are part of the format.
const (
	stReady byte = iota + 1
	stRunning
	stSuccessful
	stFailed
	stCancelled
)

func statusCode(s tasks.Status) byte {
	switch s {
	case tasks.Ready:
		return stReady
	case tasks.Running:
		return stRunning
	case tasks.Successful:
		return stSuccessful
	case tasks.Failed:
		return stFailed
	case tasks.Cancelled:
		return stCancelled
	}
	return 0
}

func statusOf(code byte) tasks.Status {
	switch code {
	case stReady:
		return tasks.Ready
	case stRunning:
		return tasks.Running
	case stSuccessful:
		return tasks.Successful
	case stFailed:
		return tasks.Failed
	case stCancelled:
		return tasks.Cancelled
	}
	return ""
}

// envelope is a record with what only the store knows about it.
type envelope struct {
	rec     tasks.Record
	token   [sizeToken]byte // of the live lease, if the record is RUNNING
	until   time.Time       // the lease's deadline, or when a final record is pruned
	farArgs bool            // rec.Args are elsewhere and may not be loaded
	extra   []byte          // fields of newer writers, kept as they are
}

func micros(t time.Time) uint64 { return uint64(t.UnixMicro()) }

// fromMicros turns what micros made of the zero time into the zero time again.
func fromMicros(us uint64) time.Time { return time.UnixMicro(int64(us)).UTC() }

func appendField(b []byte, tag byte, n int) []byte {
	return binary.AppendUvarint(append(b, tag), uint64(n))
}

func appendString(b []byte, tag byte, s string) []byte {
	if s == "" {
		return b
	}
	return append(appendField(b, tag, len(s)), s...)
}

func appendInt(b []byte, tag byte, v int64) []byte {
	var tmp [binary.MaxVarintLen64]byte
	n := binary.PutVarint(tmp[:], v)
	return append(appendField(b, tag, n), tmp[:n]...)
}

// appendPart appends a string with its length, inside a field.
func appendPart(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func sizePart(s string) int { return sizeUvarint(uint64(len(s))) + len(s) }

func sizeUvarint(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// encode appends the stored form of e. The id isn't in it: it is the key.
func (e *envelope) encode(b []byte) []byte {
	r := &e.rec
	var flags byte
	if r.CancelRequested {
		flags |= flagCancel
	}
	if r.Status == tasks.Running {
		flags |= flagLease
	}
	switch {
	case e.farArgs:
		flags |= flagFarArgs
	case r.Args == nil:
		flags |= flagNoArgs
	}
	b = append(b, codecVersion, statusCode(r.Status), levelOf(r.Priority), flags)
	for _, t := range [...]time.Time{r.EnqueuedAt, r.RunAfter, r.ExpiresAt, r.StartedAt, r.LastAttemptedAt, r.FinishedAt} {
		b = binary.BigEndian.AppendUint64(b, micros(t))
	}
	b = binary.BigEndian.AppendUint64(b, micros(e.until))
	if flags&flagLease != 0 {
		b = append(b, e.token[:]...)
	}
	b = appendString(b, tagQueue, r.Queue)
	b = appendString(b, tagTask, r.Task)
	b = appendString(b, tagAlias, r.Alias)
	if r.MaxAttempts != 0 {
		b = appendInt(b, tagMaxAttempts, int64(r.MaxAttempts))
	}
	if r.Timeout != 0 {
		b = appendInt(b, tagTimeout, int64(r.Timeout))
	}
	if r.Retain != nil {
		b = appendInt(b, tagRetain, int64(*r.Retain))
	}
	for k, v := range r.Metadata {
		b = appendField(b, tagMetadata, sizePart(k)+len(v))
		b = append(appendPart(b, k), v...)
	}
	for _, w := range r.WorkerIDs {
		b = append(appendField(b, tagWorker, len(w)), w...) // also an empty one: it counts
	}
	for i := range r.Errors {
		b = appendError(b, &r.Errors[i])
	}
	b = appendString(b, tagReason, r.CancelReason)
	if !e.farArgs && len(r.Args) > 0 {
		b = append(appendField(b, tagArgs, len(r.Args)), r.Args...)
	}
	if len(r.Value) > 0 {
		b = append(appendField(b, tagValue, len(r.Value)), r.Value...)
	}
	return append(b, e.extra...)
}

func appendError(b []byte, e *tasks.AttemptError) []byte {
	n := sizeUvarint(uint64(e.Attempt)) + 8 + sizePart(e.Type) + sizePart(e.Message) + sizePart(e.Stack) + sizePart(e.Worker)
	b = appendField(b, tagError, n)
	b = binary.AppendUvarint(b, uint64(e.Attempt))
	b = binary.BigEndian.AppendUint64(b, micros(e.At))
	b = appendPart(b, e.Type)
	b = appendPart(b, e.Message)
	b = appendPart(b, e.Stack)
	return appendPart(b, e.Worker)
}

// head is what can be read of a stored record without decoding it.
type head []byte

var errShort = errors.New("it ends too early")

func readHead(b []byte) (head, error) {
	switch {
	case len(b) < sizeHead:
		return nil, errShort
	case b[0] != codecVersion:
		return nil, fmt.Errorf("its encoding is version %d, and this program knows version %d", b[0], codecVersion)
	case b[offStatus] < stReady || b[offStatus] > stCancelled:
		return nil, fmt.Errorf("it has no known status: %d", b[offStatus])
	case b[offPriority] > levelOf(tasks.MinPriority):
		return nil, errors.New("its priority is out of range")
	case b[offFlags]&^flagsKnown != 0:
		return nil, fmt.Errorf("it has unknown flags: %#x", b[offFlags])
	case (b[offFlags]&flagLease != 0) != (b[offStatus] == stRunning):
		return nil, errors.New("its lease doesn't go with its status")
	case b[offFlags]&flagLease != 0 && len(b) < sizeHead+sizeToken:
		return nil, errShort
	}
	return head(b), nil
}

func (h head) status() byte               { return h[offStatus] }
func (h head) running() bool              { return h[offStatus] == stRunning }
func (h head) cancelRequested() bool      { return h[offFlags]&flagCancel != 0 }
func (h head) token() []byte              { return h[offToken : offToken+sizeToken] }
func (h head) time(off int) time.Time     { return fromMicros(binary.BigEndian.Uint64(h[off:])) }
func (h head) patch(off int, t time.Time) { binary.BigEndian.PutUint64(h[off:], micros(t)) }

// fields returns what follows the head.
func (h head) fields() fields {
	if h[offFlags]&flagLease != 0 {
		return fields(h[sizeHead+sizeToken:])
	}
	return fields(h[sizeHead:])
}

// queueTask returns the first two fields, which alias the record.
func (h head) queueTask() (queue, task []byte, err error) {
	f := h.fields()
	for len(f) > 0 && f[0] <= tagTask {
		tag, value, rest, err := f.next()
		if err != nil {
			return nil, nil, err
		}
		if tag == tagQueue {
			queue = value
		} else {
			task = value
		}
		f = rest
	}
	return queue, task, nil
}

// find returns the value of the first field with the tag, or nil.
func (h head) find(want byte) ([]byte, error) {
	for f := h.fields(); len(f) > 0; {
		tag, value, rest, err := f.next()
		if err != nil || tag == want {
			return value, err
		}
		f = rest
	}
	return nil, nil
}

type fields []byte

func (f fields) next() (tag byte, value []byte, rest fields, err error) {
	n, w := binary.Uvarint(f[1:])
	if w <= 0 || n > uint64(len(f)-1-w) {
		return 0, nil, nil, errShort
	}
	start, end := 1+w, 1+w+int(n)
	return f[0], f[start:end:end], f[end:], nil
}

// decode reads a stored record. The result shares no memory with b.
func decode(id string, b []byte) (*envelope, error) {
	h, err := readHead(b)
	if err != nil {
		return nil, err
	}
	e := &envelope{farArgs: h[offFlags]&flagFarArgs != 0}
	r := &e.rec
	r.ID = id
	r.Status = statusOf(h.status())
	r.Priority = tasks.MaxPriority - int(h[offPriority])
	r.CancelRequested = h.cancelRequested()
	for i, t := range [...]*time.Time{&r.EnqueuedAt, &r.RunAfter, &r.ExpiresAt, &r.StartedAt, &r.LastAttemptedAt, &r.FinishedAt} {
		*t = h.time(offTimes + 8*i)
	}
	e.until = h.time(offUntil)
	if h.running() {
		copy(e.token[:], h.token())
	}
	if h[offFlags]&(flagFarArgs|flagNoArgs) == 0 {
		r.Args = []byte{}
	}
	for f := h.fields(); len(f) > 0; {
		tag, value, rest, err := f.next()
		if err != nil {
			return nil, err
		}
		if tag >= firstSkipped {
			e.extra = append(e.extra, f[:len(f)-len(rest)]...)
		} else if err := e.field(tag, value); err != nil {
			return nil, err
		}
		f = rest
	}
	return e, nil
}

func (e *envelope) field(tag byte, value []byte) error {
	r := &e.rec
	var err error
	switch tag {
	case tagQueue:
		r.Queue = string(value)
	case tagTask:
		r.Task = string(value)
	case tagAlias:
		r.Alias = string(value)
	case tagMaxAttempts:
		var v int64
		v, err = varint(value)
		r.MaxAttempts = int(v)
	case tagTimeout:
		var v int64
		v, err = varint(value)
		r.Timeout = time.Duration(v)
	case tagRetain:
		var v int64
		v, err = varint(value)
		d := time.Duration(v)
		r.Retain = &d
	case tagArgs:
		if e.farArgs || r.Args == nil {
			return errors.New("it has arguments in spite of its flags")
		}
		r.Args = append([]byte{}, value...)
	case tagMetadata:
		p := parts{b: value}
		k := p.string()
		if r.Metadata == nil {
			r.Metadata = make(map[string]string)
		}
		r.Metadata[k] = string(p.b)
		err = p.err
	case tagWorker:
		r.WorkerIDs = append(r.WorkerIDs, string(value))
	case tagError:
		p := parts{b: value}
		a := tasks.AttemptError{Attempt: int(p.uvarint()), At: fromMicros(p.uint64())}
		a.Type, a.Message, a.Stack, a.Worker = p.string(), p.string(), p.string(), p.string()
		r.Errors = append(r.Errors, a)
		err = p.err
	case tagReason:
		r.CancelReason = string(value)
	case tagValue:
		r.Value = append([]byte(nil), value...)
	default:
		return fmt.Errorf("it has a field %d of a newer version", tag)
	}
	return err
}

func varint(b []byte) (int64, error) {
	v, n := binary.Varint(b)
	if n <= 0 || n != len(b) {
		return 0, errShort
	}
	return v, nil
}

// parts reads what a field is made of, and remembers the first error.
type parts struct {
	b   []byte
	err error
}

func (p *parts) fail() { p.b, p.err = nil, errShort }

func (p *parts) uvarint() uint64 {
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parts) uint64() uint64 {
	if len(p.b) < 8 {
		p.fail()
		return 0
	}
	v := binary.BigEndian.Uint64(p.b)
	p.b = p.b[8:]
	return v
}

func (p *parts) string() string {
	n := p.uvarint()
	if n > uint64(len(p.b)) {
		p.fail()
		return ""
	}
	s := string(p.b[:n])
	p.b = p.b[n:]
	return s
}

func tokenString(token []byte) string { return hex.EncodeToString(token) }
