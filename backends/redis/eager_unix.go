//go:build unix

package redis

import (
	"errors"
	"io"
	"net"
	"runtime"
	"syscall"
	"time"
)

// eager is a connection whose reader looks for an answer again and again for a moment before it
// sleeps until there is one. A server nearby answers in that moment, and to be woken takes longer
// than the answer itself. Where answers take longer, as over a network, it soon stops to look.
// There is one reader at a time.
type eager struct {
	net.Conn

	raw  syscall.RawConn
	read func(fd uintptr) bool // e.once, made once

	// What once was asked, and its answer.
	buf []byte
	n   int
	err error

	misses int // how often in a row the answer didn't come in time
}

const (
	// eagerFor is for how long it looks.
	eagerFor = 100 * time.Microsecond
	// maxMisses is after how many answers that came late in a row it only tries one time in retryEach.
	maxMisses = 16
	retryEach = 256
)

// eagerly returns the connection as one that looks. One that isn't plainly the system's own, as with
// TLS or a user's dialer around it, is returned as it is.
func eagerly(conn net.Conn) net.Conn {
	var c syscall.Conn
	switch plain := conn.(type) {
	case *net.TCPConn:
		c = plain
	case *net.UnixConn:
		c = plain
	default:
		return conn
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return conn
	}
	e := &eager{Conn: conn, raw: raw}
	e.read = e.once
	return e
}

// SyscallConn implements syscall.Conn, by which go-redis sees whether an idle connection is alive.
func (e *eager) SyscallConn() (syscall.RawConn, error) { return e.raw, nil }

// Read implements net.Conn.
func (e *eager) Read(p []byte) (int, error) {
	if len(p) > 0 && e.looks() {
		e.buf = p
		defer func() { e.buf = nil }()
		for from := time.Now(); ; runtime.Gosched() {
			if err := e.raw.Read(e.read); err != nil {
				break // it is closed, or its deadline over, and says so again
			}
			switch {
			case e.n > 0:
				e.misses = 0
				return e.n, nil
			case e.err == nil:
				return 0, io.EOF
			}
			if !errors.Is(e.err, syscall.EAGAIN) && !errors.Is(e.err, syscall.EINTR) {
				break // the connection has failed, and reading again fails, too
			}
			if time.Since(from) > eagerFor {
				e.misses++
				break
			}
		}
	}
	return e.Conn.Read(p)
}

// looks reports whether it is worth a try.
func (e *eager) looks() bool {
	if e.misses < maxMisses {
		return true
	}
	if e.misses++; e.misses < maxMisses+retryEach {
		return false
	}
	e.misses = maxMisses - 1 // a single miss is enough to stop
	return true
}

// once reads what there is. It doesn't wait: it says that it is done in any case.
func (e *eager) once(fd uintptr) bool {
	e.n, e.err = syscall.Read(int(fd), e.buf)
	return true
}
