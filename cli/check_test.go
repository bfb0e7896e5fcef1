package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// findings are what check has found, by id. Those about how the test's servers are set up are left
// out.
func findings(t *testing.T, out string) map[string]cli.FindingDoc {
	t.Helper()
	var docs []cli.FindingDoc
	if err := json.Unmarshal([]byte(out), &docs); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all := make(map[string]cli.FindingDoc)
	for _, d := range docs {
		if !strings.HasPrefix(d.ID, "redis.W") && !strings.HasPrefix(d.ID, "database.W") {
			all[d.ID] = d
		}
	}
	return all
}

func TestCheck(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		if got := findings(t, ok(t, store, "check", "-o", "json", "--max-oldest", "1h", "--max-ready", "0", "--max-failed", "0", "--min-workers", "0")); len(got) != 0 {
			t.Errorf("of an empty store: %+v", got)
		}
		enqueue(t, store, "fail", []string{`"1"`, `"2"`, `"3"`})
		work(t, store)
		enqueue(t, store, "greet", []string{`"1"`, `"2"`}, tasks.Queue("mail/éà .%*🙂"))

		// Due tasks without a worker are a warning, which fails only if it's asked to.
		r := run(t, store, "check", "-o", "json")
		if got := findings(t, r.out); r.code != cli.ExitOK || len(got) != 1 || got["tasks.W001"].Level != tasks.LevelWarning || got["tasks.W001"].Backend != "default" || got["tasks.W001"].Hint == "" {
			t.Errorf("exit code %d: %+v", r.code, got)
		}
		fails(t, store, cli.ExitFailure, []string{"warning"}, "check", "--fail-level", "warning")
		if r := run(t, store, "check"); r.code != 0 || !strings.Contains(r.out, "tasks.W001") || !strings.HasPrefix(r.out, "LEVEL") {
			t.Errorf("as a table: exit code %d: %s", r.code, r.out)
		}

		for _, tt := range []struct {
			args string
			want string // findings of bounds
			code int
		}{
			{"--max-ready 2", "", cli.ExitOK},
			{"--max-ready 1", "cli.E003", cli.ExitFailure},
			{"--max-ready 1,2", "cli.W003", cli.ExitOK},
			{"--max-ready 1,2 --fail-level warning", "cli.W003", cli.ExitFailure},
			{"--max-ready 0,1", "cli.E003", cli.ExitFailure},
			{"--max-ready 1 --fail-level never", "cli.E003", cli.ExitOK},
			{"--max-ready 1 --queue default", "", cli.ExitOK},
			{"--max-ready 1 --queue default --queue mail/éà~.%*🙂", "cli.E003", cli.ExitFailure},
			{"--max-failed 2,2", "cli.E004", cli.ExitFailure},
			{"--max-failed 3", "", cli.ExitOK},
			{"--max-failed 1 --queue other", "", cli.ExitOK},
			{"--max-oldest 0s", "cli.E002", cli.ExitFailure},
			{"--max-oldest 0s,1h", "cli.W002", cli.ExitOK},
			{"--max-oldest 1h,7d", "", cli.ExitOK},
			{"--min-workers 1", "cli.E005", cli.ExitFailure},
			{"--min-workers 1,0", "cli.W005", cli.ExitOK},
			{"--max-ready 1 --max-failed 1 --min-workers 1", "cli.E003 cli.E004 cli.E005", cli.ExitFailure},
		} {
			args := strings.Fields(tt.args)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], "~", " ")
			}
			r := run(t, store, append([]string{"check", "-o", "json"}, args...)...)
			var got []string
			for id, f := range findings(t, r.out) {
				if strings.HasPrefix(id, "cli.") {
					got = append(got, id)
					if (f.Level == tasks.LevelError) != strings.HasPrefix(id, "cli.E") {
						t.Errorf("%s is a finding of level %s", id, f.Level)
					}
				}
			}
			slices.Sort(got)
			if r.code != tt.code || strings.Join(got, " ") != tt.want {
				t.Errorf("%s: exit code %d, want %d; found %q, want %q: %s", tt.args, r.code, tt.code, got, tt.want, r.err)
			}
		}
	})
}

