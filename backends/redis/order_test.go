package redis_test

import (
	"errors"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

// What has waited longest is indexed first, and what waits isn't in the indexes.
func TestAppendedOldestFirst(t *testing.T) {
	b, c, in := appended(t)
	b.SetMaxAppended(2_500)
	for range 4_000 {
		enqueue(t, b, rec())
	}
	indexed, err1 := c.ZRange(t.Context(), strings.TrimSuffix(in, "in")+"ids", -1, -1).Result()
	waits, err2 := c.HKeys(t.Context(), in).Result()
	if err1 != nil || err2 != nil || len(indexed) == 0 || len(waits) == 0 {
		t.Fatalf("%d are indexed and %d wait (%v, %v), want some of both", len(indexed), len(waits), err1, err2)
	}
	if first := slices.Min(waits); indexed[0] > first {
		t.Errorf("%s is indexed, and %s still waits", indexed[0], first)
	}
}

// The order in which records have come is kept as long as some of them wait, and no longer.
func TestAppendedOrderGoes(t *testing.T) {
	for name, look := range map[string]func(t *testing.T, b *redis.Backend, r *tasks.Record){
		"claim": func(t *testing.T, b *redis.Backend, r *tasks.Record) { wantIDs(t, claimedIDs(claim(t, b, 10)), r) },
		"cancel": func(t *testing.T, b *redis.Backend, r *tasks.Record) {
			if _, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeCancel}, []string{r.ID}); err != nil {
				t.Error(err)
			}
		},
		"come again": func(t *testing.T, b *redis.Backend, r *tasks.Record) {
			twin := *r
			enqueue(t, b, rec(), &twin) // a batch looks for its ids
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, c, in := appended(t)
			order := strings.TrimSuffix(in, "in") + "order"
			r := rec()
			enqueue(t, b, r)
			if n := c.LLen(t.Context(), order).Val(); n != 1 {
				t.Errorf("it has %d lines, want 1", n)
			}
			look(t, b, r)
			waiting(t, c, in, 0)
			if n := c.Exists(t.Context(), order).Val(); n != 0 {
				t.Error("it is still there, and nothing waits")
			}
		})
	}
}

// Without the order, as after it was lost, all is found; and ids in it that wait no more do no harm.
func TestAppendedWithoutOrder(t *testing.T) {
	const many = 5_500
	for name, spoil := range map[string]func(c *goredis.Client, order string) error{
		"lost": func(c *goredis.Client, order string) error { return c.Del(t.Context(), order).Err() },
		"twice": func(c *goredis.Client, order string) error {
			lines, err := c.LRange(t.Context(), order, 0, -1).Result()
			for _, l := range lines {
				err = errors.Join(err, c.RPush(t.Context(), order, l).Err())
			}
			return err
		},
		"strangers first": func(c *goredis.Client, order string) error {
			for range 100 {
				if err := c.LPush(t.Context(), order, strings.Repeat("004none", 50)).Err(); err != nil {
					return err
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, c, in := appended(t)
			appendMany(t, b, many)
			if err := spoil(c, strings.TrimSuffix(in, "in")+"order"); err != nil {
				t.Fatal(err)
			}
			n := 0
			for more := claim(t, b, many); len(more) > 0; more = claim(t, b, many) {
				n += len(more)
			}
			if n != many {
				t.Errorf("%d of %d were claimed", n, many)
			}
			waiting(t, c, in, 0)
		})
	}
}

// Ids that can't be there when they are sent may be there when they are sent again, since the first
// answer was lost: then they are looked for, and the first time is the one that counts.
func TestAppendedFreshIsLookedForTheSecondTime(t *testing.T) {
	u, err := url.Parse(serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	s := newSilencer(t, u.Host)
	var o redis.Options
	beside := open(t, func(p *redis.Options) { o = *p })
	c, prefix := raw(t, &o)
	u.Host = s.addr
	b := open(t, func(p *redis.Options) { *p = o; p.URL, p.Timeout = u.String(), time.Minute })
	if err := b.AppendFresh(t.Context(), []*tasks.Record{rec(), rec()}); err != nil {
		t.Fatal(err)
	}
	if n := len(claim(t, beside, 10)); n != 2 {
		t.Fatalf("%d were claimed, want 2", n)
	}

	s.mute(true)
	recs := []*tasks.Record{rec(), rec(), rec()}
	ended := make(chan error, 1)
	go func() { ended <- b.AppendFresh(t.Context(), recs) }()
	for until := time.Now().Add(20 * time.Second); c.HLen(t.Context(), prefix+"in").Val() < 3; runtime.Gosched() {
		if time.Now().After(until) {
			t.Fatal("nothing was appended")
		}
	}
	got := claim(t, beside, 10)
	s.close()
	s.mute(false)
	s.open(t)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	wantIDs(t, claimedIDs(got), recs...)
	for i, r := range recs {
		if at := got[i].Record.EnqueuedAt; r.Duplicate || !r.EnqueuedAt.Equal(at) {
			t.Errorf("%s was claimed as enqueued at %v, and its caller was told %v (duplicate %v)", r.ID, at, r.EnqueuedAt, r.Duplicate)
		}
	}
	waiting(t, c, prefix+"in", 0)
}
