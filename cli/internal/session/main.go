// Session types the guide's session into two real terminals, by tmux, and keeps what they
// show in docs/cli.md, between the marks that are there for each store. With -check it writes
// nothing, and fails if what is written there isn't what the commands do now.
//
//	go run ./conformance/containers/cmd/with-servers go run ./cli/internal/session -check
//
// The servers are those of TASKS_TEST_POSTGRES_URL and TASKS_TEST_REDIS_URL. A schema and a
// namespace of its own are used, and left behind.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	check := flag.Bool("check", false, "write nothing; fail if the file isn't what it would be")
	path := flag.String("doc", "docs/cli.md", "the `FILE`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	err := run(ctx, *path, *check)
	cancel()
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "session:", err)
		os.Exit(1)
	}
}

// store is one that the session is typed for.
type store struct {
	mark, env string
	// shown is what stands in the place of the server's address.
	shown string
	// own is the option that keeps it apart from others on the server.
	own string
}

func run(ctx context.Context, path string, check bool) error {
	old, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "session")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "manage")
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./examples/cli/manage")
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("build the program: %w", err)
	}
	text := string(old)
	for _, s := range []store{
		{"postgresql", "TASKS_TEST_POSTGRES_URL", "postgres://app@db/app", "schema"},
		{"redis", "TASKS_TEST_REDIS_URL", "redis://db:6379/0", "namespace"},
	} {
		at, err := s.url()
		if err != nil {
			return err
		}
		shown, err := play(ctx, dir, at)
		if err != nil {
			return fmt.Errorf("on %s: %w", s.mark, err)
		}
		shown = regexp.MustCompile(`(postgres|redis)://\S+`).ReplaceAllLiteralString(shown, s.shown)
		if text, err = replace(text, s.mark, shown); err != nil {
			return err
		}
	}
	switch {
	case !check:
		return os.WriteFile(path, []byte(text), 0o644) //nolint:gosec // a document, for everybody
	case canonical(text) != canonical(string(old)):
		return fmt.Errorf("%s isn't what the commands do now; write it anew by: make session\n%s", path, difference(string(old), text))
	}
	fmt.Println(path + " is what the commands do.")
	return nil
}

// url is the server's, with a place of this run's own.
func (s *store) url() (string, error) {
	raw := os.Getenv(s.env)
	if raw == "" {
		return "", fmt.Errorf("%s isn't set: run this by make session", s.env)
	}
	u, err := url.Parse(raw)
	if err != nil {
		return "", errors.New(s.env + " isn't a URL")
	}
	q := u.Query()
	q.Set(s.own, "session_"+strings.ToLower(rand.Text()[:8]))
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// play types the session and returns what the two terminals show.
func play(ctx context.Context, dir, storeURL string) (string, error) {
	server := &tmux{socket: "sideman-" + rand.Text()[:8], dir: dir, env: []string{
		"SIDEMAN_URL=" + storeURL, "PATH=" + dir + ":" + os.Getenv("PATH"),
	}}
	defer server.kill(ctx)
	one, err := server.open(ctx, "one")
	if err != nil {
		return "", err
	}
	two, err := server.open(ctx, "two")
	if err != nil {
		return "", err
	}
	if err := one.do(ctx, "manage migrate"); err != nil {
		return "", err
	}
	if err := one.do(ctx, `manage enqueue greet_user --args '"Michael"'`); err != nil {
		return "", err
	}
	shown, err := one.show(ctx)
	if err != nil {
		return "", err
	}
	id := idPattern().FindString(shown)
	if id == "" {
		return "", fmt.Errorf("no id was printed:\n%s", shown)
	}
	if err := one.do(ctx, "manage result "+id); err != nil {
		return "", err
	}
	if err := two.write(ctx, "manage worker --worker-id worker-1 --no-startup-delay"); err != nil {
		return "", err
	}
	if err := two.until(ctx, "SUCCESSFUL"); err != nil {
		return "", err
	}
	if err := one.do(ctx, "manage result "+id); err != nil {
		return "", err
	}
	if err := one.do(ctx, "manage tasks list"); err != nil {
		return "", err
	}
	if err := two.interrupt(ctx); err != nil {
		return "", err
	}
	left, err := one.show(ctx)
	if err != nil {
		return "", err
	}
	right, err := two.show(ctx)
	if err != nil {
		return "", err
	}
	for _, want := range []string{"READY", "SUCCESSFUL", "Hello, Michael!"} {
		if !strings.Contains(left, want) {
			return "", fmt.Errorf("the first terminal doesn't show %q:\n%s", want, left)
		}
	}
	return "The first terminal:\n\n```console\n" + left + "\n```\n\nThe second, in which the worker was started after the task was seen READY, and stopped by Ctrl+C at the end:\n\n```console\n" + right + "\n```\n", nil
}
