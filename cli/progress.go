package cli

import (
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
)

// meter shows on standard error how far a long run has come: by a bar on a terminal, else by a
// line every few seconds.
type meter struct {
	c    *call
	what string
	bar  *progressbar.ProgressBar

	mu    sync.Mutex
	total int // negative: unknown
	last  time.Time
}

const (
	// meterLine is how often a line is written where there is no bar.
	meterLine = 5 * time.Second
	// meterBar is how often a bar is drawn.
	meterBar = 100 * time.Millisecond
)

// meter begins to show a run of so many steps; a negative number says that it isn't known.
func (c *call) meter(what string, total int) *meter {
	m := &meter{c: c, what: what, total: total, last: time.Now()}
	if c.g.quiet || os.Getenv("TERM") == "dumb" || !isTerminal(c.err) {
		return m
	}
	m.bar = progressbar.NewOptions(max(total, -1),
		progressbar.OptionSetWriter(c.err),
		progressbar.OptionSetDescription(what),
		progressbar.OptionSetWidth(24),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("tasks"),
		progressbar.OptionThrottle(meterBar),
		progressbar.OptionSetSpinnerChangeInterval(0), // drawn when there's something new, by no goroutine
		progressbar.OptionClearOnFinish(),
		progressbar.OptionSetRenderBlankState(total > 0),
	)
	m.bar.StartWithoutRender() // the rate counts from here
	return m
}

// at says that so many steps are done.
// It may be called by several at a time.
func (m *meter) at(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.bar != nil {
		if m.total >= 0 && n > m.total { // more have come since they were counted
			m.total = n
			m.bar.ChangeMax(n)
		}
		_ = m.bar.Set(n) // a terminal that's gone is no reason to stop
		return
	}
	now := time.Now()
	if now.Sub(m.last) < meterLine {
		return
	}
	m.last = now
	if m.total > 0 {
		m.c.say("%s: %s of %s", m.what, number(int64(n)), number(int64(max(n, m.total))))
		return
	}
	m.c.say("%s: %s", m.what, number(int64(n)))
}

// end takes the bar away. A second time does nothing.
func (m *meter) end() {
	if m.bar == nil {
		return
	}
	if !m.bar.IsFinished() { // then it's gone
		_ = m.bar.Clear()
	}
	_ = m.bar.Exit()
	m.bar = nil
}
