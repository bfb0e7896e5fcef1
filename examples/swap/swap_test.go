package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/internal/testserver"
)

// TestMain lets the test binary be the program itself, as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("SWAP_CHILD") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// command is the program in a process, in a folder of the test's own.
func command(t *testing.T, dir, server string, args ...string) *exec.Cmd {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SWAP_CHILD=1", "SWAP_URL="+server)
	return cmd
}

// config is the path of a configuration file that is beside the program.
func config(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// The three files give the same lines, whatever earlier runs have left.
func TestSameLinesOnEveryBackend(t *testing.T) {
	golden, err := os.ReadFile("testdata/output.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		args   []string
		server func(*testing.T) string
	}{
		{"default", nil, nil},
		{"bolt", []string{"-config", config(t, "bolt.json")}, nil},
		{"postgres", []string{"-config", config(t, "postgres.json")}, postgres},
		{"redis", []string{"-config", config(t, "redis.json")}, redis},
	} {
		t.Run(c.name, func(t *testing.T) {
			server, dir := "", t.TempDir()
			if c.server != nil {
				server = c.server(t)
			}
			killed(t, command(t, dir, server, c.args...))
			for range 2 {
				cmd := command(t, dir, server, c.args...)
				var out, errs bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &errs
				if err := cmd.Run(); err != nil || errs.Len() > 0 {
					t.Fatalf("%v\n%s%s", err, &out, &errs)
				}
				if out.String() != string(golden) {
					t.Errorf("it printed\n%s\nand testdata/output.txt has\n%s", &out, golden)
				}
			}
		})
	}
}

// killed starts the program and kills it with -9 when it has tasks stored.
func killed(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stored := false
	for lines := bufio.NewScanner(out); !stored && lines.Scan(); {
		stored = strings.HasPrefix(lines.Text(), "greet Later")
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !stored {
		t.Fatalf("the run to be killed ended by itself, before it had stored its tasks:\n%s", &errs)
	}
}

// postgres returns the server, and removes what the program leaves there.
func postgres(t *testing.T) string {
	t.Helper()
	server := testserver.URL(t, testserver.Postgres)
	testserver.DropSchema(t, server, "sideman_swap")
	return server
}

// redis returns the server, and removes what the program leaves there.
func redis(t *testing.T) string {
	t.Helper()
	server := testserver.URL(t, testserver.Redis)
	testserver.DropNamespace(t, server, "sideman-swap")
	return server
}

// Each mistake ends the program with one error that says what, where and what to do, and
// nothing of a password.
func TestMistakes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, content string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	nobody := closedPort(t)
	pg, rd := config(t, "postgres.json"), config(t, "redis.json")
	for name, c := range map[string]struct {
		server string
		args   []string
		want   []string
	}{
		"no such file":         {"", []string{"-config", "nope.json"}, []string{"-config", "nope.json", "no such file", "working directory"}},
		"a URL as the file":    {"", []string{"-config", "redis://:sesame@h/0"}, []string{"-config", "-url"}},
		"a URL as an argument": {"", []string{"redis://:sesame@h/0"}, []string{"-config FILE", "-url URL"}},
		"not JSON":             {"", []string{"-config", write("not.json", "{\n\"default\":")}, []string{"not.json", "line 2"}},
		"unknown member":       {"", []string{"-config", write("member.json", `{"default": {"bakend": "bolt"}}`)}, []string{"member.json", "default.bakend", "known are backend"}},
		"unknown option": {
			"",
			[]string{"-config", write("option.json", `{"default": {"backend": "redis", "options": {"pasword": "sesame"}}}`)},
			[]string{"option.json", "default.options.pasword", "known are namespace"},
		},
		"unknown backend":          {"", []string{"-config", write("backend.json", `{"default": {"backend": "mysql"}}`)}, []string{"backend.json", "default.backend", `"mysql"`, `known are "immediate"`}},
		"a backend with no worker": {"", []string{"-config", write("dummy.json", `{"default": {"backend": "dummy", "queues": []}}`)}, []string{"take bolt"}},
		"no directory":             {"bolt:nodir/swap.db", nil, []string{"SWAP_URL", "no directory nodir"}},
		"URL of another backend":   {"postgres://u:sesame@h/d", nil, []string{"SWAP_URL", "default.backend", "-config"}},
		"not a postgres URL":       {"postgres://u:s3s#ame@h/d", []string{"-config", pg}, []string{pg, "SWAP_URL", "default.url", "%23"}},
		"not a redis URL":          {"redis://u:s3s#ame@h/d", []string{"-config", rd}, []string{rd, "SWAP_URL", "default.url", "%23"}},
		"by flag":                  {"", []string{"-config", rd, "-url", "redis://u:sesame@h/zero"}, []string{rd, "-url", "default.url", "database"}},
		"wrong in the query":       {"postgres://u:sesame@h/d?schem=x", []string{"-config", pg}, []string{pg, "default.url?schem", "known are"}},
		"wrong for pgx":            {"postgres://u:sesame@h/d?sslmode=maybe", []string{"-config", pg}, []string{pg, "default.url", "sslmode"}},
		"no postgres there":        {"postgres://u:sesame@" + nobody + "/d", []string{"-config", pg}, []string{pg, `"default"`, nobody, "refused", "-url", "SWAP_URL"}},
		"no redis there":           {"redis://u:sesame@" + nobody, []string{"-config", rd}, []string{rd, `"default"`, nobody, "refused", "-url", "SWAP_URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fails(t, command(t, dir, c.server, c.args...), c.want...)
		})
	}
}

func TestWrongUser(t *testing.T) {
	for _, c := range []struct{ kind, file, want string }{
		{testserver.Postgres, "postgres.json", `"nobody"`},
		{testserver.Redis, "redis.json", "WRONGPASS"},
	} {
		t.Run(c.kind, func(t *testing.T) {
			u, err := url.Parse(testserver.URL(t, c.kind))
			if err != nil {
				t.Fatal("the server's URL can't be parsed")
			}
			u.User = url.UserPassword("nobody", "sesame")
			fails(t, command(t, t.TempDir(), u.String(), "-config", config(t, c.file)), c.file, c.want, "SWAP_URL")
		})
	}
}

// The help doesn't print the URL that the environment has.
func TestHelp(t *testing.T) {
	out, err := command(t, t.TempDir(), "redis://:sesame@h/0", "-h").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "SWAP_URL") || strings.Contains(string(out), "sesame") {
		t.Errorf("-h: %v\n%s", err, out)
	}
}

func fails(t *testing.T, cmd *exec.Cmd, want ...string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit status 1", err)
	}
	for _, text := range want {
		if !strings.Contains(string(out), text) {
			t.Errorf("it doesn't say %q", text)
		}
	}
	for _, secret := range []string{"sesame", "s3s"} {
		if strings.Contains(string(out), secret) {
			t.Errorf("it gives the password away")
		}
	}
	if bytes.Contains(out, []byte("goroutine ")) {
		t.Error("it panicked")
	}
	if t.Failed() {
		t.Logf("it printed:\n%s", out)
	}
}

// closedPort returns an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
