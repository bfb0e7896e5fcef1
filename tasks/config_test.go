package tasks_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/tasks"
)

func TestParseConfig(t *testing.T) {
	got, err := tasks.ParseConfig([]byte(`{
		"default": {"backend": "bolt", "options": {"path": "${HOME}/tasks.db"}},
		"mail": {"url": "bolt:mail.db", "queues": ["mail", "news"]},
		"any": {"backend": "dummy", "queues": []}
	}`))
	wantNil(t, "ParseConfig", err)
	want := tasks.Config{
		"default": {Backend: "bolt", Options: json.RawMessage(`{"path": "${HOME}/tasks.db"}`)}, // nothing is expanded
		"mail":    {URL: "bolt:mail.db", Queues: []string{"mail", "news"}},
		"any":     {Backend: "dummy", Queues: []string{}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ParseConfig:\n got %+v\nwant %+v", got, want)
	}
}

var faultyConfigs = []struct {
	name, text string
	want       []string // lines of the error
}{
	{"nothing", ``, []string{"line 1: the JSON ends too soon"}},
	{"cut off", "{\n\"a\": {\n", []string{"line 3: the JSON ends too soon"}},
	{"no object", `[]`, []string{"must be an object, {…}"}},
	{"null", `null`, []string{"must be an object, {…}"}},
	{"empty", `{}`, []string{`no backend: give at least {"default": {"backend": "…"}}`}},
	{"trailing data", `{"a": {"backend": "dummy"}} {}`, []string{"line 1: something follows the object"}},
	{"trailing garbage", "{\"a\": {\"backend\": \"dummy\"}}\n x", []string{"line 2: something follows the object"}},
	{"trailing comma", "{\n\"a\": {\"backend\": \"dummy\"},\n}", []string{"line 3: invalid character '}'"}},
	{"comment", "{ // no\n}", []string{"line 1: invalid character '/'"}},
	{"entry is no object", `{"a": "dummy"}`, []string{"a: must be an object, {…}", `a: needs "backend" or "url"`}},
	{"neither backend nor url", `{"a": {}}`, []string{`a: needs "backend" or "url"`}},
	{"unknown key", `{"a": {"backend": "x", "Backend": "x"}}`, []string{"a.Backend: unknown; known are backend, url, queues, options"}},
	{"twice", `{"a": {"backend": "x", "backend": "y"}}`, []string{"a.backend: is there twice"}},
	{"alias twice", `{"a": {"backend": "x"}, "a": {"backend": "y"}}`, []string{"a: is there twice"}},
	{"bad alias", `{"": {"backend": "x"}}`, []string{": alias: name is empty"}},
	{"wrong type", `{"a": {"backend": "x", "url": 7}}`, []string{"a.url: must be a string"}},
	{"queues no list", `{"a": {"backend": "x", "queues": "q"}}`, []string{"a.queues: must be a list, each element a string"}},
	{"queue of a wrong type", `{"a": {"backend": "x", "queues": ["q", 1]}}`, []string{"a.queues: must be a list, each element a string"}},
	{"queue twice", `{"a": {"backend": "x", "queues": ["q", "r", "q"]}}`, []string{`a: queues[2]: "q" is listed twice`}},
	{"queue without name", `{"a": {"backend": "x", "queues": [""]}}`, []string{`a: queues[0]: name is empty`}},
	{"no scheme", `{"a": {"url": "tasks.db"}}`, []string{`a.url: no scheme: write "NAME:…", as in "bolt:tasks.db"`}},
	{"all together", `{"a": {"queues": [""], "x": 1, "x": 2}, "b": {"url": ":"}, "b": {}}`, []string{
		"b: is there twice", "a.x: is there twice", "a.x: unknown; known are backend, url, queues, options",
		`a: needs "backend" or "url"`, "a: queues[0]: name is empty", "b.url: not a URL",
	}},
}

func TestParseConfig_EveryFaultWithItsPath(t *testing.T) {
	for _, tt := range faultyConfigs {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := tasks.ParseConfig([]byte(tt.text))
			wantErr(t, "ParseConfig", err, tasks.ErrInvalidConfig, "parse configuration: ")
			if cfg != nil {
				t.Errorf("Config: got %v, want none", cfg)
			}
			_, text, _ := strings.Cut(err.Error(), "\n")
			lines := strings.Split(text, "\n")
			if len(lines) != len(tt.want) {
				t.Fatalf("faults:\n got %q\nwant %q", lines, tt.want)
			}
			for i, want := range tt.want {
				if !strings.HasPrefix(lines[i], want) {
					t.Errorf("fault %d: got %q, want it to begin %q", i, lines[i], want)
				}
			}
		})
	}
}

