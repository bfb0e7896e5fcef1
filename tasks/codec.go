package tasks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"
)

// encode is the one encoding of arguments and return values, on every backend.
// What JSON can't carry is ErrNotSerializable, what is over most bytes (if that
// isn't negative) ErrTooLarge. As encoding/json does, it replaces invalid UTF-8 in
// strings by U+FFFD.
func encode(v any, what string, most int) (raw json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil { // a MarshalJSON method of the user's
			raw, err = nil, fmt.Errorf("%w: %s of type %T: panic: %v", ErrNotSerializable, what, v, p)
		}
	}()
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("%w: %s of type %T: %w", ErrNotSerializable, what, v, err)
	}
	raw = bytes.TrimSuffix(buf.Bytes(), []byte("\n"))
	if most >= 0 && len(raw) > most {
		return nil, fmt.Errorf("%w: %s encoded as %d bytes, over the %d allowed", ErrTooLarge, what, len(raw), most)
	}
	return raw, nil
}

// decode reads what encode wrote. A number that goes into an any stays exact, as a
// json.Number.
func decode(raw json.RawMessage, into any) error {
	if len(raw) == 0 {
		return nil
	}
	if r, ok := into.(*json.RawMessage); ok {
		*r = bytes.Clone(raw)
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode(into)
}

// The bounds of the texts in an AttemptError.
const (
	maxMessage = 8 << 10
	maxStack   = 16 << 10
)

// clean makes any text one that every store keeps as it is: valid UTF-8 without
// NUL, at most most bytes.
func clean(s string, most int) string {
	if len(s) > most {
		s = s[:most]
		for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) { // don't leave half a character
			s = s[:len(s)-1]
		}
		if r, size := utf8.DecodeLastRuneInString(s); r == utf8.RuneError && size == 1 {
			s = s[:len(s)-1]
		}
		s += "…"
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	return strings.ReplaceAll(s, "\x00", "\u2400")
}
