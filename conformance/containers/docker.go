package containers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/network"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tclog "github.com/testcontainers/testcontainers-go/log"
)

const (
	// ownerLabel names the process that a container belongs to, as host/pid.
	ownerLabel = "io.github.sideman-go.test.owner"
	// localImage is what image/build.sh builds, if TASKS_TEST_LOCAL_IMAGE names no other.
	localImage = "sideman-test-servers:bookworm-2"
	// pullTimeout bounds the download of an image that isn't there.
	pullTimeout = time.Minute
	// startTimeout is how long a server may take until it is ready, after a kill as well.
	startTimeout = time.Minute
)

type quiet struct{}

func (quiet) Printf(string, ...any) {}

// configured is for the whole process, as what it guards is: testcontainers keeps its logger in
// a variable that it doesn't guard, and tests start servers at once.
var configured sync.Once //nolint:gochecknoglobals // it guards another package's

// configure tells testcontainers how things are here. It must come before its first use.
func configure() {
	tclog.SetDefault(quiet{})
	unset := func(name, value string) {
		if _, there := os.LookupEnv(name); !there {
			_ = os.Setenv(name, value)
		}
	}
	// The reaper is an image to be pulled. What a killed test leaves is removed by the next one: removeStale.
	unset("TESTCONTAINERS_RYUK_DISABLED", "true")
	if _, err := os.Stat("/.dockerenv"); err == nil {
		// Here is a container with a Docker daemon in it: ports are published on its loopback
		// interface, but testcontainers would look for them at the bridge's gateway.
		unset("TESTCONTAINERS_HOST_OVERRIDE", "127.0.0.1")
	}
}

