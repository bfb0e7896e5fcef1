package redis_test

import (
	"context"
	"errors"
	"slices"
	"strings"
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

func TestDamagedRecordsStandAside(t *testing.T) {
	var o redis.Options
	b := open(t, func(p *redis.Options) { o = *p })
	c, prefix := raw(t, &o)
	head, envelope, good := rec(), rec(), rec()
	enqueue(t, b, head, envelope, good)
	ctx := t.Context()
	c.Set(ctx, prefix+"h:"+head.ID, "9 from the future", 0)
	c.Set(ctx, prefix+"e:"+envelope.ID, "\x09", 0)
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
