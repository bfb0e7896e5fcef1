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

// TestSilentPathIsCut has all connections fall silent, as a firewall does that has forgotten them.
// The listener finds out and reaches the server anew; then the calls that hang on the old
// connections end, too, long before their time is over.
func TestSilentPathIsCut(t *testing.T) {
	s := server.Get(t)
	b, err := database.Open(t.Context(), database.Options{URL: s.URL(), Schema: s.NewSchema(t), Migrate: true, PollInterval: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	heard := make(chan error, 1)
	go func() { heard <- b.Wait(ctx, tasks.Selection{}) }()
	time.Sleep(time.Second / 2) // until it sleeps, so that it is the listener who wakes it
	if err := b.Enqueue(ctx, []*tasks.Record{{ID: "news", Task: "t", Queue: "q", Args: []byte("null"), MaxAttempts: 1}}); err != nil {
		t.Fatal(err)
	}
	if err := <-heard; err != nil {
		t.Fatal(err)
	}
	s.Proxy.Freeze()
	defer s.Proxy.Restore()
	from := time.Now()
	_, err = b.Claim(ctx, tasks.ClaimRequest{Worker: "w", Limit: 1, Lease: time.Minute})
	if took := time.Since(from); !errors.Is(err, tasks.ErrUnknownOutcome) || took > 15*time.Second {
		t.Errorf("a claim on a silent connection: got %v after %v, want ErrUnknownOutcome within 15 s", err, took)
	}
	if _, err := b.Claim(ctx, tasks.ClaimRequest{Worker: "w", Limit: 1, Lease: time.Minute}); err != nil || time.Since(from) > 20*time.Second {
		t.Errorf("the next claim: got %v after %v, want none", err, time.Since(from))
	}
}
