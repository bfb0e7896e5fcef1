package database_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/conformance/containers/proxy"
	"github.com/sideman-go/sideman/tasks"
)

// TestWaitOnASilentConnection has somebody wait whose connection was used just now, and so isn't
// asked whether it is alive, and has been cut without a word. Its caller gives it all the time in
// the world, as a worker does that is idle; it must find out by itself.
func TestWaitOnASilentConnection(t *testing.T) {
	s := server.Get(t)
	b, err := database.Open(t.Context(), database.Options{URL: s.URL(), Schema: s.NewSchema(t), Migrate: true, PollInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	var fresh sync.WaitGroup
	for i := range 4 { // at once, so that there is a connection for each
		fresh.Go(func() {
			if err := b.Heartbeat(t.Context(), tasks.WorkerInfo{ID: strconv.Itoa(i), Interval: time.Minute}); err != nil {
				t.Error(err)
			}
		})
	}
	fresh.Wait()
	s.Proxy.Blackhole(proxy.Both)
	defer s.Proxy.Restore()
	var waits sync.WaitGroup
	for what, wait := range map[string]func(ctx context.Context) error{
		"Wait":         func(ctx context.Context) error { return b.Wait(ctx, tasks.Selection{}) },
		"NotifyCancel": func(ctx context.Context) error { return b.NotifyCancel(ctx, func(string, string) {}) },
	} {
		waits.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			from := time.Now()
			err := wait(ctx)
			if took := time.Since(from); !errors.Is(err, tasks.ErrUnavailable) || took > 10*time.Second {
				t.Errorf("%s on a silent connection: got %v after %v, want ErrUnavailable within 10 s", what, err, took)
			}
		})
	}
	waits.Wait()
	s.Proxy.Break()
}
