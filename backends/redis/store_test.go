package redis_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

// raw returns a client beside the backend, and the prefix of its keys.
func raw(t *testing.T, o *redis.Options) (*goredis.Client, string) {
	t.Helper()
	c := rawClient(o.URL)
	t.Cleanup(func() { _ = c.Close() })
	return c, "{" + o.Namespace + ":0}:"
}

func TestScriptsAreLoadedAgain(t *testing.T) {
	var o redis.Options
	b := open(t, func(p *redis.Options) { o = *p })
	c, _ := raw(t, &o)
	for range 3 {
		r := rec()
		enqueue(t, b, r)
		if err := c.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if verdicts := settle(t, b, success(claimOne(t, b))); verdicts[0] != nil {
			t.Fatal(verdicts[0])
		}
		if got := get(t, b, r.ID); got.Status != tasks.Successful {
			t.Fatalf("status %s", got.Status)
		}
	}
}

func TestBorrowedClientStaysOpen(t *testing.T) {
	url := serverURL(t)
	c := rawClient(url)
	defer c.Close()
	b, err := redis.New(c, &redis.Options{Namespace: freshNamespace(t, url)})
	if err != nil {
		t.Fatal(err)
	}
	r := rec()
	enqueue(t, b, r)
	get(t, b, r.ID)
	if b.Client() != goredis.UniversalClient(c) {
		t.Error("Client isn't the client")
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Ping(t.Context()).Err(); err != nil {
		t.Error(err)
	}
}

func TestNewRefuses(t *testing.T) {
	ring := goredis.NewRing(&goredis.RingOptions{Addrs: map[string]string{"a": "127.0.0.1:1"}})
	defer ring.Close()
	cluster := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{"127.0.0.1:1"}, ReadOnly: true})
	defer cluster.Close()
	plain := goredis.NewClient(&goredis.Options{Addr: "127.0.0.1:1"})
	defer plain.Close()
	for name, try := range map[string]func() error{
		"nil":      func() error { _, err := redis.New(nil, nil); return err },
		"ring":     func() error { _, err := redis.New(ring, nil); return err },
		"replicas": func() error { _, err := redis.New(cluster, nil); return err },
		"url":      func() error { _, err := redis.New(plain, &redis.Options{URL: "redis://h"}); return err },
		"brace":    func() error { _, err := redis.New(plain, &redis.Options{Namespace: "a{b"}); return err },
		"shards":   func() error { _, err := redis.New(plain, &redis.Options{Shards: 1000}); return err },
	} {
		if err := try(); !errors.Is(err, tasks.ErrInvalidConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Every byte must come back, and one hostile record must not spoil its batch.
func TestHostileBytes(t *testing.T) {
	b := open(t)
	hostile := "a\x00b\xff\xfe'\"\r\n{}$5\r\n" + strings.Repeat("é", 200)
	r := rec(func(r *tasks.Record) {
		r.ID, r.Queue, r.Task, r.Alias = "id-"+hostile[:40], hostile[:100], hostile, hostile
		r.Args = []byte(hostile)
		r.Metadata = map[string]string{hostile: hostile, "": ""}
		r.MaxAttempts = 3
	})
	neighbour := rec()
	enqueue(t, b, r, neighbour)
	got, err := b.Claim(t.Context(), tasks.ClaimRequest{Worker: hostile, Limit: 2, Lease: time.Minute})
	if err != nil || len(got) != 2 {
		t.Fatal(len(got), err)
	}
	outs := make([]tasks.Outcome, 2)
	for i, c := range got {
		outs[i] = success(c)
		if c.Record.ID == r.ID {
			outs[i] = tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeRetry, Error: &tasks.AttemptError{Type: hostile, Message: hostile, Stack: hostile}}
		}
	}
	for _, err := range settle(t, b, outs...) {
		if err != nil {
			t.Fatal(err)
		}
	}
	g := get(t, b, r.ID)
	if g.Queue != r.Queue || g.Task != hostile || g.Alias != hostile || string(g.Args) != hostile || g.Metadata[hostile] != hostile {
		t.Errorf("got %+v", g)
	}
	if len(g.Errors) != 1 || g.Errors[0].Message != hostile || g.Errors[0].Stack != hostile || g.Errors[0].Worker != hostile || !slices.Equal(g.WorkerIDs, []string{hostile}) {
		t.Errorf("got errors %+v by %q", g.Errors, g.WorkerIDs)
	}
	if s := get(t, b, neighbour.ID).Status; s != tasks.Successful {
		t.Errorf("the neighbour is %s", s)
	}
}

func TestOrderSurvivesRescheduling(t *testing.T) {
	b := open(t)
	early, late, urgent := rec(delay(time.Hour)), rec(), rec(priority(5))
	enqueue(t, b, early)
	enqueue(t, b, late)
	enqueue(t, b, urgent)
	// Into the past: it is due since its enqueue, which was before the other's.
	if _, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeReschedule, At: time.Now().Add(-time.Hour)}, []string{early.ID}); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, claimedIDs(claim(t, b, 10)), urgent, early, late)
}

