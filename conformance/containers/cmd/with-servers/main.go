// With-servers runs a command while a PostgreSQL and a Redis run in containers, whose URLs
// the command finds in TASKS_TEST_POSTGRES_URL and TASKS_TEST_REDIS_URL:
//
//	go run ./conformance/containers/cmd/with-servers go test ./backends/...
//
// With no command it runs $SHELL. A server whose URL is set already isn't started. One that
// can't be started is told of, and the command is run without it, unless TASKS_TEST_REQUIRE
// names it. The exit code is the command's.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"github.com/sideman-go/sideman/conformance/containers"
)

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	// An interrupt reaches the command, too; the servers outlive it.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	env, stop, err := start()
	defer stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if len(args) == 0 {
		args = []string{os.Getenv("SHELL")}
		if args[0] == "" {
			args[0] = "sh"
		}
		fmt.Fprintln(os.Stderr, "the servers run until this shell ends")
	}
	cmd := exec.CommandContext(context.Background(), args[0], args[1:]...) //nolint:gosec // that's what it is for
	cmd.Env = env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 127
	}
	go func() {
		for s := range signals {
			if s != os.Interrupt {
				_ = cmd.Process.Signal(s)
			}
		}
	}()
	err = cmd.Wait()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode()
	default:
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
}

// start starts the servers, both at once. It returns the command's environment, and what ends
// those that were started, which is to be called in any case.
func start() (env []string, stop func(), err error) {
	var (
		wg      sync.WaitGroup
		mu      sync.Mutex
		errs    []error
		started []*containers.Server
	)
	env = append(os.Environ(), containers.OwnServersEnv+"=1")
	for _, kind := range []containers.Kind{containers.Postgres, containers.Redis} {
		if os.Getenv(kind.URLEnv()) != "" {
			continue
		}
		wg.Go(func() {
			s, err := containers.Start(context.Background(), kind)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				started = append(started, s)
				env = append(env, kind.URLEnv()+"="+s.Direct())
			case containers.Required(kind):
				errs = append(errs, fmt.Errorf("TASKS_TEST_REQUIRE has %s: %w", kind, err))
			default:
				fmt.Fprintf(os.Stderr, "NOT TESTED: what needs %s: %v; docs/testing.md says how to get one\n", kind, err)
			}
		})
	}
	wg.Wait()
	return env, func() {
		for _, s := range started {
			if err := s.Close(); err != nil {
				fmt.Fprintln(os.Stderr, "ending a server:", err)
			}
		}
	}, errors.Join(errs...)
}
