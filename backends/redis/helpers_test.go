package redis_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/internal/testserver"
	"github.com/sideman-go/sideman/tasks"
)

// serverURL returns the server to test with.
func serverURL(tb testing.TB) string {
	tb.Helper()
	return testserver.URL(tb, testserver.Redis)
}

// namespaces makes prefixes that no other run of the tests has.
var namespaces atomic.Uint64

// freshNamespace returns a namespace, and deletes what is in it when the test ends.
func freshNamespace(t testserver.T, url string) string {
	t.Helper()
	namespace := fmt.Sprintf("test-%d-%d-%d", os.Getpid(), time.Now().UnixNano(), namespaces.Add(1))
	testserver.DropNamespace(t, url, namespace)
	return namespace
}

// rawClient connects beside the backend.
func rawClient(url string) *goredis.Client {
	o, err := goredis.ParseURL(url)
	if err != nil {
		panic("TASKS_TEST_REDIS_URL isn't a URL of go-redis")
	}
	o.ContextTimeoutEnabled = true
	return goredis.NewClient(o)
}

// open opens a backend in a fresh namespace. When the test ends, its indexes must agree with
// its records.
func open(tb testing.TB, change ...func(*redis.Options)) *redis.Backend {
	tb.Helper()
	url := serverURL(tb)
	o := redis.Options{URL: url, Namespace: freshNamespace(tb, url)}
	for _, fn := range change {
		fn(&o)
	}
	b, err := redis.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Verify(context.Background()); err != nil {
			tb.Errorf("the indexes don't agree with the records:\n%v", err)
		}
		if err := b.Close(context.Background()); err != nil {
			tb.Error(err)
		}
	})
	return b
}

var testSeq atomic.Uint64

// rec makes a record whose id sorts behind those before.
func rec(change ...func(*tasks.Record)) *tasks.Record {
	r := &tasks.Record{
		ID:   fmt.Sprintf("0190a6d2-%012d", testSeq.Add(1)),
		Task: "task", Queue: "default", Alias: "default", MaxAttempts: 1, Args: []byte(`{"n":1}`),
	}
	for _, fn := range change {
		fn(r)
	}
	return r
}

func queue(q string) func(*tasks.Record)        { return func(r *tasks.Record) { r.Queue = q } }
func priority(p int) func(*tasks.Record)        { return func(r *tasks.Record) { r.Priority = p } }
func delay(d time.Duration) func(*tasks.Record) { return func(r *tasks.Record) { r.Delay = d } }

func enqueue(tb testing.TB, b *redis.Backend, recs ...*tasks.Record) {
	tb.Helper()
	if err := b.Enqueue(tb.Context(), recs); err != nil {
		tb.Fatal(err)
	}
}

// enqueueEach enqueues each by a call of its own, all at once.
func enqueueEach(tb testing.TB, b *redis.Backend, recs ...*tasks.Record) {
	tb.Helper()
	faults := make(chan error, len(recs))
	for _, r := range recs {
		b.AEnqueue(tb.Context(), []*tasks.Record{r}, func(err error) { faults <- err })
	}
	for range recs {
		if err := <-faults; err != nil {
			tb.Fatal(err)
		}
	}
}

func get(tb testing.TB, b *redis.Backend, id string) *tasks.Record {
	tb.Helper()
	r, err := b.GetResult(tb.Context(), id)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func claim(tb testing.TB, b *redis.Backend, limit int, queues ...string) []tasks.Claimed {
	tb.Helper()
	got, err := b.Claim(tb.Context(), tasks.ClaimRequest{
		Selection: tasks.Selection{Queues: queues}, Worker: "w1", Limit: limit, Lease: 30 * time.Second,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func settle(tb testing.TB, b *redis.Backend, outs ...tasks.Outcome) []error {
	tb.Helper()
	verdicts, err := b.Settle(tb.Context(), outs)
	if err != nil {
		tb.Fatal(err)
	}
	return verdicts
}

func success(c tasks.Claimed) tasks.Outcome {
	return tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeSuccess, Value: []byte(`"ok"`)}
}

func claimedIDs(all []tasks.Claimed) []string {
	var ids []string
	for _, c := range all {
		ids = append(ids, c.Record.ID)
	}
	return ids
}

func wantIDs(tb testing.TB, got []string, want ...*tasks.Record) {
	tb.Helper()
	var w []string
	for _, r := range want {
		w = append(w, r.ID)
	}
	if !slices.Equal(got, w) {
		tb.Errorf("got  %v\nwant %v", got, w)
	}
}
