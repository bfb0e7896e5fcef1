package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"

	"github.com/sideman-go/sideman/conformance/containers/proxy"
)

// ServersEnv is the variable that, if it is set, lets tests start containers.
const ServersEnv = "TASKS_TEST_SERVERS"

// Server is a server that runs, with a proxy before it.
type Server struct {
	// Proxy is what URL leads through.
	Proxy *proxy.Proxy

	kind   Kind
	url    string
	direct string
	c      testcontainers.Container // nil if it isn't ours
	cli    *testcontainers.DockerClient
}

// Start starts a server in a container, or connects to the one that the environment names.
func Start(ctx context.Context, kind Kind) (*Server, error) {
	sp := kind.spec()
	if direct := os.Getenv(sp.urlEnv); direct != "" && os.Getenv(OwnServersEnv) == "" {
		return connect(ctx, kind, direct)
	}
	if !Required(kind) && os.Getenv(ServersEnv) == "" {
		return nil, errors.New("servers are started by make test SERVERS=1, or where TASKS_TEST_REQUIRE names them")
	}
	cli, err := docker(ctx)
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, kind, cli)
	if err != nil {
		_ = cli.Close()
		return nil, err
	}
	return s, nil
}

func start(ctx context.Context, kind Kind, cli *testcontainers.DockerClient) (*Server, error) {
	if err := removeStale(ctx, cli); err != nil {
		return nil, fmt.Errorf("removing containers that were left: %w", err)
	}
	return startSpec(ctx, kind, kind.spec(), cli)
}

func startSpec(ctx context.Context, kind Kind, sp spec, cli *testcontainers.DockerClient) (*Server, error) {
	image, err := findImage(ctx, cli, sp)
	if err != nil {
		return nil, err
	}
	c, addr, err := run(ctx, sp, image)
	if err != nil {
		return nil, err
	}
	s := &Server{kind: kind, direct: kind.url(addr), c: c, cli: cli}
	if err = s.ready(ctx); err == nil {
		s.Proxy, err = proxy.New(addr) //nolint:contextcheck // it outlives ctx
	}
	if err != nil {
		_ = testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0))
		return nil, err
	}
	s.url = kind.url(s.Proxy.Addr())
	return s, nil
}

// connect uses a server that runs already.
func connect(ctx context.Context, kind Kind, direct string) (*Server, error) {
	env := kind.spec().urlEnv
	u, err := url.Parse(direct)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%s isn't a URL with a host", env) // it may have a password in it
	}
	s := &Server{kind: kind, direct: direct}
	if err := s.ready(ctx); err != nil {
		return nil, fmt.Errorf("%s: %w", env, err)
	}
	addr := u.Host
	if u.Port() == "" {
		port, _, _ := strings.Cut(kind.spec().port, "/")
		addr = net.JoinHostPort(u.Hostname(), port)
	}
	if s.Proxy, err = proxy.New(addr); err != nil { //nolint:contextcheck // it outlives ctx
		return nil, err
	}
	u.Host = s.Proxy.Addr()
	s.url = u.String()
	return s, nil
}

// URL leads to the server through the proxy.
func (s *Server) URL() string { return s.url }

// Direct leads to the server past the proxy.
func (s *Server) Direct() string { return s.direct }

// Owned reports whether the server is in a container of this process's own, so that
// Restart and Kill can be called.
func (s *Server) Owned() bool { return s.c != nil }

// Close ends the server, if it is owned.
func (s *Server) Close() error {
	err := s.Proxy.Close()
	if s.c != nil {
		err = errors.Join(err, testcontainers.TerminateContainer(s.c, testcontainers.StopTimeout(0)), s.cli.Close())
	}
	return err
}

// Pause stops the server without closing connections: all its processes stand still, or, if
// it isn't owned, the proxy lets nothing pass. The function that is returned ends that.
func (s *Server) Pause(ctx context.Context) (resume func() error, err error) {
	if s.c == nil {
		s.Proxy.Blackhole(proxy.Both)
		return func() error { s.Proxy.Restore(); return nil }, nil
	}
	if _, err := s.cli.ContainerPause(ctx, s.c.GetContainerID(), client.ContainerPauseOptions{}); err != nil {
		return nil, fmt.Errorf("pausing %s: %w", s.kind, err)
	}
	return func() error {
		_, err := s.cli.ContainerUnpause(context.WithoutCancel(ctx), s.c.GetContainerID(), client.ContainerUnpauseOptions{})
		if err != nil {
			return fmt.Errorf("resuming %s: %w", s.kind, err)
		}
		return nil
	}, nil
}

// Restart stops the server in good order, starts it again at the same address, and
// returns when it is ready.
func (s *Server) Restart(ctx context.Context) error {
	if s.c == nil {
		return errors.New("containers: the server isn't owned")
	}
	timeout := 10
	if _, err := s.cli.ContainerStop(ctx, s.c.GetContainerID(), client.ContainerStopOptions{Timeout: &timeout}); err != nil {
		return fmt.Errorf("stopping %s: %w", s.kind, err)
	}
	return s.again(ctx)
}

// Kill ends the server with kill -9, starts it again at the same address, and returns
// when it is ready.
func (s *Server) Kill(ctx context.Context) error {
	if s.c == nil {
		return errors.New("containers: the server isn't owned")
	}
	if _, err := s.cli.ContainerKill(ctx, s.c.GetContainerID(), client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		return fmt.Errorf("killing %s: %w", s.kind, err)
	}
	gone := s.cli.ContainerWait(ctx, s.c.GetContainerID(), client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-gone.Result:
	case err := <-gone.Error:
		return fmt.Errorf("waiting for the end of %s: %w", s.kind, err)
	}
	return s.again(ctx)
}

func (s *Server) again(ctx context.Context) error {
	if _, err := s.cli.ContainerStart(ctx, s.c.GetContainerID(), client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("starting %s again: %w", s.kind, err)
	}
	return s.ready(ctx)
}

// ready waits until the server is ready for work.
func (s *Server) ready(ctx context.Context) error {
	timeout := startTimeout
	if s.c == nil {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, 5*time.Second)
		err := s.kind.ping(try, s.direct)
		stop()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s isn't ready after %v: %w%s", s.kind, timeout, err, s.lastWords()) //nolint:contextcheck // ctx has ended
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastWords returns the end of the container's log.
func (s *Server) lastWords() string {
	if s.c == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	log, err := s.c.Logs(ctx)
	if err != nil {
		return ""
	}
	defer log.Close()
	text, err := io.ReadAll(log)
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "; its log ends with\n" + strings.Join(lines[max(0, len(lines)-20):], "\n")
}
