package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// benchMeter shows on a terminal how far a scenario has come.
type benchMeter struct {
	w     io.Writer // nil: nobody looks
	what  string
	total int

	mu    sync.Mutex
	drawn time.Time
}

const (
	benchBar    = 24                     // columns
	benchRedraw = 100 * time.Millisecond // how often
)

func (c *call) benchMeter(what string, total int) *benchMeter {
	m := &benchMeter{what: what, total: max(total, 1)}
	if f, ok := c.err.(*os.File); ok && !c.g.quiet && os.Getenv("TERM") != "dumb" && term.IsTerminal(int(f.Fd())) {
		m.w = f
		m.at(0)
	}
	return m
}

// at says that so many steps are done.
func (m *benchMeter) at(done int) {
	if m.w == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if now.Sub(m.drawn) < benchRedraw {
		return
	}
	m.drawn = now
	full := min(done, m.total) * benchBar / m.total
	_, _ = fmt.Fprintf(m.w, "\r\x1b[K%s [%s%s] %s of %s", m.what, strings.Repeat("#", full), strings.Repeat(".", benchBar-full),
		number(int64(done)), number(int64(m.total)))
}

// end takes the bar away.
func (m *benchMeter) end() {
	if m.w != nil {
		_, _ = fmt.Fprint(m.w, "\r\x1b[K")
	}
}

// errDeclined ends a command that was asked about and wasn't wanted.
var errDeclined = errors.New("nothing was done")

// askFirst asks the user on the terminal, and returns nil only for a yes, or without asking if
// there is --yes. Where nobody can be asked that is an error.
func (c *call) askFirst(ctx context.Context, question string) error {
	if c.bool("yes") {
		return nil
	}
	in, ok := c.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usage("%s Say --yes: standard input is no terminal, so nobody can be asked", question)
	}
	_, _ = fmt.Fprintf(c.err, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // a read can't be interrupted; the process ends soon if it is
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return exit(ExitFailure, errDeclined)
	case <-ctx.Done():
		_, _ = fmt.Fprintln(c.err)
		return context.Cause(ctx)
	}
}
