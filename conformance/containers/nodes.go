package containers

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/testcontainers/testcontainers-go"

	"github.com/sideman-go/sideman/conformance/containers/proxy"
)

// busOffset is how far above its port a node of a Redis Cluster listens for the others.
const busOffset = 10_000

// Node is one of several Redis servers that know each other, in a container of its own.
type Node struct {
	// Proxy is before the node. Whether clients come through it is said where it is made.
	Proxy *proxy.Proxy

	box    *box
	port   int
	client *redis.Client // past the proxy
}

// Addr leads to the node past the proxy.
func (n *Node) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)) }

// Client is connected past the proxy.
func (n *Node) Client() *redis.Client { return n.client }

// Kill ends the node with kill -9, for good.
func (n *Node) Kill(ctx context.Context) error { return n.box.kill(ctx) }

func (n *Node) ready(ctx context.Context) error {
	return n.box.ready(ctx, n.box.what, func(ctx context.Context) error { return n.client.Ping(ctx).Err() })
}

// nodes are several Redis servers that share one network, so that they find each other where
// the test finds them: at ports of 127.0.0.1. The network belongs to a container that does
// nothing else, since it would end with a server that is killed.
type nodes struct {
	cli     *testcontainers.DockerClient
	image   string
	network *box
	free    []int // ports that are published and not in use yet
	all     []*Node
}

// startNetwork makes the network for n servers. The test is skipped or fails where there is
// no Docker; all is removed when it ends.
func startNetwork(tb testing.TB, n int) *nodes {
	tb.Helper()
	if Redis.running() != "" {
		tb.Skipf("NOT TESTED: %s names one server, and this test needs %d of its own; %s=1 lets it start them", Redis.URLEnv(), n, OwnServersEnv)
	}
	ctx := context.Background()
	cli, image, err := prepare(ctx, Redis)
	if err != nil {
		missing(tb, Redis, err, "Run make images")
	}
	all := &nodes{cli: cli, image: image}
	tb.Cleanup(func() {
		if err := all.close(); err != nil {
			tb.Errorf("ending the servers: %v", err)
		}
	})
	err = onFreePorts(ctx, n, func(ports []int) (err error) {
		publish := make(map[string]string, n)
		for _, p := range ports {
			publish[strconv.Itoa(p)+"/tcp"] = strconv.Itoa(p)
		}
		all.free = ports
		l := launch{image: image, cmd: []string{"tail", "-f", "/dev/null"}, stop: "SIGKILL", publish: publish}
		all.network, err = l.start(ctx, cli, "the network")
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

// add starts a server in the network, with more arguments than the usual. make gets its port
// and that of its proxy.
func (ns *nodes) add(ctx context.Context, what string, cmd func(port, front int) []string) (*Node, error) {
	if len(ns.free) == 0 {
		return nil, errors.New("containers: no port is left in the network")
	}
	n := &Node{port: ns.free[0]}
	ns.free = ns.free[1:]
	var err error
	if n.Proxy, err = proxy.New(n.Addr()); err != nil { //nolint:contextcheck // it outlives ctx
		return nil, err
	}
	ns.all = append(ns.all, n)
	_, text, err := net.SplitHostPort(n.Proxy.Addr())
	if err != nil {
		return nil, err
	}
	front, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	l := launch{image: ns.image, cmd: cmd(n.port, front), stop: Redis.spec().stop, network: "container:" + ns.network.c.GetContainerID()}
	if n.box, err = l.start(ctx, ns.cli, what); err != nil {
		return nil, err
	}
	n.client = redis.NewClient(&redis.Options{Addr: n.Addr(), ContextTimeoutEnabled: true, MaxRetries: -1})
	return n, n.ready(ctx)
}

// server are the arguments of a server that keeps what it acknowledges, with others behind.
func (ns *nodes) server(port int, more ...string) []string {
	return append(append(Redis.spec().cmd, "--port", strconv.Itoa(port)), more...)
}

func (ns *nodes) close() error {
	var faults []error
	for _, n := range ns.all {
		faults = append(faults, n.Proxy.Close())
		if n.client != nil {
			faults = append(faults, n.client.Close())
		}
		if n.box != nil {
			faults = append(faults, n.box.remove())
		}
	}
	if ns.network != nil {
		faults = append(faults, ns.network.remove())
	}
	return errors.Join(append(faults, ns.cli.Close())...)
}

// each does something to all servers at once.
func (ns *nodes) each(fn func(*Node) error) error {
	faults := make([]error, len(ns.all))
	var wg sync.WaitGroup
	for i, n := range ns.all {
		wg.Go(func() { faults[i] = fn(n) })
	}
	wg.Wait()
	return errors.Join(faults...)
}
