package redis

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// The envelope has what never changes and scripts don't look at: a version byte, then fields
// of a tag byte, the length of the value as a uvarint, and the value. A tag below 64 that
// isn't known is an error, because it may change what the record means; others are skipped.
const (
	envVersion   = 1
	firstSkipped = 64
)

const (
	tagNonce byte = iota + 1 // random, so that two records are never the same
	tagAlias
	tagTimeout
	tagRetain
	tagArgs // absent if Args is nil
	tagMetadata
)

// unset is a time or duration that isn't there, forever a duration without end.
const (
	unset    = "                  "
	forever  = "-                 "
	sizeTime = 18
)

func statusLetter(s tasks.Status) string {
	switch s {
	case tasks.Ready:
		return "R"
	case tasks.Running:
		return "W"
	case tasks.Successful:
		return "S"
	case tasks.Failed:
		return "F"
	case tasks.Cancelled:
		return "C"
	}
	return "?"
}

func statusOf(letter byte) tasks.Status {
	switch letter {
	case 'R':
		return tasks.Ready
	case 'W':
		return tasks.Running
	case 'S':
		return tasks.Successful
	case 'F':
		return tasks.Failed
	case 'C':
		return tasks.Cancelled
	}
	return ""
}

// formatTime is the stored form of a time. Years out of 1…9999 don't fit.
func formatTime(t time.Time) (string, error) {
	if t.IsZero() {
		return unset, nil
	}
	us := t.UnixMicro()
	s := ""
	if us < 0 {
		s = fmt.Sprintf("-%017d", -us)
	} else {
		s = fmt.Sprintf("%018d", us)
	}
	if len(s) != sizeTime {
		return "", fmt.Errorf("%w: %v is out of range", tasks.ErrInvalidTask, t)
	}
	return s, nil
}

// parseTime reads what formatTime or a script wrote.
func parseTime(s string) (time.Time, error) {
	if s == unset || s == "" {
		return time.Time{}, nil
	}
	us, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.Time{}, errors.New("a time isn't a number")
	}
	return time.UnixMicro(us).UTC(), nil
}

// formatDuration is the stored form of a duration that isn't negative, cut to microseconds.
func formatDuration(d time.Duration) string {
	return fmt.Sprintf("%018d", max(d, 0).Microseconds())
}

// formatKeep is the stored form of a retention. It is rounded up: only 0 is 0.
func formatKeep(d time.Duration) string {
	if d < 0 {
		return forever
	}
	us := d.Microseconds()
	if d%time.Microsecond > 0 {
		us++
	}
	return fmt.Sprintf("%018d", us)
}

func appendField(b []byte, tag byte, value string) []byte {
	return append(binary.AppendUvarint(append(b, tag), uint64(len(value))), value...)
}

func appendInt(b []byte, tag byte, v int64) []byte {
	return appendField(b, tag, string(binary.AppendVarint(nil, v)))
}

