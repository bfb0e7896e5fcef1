package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/internal/id"
	"github.com/sideman-go/sideman/tasks"
)

// ids makes ids as the App does.
var ids id.Source

func rec(change ...func(*tasks.Record)) *tasks.Record {
	r := &tasks.Record{ID: ids.New(), Task: "task", Queue: "default", Alias: "default", MaxAttempts: 1, Args: []byte(`{"n":1}`)}
	for _, fn := range change {
		fn(r)
	}
	return r
}

func enqueue(t *testing.T, b *database.Backend, recs ...*tasks.Record) {
	t.Helper()
	if err := b.Enqueue(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
}

func claim(t *testing.T, b *database.Backend, limit int, queues ...string) []tasks.Claimed {
	t.Helper()
	got, err := b.Claim(t.Context(), tasks.ClaimRequest{
		Selection: tasks.Selection{Queues: queues}, Worker: "w1", Limit: limit, Lease: 30 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// waits reports how long a Wait takes, which must end by itself within the limit.
func waits(t *testing.T, b *database.Backend, limit time.Duration) <-chan time.Duration {
	t.Helper()
	took := make(chan time.Duration, 1)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	go func() {
		defer cancel()
		defer close(took)
		from := time.Now()
		if err := b.Wait(ctx, tasks.Selection{}); err != nil {
			t.Errorf("Wait: %v", err)
			return
		}
		took <- time.Since(from)
	}()
	return took
}

// eventually fails unless ok returns true within the limit.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for from := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(from) > limit {
			t.Fatalf("%s: not within %v", what, limit)
		}
	}
}
