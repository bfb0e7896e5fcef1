package modeltest

import (
	"time"

	"pgregory.net/rapid"
)

// clock is what the store and the reference go by.
type clock interface {
	now() time.Time
	advance(t *rapid.T, d time.Duration)
}

// bubble is the clock of a synctest bubble, for stores that go by the process's.
type bubble struct{}

func (bubble) now() time.Time                      { return time.Now() }
func (bubble) advance(_ *rapid.T, d time.Duration) { time.Sleep(d) }

// served is a clock for stores that go by their server's, where it is set. It is years
// away from the process's, so that a store that goes by that one is found out. It
// stands still, and the test isn't in a bubble: connections and their pools outlive a
// sequence, and their timers have nothing to do with it.
type served struct {
	at  time.Time
	set func(time.Time) error
}

// newServed starts a clock for one sequence.
func newServed(t *rapid.T, set func(time.Time) error) *served {
	c := &served{at: time.Date(2001, time.February, 3, 4, 5, 6, 789_000, time.UTC), set: set}
	c.advance(t, 0)
	return c
}

func (c *served) now() time.Time { return c.at }

func (c *served) advance(t *rapid.T, d time.Duration) {
	c.at = c.at.Add(d)
	if err := c.set(c.at); err != nil {
		t.Fatalf("set the server's time: %v", err)
	}
}