func FuzzParseConfig(f *testing.F) {
	for _, tt := range faultyConfigs {
		f.Add([]byte(tt.text))
	}
	f.Add([]byte(`{"default": {"backend": "bolt", "options": {"path": "<&>", "n": 1e400}}, "mail": {"url": "bolt:mail.db?x=1", "queues": []}, "x": {"backend": "y", "queues": null, "options": null}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := tasks.ParseConfig(data)
		if err != nil {
			if !errors.Is(err, tasks.ErrInvalidConfig) {
				t.Errorf("ParseConfig: got %v, want ErrInvalidConfig", err)
			}
			return
		}
		text, err := json.Marshal(cfg)
		wantNil(t, "Marshal", err)
		again, err := tasks.ParseConfig(text)
		if err != nil {
			t.Fatalf("ParseConfig of what it gave, %s: %v", text, err)
		}
		second, err := json.Marshal(again)
		wantNil(t, "Marshal", err)
		if string(text) != string(second) {
			t.Errorf("parsed again:\n got %s\nwant %s", second, text)
		}
	})
}

func TestConfigFromURL(t *testing.T) {
	for _, raw := range []string{"immediate:", "dummy:", "bolt:tasks.db", "bolt:///var/lib/app/tasks.db", "bolt:tasks.db?lock_timeout=2s", "BOLT:x"} {
		cfg, err := tasks.ConfigFromURL(raw)
		wantNil(t, raw, err)
		if want := (tasks.Config{"default": {URL: raw}}); !reflect.DeepEqual(cfg, want) {
			t.Errorf("ConfigFromURL(%q): got %v, want %v", raw, cfg, want)
		}
	}
	for raw, part := range map[string]string{
		"": `needs "backend" or "url"`, "tasks.db": "no scheme", "/var/x": "no scheme", "://x": "not a URL", "bolt:%zz": "", "a b:c": "not a URL",
	} {
		_, err := tasks.ConfigFromURL(raw)
		if part != "" {
			wantErr(t, raw, err, tasks.ErrInvalidConfig, "default", part)
		}
	}
}

// However wrong a URL with a password is, no error repeats any of the password.
func TestPasswordsAreNeverInErrors(t *testing.T) {
	const secret = "hunter2"
	drivers := tasks.Drivers{{Name: "redis", Schemes: []string{"redis"}, Configure: func(s tasks.Settings) (tasks.Opener, error) {
		var none struct{}
		return nil, errors.Join(s.Decode(&none), s.NoPath())
	}}}
	for _, raw := range []string{
		"redis://user:" + secret + "@host:6379/0",
		"redis://user:" + secret + "@host:port/0",
		"redis://user:" + secret + "#x@host/0",
		"redis://user:" + secret + "/x@host/0",
		"redis://user:" + secret + "?x@host/0",
		"redis://user:%" + secret + "@host/0",
		"redis://user:" + secret + "%zz@host",
		"redis://user:" + secret + " x@host",
		"redis://user:" + secret + "\x7f@host",
		"redis://user:" + secret,
		"redis://[user:" + secret + "@host",
		"redis:// :" + secret + "@",
		"redis:user:" + secret + "@host",
		"redis://host/" + secret,
		"other://user:" + secret + "@host",
		":" + secret,
		"1:" + secret,
	} {
		cfg := tasks.Config{"default": {URL: raw}}
		text, err := json.Marshal(cfg)
		wantNil(t, "Marshal", err)
		_, err1 := tasks.ConfigFromURL(raw)
		_, err2 := tasks.ParseConfig(text)
		err3 := tasks.NewApp().Open(t.Context(), cfg, drivers)
		if err3 == nil {
			t.Errorf("Open(%q): got no error, want one to look at", raw)
		}
		for i, err := range []error{err1, err2, err3} {
			if err != nil && (strings.Contains(err.Error(), secret[:2]) || strings.Contains(err.Error(), secret[5:])) {
				t.Errorf("error %d of %q: got %q, want nothing of the password", i, raw, err)
			}
		}
	}
}

func FuzzConfigFromURL(f *testing.F) {
	for _, raw := range []string{"immediate:", "bolt:tasks.db?a=1", "redis://u:p@h:1/0", ":", "a://[::1", "x:%zz"} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		cfg, err := tasks.ConfigFromURL(raw)
		if err != nil {
			if !errors.Is(err, tasks.ErrInvalidConfig) || len(raw) > 8 && strings.Contains(err.Error(), raw) {
				t.Errorf("ConfigFromURL(%q): got error %q, want ErrInvalidConfig without the URL", raw, err)
			}
			return
		}
		if cfg["default"].URL != raw {
			t.Errorf("ConfigFromURL(%q): got %v, want the URL as it is", raw, cfg)
		}
		// A driver that looks at everything.
		_ = tasks.NewApp().Open(t.Context(), cfg, tasks.Drivers{recordingDriver("any", nil)})
	})
}

// A fault of an option is where the user wrote it.
func TestSettingsAt(t *testing.T) {
	var got []string
	driver := tasks.Driver{Name: "d", Schemes: []string{"d"}, Configure: func(s tasks.Settings) (tasks.Opener, error) {
		got = append(got, s.At("size"), s.At("url"))
		return nil, errors.New("enough")
	}}
	for _, b := range []tasks.BackendConfig{{URL: "d:x?size=1"}, {Backend: "d"}} {
		if err := tasks.NewApp().Open(t.Context(), tasks.Config{"mail": b}, tasks.Drivers{driver}); !errors.Is(err, tasks.ErrInvalidConfig) {
			t.Errorf("%+v: %v", b, err)
		}
	}
	if want := []string{"mail.url?size", "mail.url", "mail.options.size", "mail.options.url"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
