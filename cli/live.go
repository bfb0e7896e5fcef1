package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"

	"github.com/sideman-go/sideman/tasks"
)

// watchStats shows samples until it has shown count of them, or for ever if that is 0: then an
// interrupt or the end of --timeout is how it ends well.
func (c *call) watchStats(ctx context.Context, interval time.Duration, count int) error {
	var screen *live
	if c.out.people() && c.out.file != nil && c.out.terminal && os.Getenv("TERM") != "dumb" {
		screen = &live{p: c.out}
		defer screen.end()
	}
	var before *sample
	var last StatsDoc
	away := false // the store is, and that was said
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for n := 0; ; n++ {
		now, err := c.sampleAgain(ctx, interval)
		switch {
		case ctx.Err() != nil:
			return endOfWatch(ctx, count)
		case err == nil:
			last = newStatsDoc(now, before)
			before, away = now, false
		case n == 0, !passing(err):
			return err
		}
		if err := c.showSample(screen, last, err, n, away); err != nil {
			return err
		}
		away = err != nil
		if count > 0 && n+1 >= count {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return endOfWatch(ctx, count)
		}
	}
}

// endOfWatch is nil for a watch that has no other end.
func endOfWatch(ctx context.Context, count int) error {
	if count == 0 {
		return nil
	}
	return context.Cause(ctx)
}

// passing reports an error that may be over the next time.
func passing(err error) bool {
	return errors.Is(err, tasks.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded)
}

// sampleTime is how long a sample may take at least.
const sampleTime = 5 * time.Second

// sampleAgain takes a sample, and lets go of a store that others couldn't use meanwhile.
func (c *call) sampleAgain(ctx context.Context, interval time.Duration) (*sample, error) {
	ctx, cancel := context.WithTimeout(ctx, max(interval, sampleTime))
	defer cancel()
	s, err := c.sample(ctx)
	return s, errors.Join(err, c.letGo()) //nolint:contextcheck // a store is closed also when the context is over
}

// showSample shows a sample, or why there is none.
func (c *call) showSample(screen *live, doc StatsDoc, fault error, n int, said bool) error {
	switch {
	case screen != nil:
		return screen.draw(func() []string { return c.screenLines(screen, doc, fault) })
	case c.out.form == asJSON, c.out.form == asJSONL, c.out.form == asYAML:
		if fault != nil {
			doc = StatsDoc{At: stamp(time.Now()), Error: fault.Error()}
		}
		if err := c.out.stream(doc, n); err != nil {
			return err
		}
	case fault != nil:
		if !said {
			c.say("Trying again until the store is back: %v", fault)
		}
	default:
		if c.out.people() {
			if n > 0 {
				c.out.line("")
			}
			c.out.line("%s", time.Now().Format(time.DateTime))
		}
		if err := c.printStats(doc); err != nil {
			return err
		}
	}
	return c.out.flush()
}

// aroundTable is how many lines there are beside the rows of queues: three of the frame, the
// head, the total, those of statsLines and screenLines, and one for the cursor.
const aroundTable = 11

// screenLines are the lines for a terminal.
func (c *call) screenLines(screen *live, doc StatsDoc, fault error) []string {
	at, _ := time.Parse(time.RFC3339Nano, doc.At)
	head := "Every " + span(c.span("interval")) + ", " + at.Local().Format(time.TimeOnly) + ". Ctrl+C ends it."
	lines := append([]string{c.out.paint(faint, head)}, c.statsLines(doc, max(screen.height-aroundTable, 1))...)
	if fault != nil {
		for line := range strings.Lines("The store is away, trying again: " + fault.Error()) {
			lines = append(lines, c.out.paint(red, visible(strings.TrimSuffix(line, "\n"))))
		}
	}
	return lines
}

// live shows lines on a terminal in the place of those before.
type live struct {
	p      *printer
	height int
	lines  int // shown now
	begun  bool
}

// The codes for a terminal.
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	clearLine  = "\x1b[K"
	clearBelow = "\x1b[J"
	clearAll   = "\x1b[2J\x1b[H"
)

// draw shows what lines returns, which is asked when the terminal's size is known.
func (l *live) draw(lines func() []string) error {
	width, height, err := term.GetSize(int(l.p.file.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	switch {
	case !l.begun:
		l.begun = true
		l.put(hideCursor)
	case width != l.p.width || height != l.height:
		l.put(clearAll) // the terminal has broken the lines anew
	case l.lines > 0:
		l.put(fmt.Sprintf("\x1b[%dA\r", l.lines))
	}
	l.p.width, l.height = width, height
	all := lines()
	all = all[:min(len(all), height-1)]
	for _, line := range all {
		l.put(fit(line, width) + clearLine + "\n")
	}
	l.put(clearBelow)
	l.lines = len(all)
	return l.p.flush()
}

// end leaves the last lines there and the terminal as it was.
func (l *live) end() {
	if l.begun {
		l.put(showCursor)
		_ = l.p.flush() // there is nothing else to be done
	}
}

func (l *live) put(text string) { _, _ = l.p.w.WriteString(text) } // flush tells

// fit cuts a line to a width; one that is too wide loses its colours too.
func fit(line string, width int) string {
	text := unpainted(line)
	if runewidth.StringWidth(text) <= width {
		return line
	}
	return runewidth.Truncate(text, width, "…")
}
