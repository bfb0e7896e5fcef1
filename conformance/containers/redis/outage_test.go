package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance/containers/internal/crew"
	"github.com/sideman-go/sideman/conformance/containers/proxy"
	"github.com/sideman-go/sideman/tasks"
)

// TestClaimWithoutCaller has the callers of claims leave before the reply. Those must not cost
// the record an attempt: what they were given is given back.
func TestClaimWithoutCaller(t *testing.T) {
	s := server.Get(t)
	b := open(t, s)
	claim := func() []tasks.Claimed {
		got, err := b.Claim(t.Context(), tasks.ClaimRequest{Worker: "w", Limit: 1, Lease: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	claim() // the server has to know the script, or it does nothing when it goes on
	if err := b.Enqueue(t.Context(), []*tasks.Record{record("a")}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		resume, err := s.Pause(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, claimErr := b.Claim(ctx, tasks.ClaimRequest{Worker: "gone", Limit: 1, Lease: time.Minute})
		cancel()
		if err := resume(); err != nil {
			t.Fatal(err)
		}
		if !errors.Is(claimErr, tasks.ErrUnknownOutcome) {
			t.Fatalf("claim on a server that stands still: %v", claimErr)
		}
	}
	crew.Eventually(t, "the record can be claimed", func() bool {
		got := claim()
		if len(got) == 1 && got[0].Record.Attempts() != 1 {
			t.Errorf("it has %d attempts, by %q; want 1", got[0].Record.Attempts(), got[0].Record.WorkerIDs)
		}
		return len(got) == 1
	})
}

// TestEnqueueThroughLostReplies loses replies, and then the connections, all the time. An enqueue that is sent again
// because its reply was lost must not take itself for a duplicate.
func TestEnqueueThroughLostReplies(t *testing.T) {
	s := server.Get(t)
	b := open(t, s)
	var breaking sync.WaitGroup
	stop := make(chan struct{})
	var breaks atomic.Int64
	breaking.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(30 * time.Millisecond):
				s.Proxy.Blackhole(proxy.ToClient)
				time.Sleep(10 * time.Millisecond) // in which the server does what nobody hears of
				s.Proxy.Break()
				s.Proxy.Restore()
				breaks.Add(1)
			}
		}
	})
	stored, tried := 0, 0
	for ; breaks.Load() < 10; tried++ {
		r := record(fmt.Sprintf("id-%04d", tried))
		switch err := b.Enqueue(t.Context(), []*tasks.Record{r}); {
		case err == nil && r.Duplicate:
			t.Errorf("record %s, which was stored for the first time, is called a duplicate", r.ID)
		case err == nil:
			stored++
		case !errors.Is(err, tasks.ErrUnknownOutcome) && !errors.Is(err, tasks.ErrUnavailable):
			t.Error(err)
		}
	}
	close(stop)
	breaking.Wait()
	t.Logf("%d of %d stored at once", stored, tried)
	if stored == 0 {
		t.Error("nothing was stored")
	}
}

// TestWaitThroughReconnects breaks the connections of those that wait. They go on by asking,
// and then by news again.
func TestWaitThroughReconnects(t *testing.T) {
	s := server.Get(t)
	namespace := newNamespace(t, s)
	b := openIn(t, s, namespace)
	past, err := redis.Open(t.Context(), redis.Options{URL: s.Direct(), Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	defer past.Close(context.Background())
	for i := range 5 {
		done := make(chan error, 1)
		go func() { done <- b.Wait(t.Context(), tasks.Selection{}) }()
		time.Sleep(50 * time.Millisecond) // until it waits
		s.Proxy.Break()
		if err := past.Enqueue(t.Context(), []*tasks.Record{record(strconv.Itoa(i))}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := <-done; err != nil && !errors.Is(err, tasks.ErrUnavailable) {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("woken %v after the enqueue", took)
		}
		if _, err := past.Claim(t.Context(), tasks.ClaimRequest{Worker: "w", Limit: 10, Lease: time.Minute}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestResultsThroughKills kills the server over and over. Whatever was stored is run and ends,
// and those that wait for its result get it.
func TestResultsThroughKills(t *testing.T) {
	s := server.Get(t)
	if !s.Owned() {
		t.Skip("NOT TESTED: the server isn't ours to kill")
	}
	l := crew.NewLocal(t, open(t, s))
	l.Work()
	var over atomic.Bool
	var stored atomic.Int64
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for n := i; !over.Load(); n += 8 {
				r, err := l.Task.Enqueue(t.Context(), n)
				if err != nil {
					continue // the server may have it, or not
				}
				stored.Add(1)
				if got, err := insistOn(t.Context(), r); err != nil || got != n {
					t.Errorf("%s returned %d, %v; want %d", r.ID, got, err, n)
				}
			}
		})
	}
	const kills = 3
	for range kills {
		before := stored.Load()
		crew.Eventually(t, "some work is done", func() bool { return stored.Load() > before+20 })
		if err := s.Kill(t.Context()); err != nil {
			t.Error(err)
			break
		}
	}
	over.Store(true)
	clients.Wait()
	l.Agree()
	t.Logf("%d stored and done over %d kills", stored.Load(), kills)
}

// insistOn waits for the result while the server comes and goes.
func insistOn(ctx context.Context, r *tasks.Result[int]) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		n, err := r.Wait(ctx)
		if err == nil || ctx.Err() != nil || !errors.Is(err, tasks.ErrUnavailable) && !errors.Is(err, tasks.ErrUnknownOutcome) {
			return n, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
