package cli_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// TestMain lets the test binary be a program with tasks, as a process of its own.
func TestMain(m *testing.M) {
	if os.Getenv("CLI_CHILD") == "" {
		os.Exit(m.Run())
	}
	if path, err := os.Executable(); err == nil {
		if info, err := os.Stat(path); err == nil {
			fmt.Printf("program of %d bytes\n", info.Size())
		}
	}
	(&cli.Program{App: newChildApp(os.Stdin), Name: "app"}).Main()
}

// newChildApp has the tasks of newApp, and hold: it says that it was started, and ends when a
// line comes from standard input, or its context ends.
func newChildApp(in io.Reader) *tasks.App {
	app := newApp()
	lines := make(chan string)
	go func() {
		for in := bufio.NewScanner(in); in.Scan(); {
			lines <- in.Text()
		}
	}()
	tasks.Define(app, "hold", func(ctx context.Context, _ tasks.None) (string, error) {
		fmt.Println("held")
		select {
		case line := <-lines:
			return line, nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	})
	return app
}

// child is such a process.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines *bufio.Scanner // of both its outputs
	seen  strings.Builder
}

// start runs a file that is a copy of the test binary, or it itself if path is "".
func start(t *testing.T, path string, args ...string) *child {
	t.Helper()
	if path == "" {
		path = os.Args[0]
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	c := &child{t: t, cmd: exec.CommandContext(ctx, path, args...)}
	c.cmd.Dir = t.TempDir()
	c.cmd.Env = append(os.Environ(), "CLI_CHILD=1")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	c.cmd.Stdout, c.cmd.Stderr = w, w
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	c.lines = bufio.NewScanner(r)
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		_ = c.cmd.Wait()
	})
	return c
}

// await reads until a line has that text.
func (c *child) await(text string) {
	c.t.Helper()
	for c.lines.Scan() {
		c.seen.WriteString(c.lines.Text() + "\n")
		if strings.Contains(c.lines.Text(), text) {
			return
		}
	}
	c.t.Fatalf("it never said %q:\n%s", text, &c.seen)
}

func (c *child) signal(s os.Signal) {
	c.t.Helper()
	if err := c.cmd.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// release lets a held task end with that text.
func (c *child) release(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, text+"\n"); err != nil {
		c.t.Fatal(err)
	}
}

// ends reads all that is left and checks the exit code.
func (c *child) ends(code int) {
	c.t.Helper()
	for c.lines.Scan() {
		c.seen.WriteString(c.lines.Text() + "\n")
	}
	err := c.cmd.Wait()
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else if err != nil {
		c.t.Fatal(err)
	}
	if got != code {
		c.t.Errorf("exit code %d, want %d:\n%s", got, code, &c.seen)
	}
}

// enqueueHold stores a run of hold.
func enqueueHold(t *testing.T, store string) string {
	t.Helper()
	return strings.TrimSpace(runAs(t, newChildApp(strings.NewReader("")), store, "enqueue", "hold", "-o", "name").out)
}

// runAs is run with another App.
func runAs(t *testing.T, app *tasks.App, store string, args ...string) ran {
	t.Helper()
	return runWith(t, &cli.Program{App: app, Name: "app"}, "", append([]string{"--url", store}, args...)...)
}