// appendPart appends a string with its length, inside a field.
func appendPart(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendEnvelope appends what never changes.
func appendEnvelope(b []byte, r *tasks.Record, nonce uint64) []byte {
	b = append(b, envVersion, tagNonce, 8)
	b = binary.BigEndian.AppendUint64(b, nonce)
	if r.Alias != "" {
		b = appendField(b, tagAlias, r.Alias)
	}
	if r.Timeout != 0 {
		b = appendInt(b, tagTimeout, int64(r.Timeout))
	}
	if r.Retain != nil {
		b = appendInt(b, tagRetain, int64(*r.Retain))
	}
	for k, v := range r.Metadata {
		b = appendField(b, tagMetadata, string(append(appendPart(nil, k), v...)))
	}
	if r.Args != nil {
		b = append(binary.AppendUvarint(append(b, tagArgs), uint64(len(r.Args))), r.Args...)
	}
	return b
}

var errShort = errors.New("it ends too early")

func decodeEnvelope(s string, r *tasks.Record) error {
	if len(s) == 0 || s[0] != envVersion {
		return errors.New("what never changes is missing or of a newer version")
	}
	p := parts{s: s[1:]}
	for len(p.s) > 0 && p.err == nil {
		tag := p.s[0]
		p.s = p.s[1:]
		value := p.string()
		if p.err != nil {
			break
		}
		switch tag {
		case tagNonce:
		case tagAlias:
			r.Alias = value
		case tagTimeout:
			v, n := binary.Varint([]byte(value))
			if n <= 0 {
				return errShort
			}
			r.Timeout = time.Duration(v)
		case tagRetain:
			v, n := binary.Varint([]byte(value))
			if n <= 0 {
				return errShort
			}
			d := time.Duration(v)
			r.Retain = &d
		case tagArgs:
			r.Args = []byte(value)
		case tagMetadata:
			if r.Metadata == nil {
				r.Metadata = make(map[string]string)
			}
			q := parts{s: value}
			k := q.string()
			if q.err != nil {
				return q.err
			}
			r.Metadata[k] = q.s
		default:
			if tag < firstSkipped {
				return fmt.Errorf("it has a field %d of a newer version", tag)
			}
		}
	}
	return p.err
}

// parts reads strings that have their length before them, and remembers the first error.
type parts struct {
	s   string
	err error
}

func (p *parts) string() string {
	n, w := uint64(0), 0
	for shift := 0; ; shift += 7 {
		if w == len(p.s) || shift > 63 {
			p.s, p.err = "", errShort
			return ""
		}
		c := p.s[w]
		w++
		n |= uint64(c&0x7f) << shift
		if c < 0x80 {
			break
		}
	}
	if n > uint64(len(p.s)-w) {
		p.s, p.err = "", errShort
		return ""
	}
	v := p.s[w : w+int(n)]
	p.s = p.s[w+int(n):]
	return v
}

// encodeError is what scripts get of an error; they put time, attempt and worker before it.
func encodeError(e *tasks.AttemptError) string {
	if e == nil {
		e = new(tasks.AttemptError)
	}
	b := make([]byte, 0, 16+len(e.Type)+len(e.Message)+len(e.Stack))
	b = append(b, '+')
	return string(appendPart(appendPart(appendPart(b, e.Type), e.Message), e.Stack))
}

func decodeError(s string) (e tasks.AttemptError, err error) {
	if len(s) < 34 {
		return e, errShort
	}
	e.At, err = parseTime(s[:18])
	attempt, err1 := strconv.Atoi(s[18:28])
	n, err2 := strconv.Atoi(s[28:34])
	if err := errors.Join(err, err1, err2); err != nil {
		return e, err
	}
	e.Attempt = attempt
	if n < 0 || 34+n > len(s) {
		return e, errShort
	}
	e.Worker = s[34 : 34+n]
	p := parts{s: s[34+n:]}
	e.Type, e.Message, e.Stack = p.string(), p.string(), p.string()
	return e, p.err
}

// decodeWorkers reads the workers from the newest to the oldest.
func decodeWorkers(s string) ([]string, error) {
	var all []string
	for s != "" {
		if len(s) < 6 {
			return nil, errShort
		}
		n, err := strconv.Atoi(s[len(s)-6:])
		if err != nil || n < 0 || n > len(s)-6 {
			return nil, errShort
		}
		all = append(all, s[len(s)-6-n:len(s)-6])
		s = s[:len(s)-6-n]
	}
	for i, j := 0, len(all)-1; i < j; i, j = i+1, j-1 {
		all[i], all[j] = all[j], all[i]
	}
	return all, nil
}

// stored is a record with what only the store knows about it.
type stored struct {
	rec   tasks.Record
	token string
	till  time.Time
	more  bool // its head says that there may be more of it
}

// raw is a record as it is in its keys.
type raw struct {
	head, envelope string
	value          any               // a string, or nil if there is none
	more           map[string]string // errors and the reason of a cancellation
}

// decode reads a record.
func decode(id string, raw raw) (*stored, error) {
	s, err := decodeHead(raw.head)
	if err != nil {
		return nil, damaged(id, err)
	}
	return s.fill(id, raw)
}

func damaged(id string, err error) error {
	return fmt.Errorf("%w: record %q: %w", tasks.ErrDamaged, id, err)
}

// fill adds to a record that has what its head says.
func (s *stored) fill(id string, raw raw) (*stored, error) {
	r := &s.rec
	r.ID = id
	if err := decodeEnvelope(raw.envelope, r); err != nil {
		return nil, damaged(id, err)
	}
	for i := 1; raw.more != nil; i++ {
		x, ok := raw.more["x"+strconv.Itoa(i)]
		if !ok {
			break
		}
		e, err := decodeError(x)
		if err != nil {
			return nil, damaged(id, err)
		}
		r.Errors = append(r.Errors, e)
	}
	if v, ok := raw.value.(string); ok {
		r.Value = []byte(v)
	} else if r.Status == tasks.Successful {
		r.Value = []byte("null")
	}
	r.CancelReason = raw.more["cr"]
	return s, nil
}
