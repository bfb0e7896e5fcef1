package cli_test

import (
	"context"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// display is a pseudo-terminal: what is written to tty is read from screen.
type display struct {
	t           *testing.T
	screen, tty *os.File
	mu          sync.Mutex
	text        strings.Builder
	more        chan bool
}

func control(t *testing.T, f *os.File, request uintptr, arg unsafe.Pointer) {
	t.Helper()
	raw, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) { _, _, errno = syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg)) }); err != nil || errno != 0 {
		t.Fatal(err, errno)
	}
}

func newDisplay(t *testing.T, width, height uint16) *display {
	t.Helper()
	screen, tty := openTerminal(t)
	term := &display{t: t, screen: screen, tty: tty, more: make(chan bool, 1)}
	term.resize(width, height)
	go func() {
		for buf := make([]byte, 4096); ; {
			n, err := screen.Read(buf)
			term.mu.Lock()
			term.text.Write(buf[:n])
			term.mu.Unlock()
			select {
			case term.more <- true:
			default:
			}
			if err != nil {
				return
			}
		}
	}()
	return term
}

func (term *display) resize(width, height uint16) {
	term.t.Helper()
	control(term.t, term.tty, syscall.TIOCSWINSZ, unsafe.Pointer(&[4]uint16{height, width, 0, 0}))
}

// await returns all that is on the screen once that has so many of a text.
func (term *display) await(n int, text string) string {
	term.t.Helper()
	limit := time.After(20 * time.Second)
	for {
		term.mu.Lock()
		all := term.text.String()
		term.mu.Unlock()
		if strings.Count(all, text) >= n {
			return all
		}
		select {
		case <-term.more:
		case <-limit:
			term.t.Fatalf("there aren't %d of %q: %q", n, text, all)
		}
	}
}

// On a terminal the table is drawn in the place of the one before, as wide as there is room,
// and the cursor is back at the end.
func TestStatsLive(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "tick", []string{""})
		term := newDisplay(t, 120, 40)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan int)
		t.Setenv("TERM", "xterm")
		t.Setenv("NO_COLOR", "")
		go func() {
			ended <- (&cli.Program{App: newApp(), Name: "app"}).Run(ctx, []string{"--url", store, "stats", "--watch", "--interval", "50ms"},
				cli.Streams{In: strings.NewReader(""), Out: term.tty, Err: term.tty})
		}()
		all := term.await(2, "\x1b[7A\r")
		if !strings.HasPrefix(all, "\x1b[?25l") || !strings.Contains(all, "FAIL/S") || strings.Contains(all, "\x1b[2J") {
			t.Errorf("drawn was %q", all)
		}
		term.resize(40, 40)
		all = term.await(1, "\x1b[2J\x1b[H")
		all = term.await(strings.Count(all, "\x1b[7A\r")+1, "\x1b[7A\r")
		narrow := all[strings.LastIndex(all[:strings.LastIndex(all, "\x1b[7A")], "\x1b[2J"):]
		if strings.Contains(narrow, "FAIL/S") || !strings.Contains(narrow, "READY") {
			t.Errorf("in 40 columns: %q", narrow)
		}
		cancel()
		if code := <-ended; code != cli.ExitOK {
			t.Errorf("exit code %d", code)
		}
		if all := term.await(1, "\x1b[?25h"); !strings.HasSuffix(all, "\x1b[?25h") {
			t.Errorf("the cursor isn't back at the end: %q", all)
		}
	})
}

// More queues than there are lines: those where the least goes on are left out.
func TestStatsLiveManyQueues(t *testing.T) {
	store := boltStore(t)
	for i := range 20 {
		args := []string{""}
		if i == 19 {
			args = []string{"", ""}
		}
		enqueue(t, store, "tick", args, tasks.Queue("q"+strconv.Itoa(i)))
	}
	term := newDisplay(t, 100, 14)
	code := (&cli.Program{App: newApp(), Name: "app"}).Run(t.Context(), []string{"--url", store, "stats", "--watch", "--count", "1"},
		cli.Streams{In: strings.NewReader(""), Out: term.tty, Err: term.tty})
	all := term.await(1, "\x1b[?25h")
	if code != cli.ExitOK || strings.Count(all, "\n") > 13 || !strings.Contains(all, "q19") || !strings.Contains(all, "and 17 more queues") || !strings.Contains(all, "21") {
		t.Errorf("exit code %d, drawn was %q", code, all)
	}
}

// A worker's log on a terminal is for people.
func TestWorkerOnTerminal(t *testing.T) {
	store := boltStore(t)
	enqueue(t, store, "greet", []string{`"ada"`})
	enqueue(t, store, "fail", []string{`"boo\u001b[31m"`}, tasks.MaxAttempts(2))
	t.Setenv("TERM", "xterm")
	t.Setenv("NO_COLOR", "")
	for _, plain := range []bool{false, true} {
		term := newDisplay(t, 100, 40)
		args := []string{"--url", store, "worker", "--batch", "--worker-id", "w1"}
		if plain {
			args = append(args, "--no-color")
		}
		code := (&cli.Program{App: newApp(), Name: "app"}).Run(t.Context(), args, cli.Streams{In: strings.NewReader(""), Out: term.tty, Err: term.tty})
		all := term.await(1, "Stopped after")
		if code != cli.ExitOK || strings.Contains(all, "\x1b[") == plain || strings.Contains(all, "boo\x1b") {
			t.Errorf("exit code %d, printed %q", code, all)
		}
		want := []string{"w1", "Queues", "all", "bolt:"}
		if !plain {
			want = append(want, "greet", "SUCCESSFUL", "RETRY", `boo\x1b[31m`, "again in", "1 succeeded", "1 retried")
		}
		for _, part := range want {
			if !strings.Contains(all, part) {
				t.Errorf("no %q in %q", part, all)
			}
		}
	}
}
