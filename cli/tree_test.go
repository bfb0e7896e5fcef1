package cli

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// parse reads a file's text, as its extension says.
func parse(text, ext string) (*file, error) {
	f := &file{path: "f" + ext}
	if ext == ".json" {
		return f, f.parseJSON([]byte(text))
	}
	return f, f.parseYAML([]byte(text))
}

func TestTree(t *testing.T) {
	for ext, text := range map[string]string{
		".json": "{\"a\": 1.50,\n \"b.c\": [true, null,\n  {\"d\": \"é\\u0000🙂\"}],\n\"e\": {\"f\": 12345678901234567890}}",
		".yaml": "a: 1.5\nb.c: [true, null,\n  {d: \"é\\0🙂\"}]\ne: {f: 12345678901234567890}\n",
	} {
		f, err := parse(text, ext)
		if err != nil {
			t.Errorf("%s: %v", ext, err)
			continue
		}
		var got, want any
		if err := json.Unmarshal(f.root.encode(), &got); err != nil {
			t.Errorf("%s: %v: %s", ext, err, f.root.encode())
		}
		_ = json.Unmarshal([]byte(`{"a": 1.5, "b.c": [true, null, {"d": "é\u0000🙂"}], "e": {"f": 12345678901234567890}}`), &want)
		if g, w := mustEncode(t, got), mustEncode(t, want); g != w {
			t.Errorf("%s: got %s, want %s", ext, g, w)
		}
		if !bytes.Contains(f.root.encode(), []byte("12345678901234567890")) {
			t.Errorf("%s: a big number was changed: %s", ext, f.root.encode())
		}
		for path, line := range map[string]int{"a": 1, "b.c": 2, "b.c[2]": 2, "e": 4, "e.f": 4, "e.x": 4} {
			if got, ok := f.root.find(path); !ok || got != line {
				t.Errorf("%s: %s is on line %d, %v, want %d", ext, path, got, ok, line)
			}
		}
		if _, ok := f.root.find("x"); ok {
			t.Errorf("%s: there is an x", ext)
		}
	}
}

func mustEncode(t *testing.T, v any) string {
	t.Helper()
	data, err := encode(v, "")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTreeFaults(t *testing.T) {
	for _, tt := range []struct{ ext, text, want string }{
		{".json", "{\n\"a\": 1,\n\"a\": 2}", `f.json:3: "a" is there twice`},
		{".json", "{\"a\": 1}\n{}", "f.json:2: there is more"},
		{".json", "{\n\"a\": 1,\n\n", "f.json:2: the JSON ends too early"},
		{".json", "", "f.json:1: the JSON ends too early"},
		{".json", "{\n\"a\": nope}", "f.json:2: "},
		{".json", "{\"a\" 1}", "f.json:1: "},
		{".yaml", "a: 1\nb: 2\na: 3\n", "f.yaml:3:"},
		{".yaml", "a: 1\n---\nb: 2\n", "more than one document"},
		{".yaml", "a: &x 1\nb: *x\n", "f.yaml:1: "},
		{".yaml", "a:\n  <<: {b: 1}\n", "merge"},
		{".yaml", "a: [1\n", "f.yaml"},
		{".yaml", "a: .inf\n", "f.yaml:1: "},
	} {
		_, err := parse(tt.text, tt.ext)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %q", tt.text, err, tt.want)
		}
	}
}

// What may be a secret isn't shown by an error.
func TestTreeFaultsShowNoSource(t *testing.T) {
	for ext, text := range map[string]string{
		".yaml": "url: postgres://u:hunter2@h/x\noutput: [\n", ".json": `{"url": "postgres://u:hunter2@h/x" "a"}`,
	} {
		if _, err := parse(text, ext); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error has the password: %v", ext, err)
		}
	}
}

