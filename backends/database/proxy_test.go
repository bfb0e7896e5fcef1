package database_test

import (
	"bytes"
	"context"
	"maps"
	"net"
	"net/url"
	"sync"
	"testing"
)

// proxy stands between a backend and its server, and can cut every connection and take no new
// ones, or drop what comes over one of them. The suite's faults are in conformance/containers.
type proxy struct {
	listener net.Listener
	to       string

	mu      sync.Mutex
	refuse  bool
	closed  bool
	conns   map[net.Conn]struct{}
	listens map[net.Conn]bool // by the client's end: it has sent a LISTEN
	stopped map[net.Conn]bool // by the client's end: what comes is dropped
}

// newProxy returns a proxy to the server of a URL, and the URL through it.
func newProxy(tb testing.TB, server string) (*proxy, string) {
	tb.Helper()
	u, err := url.Parse(server)
	if err != nil {
		tb.Fatalf("%v", err)
	}
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("%v", err)
	}
	host := u.Host
	if u.Port() == "" {
		host = net.JoinHostPort(u.Hostname(), "5432")
	}
	p := &proxy{listener: l, to: host, conns: make(map[net.Conn]struct{}), listens: make(map[net.Conn]bool), stopped: make(map[net.Conn]bool)}
	var done sync.WaitGroup
	done.Go(func() { p.accept(&done) })
	tb.Cleanup(func() {
		p.mu.Lock()
		p.closed = true
		p.mu.Unlock()
		_ = l.Close()
		p.cut()
		done.Wait()
	})
	u.Host = l.Addr().String()
	return p, u.String()
}

func (p *proxy) accept(done *sync.WaitGroup) {
	for {
		in, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refuse := p.refuse || p.closed
		p.mu.Unlock()
		if refuse {
			_ = in.Close()
			continue
		}
		done.Go(func() {
			out, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.to)
			if err != nil {
				_ = in.Close()
				return
			}
			p.mu.Lock()
			p.conns[in], p.conns[out] = struct{}{}, struct{}{}
			p.mu.Unlock()
			done.Go(func() { p.pass(in, out, in) })
			p.pass(out, in, in)
		})
	}
}

func (p *proxy) pass(from, to, client net.Conn) {
	defer func() {
		_, _ = from.Close(), to.Close()
		p.mu.Lock()
		delete(p.conns, from)
		delete(p.conns, to)
		p.mu.Unlock()
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if p.drops(client, buf[:n]) {
			n = 0
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// drops takes note of what comes over a connection, and reports whether it is to be dropped.
func (p *proxy) drops(client net.Conn, data []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if bytes.Contains(data, []byte("LISTEN ")) {
		p.listens[client] = true
	}
	return p.stopped[client]
}

// setRefuse says whether new connections are refused.
func (p *proxy) setRefuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse = refuse
}

// cut breaks every connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}

// freeze stops the connections that listen, as a firewall does that has forgotten them.
func (p *proxy) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	maps.Copy(p.stopped, p.listens)
}

// freezeAll stops all connections that there are.
func (p *proxy) freezeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		p.stopped[c] = true
	}
}