func TestCheckBadFlags(t *testing.T) {
	store := boltStore(t)
	for _, args := range []string{
		"--max-ready x", "--max-ready -1", "--max-ready 1,2,3", "--max-ready 2,1", "--min-workers 1,2", "--max-oldest soon", "--max-oldest 5",
		"--max-oldest -1h", "--max-failed ,", "--fail-level bad", "extra", "-o nagios",
	} {
		r := fails(t, store, cli.ExitUsage, nil, append([]string{"check"}, strings.Fields(args)...)...)
		if r.out != "" {
			t.Errorf("%s: %s", args, r.out)
		}
	}
}

// A store that can't be used is a finding, and so are the faults of the App, together with what can
// be said of the other backends.
func TestCheckWithoutAStore(t *testing.T) {
	r := run(t, "postgres://127.0.0.1:1/app?connect_timeout=1", "check", "-o", "json")
	if got := findings(t, r.out)["cli.E001"]; r.code != cli.ExitUnreachable || got.Backend != "default" || !strings.Contains(got.Message, "127.0.0.1:1") || got.Hint == "" {
		t.Errorf("unreachable: exit code %d: %s%s", r.code, r.out, r.err)
	}
	r = run(t, "bolt:"+filepath.Join(t.TempDir(), "none.db"), "check", "-o", "json")
	if got := findings(t, r.out)["cli.E001"]; r.code != cli.ExitFailure || !strings.Contains(got.Message, "none.db") {
		t.Errorf("no file: exit code %d: %s%s", r.code, r.out, r.err)
	}
	fails(t, "mysql://h/x", cli.ExitUsage, []string{"mysql"}, "check")

	good := boltStore(t)
	enqueue(t, good, "greet", []string{`"1"`})
	inFolder(t, map[string]string{"sideman.json": fmt.Sprintf(`{"backends": {
		"default": {"url": %q, "queues": []},
		"away": {"url": "redis://127.0.0.1:1/0"}}}`, good)})
	r = plainRun(t, "check", "-o", "json", "--min-workers", "1")
	got := findings(t, r.out)
	if r.code != cli.ExitUnreachable || got["cli.E001"].Backend != "away" || got["cli.E005"].Backend != "default" || got["tasks.W001"].Backend != "default" || len(got) != 3 {
		t.Errorf("one of two: exit code %d: %s%s", r.code, r.out, r.err)
	}
	r = plainRun(t, "check", "-o", "json", "--backend", "default")
	if got := findings(t, r.out); r.code != cli.ExitOK || len(got) != 1 || got["tasks.W001"].Backend != "default" {
		t.Errorf("--backend default: exit code %d: %s%s", r.code, r.out, r.err)
	}
	if r = plainRun(t, "check", "--backend", "away"); r.code != cli.ExitUnreachable {
		t.Errorf("--backend away: exit code %d: %s%s", r.code, r.out, r.err)
	}
}

func TestCheckDefinitions(t *testing.T) {
	store := boltStore(t)
	enqueue(t, store, "greet", []string{`"1"`})
	app := newApp()
	tasks.Define(app, "", func(_ context.Context, _ string) (string, error) { return "", nil })
	tasks.Define(app, "loud", func(_ context.Context, _ string) (string, error) { return "", nil }, tasks.Priority(1000))
	r := runWith(t, &cli.Program{App: app, Name: "app"}, "", "--url", store, "check", "-o", "json")
	var docs []cli.FindingDoc
	if err := json.Unmarshal([]byte(r.out), &docs); err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range docs {
		if d.ID == "tasks.E001" {
			n++
		}
		if d.ID == "tasks.W002" {
			t.Errorf("a task that is defined isn't known: %+v", d)
		}
	}
	if r.code != cli.ExitFailure || n != 2 || docs[0].Level != tasks.LevelError || docs[len(docs)-1].ID != "tasks.W001" {
		t.Errorf("exit code %d, want 1 with 2 faults and the warning at the end: %s%s", r.code, r.out, r.err)
	}
	// A program without tasks knows none, which says nothing of the store.
	r = runWith(t, &cli.Program{Name: "app"}, "", "--url", store, "check", "-o", "json")
	if got := findings(t, r.out); r.code != 0 || len(got) != 1 || got["tasks.W001"].ID == "" {
		t.Errorf("without an App: exit code %d: %s%s", r.code, r.out, r.err)
	}
	// One that has others finds those that it doesn't define.
	r = runWith(t, &cli.Program{App: tasks.NewApp(), Name: "app"}, "", "--url", store, "check", "-o", "json")
	if got := findings(t, r.out); got["tasks.W002"].ID == "" {
		t.Errorf("with another App: exit code %d: %s%s", r.code, r.out, r.err)
	}
}
