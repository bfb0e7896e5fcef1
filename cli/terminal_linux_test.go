package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// terminal is one for tests: a pair of ends, where one is the program's and the other the person's.
type terminal struct {
	person, program *os.File
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	person, program := openTerminal(t)
	return &terminal{person, program}
}

// openTerminal opens both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (person, program *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("NOT TESTED: there are no terminals here: %v", err)
	}
	t.Cleanup(func() { person.Close() })
	var number, locked int32
	control(t, person, syscall.TIOCGPTN, unsafe.Pointer(&number))
	control(t, person, syscall.TIOCSPTLCK, unsafe.Pointer(&locked))
	program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { program.Close() })
	return person, program
}

// run runs a command at the terminal. The person types the answer when asked a question; if it's "",
// what is called is done instead. It returns what the terminal has shown, without its
// colours.
func (term *terminal) run(t *testing.T, p *cli.Program, answer string, instead func(), args ...string) (shown string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var screen bytes.Buffer
	over := make(chan struct{})
	go func() {
		defer close(over)
		buf, asked := make([]byte, 4096), false
		for {
			n, err := term.person.Read(buf)
			if err != nil {
				return // both ends are closed
			}
			screen.Write(buf[:n])
			if !asked && bytes.Contains(screen.Bytes(), []byte("[y/N] ")) {
				asked = true
				if answer == "" {
					instead()
				} else if _, err := io.WriteString(term.person, answer); err != nil {
					return
				}
			}
		}
	}()
	code = p.Run(ctx, args, cli.Streams{In: term.program, Out: term.program, Err: term.program})
	// A read that was given up ends by a line, and only then does the end close.
	_, _ = io.WriteString(term.person, "\n")
	term.program.Close()
	<-over
	return regexp.MustCompile("\x1b\\[[0-9;]*m").ReplaceAllString(screen.String(), ""), code
}

func TestAsksAtATerminal(t *testing.T) {
	store := boltStore(t)
	interrupt := func() {
		self, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = self.Signal(os.Interrupt)
		}
		if err != nil {
			t.Error(err)
		}
	}
	enqueue(t, store, "greet", numbers(7), tasks.Queue(odd))
	for _, tt := range []struct {
		name, args, answer string
		parts              []string
		code, left         int
	}{
		{"no", "tasks delete --all-matching --queue " + odd, "n\n", []string{"The oldest 5 of 7 tasks:", "│ " + odd + " │", "Delete 7 tasks of " + store + "? [y/N] n", "not confirmed: nothing was changed"}, cli.ExitFailure, 7},
		{"return", "tasks delete --all-matching", "\n", []string{"No flag selects any: delete ALL 7 READY, SUCCESSFUL, FAILED and CANCELLED tasks of "}, cli.ExitFailure, 7},
		{"end of input", "tasks delete --all-matching --quiet", "\x04", []string{"│ " + odd + " │", "[y/N] \r\napp: not confirmed: nothing was changed"}, cli.ExitFailure, 7},
		{"interrupt", "tasks delete --all-matching", "", []string{"interrupted: nothing was changed"}, cli.ExitInterrupted, 7},
		{"no such", "tasks delete --all-matching --status failed", "", []string{"No task matches."}, cli.ExitOK, 7},
		{"purge", "queues purge other " + odd, "yes\n", []string{"Delete 7 tasks (READY) in \"other\", \"" + odd + "\" of ", "Deleting   0% |", "Deleted 7 tasks."}, cli.ExitOK, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			args := strings.Fields(tt.args)
			if i := strings.Index(tt.args, odd); i >= 0 { // it has a space
				args = append(strings.Fields(tt.args[:i]), odd)
			}
			shown, code := newTerminal(t).run(t, &cli.Program{App: newApp(), Name: "app"}, tt.answer, interrupt, append([]string{"--url", store}, args...)...)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, part := range tt.parts {
				if !strings.Contains(shown, part) {
					t.Errorf("the terminal doesn't show %q:\n%s", part, shown)
				}
			}
			if got := listed(t, store); len(got) != tt.left {
				t.Errorf("%d tasks are left, want %d", len(got), tt.left)
			}
		})
	}
}

func TestProgressAtATerminal(t *testing.T) {
	store := boltStore(t)
	enqueue(t, store, "greet", numbers(1800))
	shown, code := newTerminal(t).run(t, &cli.Program{App: newApp(), Name: "app"}, "", nil,
		"--url", store, "tasks", "cancel", "--all-matching", "--yes", "--dry-run")
	if code != cli.ExitOK || !strings.Contains(shown, "Counting (1000") {
		t.Errorf("exit code %d, no count:\n%s", code, shown)
	}
	shown, code = newTerminal(t).run(t, &cli.Program{App: newApp(), Name: "app"}, "y\n", nil, "--url", store, "tasks", "cancel", "--all-matching")
	if code != cli.ExitOK || !strings.Contains(shown, "Cancelling   0% |") || !strings.Contains(shown, "/1800, ") {
		t.Errorf("exit code %d, no bar:\n%s", code, shown)
	}
	if !strings.Contains(shown, "  \rCancelled 1,800 tasks") {
		t.Errorf("the bar isn't cleared before the totals:\n%q", shown)
	}
	shown, _ = newTerminal(t).run(t, &cli.Program{App: newApp(), Name: "app"}, "", nil, "--url", store, "tasks", "delete", "--all-matching", "--yes", "--quiet")
	if strings.Contains(shown, "Deleting") {
		t.Errorf("quiet, and a bar:\n%s", shown)
	}
}

// A pipe that somebody reads isn't replaced by a file.
func TestExportSparesAPipe(t *testing.T) {
	store := boltStore(t)
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	fails(t, store, cli.ExitUsage, []string{"plain file"}, "tasks", "export", "--file", filepath.Join(dir, "fifo"))
	only(t, dir, "fifo")
}
