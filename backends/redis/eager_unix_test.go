//go:build unix

package redis

import (
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// eagerPair returns both ends of a connection, the first one eager, and how often it has looked.
func eagerPair(t *testing.T) (near *eager, far net.Conn, looks *int) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	near, ok := eagerly(conn).(*eager)
	if !ok {
		t.Fatal("a plain TCP connection isn't eager")
	}
	t.Cleanup(func() {
		_ = near.Close()
		_ = far.Close()
	})
	looks = new(int)
	near.read = func(fd uintptr) bool { *looks++; return near.once(fd) }
	return near, far, looks
}

func say(t *testing.T, to net.Conn, what string) {
	t.Helper()
	if _, err := to.Write([]byte(what)); err != nil {
		t.Fatal(err)
	}
}

func TestEagerReads(t *testing.T) {
	near, far, _ := eagerPair(t)
	buf := make([]byte, 4)
	hears := func(want string) {
		t.Helper()
		if n, err := near.Read(buf); err != nil || string(buf[:n]) != want {
			t.Errorf("read %q, %v, want %q", buf[:n], err, want)
		}
	}
	say(t, far, "several at once")
	hears("seve")
	hears("ral ")
	hears("at o")
	hears("nce")
	go func() {
		<-time.After(20 * eagerFor)
		_, _ = far.Write([]byte("late"))
	}()
	hears("late")
	if n, err := near.Read(nil); n != 0 || err != nil {
		t.Errorf("reading nothing: %d, %v", n, err)
	}
	if err := near.SetReadDeadline(time.Now().Add(20 * eagerFor)); err != nil {
		t.Fatal(err)
	}
	if _, err := near.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after its deadline: %v", err)
	}
	if _, err := near.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("behind its deadline: %v", err)
	}
	if err := near.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	_ = far.Close()
	if _, err := near.Read(buf); !errors.Is(err, io.EOF) {
		t.Errorf("after the other end was closed: %v", err)
	}
	_ = near.Close()
	if _, err := near.Read(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after it was closed: %v", err)
	}
}

// sleeper is what an eager connection reads from when it has looked for long enough.
type sleeper struct {
	net.Conn
	before func()
}

func (s *sleeper) Read(p []byte) (int, error) {
	s.before()
	return s.Conn.Read(p)
}

// Where answers take longer than it looks, it stops looking, and sees when they are quick again.
func TestEagerLearns(t *testing.T) {
	near, far, looks := eagerPair(t)
	late := &sleeper{near.Conn, func() {}}
	near.Conn = late
	buf := make([]byte, 1)
	looked := func(times int) (n int) {
		t.Helper()
		for range times {
			before := *looks
			if _, err := near.Read(buf); err != nil {
				t.Fatal(err)
			}
			if *looks > before {
				n++
			}
		}
		return n
	}
	late.before = func() { say(t, far, "x") }
	if n := looked(maxMisses); n != maxMisses {
		t.Errorf("it looked for %d of the first %d answers", n, maxMisses)
	}
	if n := looked(2 * retryEach); n != 2 {
		t.Errorf("it looked for %d of the next %d answers, which are late, too, want 2", n, 2*retryEach)
	}
	late.before = func() {}
	say(t, far, strings.Repeat("x", retryEach+100))
	if n := looked(retryEach); n != 1 {
		t.Errorf("it looked for %d of %d answers that are quick again, want 1", n, retryEach)
	}
	if n := looked(100); n != 100 {
		t.Errorf("it looked for %d of 100 answers after a quick one", n)
	}
}

// What isn't plainly the system's own has bytes of its own.
func TestEagerLeavesOthersAlone(t *testing.T) {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	if got := eagerly(near); got != near {
		t.Errorf("a pipe became %T", got)
	}
	plain, _, _ := eagerPair(t)
	wrapped := &struct{ *net.TCPConn }{plain.Conn.(*net.TCPConn)}
	if got := eagerly(wrapped); got != net.Conn(wrapped) {
		t.Errorf("a wrapped connection became %T", got)
	}
}
