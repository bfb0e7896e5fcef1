package strictjson_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/internal/strictjson"
)

type inner struct {
	Deep int `json:"deep"`
}

type object struct {
	Text   string          `json:"text,omitempty"`
	Flag   bool            `json:"flag"`
	Count  int             `json:"count"`
	Small  int32           `json:"small"`
	Ratio  float64         `json:"ratio"`
	Wait   time.Duration   `json:"wait"`
	Names  []string        `json:"names"`
	Map    map[string]int  `json:"map"`
	Inner  inner           `json:"inner"`
	Retain *time.Duration  `json:"retain"`
	Raw    json.RawMessage `json:"raw"`
	Hidden string          `json:"-"`
	Bare   string
}

func TestDecode(t *testing.T) {
	var got object
	err := strictjson.Decode("o", []byte(`{"text": "t", "flag": true, "count": -5, "small": 7, "ratio": 0.5, "wait": "1m30s", "names": ["a"],
		"map": {"k": 1}, "inner": {"deep": 9}, "retain": "-1ns", "raw": [ 1 ]}`), &got)
	if err != nil {
		t.Fatalf("Decode: %v", err)
	}
	want := object{
		Text: "t", Flag: true, Count: -5, Small: 7, Ratio: 0.5, Wait: 90 * time.Second, Names: []string{"a"},
		Map: map[string]int{"k": 1}, Inner: inner{9}, Retain: new(time.Duration(-1)), Raw: json.RawMessage(`[ 1 ]`),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Decode:\n got %+v\nwant %+v", got, want)
	}
}

func TestDecode_NullIsAsIfAbsent(t *testing.T) {
	got := object{Text: "t", Count: 5, Wait: 1, Names: []string{"a"}}
	want := got
	if err := strictjson.Decode("o", []byte(`{"text": null, "count": null, "wait": null, "names": null, "inner": null, "retain": null}`), &got); err != nil {
		t.Fatalf("Decode: %v", err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Decode: got %+v, want %+v", got, want)
	}
}

func TestDecode_Faults(t *testing.T) {
	known := "; known are text, flag, count, small, ratio, wait, names, map, inner, retain, raw"
	for _, tt := range []struct{ text, want string }{
		{`{"text": 1}`, "o.text: must be a string"},
		{`{"flag": "yes"}`, "o.flag: must be true or false"},
		{`{"count": 1.5}`, "o.count: must be a whole number"},
		{`{"count": "1"}`, "o.count: must be a whole number"},
		{`{"count": 9223372036854775808}`, "o.count: must be a whole number"},
		{`{"small": 2147483648}`, "o.small: must be a whole number"},
		{`{"ratio": "x"}`, "o.ratio: must be a number"},
		{`{"wait": 5}`, `o.wait: must be a duration in quotes, such as "30s" or "1h"`},
		{`{"wait": "soon"}`, `o.wait: "soon" is not a duration, such as "30s" or "1h"`},
		{`{"retain": "soon"}`, `o.retain: "soon" is not a duration, such as "30s" or "1h"`},
		{`{"names": "a"}`, "o.names: must be a list, each element a string"},
		{`{"names": ["a", 1]}`, "o.names: must be a list, each element a string"},
		{`{"map": {"k": "v"}}`, "o.map: must be an object, each value a whole number"},
		{`{"inner": 5}`, "o.inner: must be an object, {…}"},
		{`{"inner": {"deep": "x", "wide": 1}}`, "o.inner.deep: must be a whole number\no.inner.wide: unknown; known are deep"},
		{`{"Text": "t"}`, "o.Text: unknown" + known},
		{`{"a\nb\u0000": 1}`, `o."a\nb\x00": unknown` + known},
		{`{"Hidden": "s", "-": "t", "": "u"}`, "o.Hidden: unknown" + known + "\no.-: unknown" + known + "\no.: unknown" + known},
		{`{"text": "a", "text": "b"}`, "o.text: is there twice"},
		{`{"text": "a"} {`, "o: line 1: something follows the object"},
		{"{\n\n\"text\": x}", "o: line 3: invalid character 'x' looking for beginning of value"},
		{`{"text" "a"}`, "o: line 1: expected colon after object key"},
		{`{1: 2}`, "o: line 1: invalid character '1'"},
		{`{"text": "a"]`, "o: line 1: invalid character ']'"},
		{`{]`, "o: line 1: invalid character ']'"},
		{`7`, "o: must be an object, {…}"},
	} {
		var got object
		err := strictjson.Decode("o", []byte(tt.text), &got)
		if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("Decode(%s):\n got %v\nwant %s", tt.text, err, tt.want)
		}
		if got.Hidden != "" || len(got.Names) > 0 {
			t.Errorf("Decode(%s): got %+v, want nothing set by a fault", tt.text, got)
		}
	}
	var none struct{}
	if err := strictjson.Decode("o", []byte(`{"x": 1}`), &none); err == nil || err.Error() != "o.x: unknown; there are no options" {
		t.Errorf("Decode into no options: got %v, want it said", err)
	}
}

