package redis_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/tasks"
)

// place is a namespace on a server.
func place(t conformance.T, url, direct string) conformance.Store {
	namespace := freshNamespace(t, direct)
	return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
		return redis.Open(ctx, redis.Options{URL: url, Namespace: namespace})
	})
}

// TestConformance runs each case under a prefix of its own.
func TestConformance(t *testing.T) {
	url := serverURL(t)
	conformance.Run(t, conformance.Config{Open: func(t conformance.T) conformance.Store { return place(t, url, url) }})
}

// TestConformanceFaults does so on a server that is paused, cut off, restarted and killed.
func TestConformanceFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	s := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	conformance.Run(t, conformance.Config{
		Open: func(t conformance.T) conformance.Store { return place(t, s.url(), s.direct()) },
		Faults: conformance.Faults{
			Pause:   func(conformance.T, conformance.Store) func() { return s.pause() },
			Cut:     func(conformance.T, conformance.Store) func() { return s.cutOff() },
			Restart: func(conformance.T, conformance.Store) { s.restart(syscall.SIGTERM) },
			Kill:    func(conformance.T, conformance.Store) { s.restart(syscall.SIGKILL) },
		},
	})
}