func FuzzFile(f *testing.F) {
	for _, text := range []string{
		"", "{}", "null", `{"a": [1, 2.5e3, true, null, "x", {"b": {}}], "c.d": ""}`, "a: 1\nb:\n  - x\n  - {y: z}\n",
		"a: |\n  text\n", "a: >-\n  text\n", "? a\n: b\n", "- a", "a: !!str 1", "a: 2026-01-01", "a: 0x1F", "a: 1_000", "%YAML 1.2\n---\na: 1", "a: \"\\u00e9\"",
		"\"a\": 'b'", "# only a comment", "a:\n\tb: 1", "{\"a\":1,}", "[1,2", "a: .nan", "1: x", "~: x", "a: -0", `{"a":-0}`, `{"":1e999}`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		y, yamlErr := parse(text, ".yaml")
		if yamlErr == nil {
			valid(t, y.root)
		}
		j, err := parse(text, ".json")
		if err != nil {
			return
		}
		valid(t, j.root)
		// YAML has all of JSON, if it's written as other programs do.
		pretty, err := encode(json.RawMessage(j.root.encode()), "  ")
		if err != nil {
			t.Fatalf("the JSON can't be encoded: %v", err)
		}
		y, err = parse(string(pretty), ".yaml")
		if err != nil {
			t.Fatalf("JSON that isn't YAML: %v: %s", err, pretty)
		}
		if want, got := value(t, pretty), value(t, y.root.encode()); !reflect.DeepEqual(got, want) {
			t.Fatalf("as YAML it is %s, as JSON %s", y.root.encode(), pretty)
		}
	})
}

// value is what JSON says, with numbers, also those in texts, as floats.
func value(t *testing.T, data []byte) (v any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	return floats(t, v)
}

func floats(t *testing.T, v any) any {
	t.Helper()
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			t.Skip("no float: ", v) // in YAML it's a text
		}
		return f
	case string: // of YAML, which takes 0e0 for a text; as a setting it's the same
		if n := json.Number(v); json.Valid([]byte(v)) {
			if f, err := n.Float64(); err == nil {
				return f
			}
		}
	case map[string]any:
		for k := range v {
			v[k] = floats(t, v[k])
		}
	case []any:
		for i := range v {
			v[i] = floats(t, v[i])
		}
	}
	return v
}

// valid: what was read is JSON, with lines.
func valid(t *testing.T, n *node) {
	t.Helper()
	if !json.Valid(n.encode()) {
		t.Fatalf("not JSON: %s", n.encode())
	}
	if n.line < 1 {
		t.Fatalf("no line: %+v", n)
	}
	for _, m := range n.members {
		if m.line < 1 {
			t.Fatalf("no line: %+v", m)
		}
		valid(t, m.value)
	}
	for _, item := range n.items {
		valid(t, item)
	}
}

// Every kind of flag takes from a file what it takes from the command line; a value that is only tried
// changes nothing.
func TestSetFlag(t *testing.T) {
	for _, tt := range []struct{ flag, json, want string }{
		{"text", `"a b"`, "a b"},
		{"text", `12`, "12"},
		{"text", `true`, "true"},
		{"text", `["a"]`, "!"},
		{"text", `null`, "!"},
		{"text", `{}`, "!"},
		{"list", `["x", "y,z", 3]`, `[x,"y,z",3]`},
		{"list", `"x,y"`, "[x,y]"},
		{"list", `[]`, "[]"},
		{"list", `[["x"]]`, "!"},
		{"list", `{"a": 1}`, "!"},
		{"map", `{"a": 1}`, "[a=1]"},
		{"map", `"a=2"`, "[a=2]"},
		{"map", `{"a": "x"}`, "!"},
		{"map", `{"a": []}`, "!"},
		{"map", `[1]`, "!"},
		{"time", `"90s"`, "1m30s"},
		{"time", `"90"`, "!"},
		{"time", `90`, "!"},
		{"count", `3`, "3"},
		{"count", `"3"`, "3"},
		{"count", `3.5`, "!"},
		{"on", `true`, "true"},
		{"on", `"true"`, "true"},
		{"on", `"perhaps"`, "!"},
	} {
		for _, try := range []bool{false, true} {
			set := pflag.NewFlagSet("", pflag.ContinueOnError)
			set.String("text", "before", "")
			set.StringSlice("list", []string{"be,fore"}, "")
			set.StringToInt("map", map[string]int{"before": 1}, "")
			set.Duration("time", 1, "")
			set.Int("count", 1, "")
			set.Bool("on", false, "")
			f, err := parse(tt.json, ".json")
			if err != nil {
				t.Fatal(err)
			}
			flag := set.Lookup(tt.flag)
			before := flag.Value.String()
			err = setFlag(flag, f.root, try)
			want := tt.want
			if (want == "!") != (err != nil) {
				t.Errorf("%s from %s: %v", tt.flag, tt.json, err)
			}
			if try || err != nil {
				want = before
			}
			if got := flag.Value.String(); got != want {
				t.Errorf("%s from %s, only tried: %v: it is %s, want %s", tt.flag, tt.json, try, got, want)
			}
		}
	}
}