func TestOrderAcrossManyQueuesAndLevels(t *testing.T) {
	b := open(t)
	var want []*tasks.Record
	for level := range 3 {
		for i := range 40 {
			r := rec(queue([]string{"a", "b", "c"}[i%3]), priority(10-level))
			enqueue(t, b, r)
			want = append(want, r)
		}
		enqueue(t, b, rec(queue("b"), priority(10-level), delay(time.Hour)))
	}
	var got []string
	for len(got) < len(want) {
		c := claim(t, b, 7)
		if len(c) == 0 {
			break
		}
		got = append(got, claimedIDs(c)...)
	}
	wantIDs(t, got, want...)
}

// A claim whose caller has left before the reply must not cost the records an attempt.
func TestClaimWithoutCallerIsGivenBack(t *testing.T) {
	s := startServer(t)
	b, err := redis.Open(t.Context(), redis.Options{URL: s.direct()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	r := rec()
	enqueue(t, b, r)
	for range 5 {
		resume := s.pause()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := b.Claim(ctx, tasks.ClaimRequest{Worker: "gone", Limit: 1, Lease: time.Minute})
		cancel()
		resume()
		if !errors.Is(err, tasks.ErrUnknownOutcome) {
			t.Fatal(err)
		}
	}
	deadline := time.Now().Add(10 * time.Second)
	for {
		if got := claim(t, b, 1); len(got) == 1 {
			if n := got[0].Record.Attempts(); n != 1 {
				t.Errorf("%d attempts: %q", n, got[0].Record.WorkerIDs)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the record isn't given back: %+v", get(t, b, r.ID))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// An enqueue that is sent twice because its first reply was lost isn't its own duplicate.
func TestEnqueueThroughLostReplies(t *testing.T) {
	s := startServer(t)
	b, err := redis.Open(t.Context(), redis.Options{URL: s.url(), Timeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(30 * time.Millisecond):
				s.cutOff()()
			}
		}
	})
	stored := 0
	for range 300 {
		r := rec()
		switch err := b.Enqueue(t.Context(), []*tasks.Record{r}); {
		case err == nil && r.Duplicate:
			t.Error("a fresh record is called a duplicate")
		case err == nil:
			stored++
		case !errors.Is(err, tasks.ErrUnknownOutcome) && !errors.Is(err, tasks.ErrUnavailable):
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	t.Logf("%d of 300 stored at once", stored)
	if stored == 0 {
		t.Error("nothing was stored")
	}
}

func TestDamagedRecordsStandAside(t *testing.T) {
	var o redis.Options
	b := open(t, func(p *redis.Options) { o = *p })
	c, prefix := raw(t, &o)
	head, envelope, good := rec(), rec(), rec()
	enqueue(t, b, head, envelope, good)
	ctx := t.Context()
	c.HSet(ctx, prefix+"t:"+head.ID, "h", "9 from the future")
	c.HSet(ctx, prefix+"t:"+envelope.ID, "e", "\x09")
	wantIDs(t, claimedIDs(claim(t, b, 10)), good)
	if got := claim(t, b, 10); len(got) != 0 {
		t.Errorf("claimed %v", claimedIDs(got))
	}
	if _, err := b.GetResult(ctx, envelope.ID); !errors.Is(err, tasks.ErrDamaged) {
		t.Error(err)
	}
	if !found(b.Check(ctx), "redis.E005") {
		t.Errorf("Check says %v", b.Check(ctx))
	}
	answers, err := b.Alter(ctx, tasks.Change{Kind: tasks.ChangeDelete}, []string{head.ID, envelope.ID})
	if err != nil || answers[0].Err != nil || answers[1].Err != nil {
		t.Error(answers, err)
	}
	if found(b.Check(ctx), "redis.E005") {
		t.Errorf("Check says %v", b.Check(ctx))
	}
	// Nobody can tell any more which counter the one without a head was in.
	c.HDel(ctx, prefix+"counts", "R007defaulttask")
}

func found(all []tasks.Finding, id string) bool {
	return slices.ContainsFunc(all, func(f tasks.Finding) bool { return f.ID == id })
}

// What a full server has can be finished; nothing new is half stored.
func TestOutOfMemory(t *testing.T) {
	s := startServer(t)
	b, err := redis.Open(t.Context(), redis.Options{URL: s.direct()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	enqueue(t, b, rec(), rec(func(r *tasks.Record) { r.MaxAttempts = 2 }), rec())
	ctx := t.Context()
	c := rawClient(s.direct())
	defer c.Close()
	if err := c.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	batch := []*tasks.Record{rec(), rec()}
	err = b.Enqueue(ctx, batch)
	if !errors.Is(err, tasks.ErrUnavailable) || !strings.Contains(err.Error(), "maxmemory") {
		t.Errorf("enqueue on a full server: %v", err)
	}
	for _, r := range batch {
		if _, err := b.GetResult(ctx, r.ID); !errors.Is(err, tasks.ErrResultNotFound) {
			t.Error(err)
		}
	}
	got := claim(t, b, 3)
	if len(got) != 3 {
		t.Fatalf("claimed %d", len(got))
	}
	if _, err := b.Renew(ctx, []tasks.Lease{got[2].Lease}, time.Minute); err != nil {
		t.Error(err)
	}
	if err := b.Heartbeat(ctx, tasks.WorkerInfo{ID: "w", Interval: time.Minute}); err != nil {
		t.Error(err)
	}
	if err := b.Pause(ctx, "default", true); err != nil {
		t.Error(err)
	}
	if err := b.Pause(ctx, "default", false); err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := b.Wait(short, tasks.Selection{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	for _, err := range settle(t, b, success(got[0]),
		tasks.Outcome{Lease: got[1].Lease, Kind: tasks.OutcomeRetry, Error: &tasks.AttemptError{Message: "x"}},
		tasks.Outcome{Lease: got[2].Lease, Kind: tasks.OutcomeRelease}) {
		if err != nil {
			t.Error(err)
		}
	}
	last := claim(t, b, 1)
	if len(last) != 1 {
		t.Fatal("nothing to claim")
	}
	if answers, err := b.Alter(ctx, tasks.Change{Kind: tasks.ChangeCancel, Reason: "full"}, []string{last[0].Record.ID}); err != nil || answers[0].Err != nil {
		t.Error(answers, err)
	}
	if !found(b.Check(ctx), "redis.W003") {
		t.Errorf("Check says %v", b.Check(ctx))
	}
	if err := c.ConfigSet(ctx, "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	enqueue(t, b, batch...)
	if err := b.Verify(ctx); err != nil {
		t.Error(err)
	}
}

func TestFlushedServer(t *testing.T) {
	s := startServer(t)
	b, err := redis.Open(t.Context(), redis.Options{URL: s.direct()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	enqueue(t, b, rec())
	c := claimOne(t, b)
	rc := rawClient(s.direct())
	defer rc.Close()
	if err := rc.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	if verdicts := settle(t, b, success(c)); !errors.Is(verdicts[0], tasks.ErrLeaseLost) {
		t.Error(verdicts)
	}
	enqueue(t, b, rec())
	claimOne(t, b)
}

// Waiters with an exclude share a note on the server with others, and must not lose theirs.
func TestWaitBesideOtherQueues(t *testing.T) {
	b := open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second) // below the poll
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- b.Wait(ctx, tasks.Selection{Exclude: []string{"other"}}) }()
	for range 5 {
		time.Sleep(100 * time.Millisecond)
		enqueue(t, b, rec(queue("other")))
	}
	select {
	case err := <-done:
		t.Fatalf("woken by an excluded queue: %v", err)
	default:
	}
	enqueue(t, b, rec(queue("mine")))
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// While the subscription's connection is away, waits go on by polling, and then by news again.
func TestWaitThroughReconnects(t *testing.T) {
	s := startServer(t)
	b, err := redis.Open(t.Context(), redis.Options{URL: s.url()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	for range 5 {
		done := make(chan error, 1)
		go func() { done <- b.Wait(t.Context(), tasks.Selection{}) }()
		time.Sleep(50 * time.Millisecond)
		s.cutOff()()
		other, err := redis.Open(t.Context(), redis.Options{URL: s.direct()})
		if err != nil {
			t.Fatal(err)
		}
		enqueue(t, other, rec())
		start := time.Now()
		if err := <-done; err != nil && !errors.Is(err, tasks.ErrUnavailable) {
			t.Fatal(err)
		}
		if d := time.Since(start); d > 2*time.Second {
			t.Errorf("woken after %v", d)
		}
		claim(t, other, 10)
		_ = other.Close(t.Context())
	}
}
