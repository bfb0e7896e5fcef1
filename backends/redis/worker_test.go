package redis_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// connected is an App on the server, with one task that counts its runs.
type connected struct {
	app  *tasks.App
	task *tasks.Task[int, int]
	mu   sync.Mutex
	runs map[int]int
	when map[int]time.Time
}

func connect(t *testing.T, url, namespace string) *connected {
	t.Helper()
	b, err := redis.Open(t.Context(), redis.Options{URL: url, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	c := &connected{app: tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)}), runs: make(map[int]int), when: make(map[int]time.Time)}
	c.task = tasks.Define(c.app, "count", func(_ context.Context, n int) (int, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.runs[n]++
		c.when[n] = time.Now()
		return n, nil
	}, tasks.MaxAttempts(20))
	if err := c.app.Use("default", b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.app.Close(context.Background()) })
	return c
}

// work runs a worker until the test ends.
func (c *connected) work(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- worker.New(c.app, worker.Options{Lease: 5 * time.Second, SweepInterval: time.Second}).Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// Every task that was stored runs and ends, though the server is killed over and over.
func TestWorkThroughKills(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	s := startServer(t, "--appendonly", "yes", "--appendfsync", "always")
	client, server := connect(t, s.url(), ""), connect(t, s.url(), "")
	server.work(t)
	var results []*tasks.Result[int]
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(400 * time.Millisecond):
				s.restart(syscall.SIGKILL)
			}
		}
	})
	for i := range 300 {
		r, err := client.task.Enqueue(t.Context(), i)
		if err == nil {
			results = append(results, r)
		}
		time.Sleep(5 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	for _, r := range results {
		if _, err := r.Wait(ctx); err != nil {
			t.Fatalf("%s: %v", r.ID, err)
		}
	}
	again := 0
	for _, n := range server.runs {
		again += n - 1
	}
	t.Logf("%d stored and done, %d runs more than once", len(results), again)
	if len(results) < 100 {
		t.Errorf("only %d were stored", len(results))
	}
}

// An idle worker starts what is enqueued at once, woken by the server.
func TestPickup(t *testing.T) {
	url := serverURL(t)
	namespace := freshNamespace(t, url)
	client, server := connect(t, url, namespace), connect(t, url, namespace)
	server.work(t)
	time.Sleep(200 * time.Millisecond)
	var late []time.Duration
	for i := range 50 {
		start := time.Now()
		r, err := client.task.Enqueue(t.Context(), i)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		server.mu.Lock()
		late = append(late, server.when[i].Sub(start))
		server.mu.Unlock()
	}
	slices.Sort(late)
	t.Logf("from Enqueue to the handler: median %v, slowest %v", late[25], late[49])
	if late[25] > 100*time.Millisecond {
		t.Errorf("the median is %v", late[25])
	}
}
