package conformance

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// slowBackend takes a while to say that it doesn't know an id.
type slowBackend struct {
	tasks.Backend
	takes time.Duration
}

func (b slowBackend) GetResult(ctx context.Context, _ string) (*tasks.Record, error) {
	select {
	case <-time.After(b.takes):
		return nil, tasks.ErrResultNotFound
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// TestInTime wants lateness to be the store's fault only as far as the machine isn't
// late itself.
func TestInTime(t *testing.T) {
	t.Parallel()
	const limit = 100 * time.Millisecond
	for _, c := range []struct {
		name          string
		machine, late time.Duration // a machine below 0 isn't measured
		fails         bool
	}{
		{"on time", -1, limit, false},
		{"late", -1, limit + 1, true},
		{"early", -1, -1, true},
		{"late on a machine that isn't", 0, limit + 5*time.Millisecond, true},
		{"late because of the machine", 40 * time.Millisecond, limit + 80*time.Millisecond, false},
		{"later than that", 40 * time.Millisecond, limit + 95*time.Millisecond, true},
		{"late on a machine that stands still", time.Hour, limit + 1900*time.Millisecond, false},
		{"early on a slow machine", 40 * time.Millisecond, -1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := NewRecorder(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				e := &env{T: r, ctx: ctx}
				if c.machine >= 0 {
					e.watchMachine(&handle{b: slowBackend{takes: c.machine}})
				}
				time.Sleep(time.Second) // virtual
				e.inTime("it started", c.late, limit)
				e.machine.end()
				if r.Failed() != c.fails {
					t.Errorf("failed: %v, want %v: %q", r.Failed(), c.fails, r.Lines())
				}
			})
		})
	}
}
