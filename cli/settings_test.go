package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/cli"
)

// inFolder makes an empty folder the working directory, with these files in it.
func inFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	return dir
}

// plainRun runs a command of a program without a --url.
func plainRun(t *testing.T, args ...string) ran {
	t.Helper()
	return runWith(t, &cli.Program{App: newApp(), Name: "app"}, "", args...)
}

// shown returns what config show says, by name.
func shown(t *testing.T, args ...string) map[string]cli.SettingDoc {
	t.Helper()
	r := plainRun(t, append([]string{"config", "show", "-o", "json"}, args...)...)
	if r.code != cli.ExitOK {
		t.Fatalf("config show: exit code %d: %s", r.code, r.err)
	}
	var docs []cli.SettingDoc
	if err := json.Unmarshal([]byte(r.out), &docs); err != nil {
		t.Fatalf("%v: %s", err, r.out)
	}
	all := make(map[string]cli.SettingDoc)
	for _, d := range docs {
		all[d.Name] = d
	}
	return all
}

func TestPrecedence(t *testing.T) {
	inFolder(t, nil)
	want := func(value, source string, args ...string) {
		t.Helper()
		if got := shown(t, args...)["timeout"]; got.Value != value || got.Source != source {
			t.Errorf("timeout is %q by %q, want %q by %q", got.Value, got.Source, value, source)
		}
	}
	want("0s", "default")
	if err := os.WriteFile("sideman.json", []byte("{\n\"timeout\": \"1m\"\n}"), 0o600); err != nil {
		t.Fatal(err)
	}
	want("1m0s", "sideman.json:2")
	t.Setenv("SIDEMAN_TIMEOUT", "2m")
	want("2m0s", "SIDEMAN_TIMEOUT")
	want("3m0s", "--timeout", "--timeout", "3m")
	want("0s", "--timeout", "--timeout", "0s") // also if it's the default
	t.Setenv("SIDEMAN_TIMEOUT", "")            // as good as unset
	want("1m0s", "sideman.json:2")
}

func TestPrecedenceOfStores(t *testing.T) {
	inFolder(t, map[string]string{
		"mine.yaml":    "backends:\n  default:\n    url: bolt:mine.db\n  mail:\n    url: bolt:mail.db\n    queues: [a, b]\n",
		"sideman.yaml": "url: bolt:found.db\n",
	})
	url := func(alias string, args ...string) cli.SettingDoc {
		t.Helper()
		return shown(t, args...)["backends."+alias+".url"]
	}
	want := func(got cli.SettingDoc, value, source string) {
		t.Helper()
		if got.Value != value || got.Source != source {
			t.Errorf("the store is %q by %q, want %q by %q", got.Value, got.Source, value, source)
		}
	}
	want(url("default"), "bolt:found.db", "sideman.yaml:1")
	want(url("default", "--config", "mine.yaml"), "bolt:mine.db", "mine.yaml:2")
	want(url("mail", "--config", "mine.yaml", "-b", "mail"), "bolt:mail.db", "mine.yaml:4")
	if got := shown(t, "--config", "mine.yaml")["backends.mail.queues"].Value; got != "a,b" {
		t.Errorf("the queues of mail are %q", got)
	}
	t.Setenv("SIDEMAN_CONFIG", "mine.yaml")
	want(url("default"), "bolt:mine.db", "mine.yaml:2")
	t.Setenv("SIDEMAN_URL", "bolt:env.db")
	want(url("default"), "bolt:env.db", "SIDEMAN_URL")
	want(url("mail"), "bolt:mail.db", "mine.yaml:4") // the others stay
	want(url("default", "--url", "bolt:flag.db"), "bolt:flag.db", "--url")
}

// What the file says of a command counts for that command alone; lists are lists or texts.
func TestSettingsOfACommand(t *testing.T) {
	store := boltStore(t)
	enqueue(t, store, "fail", []string{`"1"`, `"2"`})
	work(t, store)
	enqueue(t, store, "greet", []string{`"3"`, `"4"`, `"5"`})
	for name, text := range map[string]string{
		"sideman.json": `{"url": "URL", "output": "json", "tasks": {"list": {"status": ["failed", "ready"], "limit": 3, "queue": "default"}}}`,
		"sideman.yaml": "url: URL\noutput: json\ntasks:\n  list:\n    status:\n      - failed\n      - ready\n    limit: 3\n    queue: default\n",
		"sideman.yml":  "url: URL\noutput: json\ntasks: {list: {status: \"failed,ready\", limit: '3'}}\n",
	} {
		t.Run(name, func(t *testing.T) {
			inFolder(t, map[string]string{name: strings.ReplaceAll(text, "URL", store)})
			n := func(args ...string) int {
				t.Helper()
				r := plainRun(t, append([]string{"tasks", "list"}, args...)...)
				var docs []cli.TaskDoc
				if err := json.Unmarshal([]byte(r.out), &docs); err != nil || r.code != 0 {
					t.Fatalf("exit code %d, %v: %s%s", r.code, err, r.out, r.err)
				}
				return len(docs)
			}
			if got := n(); got != 3 {
				t.Errorf("%d tasks by the file, want 3", got)
			}
			if got := n("--status", "failed"); got != 2 {
				t.Errorf("%d tasks with a flag, want 2", got)
			}
			t.Setenv("SIDEMAN_STATUS", "failed,cancelled")
			if got := n(); got != 2 {
				t.Errorf("%d tasks with a variable, want 2", got)
			}
			if got := n("--status", "ready", "--limit", "0"); got != 3 {
				t.Errorf("%d tasks with flags and a variable, want 3", got)
			}
		})
	}
}

