package redis_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

// silencer passes connections on to a server. While it is muted no answer comes back, and each
// request is reported. While it is closed it has no connections, and takes none.
type silencer struct {
	addr     string
	server   string
	requests chan struct{}

	mu       sync.Mutex
	muted    bool
	listener net.Listener
	conns    []net.Conn
}

func newSilencer(t *testing.T, server string) *silencer {
	t.Helper()
	s := &silencer{addr: "127.0.0.1:0", server: server, requests: make(chan struct{}, 1)}
	s.open(t)
	t.Cleanup(s.close)
	return s
}

// open listens where it did before.
func (s *silencer) open(t *testing.T) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listener = l
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if s.keep(l, c) {
				go s.serve(t.Context(), c)
			}
		}
	}()
}

// keep remembers a connection, unless its listener has been closed.
func (s *silencer) keep(l net.Listener, c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != l {
		_ = c.Close()
		return false
	}
	s.conns = append(s.conns, c)
	return true
}

func (s *silencer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return
	}
	_ = s.listener.Close()
	s.listener = nil
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
}

func (s *silencer) mute(muted bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.muted = muted
}

func (s *silencer) isMuted() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.muted
}

func (s *silencer) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	up, err := new(net.Dialer).DialContext(ctx, "tcp", s.server)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		_, _ = io.Copy(up, &watched{c, s})
		_ = up.Close()
	}()
	b := make([]byte, 32<<10)
	for {
		n, err := up.Read(b)
		if err != nil {
			return
		}
		if !s.isMuted() {
			_, _ = c.Write(b[:n])
		}
	}
}

type watched struct {
	net.Conn

	s *silencer
}

func (w *watched) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if n > 0 && w.s.isMuted() {
		select {
		case w.s.requests <- struct{}{}:
		default:
		}
	}
	return n, err
}

// A caller that is alone waits for the answer itself, where a cancellation doesn't reach it.
func TestLoneEnqueueObeysCancellation(t *testing.T) {
	u, err := url.Parse(serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	s := newSilencer(t, u.Host)
	u.Host = s.addr
	b := open(t, func(o *redis.Options) { o.URL, o.Timeout = u.String(), time.Minute })
	enqueue(t, b, rec())

	s.mute(true)
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("the visitor has left")
	r := rec()
	ended := make(chan error, 1)
	go func() { ended <- b.Enqueue(ctx, []*tasks.Record{r}) }()
	<-s.requests
	from := time.Now()
	cancel(reason)
	err = <-ended
	if !errors.Is(err, tasks.ErrUnknownOutcome) || !errors.Is(err, reason) {
		t.Errorf("the error is %v", err)
	}
	if d := time.Since(from); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}

	s.mute(false)
	enqueue(t, b, rec()) // on a new connection
	get(t, b, r.ID)      // the server has had it
}

// go-redis remembers a failed dial, of a pool of one connection for up to a second, and fails
// meanwhile without dialling. That mustn't fail a caller while other connections can be made.
func TestLoneEnqueueAfterOutage(t *testing.T) {
	u, err := url.Parse(serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	s := newSilencer(t, u.Host)
	u.Host = s.addr
	b := open(t, func(o *redis.Options) { o.URL, o.PoolSize = u.String(), 1000 })
	enqueue(t, b, rec())
	for range 3 {
		s.close()
		for range 5 {
			if err := b.Enqueue(t.Context(), []*tasks.Record{rec()}); !errors.Is(err, tasks.ErrUnavailable) && !errors.Is(err, tasks.ErrUnknownOutcome) {
				t.Fatalf("there is no server, and the error is %v", err)
			}
		}
		s.open(t)
		enqueue(t, b, rec())
	}
}
