// Package strictjson decodes configuration: every fault is found and reported
// with its path, where encoding/json stops at the first and has none.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Member is a name and its value in an object.
type Member struct {
	Name  string
	Value json.RawMessage
}

// Object reads a JSON object and nothing after it, and returns its members in
// order. A repeated name is a fault; the first of them counts.
func Object(path string, data []byte) ([]Member, error) {
	at := func(err error) error { return fault(path, err) }
	dec := json.NewDecoder(bytes.NewReader(data))
	open, err := dec.Token()
	if err != nil {
		return nil, at(position(data, dec.InputOffset(), err))
	}
	if open != json.Delim('{') {
		return nil, at(errors.New("must be an object, {…}"))
	}
	var members []Member
	var faults []error
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, at(position(data, dec.InputOffset(), err))
		}
		name := key.(string) // the decoder allows nothing else before a colon
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, at(position(data, dec.InputOffset(), err))
		}
		if slices.ContainsFunc(members, func(m Member) bool { return m.Name == name }) {
			faults = append(faults, fault(join(path, name), errors.New("is there twice")))
			continue
		}
		members = append(members, Member{name, value})
	}
	if _, err := dec.Token(); err != nil {
		return nil, at(position(data, dec.InputOffset(), err))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		faults = append(faults, at(position(data, dec.InputOffset(), errors.New("something follows the object"))))
	}
	return members, errors.Join(faults...)
}

// position adds the line to a syntax error.
func position(data []byte, offset int64, err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		offset = syntax.Offset
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err, offset = errors.New("the JSON ends too soon"), int64(len(data))
	}
	offset = min(max(offset, 0), int64(len(data)))
	return fmt.Errorf("line %d: %w", 1+bytes.Count(data[:offset], []byte("\n")), err)
}

// Decode decodes an object into the struct that into points to, by the fields'
// json tags. A duration is a string such as "1m30s".
func Decode(path string, data []byte, into any) error {
	members, err := Object(path, data)
	faults := []error{err}
	for _, m := range members {
		faults = append(faults, set(path, m.Name, reflect.ValueOf(into).Elem(), func(v reflect.Value, at string) error {
			return value(at, m.Value, v)
		}))
	}
	return errors.Join(faults...)
}

// DecodeQuery decodes a URL's query into the struct that into points to. A name
// that is in options too is a fault.
func DecodeQuery(path, query string, options []byte, into any) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return fault(path, errors.New("the query can't be parsed"))
	}
	var taken []Member
	if len(options) > 0 {
		taken, _ = Object("", options)
	}
	var faults []error
	for _, name := range sortedKeys(values) {
		switch {
		case len(values[name]) > 1:
			faults = append(faults, fault(join(path+"?", name), errors.New("is there twice")))
		case slices.ContainsFunc(taken, func(m Member) bool { return m.Name == name }):
			faults = append(faults, fault(join(path+"?", name), errors.New("is in the options too")))
		default:
			faults = append(faults, set(path+"?", name, reflect.ValueOf(into).Elem(), func(v reflect.Value, at string) error {
				return text(at, values.Get(name), v)
			}))
		}
	}
	return errors.Join(faults...)
}

func sortedKeys(values url.Values) []string {
	keys := make([]string, 0, len(values))
	for k := range values {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// set finds the field of that name and hands it to assign.
func set(path, name string, object reflect.Value, assign func(v reflect.Value, at string) error) error {
	var known []string
	for i := range object.NumField() {
		tag, _, _ := strings.Cut(object.Type().Field(i).Tag.Get("json"), ",")
		if tag == "-" || tag == "" || !object.Type().Field(i).IsExported() {
			continue
		}
		if tag == name {
			return assign(object.Field(i), join(path, name))
		}
		known = append(known, tag)
	}
	if len(known) == 0 {
		return fault(join(path, name), errors.New("unknown; there are no options"))
	}
	return fault(join(path, name), fmt.Errorf("unknown; known are %s", strings.Join(known, ", ")))
}

func value(path string, data json.RawMessage, v reflect.Value) error {
	if v.Type() == reflect.TypeFor[json.RawMessage]() {
		v.SetBytes(slices.Clone(data))
		return nil
	}
	if string(data) == "null" {
		return nil // as if it weren't there
	}
	if v.Type() == reflect.TypeFor[time.Duration]() {
		var s string
		if json.Unmarshal(data, &s) != nil {
			return fault(path, errors.New(`must be a duration in quotes, such as "30s" or "1h"`))
		}
		return text(path, s, v)
	}
	switch v.Kind() { //nolint:exhaustive // the rest is encoding/json's
	case reflect.Struct:
		return Decode(path, data, v.Addr().Interface())
	case reflect.Pointer:
		fresh := reflect.New(v.Type().Elem())
		if err := value(path, data, fresh.Elem()); err != nil {
			return err
		}
		v.Set(fresh)
		return nil
	}
	if err := json.Unmarshal(data, v.Addr().Interface()); err != nil {
		v.SetZero() // nothing half-filled, which would look like another fault
		return fault(path, fmt.Errorf("must be %s", kind(v.Type())))
	}
	return nil
}

// text sets a field from plain text.
func text(path, s string, v reflect.Value) error {
	if v.Type() == reflect.TypeFor[time.Duration]() {
		d, err := time.ParseDuration(s)
		if err != nil {
			return fault(path, fmt.Errorf(`%q is not a duration, such as "30s" or "1h"`, s))
		}
		v.SetInt(int64(d))
		return nil
	}
	var err error
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(s)
		v.SetBool(b)
	case reflect.Int, reflect.Int64, reflect.Int32:
		var n int64
		n, err = strconv.ParseInt(s, 10, v.Type().Bits())
		v.SetInt(n)
	case reflect.Float64:
		var f float64
		f, err = strconv.ParseFloat(s, 64)
		if math.IsNaN(f) || math.IsInf(f, 0) {
			err = errors.New("not finite")
		}
		v.SetFloat(f)
	default:
		return fault(path, errors.New("can't be given in a URL; use the options"))
	}
	if err != nil {
		return fault(path, fmt.Errorf("%q is not %s", s, kind(v.Type())))
	}
	return nil
}

func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64, reflect.Int32:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list, each element " + kind(t.Elem())
	case reflect.Map:
		return "an object, each value " + kind(t.Elem())
	default:
		return "a " + t.String()
	}
}

func join(path, name string) string {
	if quoted := strconv.Quote(name); len(quoted) != len(name)+2 {
		name = quoted // one fault is one printable line
	}
	switch {
	case strings.HasSuffix(path, "?"), path == "":
		return path + name
	default:
		return path + "." + name
	}
}

func fault(path string, err error) error {
	if path == "" {
		return err
	}
	return fmt.Errorf("%s: %w", path, err)
}
