// Package proxy is a TCP proxy for tests that breaks connections in the ways that networks
// do: it cuts them, lets them fall silent in one direction or both, and delays them.
//
// It listens on the loopback interface, and keeps its address while the server behind
// it is restarted.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Direction says which way bytes go. ToServer|ToClient is both.
type Direction uint8

// The directions.
const (
	ToServer Direction = 1 << iota
	ToClient
	Both = ToServer | ToClient
)

// Proxy forwards connections to a server. Its methods may be called at any time, also by
// several goroutines.
type Proxy struct {
	target   string
	listener net.Listener
	dial     context.CancelFunc // ends dials that are under way
	running  sync.WaitGroup

	mu     sync.Mutex
	change sync.Cond // the fields below, or the end of a pair
	pairs  map[*pair]struct{}
	silent Direction
	delay  time.Duration
	cut    bool
	closed bool
}

// pair is a client's connection and the server's, which end together.
type pair struct {
	client, server net.Conn
	ended, frozen  bool // under Proxy.mu
}

// New listens on a free port of 127.0.0.1 and forwards to target, a host:port. Nothing has
// to listen there yet.
func New(target string) (*Proxy, error) {
	if _, _, err := net.SplitHostPort(target); err != nil {
		return nil, fmt.Errorf("proxy: target: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		cancel()
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &Proxy{target: target, listener: l, dial: cancel, pairs: make(map[*pair]struct{})}
	p.change.L = &p.mu
	p.running.Go(func() { p.accept(ctx) })
	return p, nil
}

// Addr is the host:port to connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Conns returns how many connections are forwarded now.
func (p *Proxy) Conns() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.pairs)
}

// Cut resets all connections, and each new one as soon as it is made, until Restore.
func (p *Proxy) Cut() {
	p.set(func() { p.cut = true })
	p.Break()
}

// Break resets all connections, and lets new ones in.
func (p *Proxy) Break() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for pr := range p.pairs {
		p.end(pr, true)
	}
}

// Blackhole stops what goes in the given direction without closing connections, until
// Restore: nothing arrives, and neither does the news that the other side has closed. What is
// sent meanwhile isn't lost; like that of a network which comes back, it is delivered on
// Restore if the connection lives until then. To have it lost, Break before Restore. New
// connections can be made, and are as silent. A direction that was silent and isn't named
// is no more.
func (p *Proxy) Blackhole(d Direction) { p.set(func() { p.silent = d }) }

// Freeze makes the connections that there are fall silent in both directions, until Restore,
// as a firewall does that has forgotten them. New ones work.
func (p *Proxy) Freeze() {
	p.set(func() {
		for pr := range p.pairs {
			pr.frozen = true
		}
	})
}

// Delay holds back what is sent by d in each direction, and up to twice that where data
// follow each other closely; 0 ends it. Restore does, too.
func (p *Proxy) Delay(d time.Duration) { p.set(func() { p.delay = d }) }

// Restore undoes Cut, Blackhole, Freeze and Delay.
func (p *Proxy) Restore() {
	p.set(func() {
		p.cut, p.silent, p.delay = false, 0, 0
		for pr := range p.pairs {
			pr.frozen = false
		}
	})
}

// Close resets all connections and returns when all is over. It may be called twice.
func (p *Proxy) Close() error {
	p.dial()
	err := p.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	p.set(func() { p.closed = true })
	p.Break()
	p.running.Wait()
	return err
}

func (p *Proxy) set(fn func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn()
	p.change.Broadcast()
}

// end closes both connections, by a reset if that is asked for. p.mu is held.
func (p *Proxy) end(pr *pair, reset bool) {
	if pr.ended {
		return
	}
	pr.ended = true
	delete(p.pairs, pr)
	for _, c := range []net.Conn{pr.client, pr.server} {
		if reset {
			abort(c)
		} else {
			_ = c.Close()
		}
	}
	p.change.Broadcast()
}

// abort closes a connection so that its other side gets an error at once, and what
// wasn't sent is dropped.
func abort(c net.Conn) {
	if t, ok := c.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

func (p *Proxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // out of file descriptors, say
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
			}
		default:
			p.running.Go(func() { p.carry(ctx, client) })
		}
	}
}

// carry forwards one connection until it ends.
func (p *Proxy) carry(ctx context.Context, client net.Conn) {
	if p.refuses() {
		abort(client)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var d net.Dialer
	server, err := d.DialContext(ctx, "tcp", p.target)
	if err != nil {
		abort(client)
		return
	}
	pr := &pair{client: client, server: server}
	p.mu.Lock()
	if p.cut || p.closed { // meanwhile
		p.end(pr, true)
		p.mu.Unlock()
		return
	}
	p.pairs[pr] = struct{}{}
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pump(pr, server, client, ToServer) })
	both.Go(func() { p.pump(pr, client, server, ToClient) })
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(pr, false)
}

func (p *Proxy) refuses() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cut || p.closed
}

// pump copies in one direction until its source ends, and passes the end on.
func (p *Proxy) pump(pr *pair, to, from net.Conn, d Direction) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !p.passes(pr, d) {
			return
		}
		if n > 0 {
			if _, werr := to.Write(buf[:n]); werr != nil {
				err = werr
			}
		}
		if err != nil {
			p.hangUp(pr, to, err)
			return
		}
	}
}

// hangUp passes on that a side has ended: a half-close as a half-close, an error as a reset.
func (p *Proxy) hangUp(pr *pair, to net.Conn, err error) {
	if half, ok := to.(*net.TCPConn); ok && errors.Is(err, io.EOF) {
		if half.CloseWrite() == nil {
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.end(pr, true)
}

// passes waits until what was read just now may go on. It reports false if the pair has
// ended meanwhile.
func (p *Proxy) passes(pr *pair, d Direction) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.delay > 0 {
		due := time.Now().Add(p.delay)
		timer := time.AfterFunc(p.delay, p.change.Broadcast)
		defer timer.Stop()
		for p.delay > 0 && !pr.ended && time.Now().Before(due) {
			p.change.Wait()
		}
	}
	for (p.silent&d != 0 || pr.frozen) && !pr.ended {
		p.change.Wait()
	}
	return !pr.ended
}
