package redis_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

// cutter dials connections that break where the answer to a command of that name should come.
type cutter struct {
	command atomic.Pointer[string] // nil: none breaks
	sent    atomic.Int32           // how many were sent
}

func (c *cutter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, by: c}, nil
}

type cutConn struct {
	net.Conn
	by   *cutter
	dead atomic.Bool
}

func (c *cutConn) Write(p []byte) (int, error) {
	if command := c.by.command.Load(); command != nil && bytes.Contains(bytes.ToLower(p), []byte("\r\n"+*command+"\r\n")) {
		c.by.sent.Add(1)
		c.dead.Store(true)
	}
	return c.Conn.Write(p)
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.dead.Load() {
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

// TestSendsOfReads: what only reads is sent four times where answers are lost, and not four
// times by go-redis for each time that the backend does.
func TestSendsOfReads(t *testing.T) {
	t.Parallel()
	url := serverURL(t)
	o, err := goredis.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	var wire cutter
	o.Dialer, o.ContextTimeoutEnabled = wire.dial, true
	client := goredis.NewClient(o)
	t.Cleanup(func() { _ = client.Close() })
	b, err := redis.New(client, &redis.Options{Namespace: freshNamespace(t, url)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	r := rec()
	enqueue(t, b, r)
	for _, c := range []struct {
		what, command string
		read          func() error
	}{
		{"a result, by commands", "mget", func() error { _, err := b.GetResult(t.Context(), r.ID); return err }},
		{"a result that isn't indexed, by a command", "hget", func() error { // nor there: what is, is indexed at some time
			if _, err := b.GetResult(t.Context(), "nobody"); !errors.Is(err, tasks.ErrResultNotFound) {
				return err
			}
			return nil
		}},
		{"counts, by a script", "evalsha", func() error { _, err := b.Queues(t.Context()); return err }},
	} {
		wire.sent.Store(0)
		wire.command.Store(&c.command)
		err := c.read()
		wire.command.Store(nil)
		if got := wire.sent.Load(); got != 4 || !errors.Is(err, tasks.ErrUnavailable) {
			t.Errorf("%s: sent %d times, then %v, want 4 times and ErrUnavailable", c.what, got, err)
		}
		if err := c.read(); err != nil {
			t.Errorf("%s, on connections that work again: %v", c.what, err)
		}
	}
}
