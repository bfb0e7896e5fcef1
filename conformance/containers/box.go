package containers

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"github.com/testcontainers/testcontainers-go"
	tcexec "github.com/testcontainers/testcontainers-go/exec"
)

// box is a container of this process's own.
type box struct {
	what string // is in it, for messages
	c    testcontainers.Container
	cli  *testcontainers.DockerClient
}

// freezes is how often it is tried to pause a container: on a busy machine the kernel doesn't always
// get all processes to stand still in the time that the runtime gives it, which thaws them again.
const freezes = 5

// pause makes all its processes stand still. The function that is returned ends that.
func (b *box) pause(ctx context.Context) (resume func() error, err error) {
	for try := 1; ; try++ {
		_, err := b.cli.ContainerPause(ctx, b.c.GetContainerID(), client.ContainerPauseOptions{})
		if err == nil {
			break
		}
		if try == freezes || !strings.Contains(err.Error(), "unable to freeze") {
			return nil, fmt.Errorf("pausing %s: %w", b.what, err)
		}
	}
	return func() error {
		_, err := b.cli.ContainerUnpause(context.WithoutCancel(ctx), b.c.GetContainerID(), client.ContainerUnpauseOptions{})
		if err != nil {
			return fmt.Errorf("resuming %s: %w", b.what, err)
		}
		return nil
	}, nil
}

// stop ends it in good order.
func (b *box) stop(ctx context.Context) error {
	timeout := 10
	if _, err := b.cli.ContainerStop(ctx, b.c.GetContainerID(), client.ContainerStopOptions{Timeout: &timeout}); err != nil {
		return fmt.Errorf("stopping %s: %w", b.what, err)
	}
	return nil
}

// kill ends it with kill -9.
func (b *box) kill(ctx context.Context) error {
	if _, err := b.cli.ContainerKill(ctx, b.c.GetContainerID(), client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		return fmt.Errorf("killing %s: %w", b.what, err)
	}
	gone := b.cli.ContainerWait(ctx, b.c.GetContainerID(), client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case <-gone.Result:
		return nil
	case err := <-gone.Error:
		return fmt.Errorf("waiting for the end of %s: %w", b.what, err)
	}
}

// start starts it again, after stop or kill.
func (b *box) start(ctx context.Context) error {
	if _, err := b.cli.ContainerStart(ctx, b.c.GetContainerID(), client.ContainerStartOptions{}); err != nil {
		return fmt.Errorf("starting %s again: %w", b.what, err)
	}
	return nil
}

// exec runs a command in it, as root, which must succeed.
func (b *box) exec(ctx context.Context, cmd ...string) error {
	code, out, err := b.c.Exec(ctx, cmd, tcexec.Multiplexed(), tcexec.WithUser("0"))
	if err == nil && code != 0 {
		text, _ := io.ReadAll(io.LimitReader(out, 1000))
		err = fmt.Errorf("exit code %d: %s", code, strings.TrimSpace(string(text)))
	}
	if err != nil {
		return fmt.Errorf("%s: running %q: %w", b.what, cmd, err)
	}
	return nil
}

// cpu returns how much processor time its processes have taken.
func (b *box) cpu(ctx context.Context) (time.Duration, error) {
	res, err := b.cli.ContainerStats(ctx, b.c.GetContainerID(), client.ContainerStatsOptions{})
	if err != nil {
		return 0, fmt.Errorf("%s: statistics: %w", b.what, err)
	}
	defer res.Body.Close()
	var stats container.StatsResponse
	if err := json.NewDecoder(res.Body).Decode(&stats); err != nil {
		return 0, fmt.Errorf("%s: statistics: %w", b.what, err)
	}
	return time.Duration(stats.CPUStats.CPUUsage.TotalUsage), nil
}

// remove ends it for good.
func (b *box) remove() error {
	return testcontainers.TerminateContainer(b.c, testcontainers.StopTimeout(0))
}

// ready waits until ping succeeds. A nil box is a server that isn't ours, and that runs.
func (b *box) ready(ctx context.Context, what string, ping func(context.Context) error) error {
	timeout := startTimeout
	if b == nil {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		try, stop := context.WithTimeout(ctx, 5*time.Second)
		err := ping(try)
		stop()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s isn't ready after %v: %w%s", what, timeout, err, b.lastWords()) //nolint:contextcheck // ctx has ended
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastWords returns the end of its log.
func (b *box) lastWords() string {
	if b == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	log, err := b.c.Logs(ctx)
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
