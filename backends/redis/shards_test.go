package redis_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

func sharded(o *redis.Options) { o.Shards = 5 }

func TestShards(t *testing.T) {
	b := open(t, sharded)
	const n = 200
	ids := make(map[string]bool)
	for i := range n {
		r := rec(func(r *tasks.Record) { r.ID = fmt.Sprintf("id-%04d-%04x", i, i*7919) })
		enqueue(t, b, r)
		ids[r.ID] = true
		if get(t, b, r.ID).Status != tasks.Ready {
			t.Fatal("not found")
		}
	}
	var seen []string
	for req := (tasks.ListRequest{Limit: 17}); ; {
		page, err := b.List(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Records {
			seen = append(seen, r.ID)
		}
		if page.Next == "" {
			break
		}
		req.After = page.Next
	}
	if len(seen) != n {
		t.Errorf("listed %d", len(seen))
	}
	for i := 1; i < len(seen); i++ {
		if seen[i-1] >= seen[i] {
			t.Fatalf("the list isn't in order: %s, %s", seen[i-1], seen[i])
		}
	}
	infos, err := b.Queues(t.Context())
	if err != nil || len(infos) != 1 || infos[0].Counts[tasks.Ready] != n {
		t.Errorf("queues %+v, %v", infos, err)
	}
	left := n
	for left > 0 {
		got := claim(t, b, 30)
		if len(got) == 0 {
			t.Fatalf("%d are left", left)
		}
		endAll(t, b, got, success)
		left -= len(got)
	}
	deleted := 0
	for req := (tasks.PruneRequest{Limit: 33}); ; {
		p, err := b.Prune(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		deleted += p.Deleted
		if p.Next == "" {
			break
		}
		req.After = p.Next
	}
	if deleted != n {
		t.Errorf("pruned %d", deleted)
	}
}

func TestBatchOverShardsIsRefused(t *testing.T) {
	b := open(t, sharded)
	id := func(s string) func(*tasks.Record) { return func(r *tasks.Record) { r.ID = s } }
	one, two := rec(id("a-0001")), rec(id("a-0002"))
	if err := b.Enqueue(t.Context(), []*tasks.Record{one, two}); !errors.Is(err, tasks.ErrUnsupported) {
		t.Fatal(err)
	}
	if _, err := b.GetResult(t.Context(), one.ID); !errors.Is(err, tasks.ErrResultNotFound) {
		t.Error(err)
	}
	enqueue(t, b, rec(id("a-order-17")), rec(id("b-order-17")))
}
