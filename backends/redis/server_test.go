package redis_test

import (
	"context"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is a redis-server of the test's own, which may be paused, killed and started again,
// behind a proxy that may cut connections.
type server struct {
	tb   testing.TB
	bin  string
	args []string
	port string
	cmd  *exec.Cmd

	front net.Listener
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

// startServer starts the redis-server that TASKS_TEST_REDIS_SERVER names or the PATH has.
func startServer(tb testing.TB, args ...string) *server {
	tb.Helper()
	bin := os.Getenv("TASKS_TEST_REDIS_SERVER")
	if bin == "" {
		bin = "redis-server"
	}
	bin, err := exec.LookPath(bin)
	if err != nil {
		const how = "no redis-server: install it, or name it in TASKS_TEST_REDIS_SERVER"
		if slices.Contains(strings.Split(os.Getenv("TASKS_TEST_REQUIRE"), ","), "redis-server") {
			tb.Fatal(how)
		}
		tb.Skip(how)
	}
	s := &server{tb: tb, bin: bin, port: freePort(tb)}
	s.args = append([]string{"--port", s.port, "--bind", "127.0.0.1", "--dir", tb.TempDir(), "--logfile", "server.log"}, args...)
	s.start()
	tb.Cleanup(func() { s.stop(syscall.SIGKILL) })
	var lc net.ListenConfig
	if s.front, err = lc.Listen(tb.Context(), "tcp", "127.0.0.1:0"); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = s.front.Close() })
	go s.serve()
	return s
}

func freePort(tb testing.TB) string {
	tb.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// url goes through the proxy, direct past it.
func (s *server) url() string    { return "redis://" + s.front.Addr().String() + "/0" }
func (s *server) direct() string { return "redis://127.0.0.1:" + s.port + "/0" }

func (s *server) start() {
	s.cmd = exec.CommandContext(context.Background(), s.bin, s.args...)
	if err := s.cmd.Start(); err != nil {
		s.tb.Fatal(err)
	}
	c := rawClient(s.direct())
	defer c.Close()
	for range 200 {
		if c.Ping(context.Background()).Err() == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.tb.Fatal("redis-server doesn't answer")
}

func (s *server) stop(sig syscall.Signal) {
	_ = s.cmd.Process.Signal(syscall.SIGCONT)
	_ = s.cmd.Process.Signal(sig)
	_ = s.cmd.Wait()
}

func (s *server) restart(sig syscall.Signal) {
	s.stop(sig)
	s.start()
}

func (s *server) pause() (resume func()) {
	_ = s.cmd.Process.Signal(syscall.SIGSTOP)
	return func() { _ = s.cmd.Process.Signal(syscall.SIGCONT) }
}

// cutOff breaks all connections and lets none in until restore.
func (s *server) cutOff() (restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
	for _, c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.cut = false
	}
}

func (s *server) serve() {
	for {
		c, err := s.front.Accept()
		if err != nil {
			return
		}
		go s.carry(c)
	}
}

func (s *server) carry(c net.Conn) {
	defer c.Close()
	var d net.Dialer
	up, err := d.DialContext(context.Background(), "tcp", "127.0.0.1:"+s.port)
	if err != nil {
		return
	}
	defer up.Close()
	s.mu.Lock()
	if s.cut {
		s.mu.Unlock()
		return
	}
	s.conns = append(s.conns, c, up)
	s.mu.Unlock()
	go func() {
		_, _ = io.Copy(up, c)
		_ = up.Close()
	}()
	_, _ = io.Copy(c, up)
}