// docker connects to the daemon.
func docker(ctx context.Context) (cli *testcontainers.DockerClient, err error) {
	configured.Do(configure)
	defer func() {
		if r := recover(); r != nil { // testcontainers panics where it finds no daemon
			cli, err = nil, fmt.Errorf("no Docker: %v", r)
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cli, err = testcontainers.NewDockerClientWithOpts(ctx)
	if err != nil {
		return nil, fmt.Errorf("no Docker: %w", err)
	}
	if _, err := cli.Ping(ctx, client.PingOptions{}); err != nil {
		_ = cli.Close()
		return nil, fmt.Errorf("no Docker: %w", err)
	}
	return cli, nil
}

// findImage returns the image to run: the one that the environment names, or the default, or
// the local one; what isn't there is pulled, if a registry has it.
func findImage(ctx context.Context, cli *testcontainers.DockerClient, sp spec) (string, error) {
	local := os.Getenv("TASKS_TEST_LOCAL_IMAGE")
	if local == "" {
		local = localImage
	}
	want, named := os.LookupEnv(sp.imageEnv)
	candidates := []string{want}
	if !named || want == "" {
		want, candidates = sp.image, []string{sp.image, local}
	}
	for _, image := range candidates {
		if _, err := cli.ImageInspect(ctx, image); err == nil {
			return image, nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, pullTimeout)
	defer cancel()
	pull, err := cli.ImagePull(ctx, want, client.ImagePullOptions{})
	if err == nil {
		err = pull.Wait(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("image %s isn't there and can't be pulled (%w): make images builds one, %s names another", want, err, sp.imageEnv)
	}
	return want, nil
}

// owner is this process, as in ownerLabel.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return host + "/" + strconv.Itoa(os.Getpid())
}

// removeStale removes the containers of processes of this machine that are no more.
func removeStale(ctx context.Context, cli *testcontainers.DockerClient) error {
	found, err := cli.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: make(client.Filters).Add("label", ownerLabel)})
	if err != nil {
		return err
	}
	here, _, _ := strings.Cut(owner(), "/")
	for _, c := range found.Items {
		host, id, _ := strings.Cut(c.Labels[ownerLabel], "/")
		pid, err := strconv.Atoi(id)
		if err != nil || host != here || alive(pid) {
			continue
		}
		_, err = cli.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		// Servers that start at once all find what was left: another may be removing it, or have done so.
		if err != nil && !errdefs.IsConflict(err) && !errdefs.IsNotFound(err) {
			return err
		}
	}
	return nil
}

func alive(pid int) bool {
	p, err := os.FindProcess(pid)
	return err == nil && !errors.Is(p.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// launch is a container that is to be run.
type launch struct {
	image   string
	cmd     []string
	env     map[string]string
	stop    string            // the signal that shuts it down in good order at once
	publish map[string]string // its ports, as "6379/tcp", and the ports of 127.0.0.1 that lead there
	network string            // a network mode, if it isn't to have a network of its own

	entrypoint []string          // instead of the image's
	user       string            // uid:gid, instead of the image's
	files      map[string]string // what to put there before it starts, by path
	tmpfs      map[string]string // mounts in memory by path, with their options
}

// launch is how to run a server of this kind, without its ports.
func (sp *spec) launch(image string) launch {
	return launch{
		image: image, cmd: sp.cmd, env: sp.env, stop: sp.stop,
		entrypoint: sp.entrypoint, user: sp.user, files: sp.files, tmpfs: sp.tmpfs,
	}
}

// contents are files that anybody may read.
func contents(files map[string]string) []testcontainers.ContainerFile {
	all := make([]testcontainers.ContainerFile, 0, len(files))
	for path, text := range files {
		all = append(all, testcontainers.ContainerFile{ContainerFilePath: path, Reader: strings.NewReader(text), FileMode: 0o644})
	}
	return all
}

// start runs it. Its ports on this machine stay the same over restarts.
func (l *launch) start(ctx context.Context, cli *testcontainers.DockerClient, what string) (*box, error) {
	ports := make(network.PortMap, len(l.publish))
	exposed := make([]string, 0, len(l.publish))
	for port, host := range l.publish {
		exposed = append(exposed, port)
		ports[network.MustParsePort(port)] = []network.PortBinding{{HostIP: netip.MustParseAddr("127.0.0.1"), HostPort: host}}
	}
	c, err := testcontainers.GenericContainer(ctx, testcontainers.GenericContainerRequest{
		ContainerRequest: testcontainers.ContainerRequest{
			Image:        l.image,
			Entrypoint:   l.entrypoint,
			Cmd:          l.cmd,
			Env:          l.env,
			ExposedPorts: exposed,
			Labels:       map[string]string{ownerLabel: owner()},
			Files:        contents(l.files),
			ConfigModifier: func(c *container.Config) {
				c.StopSignal = l.stop
				if l.user != "" {
					c.User = l.user
				}
			},
			HostConfigModifier: func(hc *container.HostConfig) {
				hc.Tmpfs = l.tmpfs
				hc.PortBindings = ports
				hc.NetworkMode = container.NetworkMode(l.network)
			},
		},
		Started: true,
		Logger:  quiet{},
	})
	if err != nil {
		_ = testcontainers.TerminateContainer(c, testcontainers.StopTimeout(0))
		return nil, fmt.Errorf("starting %s for %s: %w", l.image, what, err)
	}
	return &box{what: what, c: c, cli: cli}, nil
}

// onFreePorts calls fn with n ports that are free on 127.0.0.1, and again with others if one
// of them was taken meanwhile.
func onFreePorts(ctx context.Context, n int, fn func(ports []int) error) error {
	for tries := 1; ; tries++ {
		ports, err := freePorts(ctx, n)
		if err != nil {
			return err
		}
		if err = fn(ports); err == nil || tries == 5 || !strings.Contains(err.Error(), "port") {
			return err
		}
	}
}

// maxPort leaves room above a port for that of Redis Cluster's own connections.
const maxPort = 65535 - busOffset

func freePorts(ctx context.Context, n int) (ports []int, err error) {
	var lc net.ListenConfig
	for len(ports) < n {
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // at the end, so that none comes up twice
		if a, ok := l.Addr().(*net.TCPAddr); ok && a.Port <= maxPort {
			ports = append(ports, a.Port)
		}
	}
	return ports, nil
}
