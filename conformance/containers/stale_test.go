package containers_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/conformance/containers"
)

// leaveEnv makes this program one that starts servers, prints their URLs, and ends without ending them.
const leaveEnv = "TASKS_TEST_LEAVE_SERVERS"

// left is how many servers are left.
const left = 4

func TestMain(m *testing.M) {
	if os.Getenv(leaveEnv) == "" {
		os.Exit(m.Run())
	}
	if err := leave(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// leave starts servers and ends the processes of every second one. Such a one is removed faster than
// one that runs: who comes to it from one that ran finds it gone.
func leave(ctx context.Context) error {
	for i := range left {
		s, err := containers.Start(ctx, containers.Redis)
		if err != nil {
			return err
		}
		fmt.Println(s.Direct())
		if i%2 == 0 {
			if err := s.Exec(ctx, "sh", "-c", "kill 1"); err != nil {
				return err
			}
		}
	}
	return nil
}

// startAtOnce starts n servers at the same time, as with-servers and packages under test do.
func startAtOnce(n int) (servers []*containers.Server, err error) {
	var (
		wg sync.WaitGroup
		mu sync.Mutex
	)
	for range n {
		wg.Go(func() {
			s, err1 := containers.Start(context.Background(), containers.Redis)
			mu.Lock()
			defer mu.Unlock()
			if err1 != nil {
				err = err1
				return
			}
			servers = append(servers, s)
		})
	}
	wg.Wait()
	return servers, err
}

// Servers that start at once find the same ones that a killed process has left, and each of them
// wants to remove those first.
func TestStartAtOnceWhereServersWereLeft(t *testing.T) {
	if !containers.Required(containers.Redis) && os.Getenv(containers.ServersEnv) == "" {
		t.Skip("NOT TESTED: " + containers.ServersEnv + " isn't set, so no containers are started")
	}
	t.Setenv(containers.OwnServersEnv, "1")
	var stderr strings.Builder
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env, child.Stderr = append(os.Environ(), leaveEnv+"=1"), &stderr
	out, err := child.Output()
	if err != nil {
		t.Fatalf("leaving servers: %v: %s", err, stderr.String())
	}
	found := strings.Fields(string(out))
	if len(found) != left {
		t.Fatalf("servers were left at %q, want %d", found, left)
	}

	servers, err := startAtOnce(2)
	for _, s := range servers {
		defer func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	if err != nil {
		t.Fatal(err)
	}

	// One that is being removed by another process may need a moment.
	deadline := time.Now().Add(20 * time.Second)
	for _, l := range found {
		u, err := url.Parse(l)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(servers, func(s *containers.Server) bool { return s.Direct() == l }) {
			continue // its port has been free, and is used again
		}
		for reached(t.Context(), u.Host) {
			if time.Now().After(deadline) {
				t.Fatalf("the server that was left at %s still runs", u.Host)
			}
		}
	}
}

func reached(ctx context.Context, addr string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
