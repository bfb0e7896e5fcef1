package redis_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// program is an App on the server, with one task, which says when it starts.
func program(t *testing.T, url, namespace string) (*tasks.App, *tasks.Task[struct{}, time.Time]) {
	t.Helper()
	b, err := redis.Open(t.Context(), redis.Options{URL: url, Namespace: namespace})
	if err != nil {
		t.Fatal(err)
	}
	app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
	task := tasks.Define(app, "clock", func(context.Context, struct{}) (time.Time, error) { return time.Now(), nil })
	if err := app.Use("default", b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = app.Close(context.Background()) })
	return app, task
}

// An idle worker starts what is enqueued at once, woken by the server.
func TestPickup(t *testing.T) {
	url := serverURL(t)
	namespace := freshNamespace(t, url)
	_, task := program(t, url, namespace)
	app, _ := program(t, url, namespace)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.New(app, worker.Options{}).Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	var late []time.Duration
	for range 50 {
		start := time.Now()
		r, err := task.Enqueue(t.Context(), struct{}{})
		if err != nil {
			t.Fatal(err)
		}
		started, err := r.Wait(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		late = append(late, started.Sub(start))
	}
	slices.Sort(late)
	t.Logf("from Enqueue to the handler: median %v, slowest %v", late[25], late[49])
	if late[25] > 100*time.Millisecond {
		t.Errorf("the median is %v", late[25])
	}
}