// Every fault of a file is reported at once, each with its line, whatever command is run.
func TestFaultsOfAFile(t *testing.T) {
	inFolder(t, map[string]string{
		"a.json": `{
  "backends": {
    "default": {"url": "bolt:tasks.db"}
  },
  "outptu": "wide",
  "timeout": "soon",
  "tasks": {
    "list": {
      "limit": "many",
      "satus": ["ready"],
      "status": {"no": "map"}
    },
    "shwo": {}
  },
  "bench": {"yes": true, "dry_run": true}
}`,
		"a.yaml": `backends:
  default: {url: "bolt:tasks.db"}


outptu: wide
timeout: soon
tasks:
  list:
    limit: many
    satus: [ready]
    status: {no: map}

  shwo: {}

bench: {yes: true, dry_run: true}
`,
	})
	for _, name := range []string{"a.json", "a.yaml"} {
		for _, command := range [][]string{{"config", "show"}, {"tasks", "list"}, {"version"}} {
			r := plainRun(t, append(command, "--config", name)...)
			if r.code != cli.ExitUsage || r.out != "" {
				t.Errorf("%s of %s: exit code %d, want 2", command, name, r.code)
			}
			for _, want := range []string{
				name + ":5: outptu: there is no such setting", name + ":6: timeout: ", name + ":9: tasks.list.limit: ",
				name + ":10: tasks.list.satus: there is no", name + ":11: tasks.list.status: ", name + ":13: tasks.shwo: there is no",
				name + ":15: bench.yes: there is no", name + ":15: bench.dry_run: there is no",
			} {
				if !strings.Contains(r.err, want) {
					t.Errorf("%s of %s: no %q in: %s", command, name, want, r.err)
				}
			}
		}
	}
}

// Faults of a backend are found when it's used, with their lines too.
func TestFaultsOfABackend(t *testing.T) {
	inFolder(t, map[string]string{
		"a.json": "{\n\"backends\": {\n\"default\": {\n\"backend\": \"bolt\",\n\"options\": {\n\"path\": \"x.db\",\n\"pfad\": 1\n}}}}",
		"a.yaml": "backends:\n\n default:\n  backend: bolt\n  options:\n   path: x.db\n   pfad: 1\n",
		"b.json": "{\n\"backends\": {\n\"default\": {\n\"driver\": \"bolt\"}}}",
		"b.yaml": "backends:\n default:\n\n  driver: bolt\n",
		"c.json": "{\"url\": \"bolt:x.db\",\n\"backends\": {\"default\": {\"url\": \"bolt:y.db\"}}}",
		"c.yaml": "url: bolt:x.db\nbackends: {default: {url: \"bolt:y.db\"}}\n",
	})
	for _, store := range []string{"x.db", "y.db"} {
		if err := os.WriteFile(store, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"a": ":7: backends.default.options.pfad", "b": ":4: backends.default.driver", "c": `:1: "url" and "backends"`,
	} {
		for _, ext := range []string{".json", ".yaml"} {
			r := plainRun(t, "tasks", "list", "--config", name+ext)
			if r.code != cli.ExitUsage || !strings.Contains(r.err, name+ext+want) {
				t.Errorf("%s: exit code %d, want 2 and %q in: %s", name+ext, r.code, want, r.err)
			}
		}
	}
}

func TestFaultsOfVariables(t *testing.T) {
	inFolder(t, nil)
	t.Setenv("SIDEMAN_TIMEOUT", "soon")
	t.Setenv("SIDEMAN_QUIET", "perhaps")
	r := plainRun(t, "version")
	if r.code != cli.ExitUsage || !strings.Contains(r.err, "SIDEMAN_TIMEOUT: ") || !strings.Contains(r.err, "SIDEMAN_QUIET: ") {
		t.Errorf("exit code %d, want 2 and both variables: %s", r.code, r.err)
	}
	if strings.Contains(r.err, "--timeout") {
		t.Errorf("the error names a flag that wasn't given: %s", r.err)
	}
}

func TestNoSuchFile(t *testing.T) {
	inFolder(t, map[string]string{"folder.yaml": ""})
	if r := plainRun(t, "version", "--config", "not.yaml"); r.code != cli.ExitNotFound || !strings.Contains(r.err, "not.yaml") {
		t.Errorf("exit code %d, want 3: %s", r.code, r.err)
	}
	if r := plainRun(t, "version", "--config", "folder.yaml"); r.code != cli.ExitOK {
		t.Errorf("an empty file: exit code %d: %s", r.code, r.err)
	}
}

// What is dangerous isn't set by a file or a variable that is forgotten there.
func TestHandOnly(t *testing.T) {
	store := boltStore(t)
	inFolder(t, nil)
	t.Setenv("SIDEMAN_YES", "true")
	if r := run(t, store, "bench", "--n", "1"); r.code != cli.ExitUsage || !strings.Contains(r.err, "--yes") {
		t.Errorf("with SIDEMAN_YES: exit code %d, want 2: %s", r.code, r.err)
	}
	if err := os.WriteFile("sideman.json", []byte(`{"bench": {"yes": true}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := run(t, store, "bench", "--n", "1"); r.code != cli.ExitUsage || !strings.Contains(r.err, "bench.yes") {
		t.Errorf("with yes in the file: exit code %d, want 2: %s", r.code, r.err)
	}
}
