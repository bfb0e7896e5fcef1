package proxy_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/conformance/containers/proxy"
)

// soon is for what must happen, and brief for what must not.
const (
	soon  = 10 * time.Second
	brief = 50 * time.Millisecond
)

// echo is a server that sends back what it gets. It may be stopped and started again.
type echo struct {
	t    *testing.T
	addr string

	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
}

func newEcho(t *testing.T) *echo {
	t.Helper()
	e := &echo{t: t, addr: "127.0.0.1:0"}
	e.start()
	t.Cleanup(e.stop)
	return e
}

func (e *echo) start() {
	e.t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(e.t.Context(), "tcp", e.addr)
	if err != nil {
		e.t.Fatal(err)
	}
	e.addr = l.Addr().String()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.l = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			e.mu.Lock()
			e.conns = append(e.conns, c)
			e.mu.Unlock()
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
}

func (e *echo) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	_ = e.l.Close()
	for _, c := range e.conns {
		_ = c.Close()
	}
}

func newProxy(t *testing.T, target string) *proxy.Proxy {
	t.Helper()
	p, err := proxy.New(target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if n := p.Conns(); n != 0 {
			t.Errorf("%d connections are left after Close", n)
		}
	})
	return p
}

func dial(t *testing.T, p *proxy.Proxy) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatalf("send %q: %v", text, err)
	}
}

func receive(t *testing.T, c net.Conn, want string) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(soon))
	buf := make([]byte, len(want))
	if n, err := io.ReadFull(c, buf); err != nil || string(buf) != want {
		t.Fatalf("received %q and error %v, want %q", buf[:n], err, want)
	}
}

// hearsNothing wants that nothing arrives, not even an end.
func hearsNothing(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(brief))
	buf := make([]byte, 100)
	if n, err := c.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("received %q and error %v, want silence", buf[:n], err)
	}
}

// isBroken wants that the connection ends by an error.
func isBroken(t *testing.T, c net.Conn) {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(soon))
	n, err := c.Read(make([]byte, 100))
	if n > 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("received %d bytes and error %v, want a broken connection", n, err)
	}
}

// isRefused wants that a new connection isn't made, or breaks at once.
func isRefused(t *testing.T, p *proxy.Proxy) {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", p.Addr())
	if err != nil {
		return
	}
	defer c.Close()
	isBroken(t, c)
}

func TestForwards(t *testing.T) {
	t.Parallel()
	p := newProxy(t, newEcho(t).addr)
	c := dial(t, p)
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB, over all buffers
	go func() {
		_, _ = c.Write(big)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, big) {
		t.Fatalf("received %d bytes and error %v, want the %d that were sent and then the end", len(got), err, len(big))
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	p := newProxy(t, newEcho(t).addr)
	c := dial(t, p)
	send(t, c, "one")
	receive(t, c, "one")
	p.Cut()
	isBroken(t, c)
	if n := p.Conns(); n != 0 {
		t.Errorf("%d connections after Cut", n)
	}
	isRefused(t, p)
	p.Restore()
	c = dial(t, p)
	send(t, c, "two")
	receive(t, c, "two")
}

func TestBreak(t *testing.T) {
	t.Parallel()
	p := newProxy(t, newEcho(t).addr)
	c := dial(t, p)
	send(t, c, "one")
	receive(t, c, "one")
	p.Break()
	isBroken(t, c)
	c = dial(t, p)
	send(t, c, "two")
	receive(t, c, "two")
}

func TestBlackholeBoth(t *testing.T) {
	t.Parallel()
	p := newProxy(t, newEcho(t).addr)
	old := dial(t, p)
	send(t, old, "before")
	receive(t, old, "before")
	p.Blackhole(proxy.Both)
	fresh := dial(t, p)
	send(t, old, "meanwhile")
	send(t, fresh, "fresh")
	hearsNothing(t, old)
	hearsNothing(t, fresh)
	p.Restore()
	receive(t, old, "meanwhile")
	receive(t, fresh, "fresh")
}

// TestBlackholeOneWay looks at what arrives at the server, too.
func TestBlackholeOneWay(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]proxy.Direction{"to server": proxy.ToServer, "to client": proxy.ToClient} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var lc net.ListenConfig
			l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			p := newProxy(t, l.Addr().String())
			client := dial(t, p)
			server, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			from, to := client, server // the silent way
			if d == proxy.ToClient {
				from, to = server, client
			}
			p.Blackhole(d)
			send(t, to, "other way")
			receive(t, from, "other way")
			send(t, from, "held")
			hearsNothing(t, to)
			from.Close() // an end isn't heard of either
			hearsNothing(t, to)
			p.Restore()
			receive(t, to, "held")
			isBroken(t, to)
		})
	}
}

