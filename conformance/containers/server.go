package containers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/testcontainers/testcontainers-go"

	"github.com/sideman-go/sideman/conformance/containers/proxy"
)

// ServersEnv is the variable that, if it is set, lets tests start containers.
const ServersEnv = "TASKS_TEST_SERVERS"

var errNotOwned = errors.New("containers: the server isn't owned")

// Server is a server that runs, with a proxy before it.
type Server struct {
	// Proxy is what URL leads through.
	Proxy *proxy.Proxy

	kind   Kind
	url    string
	direct string
	box    *box // nil if it isn't ours
}

// Start starts a server in a container, or connects to the one that the environment names.
func Start(ctx context.Context, kind Kind) (*Server, error) {
	if direct := kind.running(); direct != "" {
		return connect(ctx, kind, direct)
	}
	cli, image, err := prepare(ctx, kind)
	if err != nil {
		return nil, err
	}
	s, err := start(ctx, kind, kind.spec(), cli, image)
	if err != nil {
		_ = cli.Close()
		return nil, err
	}
	return s, nil
}

// running returns the server that the environment names, or "" if one is to be started.
func (k Kind) running() string {
	if os.Getenv(OwnServersEnv) != "" {
		return ""
	}
	return os.Getenv(k.URLEnv())
}

// prepare connects to the Docker daemon, clears away what killed tests have left, and finds
// the image.
func prepare(ctx context.Context, kind Kind) (cli *testcontainers.DockerClient, image string, err error) {
	if !Required(kind) && os.Getenv(ServersEnv) == "" {
		return nil, "", errors.New("servers are started by make test, or where TASKS_TEST_REQUIRE names them")
	}
	if cli, err = docker(ctx); err != nil {
		return nil, "", err
	}
	if err = removeStale(ctx, cli); err != nil {
		err = fmt.Errorf("removing containers that were left: %w", err)
	} else {
		image, err = findImage(ctx, cli, kind.spec())
	}
	if err != nil {
		_ = cli.Close()
		return nil, "", err
	}
	return cli, image, nil
}

func start(ctx context.Context, kind Kind, sp spec, cli *testcontainers.DockerClient, image string) (*Server, error) {
	s := &Server{kind: kind}
	var addr string
	err := onFreePorts(ctx, 1, func(ports []int) (err error) {
		port := strconv.Itoa(ports[0])
		addr = net.JoinHostPort("127.0.0.1", port)
		l := sp.launch(image)
		l.publish = map[string]string{sp.port: port}
		s.box, err = l.start(ctx, cli, string(kind))
		return err
	})
	if err != nil {
		return nil, err
	}
	s.direct = kind.url(addr)
	if err = s.ready(ctx); err == nil {
		s.Proxy, err = proxy.New(addr) //nolint:contextcheck // it outlives ctx
	}
	if err != nil {
		_ = s.box.remove()
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

// Near leads to the server at its container's own address, where this machine reaches that, and is
// like Direct elsewhere. A published port is served by a process of Docker's that copies every byte,
// which measurements are better off without. The address may change when the server restarts.
func (s *Server) Near(ctx context.Context) string {
	if !s.Owned() {
		return s.direct
	}
	host, err := s.box.c.ContainerIP(ctx)
	if err != nil || host == "" {
		return s.direct
	}
	port, _, _ := strings.Cut(s.kind.spec().port, "/")
	addr := net.JoinHostPort(host, port)
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return s.direct
	}
	_ = conn.Close()
	return s.kind.url(addr)
}

// Owned reports whether the server is in a container of this process's own, so that
// Restart and Kill can be called.
func (s *Server) Owned() bool { return s.box != nil }

// Close ends the server, if it is owned.
func (s *Server) Close() error {
	err := s.Proxy.Close()
	if s.box != nil {
		err = errors.Join(err, s.box.remove(), s.box.cli.Close())
	}
	return err
}

// Pause stops the server without closing connections: all its processes stand still, or, if
// it isn't owned, the proxy lets nothing pass. The function that is returned ends that.
func (s *Server) Pause(ctx context.Context) (resume func() error, err error) {
	if s.box == nil {
		s.Proxy.Blackhole(proxy.Both)
		return func() error { s.Proxy.Restore(); return nil }, nil
	}
	return s.box.pause(ctx)
}

// Restart stops the server in good order, starts it again at the same address, and
// returns when it is ready.
func (s *Server) Restart(ctx context.Context) error { return s.again(ctx, (*box).stop) }

// Kill ends the server with kill -9, starts it again at the same address, and returns
// when it is ready.
func (s *Server) Kill(ctx context.Context) error { return s.again(ctx, (*box).kill) }

// Exec runs a command beside the server, in its container and as root, which must succeed.
func (s *Server) Exec(ctx context.Context, cmd ...string) error {
	if s.box == nil {
		return errNotOwned
	}
	return s.box.exec(ctx, cmd...)
}

// CPU returns how much processor time all processes of the server have taken since it was
// started, if it is owned. The proxy before it and Docker's own aren't counted.
func (s *Server) CPU(ctx context.Context) (time.Duration, error) {
	if s.box == nil {
		return 0, errNotOwned
	}
	return s.box.cpu(ctx)
}

func (s *Server) again(ctx context.Context, end func(*box, context.Context) error) error {
	if s.box == nil {
		return errNotOwned
	}
	if err := end(s.box, ctx); err != nil {
		return err
	}
	if err := s.box.start(ctx); err != nil {
		return err
	}
	return s.ready(ctx)
}

// ready waits until the server is ready for work.
func (s *Server) ready(ctx context.Context) error {
	return s.box.ready(ctx, string(s.kind), func(ctx context.Context) error { return s.kind.ping(ctx, s.direct) })
}
