package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// Config says what to test, and how. Only Open is needed.
type Config struct {
	// Open makes a new, empty place for the records of one case, and returns how to
	// connect to it. Release what it takes with t.Cleanup. It is called once for
	// each case that is run, and once more to read the capabilities.
	Open func(t T) Store

	// Virtual runs each case in a testing/synctest bubble, so that waiting takes no
	// time. It is for backends that live wholly in this process and do no network
	// I/O; files are fine. Open then is called inside of the bubble.
	Virtual bool

	// Faults are what the suite can do to the server. Those that are nil leave out
	// the cases that need them, which the report shows.
	Faults Faults

	// Waive maps names of cases that are known to fail to the reason why. They are
	// run and reported, and don't fail the test; but the result is "partial" then.
	// A name that isn't a case's, or that passes, is an error, so that no waiver
	// outlives its reason.
	Waive map[string]string

	// Timing has the durations of the suite.
	Timing Timing
}

// Store is a place where records are kept: a file, a schema, a key prefix.
type Store interface {
	// Connect opens a backend on the place. The suite calls it again for a second
	// handle, while the first is open, and to reopen the place after Close, so it
	// never returns a backend that it has returned before: that one may be closed. It
	// returns an error if that can't be; a backend that is not CapShared is expected
	// to say so within a second rather than to hang.
	Connect(ctx context.Context) (tasks.Backend, error)
}

// StoreFunc makes a Store of a function.
type StoreFunc func(ctx context.Context) (tasks.Backend, error)

// Connect calls f.
func (f StoreFunc) Connect(ctx context.Context) (tasks.Backend, error) { return f(ctx) }

// Opened passes on what an Open function returned, with a nil Backend in the place
// of a nil pointer of the backend's own type.
func Opened[B tasks.Backend](b B, err error) (tasks.Backend, error) {
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Faults are what can be done to the server behind the store. Each function acts
// on the place that Open made for this t, and has taken effect when it returns.
type Faults struct {
	// Pause makes the server stop answering without closing connections; the
	// function that it returns lets it go on.
	Pause func(t T, s Store) (resume func())
	// Cut breaks all connections and refuses new ones; the function that it returns
	// lets them in again.
	Cut func(t T, s Store) (restore func())
	// Restart stops the server in good order and starts it again at the same address.
	Restart func(t T, s Store)
	// Kill stops it with kill -9 and starts it again. Only called if the backend is
	// CapDurable. For an embedded store there is no server, and so no Kill.
	Kill func(t T, s Store)
}

// Fault names one of the functions in Faults.
type Fault string

// The faults that a case can need.
const (
	FaultPause   Fault = "pause"
	FaultCut     Fault = "cut"
	FaultRestart Fault = "restart"
	FaultKill    Fault = "kill"
)

func (f Faults) has(want Fault) bool {
	switch want {
	case FaultPause:
		return f.Pause != nil
	case FaultCut:
		return f.Cut != nil
	case FaultRestart:
		return f.Restart != nil
	case FaultKill:
		return f.Kill != nil
	}
	return false
}

// Timing has the durations of the suite. The zero value is right for a server on
// this machine; make them longer for a slow one.
type Timing struct {
	// Lease is the lease length of cases in which leases run out: long enough for a
	// few calls to the store, as short as possible. 0 means 400 ms. A conforming
	// backend may need up to 2 s.
	Lease time.Duration
	// Notice is within what time a change that one handle makes is seen by another:
	// a pause, a wake-up, a cancel. 0 means 1 s, which is also the contract's most.
	Notice time.Duration
	// Late is how late a deferred record may become claimable. 0 means 100 ms, which
	// is also the contract's most where CapNotify is declared. What timers and the
	// store's answers are late themselves in the meantime, on a machine that is busy,
	// is measured and comes on top.
	Late time.Duration
	// Obey is within what time a call returns after its ctx has ended. 0 means 250 ms,
	// which is also the contract's most; it is doubled for the suite's own delays.
	Obey time.Duration
	// Deadline is when a case is given up as hanging. 0 means 30 s.
	Deadline time.Duration
}

func (t Timing) withDefaults() Timing {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&t.Lease, 400*time.Millisecond)
	set(&t.Notice, time.Second)
	set(&t.Late, 100*time.Millisecond)
	set(&t.Obey, 250*time.Millisecond)
	set(&t.Deadline, 30*time.Second)
	return t
}

// check reports what is wrong with the configuration.
func (c *Config) check() error {
	var faults []error
	if c.Open == nil {
		faults = append(faults, errors.New("conformance: Config.Open is nil"))
	}
	for name, reason := range c.Waive {
		if !slices.ContainsFunc(allCases(), func(k Case) bool { return k.Name == name }) {
			faults = append(faults, fmt.Errorf("conformance: Config.Waive has %q, which is no case; see Cases()", name))
		}
		if strings.TrimSpace(reason) == "" {
			faults = append(faults, fmt.Errorf("conformance: Config.Waive has no reason for %q", name))
		}
	}
	return errors.Join(faults...)
}
