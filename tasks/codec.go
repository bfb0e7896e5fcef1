package tasks

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// encode is the one encoding of arguments and return values, on every backend.
// What JSON can't carry is ErrNotSerializable, what is over most bytes (if that
// isn't negative) ErrTooLarge. It replaces invalid UTF-8 in strings by U+FFFD.
func encode(v any, what string, most int) (raw json.RawMessage, err error) {
	defer func() {
		if p := recover(); p != nil { // a MarshalJSON method of the user's
			raw, err = nil, fmt.Errorf("%w: %s of type %T: panic: %v", ErrNotSerializable, what, v, p)
		}
	}()
	if raw, err = marshal(v); err != nil {
		return nil, fmt.Errorf("%w: %s of type %T: %w", ErrNotSerializable, what, v, err)
	}
	if !utf8.Valid(raw) { // a json.RawMessage or MarshalJSON's, which encoding/json leaves as it is
		raw = bytes.ToValidUTF8(raw, []byte("\uFFFD"))
	}
	if err := checkSize(what, len(raw), most); err != nil {
		return nil, err
	}
	return raw, nil
}

// marshal is json.Marshal without its escapes for HTML, which are of <, >, & and, in what is JSON
// already, of U+2028 and U+2029. Most values have none, and an encoder of their own would cost them as
// much again.
func marshal(v any) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil || !bytes.Contains(raw, []byte(`\u00`)) && !bytes.Contains(raw, []byte(`\u202`)) {
		return raw, err
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// decode reads what encode wrote. A number that goes into an any stays exact, as a
// json.Number, which untyped asks for: it costs a decoder.
func decode(raw json.RawMessage, into any, untyped bool) error {
	if len(raw) == 0 {
		return nil
	}
	if r, ok := into.(*json.RawMessage); ok {
		*r = bytes.Clone(raw)
		return nil
	}
	if !untyped {
		return json.Unmarshal(raw, into)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	return dec.Decode(into)
}

// hasAny reports whether a value of type t may hold one of any type, so that
// decode has to be untyped.
func hasAny(t reflect.Type) bool { return hasAnyIn(t, map[reflect.Type]bool{}) }

func hasAnyIn(t reflect.Type, seen map[reflect.Type]bool) bool {
	if t == nil || seen[t] {
		return false
	}
	seen[t] = true
	switch t.Kind() { //nolint:exhaustive // the others hold nothing
	case reflect.Interface:
		return true
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return hasAnyIn(t.Elem(), seen)
	case reflect.Struct:
		for f := range t.Fields() {
			if hasAnyIn(f.Type, seen) {
				return true
			}
		}
	}
	return false
}

// The bounds of the texts in an AttemptError.
const (
	maxMessage = 8 << 10
	maxStack   = 16 << 10
)

// clean makes any text one that every store keeps as it is: valid UTF-8 without
// NUL, at most most bytes.
func clean(s string, most int) string {
	shortened := len(s) > most
	if shortened {
		s = s[:most] // what follows only makes it longer, so more isn't needed
	}
	s = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\u2400")
	if !shortened && len(s) <= most {
		return s
	}
	const mark = "…"
	end := min(len(s), most-len(mark))
	for end > 0 && end < len(s) && !utf8.RuneStart(s[end]) { // don't leave half a character
		end--
	}
	return s[:end] + mark
}
