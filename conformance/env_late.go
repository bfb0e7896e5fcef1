package conformance

import (
	"context"
	"sync"
	"time"
)

// machine tells by how much everything is late on this machine just now, so that a
// case that wants something on time blames the store for no more than its own part.
// A process that shares two cores with a dozen others, or a server whose disk stands
// still for a tenth of a second, delays every worker, whatever the store does.
type machine struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu    sync.Mutex
	worst time.Duration
	from  time.Time // when the measurement under way began; zero if there is none
}

// measureEvery is the timer of one measurement.
const measureEvery = 5 * time.Millisecond

// watchMachine has the machine's own lateness measured from now to the end of the
// case: how late a timer fires, together with how long the store takes to say that
// it doesn't know an id. In a bubble there is none.
func (e *env) watchMachine(h *handle) {
	if e.cfg.Virtual || e.machine != nil {
		return
	}
	ctx, cancel := context.WithCancel(e.ctx)
	m := &machine{stop: cancel, from: time.Now()}
	e.machine = m
	m.done.Go(func() {
		unknown := e.ids.New()
		for ctx.Err() == nil {
			timer := time.NewTimer(measureEvery)
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			timer.Stop()
			_, _ = h.b.GetResult(ctx, unknown) // how long it takes is what matters
			m.mu.Lock()
			m.worst, m.from = m.late(), time.Now()
			m.mu.Unlock()
		}
		m.mu.Lock()
		m.from = time.Time{}
		m.mu.Unlock()
	})
}

// end stops measuring.
func (m *machine) end() {
	if m != nil {
		m.stop()
		m.done.Wait()
	}
}

// lateness is the worst that was measured, up to now: what stands still may not have gone on yet
// where it is measured. It is 0 if nothing was.
func (m *machine) lateness() time.Duration {
	if m == nil {
		return 0
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.late()
}

// late is the worst, with the measurement under way. The caller holds mu.
func (m *machine) late() time.Duration {
	if m.from.IsZero() {
		return m.worst
	}
	return max(m.worst, time.Since(m.from)-measureEvery)
}

// inTime fails if something was too early, or later than the limit by more than the
// machine is to blame for: a timer and a call or two lie between a record's time
// and its start.
func (e *env) inTime(what string, late, limit time.Duration) {
	e.Helper()
	own := 2 * e.machine.lateness()
	switch {
	case late < 0:
		e.Errorf("%s %v before its time", what, -late)
	case late > limit+own:
		e.Errorf("%s %v after its time, want within %v, and %v for how late the machine was itself", what, late, limit, own)
	}
}
