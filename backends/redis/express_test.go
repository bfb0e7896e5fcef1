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
// request is reported.
type silencer struct {
	net.Listener

	server   string
	mu       sync.Mutex
	muted    bool
	requests chan struct{}
}

func newSilencer(t *testing.T, server string) *silencer {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &silencer{Listener: l, server: server, requests: make(chan struct{}, 1)}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(t.Context(), c)
		}
	}()
	return s
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
	u.Host = s.Addr().String()
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
