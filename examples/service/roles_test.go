package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/internal/testserver"
)

// What can't work is refused at the start, with what to do instead.
func TestRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config string
		args   []string
		want   []string
	}{
		"unknown role":        {"", []string{"-role", "boss"}, []string{`"boss"`, "web, worker or both"}},
		"web alone on bolt":   {"", []string{"-role", "web"}, []string{"-role web", "leave -role out", "-config examples/service/postgres.json"}},
		"no transactions":     {`{"default": {"backend": "dummy"}}`, nil, []string{"one transaction", "bolt or database"}},
		"no backend of tasks": {`{"mail": {"url": "bolt:mail.db"}}`, nil, []string{`"default"`, `"welcome"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refused(t, "", c.config, c.args, c.want...)
		})
	}
}

// Redis has no transaction that a sign-up and its task could be part of.
func TestRedisIsRefused(t *testing.T) {
	server := testserver.URL(t, testserver.Redis)
	testserver.DropNamespace(t, server, "test-service")
	refused(t, server, `{"default": {"backend": "redis", "options": {"namespace": "test-service"}}}`, nil, "one transaction", "bolt or database")
}

func refused(t *testing.T, server, config string, args []string, want ...string) {
	t.Helper()
	data := t.TempDir()
	args = append(args, "-data", data)
	if config != "" {
		path := filepath.Join(data, "config.json")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "-config", path)
	}
	cmd := command(t, server, args...)
	cmd.Dir = data
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit status 1", err)
	}
	for _, text := range want {
		if !strings.Contains(string(out), text) {
			t.Errorf("it doesn't say %q:\n%s", text, out)
		}
	}
}