// TestBlackholeThenBreak loses what was on its way.
func TestBlackholeThenBreak(t *testing.T) {
	t.Parallel()
	p := newProxy(t, newEcho(t).addr)
	c := dial(t, p)
	p.Blackhole(proxy.Both)
	send(t, c, "lost")
	hearsNothing(t, c)
	p.Break()
	p.Restore()
	isBroken(t, c)
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	p := newProxy(t, newEcho(t).addr)
	old := dial(t, p)
	send(t, old, "before")
	receive(t, old, "before")
	p.Freeze()
	fresh := dial(t, p)
	send(t, fresh, "fresh")
	receive(t, fresh, "fresh")
	send(t, old, "frozen")
	hearsNothing(t, old)
	p.Restore()
	receive(t, old, "frozen")
}

func TestDelay(t *testing.T) {
	t.Parallel()
	p := newProxy(t, newEcho(t).addr)
	c := dial(t, p)
	const delay = 100 * time.Millisecond
	p.Delay(delay)
	start := time.Now()
	send(t, c, "slow")
	receive(t, c, "slow")
	if took := time.Since(start); took < 2*delay {
		t.Errorf("there and back took %v, want %v at least", took, 2*delay)
	}
	p.Delay(time.Hour)
	send(t, c, "for ever")
	hearsNothing(t, c)
	p.Restore()
	receive(t, c, "for ever")
}

// TestServerRestarts wants the proxy's address to outlive the server.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	e := newEcho(t)
	p := newProxy(t, e.addr)
	c := dial(t, p)
	send(t, c, "one")
	receive(t, c, "one")
	e.stop()
	isBroken(t, c)
	isRefused(t, p)
	e.start()
	c = dial(t, p)
	send(t, c, "two")
	receive(t, c, "two")
}

func TestCloseWhileSilent(t *testing.T) {
	t.Parallel()
	p := newProxy(t, newEcho(t).addr)
	p.Blackhole(proxy.Both)
	c := dial(t, p)
	send(t, c, "x")
	hearsNothing(t, c)
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	isBroken(t, c)
}

// TestConcurrentFaults is for the race detector: all faults at once, under load.
func TestConcurrentFaults(t *testing.T) {
	t.Parallel()
	p := newProxy(t, newEcho(t).addr)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			buf := make([]byte, 100)
			for {
				select {
				case <-stop:
					return
				default:
				}
				var d net.Dialer
				c, err := d.DialContext(t.Context(), "tcp", p.Addr())
				if err != nil {
					continue
				}
				_ = c.SetDeadline(time.Now().Add(20 * time.Millisecond))
				_, _ = c.Write(buf)
				_, _ = c.Read(buf)
				_ = c.Close()
			}
		})
	}
	for range 100 {
		p.Cut()
		p.Restore()
		p.Blackhole(proxy.ToServer)
		p.Delay(time.Millisecond)
		p.Break()
		p.Blackhole(proxy.ToClient)
		p.Restore()
	}
	close(stop)
	wg.Wait()
	p.Restore()
	c := dial(t, p)
	send(t, c, "still there")
	receive(t, c, "still there")
}
