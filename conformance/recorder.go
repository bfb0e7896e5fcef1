package conformance

import (
	"context"
	"fmt"
	"runtime"
	"sync"
)

// Recorder is a T that only notes what happens, so that a case can be run to see
// whether it fails: on a backend with a known fault, or where a failure is waived.
type Recorder struct {
	parent T

	mu       sync.Mutex
	lines    []string
	failed   bool
	cleanups []func()
}

// NewRecorder returns a Recorder that takes its name, its context and its
// temporary folders from t.
func NewRecorder(t T) *Recorder { return &Recorder{parent: t} }

// Do runs fn on a goroutine of its own, which Fatalf ends, then what was given to
// Cleanup, and returns when all that has ended.
func (r *Recorder) Do(fn func(T)) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer r.clean()
		defer func() {
			if p := recover(); p != nil {
				r.Errorf("panic: %v", p)
			}
		}()
		fn(r)
	}()
	<-done
}

func (r *Recorder) clean() {
	for {
		r.mu.Lock()
		if len(r.cleanups) == 0 {
			r.mu.Unlock()
			return
		}
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		r.mu.Unlock()
		last()
	}
}

// Lines returns what was logged and what failed, in order.
func (r *Recorder) Lines() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.lines...)
}

func (r *Recorder) note(failed bool, format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = r.failed || failed
	r.lines = append(r.lines, fmt.Sprintf(format, args...))
}

// Helper does nothing.
func (r *Recorder) Helper() {}

// Name returns the name of the T that the Recorder was made from.
func (r *Recorder) Name() string { return r.parent.Name() }

// Context returns its context.
func (r *Recorder) Context() context.Context { return r.parent.Context() }

// TempDir returns a folder that is deleted with it.
func (r *Recorder) TempDir() string { return r.parent.TempDir() }

// Cleanup has fn called when Do ends, last first.
func (r *Recorder) Cleanup(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cleanups = append(r.cleanups, fn)
}

// Logf notes a line.
func (r *Recorder) Logf(format string, args ...any) { r.note(false, format, args...) }

// Errorf notes a failure.
func (r *Recorder) Errorf(format string, args ...any) { r.note(true, format, args...) }

// Fatalf notes a failure and ends the goroutine.
func (r *Recorder) Fatalf(format string, args ...any) {
	r.note(true, format, args...)
	runtime.Goexit()
}

// Failed reports whether there was a failure.
func (r *Recorder) Failed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.failed
}
