package containers

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sideman-go/sideman/conformance"
)

// Lazy is the server of a test process, which is started when the first test wants it.
type Lazy struct {
	kind Kind
	once sync.Once
	s    *Server
	err  error
}

// Shared returns a server that isn't started yet.
func Shared(kind Kind) *Lazy { return &Lazy{kind: kind} }

// Main runs the tests and then ends the server, if it was started. It returns the code
// for os.Exit.
func (l *Lazy) Main(m *testing.M) int {
	code := m.Run()
	if l.s != nil {
		if err := l.s.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "ending the server:", err)
			code = max(code, 1)
		}
	}
	return code
}

// Get returns the server. Where there can't be one the test is skipped, or fails if
// TASKS_TEST_REQUIRE names the kind of server.
func (l *Lazy) Get(tb testing.TB) *Server {
	tb.Helper()
	l.once.Do(func() { l.s, l.err = Start(context.Background(), l.kind) })
	if l.err != nil {
		missing(tb, l.kind, l.err, "Run make images, or name a running server in "+l.kind.URLEnv())
	}
	return l.s
}

// missing skips a test for which there is no server, or fails it if there must be one.
func missing(tb testing.TB, kind Kind, err error, hint string) {
	tb.Helper()
	if Required(kind) {
		tb.Fatalf("TASKS_TEST_REQUIRE has %s: %v", kind, err)
	}
	tb.Skipf("NOT TESTED: %v. %s; docs/testing.md has more", err, hint)
}

// Required reports whether TASKS_TEST_REQUIRE, a list with commas, names the kind.
func Required(kind Kind) bool {
	return slices.Contains(strings.FieldsFunc(os.Getenv("TASKS_TEST_REQUIRE"), func(r rune) bool { return r == ',' || r == ' ' }), string(kind))
}

// Faults are what the conformance suite can do to the server.
func (s *Server) Faults() conformance.Faults {
	f := conformance.Faults{
		Pause: func(t conformance.T, _ conformance.Store) func() {
			t.Helper()
			resume, err := s.Pause(context.Background())
			if err != nil {
				t.Fatalf("%v", err)
			}
			return func() {
				if err := resume(); err != nil {
					t.Errorf("%v", err)
				}
			}
		},
		Cut: func(conformance.T, conformance.Store) func() {
			s.Proxy.Cut()
			return s.Proxy.Restore
		},
	}
	if !s.Owned() {
		return f
	}
	done := func(fn func(context.Context) error) func(conformance.T, conformance.Store) {
		return func(t conformance.T, _ conformance.Store) {
			t.Helper()
			if err := fn(context.Background()); err != nil {
				t.Fatalf("%v", err)
			}
		}
	}
	f.Restart, f.Kill = done(s.Restart), done(s.Kill)
	return f
}
