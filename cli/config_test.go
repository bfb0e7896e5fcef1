package cli_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/cli"
)

// sealed are ways to give a secret, which is "hunter2" in each.
func sealed() map[string]struct {
	args []string
	file string
} {
	type way = struct {
		args []string
		file string
	}
	return map[string]way{
		"password":           {args: []string{"--url", "postgres://ann:hunter2@127.0.0.1:1/app?sslmode=disable"}},
		"parameter":          {args: []string{"--url", "postgres://ann@127.0.0.1:1/app?sslmode=disable&password=hunter2"}},
		"sslpassword":        {args: []string{"--url", "postgres://ann@127.0.0.1:1/app?sslmode=disable&sslpassword=hunter2"}},
		"redis":              {args: []string{"--url", "redis://:hunter2@127.0.0.1:1/0"}},
		"redis, no name":     {args: []string{"--url", "redis://hunter2@127.0.0.1:1/0"}},
		"redis, option":      {args: []string{"--url", "redis://127.0.0.1:1/0?password=hunter2"}},
		"bad port":           {args: []string{"--url", "postgres://ann:hunter2@127.0.0.1:port/app"}},
		"bad escape":         {args: []string{"--url", "postgres://ann:hunter2%zz@127.0.0.1/app"}},
		"bad scheme":         {args: []string{"--url", "mysql://ann:hunter2@127.0.0.1/app"}},
		"no scheme":          {args: []string{"--url", "ann:hunter2@127.0.0.1/app"}},
		"bad option":         {args: []string{"--url", "postgres://ann:hunter2@127.0.0.1:1/app?passwort=hunter2"}},
		"control character":  {args: []string{"--url", "postgres://ann:hunter2@127.0.0.1/app\x7f"}},
		"bolt":               {args: []string{"--url", "bolt://ann:hunter2@host/tasks.db"}},
		"file":               {file: "backends:\n  default:\n    url: postgres://ann:hunter2@127.0.0.1:1/app?sslmode=disable\n"},
		"file, options":      {file: "backends:\n  default:\n    backend: redis\n    options:\n      addrs: [\"127.0.0.1:1\"]\n      password: hunter2\n"},
		"file, option url":   {file: "backends:\n  default:\n    backend: database\n    options: {url: \"postgres://ann:hunter2@127.0.0.1:1/app\"}\n"},
		"file, wrong type":   {file: "backends:\n  default:\n    backend: redis\n    options: {password: [hunter2]}\n"},
		"file, other place":  {file: "backends:\n  default:\n    url: redis://127.0.0.1:1\n    password: hunter2\n"},
		"file, syntax":       {file: "backends:\n  default:\n    url: postgres://ann:hunter2@127.0.0.1:1/app\n  mail: [\n"},
		"file, url is a map": {file: "url: {password: hunter2}\n"},
		"file, url at top":   {file: "url: postgres://ann:hunter2@127.0.0.1:1/app?sslmode=disable\n"},
		"file, twice":        {file: "url: postgres://ann:hunter2@127.0.0.1:1/app\nurl: postgres://ann:hunter2@127.0.0.1:1/app\n"},
		"file, JSON syntax":  {file: "{\"url\": \"postgres://ann:hunter2@127.0.0.1:1/app\" hunter2}"},
	}
}

// A secret is in no form of the output and in no error, whatever command meets it.
func TestSecretsAreNotShown(t *testing.T) {
	forms := []string{"table", "wide", "json", "jsonl", "yaml", "name"}
	for name, way := range sealed() {
		t.Run(name, func(t *testing.T) {
			inFolder(t, nil)
			if way.file != "" {
				if err := os.WriteFile("sideman.yaml", []byte(way.file), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var commands [][]string
			for _, form := range forms {
				commands = append(commands, []string{"config", "show", "-o", form})
			}
			commands = append(commands, []string{"tasks", "list"}, []string{"tasks", "list", "-v"}, []string{"check", "-o", "json"}, []string{"check", "--nagios"},
				[]string{"migrate", "status"}, []string{"migrate", "sql"}, []string{"bench", "--yes"}, []string{"__complete", "tasks", "list", "--queue", ""})
			for _, command := range commands {
				r := plainRun(t, append(command, way.args...)...)
				if command[0] == "__complete" {
					r = plainRun(t, append(append([]string{"__complete"}, way.args...), command[1:]...)...)
				}
				if strings.Contains(r.out+r.err, "hunter2") {
					t.Errorf("%q shows the secret: %s%s", command, r.out, r.err)
				}
			}
		})
	}
}

// What is no secret is shown as it was written.
func TestConfigShow(t *testing.T) {
	inFolder(t, map[string]string{"sideman.yaml": `backends:
  default:
    url: postgres://ann:s3cret@db.internal:5432/app?schema=jobs&sslmode=require
  cache:
    backend: redis
    options: {addrs: ["one:6379"], password: s3cret, namespace: "ns"}
    queues: [a, "b c"]
`})
	all := shown(t)
	for name, want := range map[string]cli.SettingDoc{
		"backends.default.url":     {Value: "postgres://ann:xxxxx@db.internal:5432/app?schema=jobs&sslmode=require", Source: "sideman.yaml:2"},
		"backends.cache.backend":   {Value: "redis", Source: "sideman.yaml:4"},
		"backends.cache.options":   {Value: `{"addrs":["one:6379"],"namespace":"ns","password":"xxxxx"}`, Source: "sideman.yaml:4"},
		"backends.cache.queues":    {Value: "a,b c", Source: "sideman.yaml:4"},
		"config":                   {Value: "sideman.yaml", Source: "default"},
		"output":                   {Value: "json", Source: "--output"},
		"quiet":                    {Value: "false", Source: "default"},
		"backends.default.backend": {},
		"yes":                      {},
	} {
		want.Name = name
		if got := all[name]; got != want && want.Source != "" || want.Source == "" && got.Name != "" {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
	r := plainRun(t, "config", "show")
	if r.code != cli.ExitOK || !strings.HasPrefix(r.out, "SETTING") {
		t.Errorf("as a table: exit code %d: %s%s", r.code, r.out, r.err)
	}
}