func TestObject_KeepsTheFirstOfTwoAndTheOrder(t *testing.T) {
	members, err := strictjson.Object("", []byte(`{"b": 1, "a": 2, "b": 3}`))
	if err == nil || err.Error() != "b: is there twice" {
		t.Errorf("Object: got error %v, want one about b", err)
	}
	var all []string
	for _, m := range members {
		all = append(all, m.Name+string(m.Value))
	}
	if got := strings.Join(all, " "); got != "b1 a2" {
		t.Errorf("Object: got %s, want b1 a2", got)
	}
}

func TestDecodeQuery(t *testing.T) {
	var got object
	err := strictjson.DecodeQuery("u", "text=a%20b&flag=true&count=-5&small=7&ratio=0.5&wait=1m30s", []byte(`{"names": ["x"]}`), &got)
	if err != nil {
		t.Fatalf("DecodeQuery: %v", err)
	}
	want := object{Text: "a b", Flag: true, Count: -5, Small: 7, Ratio: 0.5, Wait: 90 * time.Second}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("DecodeQuery:\n got %+v\nwant %+v", got, want)
	}
	for query, want := range map[string]string{
		"flag=maybe":         `u?flag: "maybe" is not true or false`,
		"count=1e3":          `u?count: is in the options too`,
		"small=1e3":          `u?small: "1e3" is not a whole number`,
		"small=2147483648":   `u?small: "2147483648" is not a whole number`,
		"ratio=NaN":          `u?ratio: "NaN" is not a number`,
		"ratio=Inf":          `u?ratio: "Inf" is not a number`,
		"wait=5":             `u?wait: "5" is not a duration, such as "30s" or "1h"`,
		"names=a":            "u?names: can't be given in a URL; use the options",
		"retain=1s":          "u?retain: can't be given in a URL; use the options",
		"text=a&text=a":      "u?text: is there twice",
		"count=1&z=1&flag=x": "u?count: is in the options too\nu?flag: \"x\" is not true or false\nu?z: unknown; known are",
		"Hidden=1":           "u?Hidden: unknown",
		"%00=1&%00=2":        `u?"\x00": is there twice`,
		"=1":                 "u?: unknown",
		"text=%zz":           "u: the query can't be parsed",
		"text=a;count=1":     "u: the query can't be parsed",
	} {
		var got object
		err := strictjson.DecodeQuery("u", query, []byte(`{"count": 1}`), &got)
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("DecodeQuery(%s):\n got %v\nwant %s", query, err, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{`{"text": "t", "inner": {"deep": 1}}`, `{"a":1,}`, `{1:2}`, `{"a" 1}`, `{]`, `{"a":{}}{`, "\ufeff{}", `{"wait":"1h","names":[]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var got object
		err := strictjson.Decode("o", data, &got)
		if err == nil && !json.Valid(data) {
			t.Errorf("Decode(%q): got no error for invalid JSON", data)
		}
		if err == nil {
			return
		}
		for line := range strings.SplitSeq(err.Error(), "\n") {
			if !strings.HasPrefix(line, "o") {
				t.Errorf("Decode(%q): got fault %q without its path", data, line)
			}
		}
	})
}
