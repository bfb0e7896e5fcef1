package redis_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

// appended opens a backend, with a client beside it and the key of what isn't indexed yet.
func appended(t *testing.T) (*redis.Backend, *goredis.Client, string) {
	t.Helper()
	var o redis.Options
	b := open(t, func(p *redis.Options) { o = *p })
	c, prefix := raw(t, &o)
	return b, c, prefix + "in"
}

// waiting fails unless so many records are appended and not indexed.
func waiting(t *testing.T, c *goredis.Client, in string, want int64) {
	t.Helper()
	if n, err := c.HLen(t.Context(), in).Result(); err != nil || n != want {
		t.Errorf("%d records wait to be indexed (%v), want %d", n, err, want)
	}
}

// Whoever asks for a record, changes it, waits for it or looks at all of them sees it.
func TestAppendedIsSeen(t *testing.T) {
	for name, look := range map[string]func(t *testing.T, b *redis.Backend, r *tasks.Record, key string){
		"list": func(t *testing.T, b *redis.Backend, r *tasks.Record, _ string) {
			page, err := b.List(t.Context(), tasks.ListRequest{Limit: 10})
			if err != nil || len(page.Records) != 1 || page.Records[0].ID != r.ID {
				t.Error(page, err)
			}
		},
		"list one of a status": func(t *testing.T, b *redis.Backend, r *tasks.Record, _ string) {
			page, err := b.List(t.Context(), tasks.ListRequest{Limit: 10, Filter: tasks.Filter{Statuses: []tasks.Status{tasks.Ready}, Tasks: []string{"task"}}})
			if err != nil || len(page.Records) != 1 || page.Records[0].ID != r.ID {
				t.Error(page, err)
			}
		},
		"queues": func(t *testing.T, b *redis.Backend, _ *tasks.Record, _ string) {
			queues, err := b.Queues(t.Context())
			if err != nil || len(queues) != 1 || queues[0].Counts[tasks.Ready] != 1 {
				t.Error(queues, err)
			}
		},
		"claim": func(t *testing.T, b *redis.Backend, r *tasks.Record, _ string) {
			wantIDs(t, claimedIDs(claim(t, b, 10)), r)
		},
		"wait": func(t *testing.T, b *redis.Backend, _ *tasks.Record, _ string) {
			if err := b.Wait(t.Context(), tasks.Selection{}); err != nil {
				t.Error(err)
			}
		},
		"cancel": func(t *testing.T, b *redis.Backend, r *tasks.Record, _ string) {
			if got, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeCancel, Reason: "no"}, []string{r.ID}); err != nil || got[0].Status != tasks.Cancelled {
				t.Error(got, err)
			}
		},
		"delete": func(t *testing.T, b *redis.Backend, r *tasks.Record, _ string) {
			if got, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeDelete}, []string{r.ID}); err != nil || got[0].Err != nil {
				t.Error(got, err)
			}
			if _, err := b.GetResult(t.Context(), r.ID); !errors.Is(err, tasks.ErrResultNotFound) {
				t.Error(err)
			}
		},
		"wait for its end": func(t *testing.T, b *redis.Backend, r *tasks.Record, key string) {
			ended := make(chan error, 1)
			go func() {
				got, err := b.WaitResult(t.Context(), r.ID)
				if err == nil && got.Status != tasks.Successful {
					err = fmt.Errorf("it is %s", got.Status)
				}
				ended <- err
			}()
			watched := strings.TrimSuffix(key, "in") + "watched"
			for until := time.Now().Add(5 * time.Second); b.Client().HLen(t.Context(), watched).Val() == 0; {
				if time.Now().After(until) {
					t.Fatal("nobody is noted as waiting for the record")
				}
				runtime.Gosched()
			}
			settle(t, b, success(claim(t, b, 1)[0]))
			if err := <-ended; err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, c, in := appended(t)
			r := rec(priority(7), queue("q"), func(r *tasks.Record) { r.Metadata = map[string]string{"k": "v"}; r.Timeout = time.Minute })
			enqueue(t, b, r)
			waiting(t, c, in, 1)
			before := get(t, b, r.ID)
			waiting(t, c, in, 1)
			if before.Status != tasks.Ready || !before.EnqueuedAt.Equal(r.EnqueuedAt) || before.Priority != 7 || before.Queue != "q" ||
				before.Metadata["k"] != "v" || before.Timeout != time.Minute || string(before.Args) != string(r.Args) {
				t.Errorf("got %+v, enqueued %+v", before, r)
			}
			look(t, b, r, in)
			waiting(t, c, in, 0)
		})
	}
}

// Appended, indexed at once, and put back: the order is that of the times all the same.
func TestAppendedOrder(t *testing.T) {
	b := open(t)
	var want []*tasks.Record
	add := func(recs ...*tasks.Record) {
		enqueue(t, b, recs...)
		want = append(want, recs...)
	}
	for range 20 {
		add(rec())
		add(rec(), rec())
		add(rec())
		held := claim(t, b, 1)[0]
		add(rec())
		settle(t, b, tasks.Outcome{Lease: held.Lease, Kind: tasks.OutcomeRelease})
		last := claim(t, b, 1)[0]
		add(rec())
		settle(t, b, tasks.Outcome{Lease: last.Lease, Kind: tasks.OutcomeRelease})
	}
	wantIDs(t, claimedIDs(claim(t, b, 1000)), want...)
}

// More than one script indexes is still seen by one call, also while more comes.
func TestAppendedMany(t *testing.T) {
	const many = 5500
	for name, count := range map[string]func(t *testing.T, b *redis.Backend) int{
		"queues": func(t *testing.T, b *redis.Backend) int {
			queues, err := b.Queues(t.Context())
			if err != nil || len(queues) != 1 {
				t.Fatal(queues, err)
			}
			return int(queues[0].Counts[tasks.Ready])
		},
		"claim": func(t *testing.T, b *redis.Backend) (n int) {
			for more := claim(t, b, many); len(more) > 0; more = claim(t, b, many) {
				n += len(more)
			}
			return n
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, c, in := appended(t)
			appendMany(t, b, many)
			if n := count(t, b); n != many {
				t.Errorf("%d of %d are seen", n, many)
			}
			waiting(t, c, in, 0)
		})
	}
}

// appendMany enqueues so many records, each a call of its own.
func appendMany(t *testing.T, b *redis.Backend, n int) {
	t.Helper()
	recs := make([]*tasks.Record, n)
	for i := range recs {
		recs[i] = rec()
	}
	enqueueEach(t, b, recs...)
}

// Nobody works: what waits to be indexed doesn't grow for ever, also while it comes without a pause.
func TestAppendedIsBounded(t *testing.T) {
	b, c, in := appended(t)
	const most, round = 5_000, 900
	b.SetMaxAppended(most)
	for range 12 {
		appendMany(t, b, round)
	}
	n, err := c.HLen(t.Context(), in).Result()
	if err != nil || n > most+round {
		t.Errorf("%d records wait to be indexed, and %d are to be the most, about (%v)", n, most, err)
	}
}

// When a burst is over it is indexed, though nobody looks; and again after the next.
func TestAppendedIsIndexedInAPause(t *testing.T) {
	b, c, in := appended(t)
	ids := strings.TrimSuffix(in, "in") + "ids"
	for round := 1; round <= 2; round++ {
		const burst = 3500
		appendMany(t, b, burst)
		// Fewer than a piece are left for who comes next.
		for until := time.Now().Add(20 * time.Second); c.HLen(t.Context(), in).Val() >= 1000; runtime.Gosched() {
			if time.Now().After(until) {
				t.Fatalf("round %d: %d of %d records still wait to be indexed", round, c.HLen(t.Context(), in).Val(), burst)
			}
		}
		if n := c.HLen(t.Context(), in).Val() + c.ZCard(t.Context(), ids).Val(); n != int64(round*burst) {
			t.Errorf("round %d: %d records are appended or indexed, want %d", round, n, round*burst)
		}
	}
}

// An id is stored once, whichever way it comes first and second.
func TestAppendedTwice(t *testing.T) {
	ways := map[string]func(t *testing.T, b *redis.Backend, r *tasks.Record){
		"alone":    func(t *testing.T, b *redis.Backend, r *tasks.Record) { enqueue(t, b, r) },
		"in batch": func(t *testing.T, b *redis.Backend, r *tasks.Record) { enqueue(t, b, rec(), r) },
	}
	for first, one := range ways {
		for second, other := range ways {
			for _, seen := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, seen %v", first, second, seen), func(t *testing.T) {
					b := open(t)
					r := rec()
					twin := *r
					twin.Args = []byte(`"other"`)
					one(t, b, r)
					if seen {
						if _, err := b.Queues(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
					other(t, b, &twin)
					if !twin.Duplicate || string(twin.Args) != string(r.Args) || !twin.EnqueuedAt.Equal(r.EnqueuedAt) {
						t.Errorf("stored %+v, and the second came back as %+v", r, twin)
					}
					ids := claimedIDs(claim(t, b, 10))
					if n := len(slices.DeleteFunc(ids, func(id string) bool { return id != r.ID })); n != 1 {
						t.Errorf("it was claimed %d times", n)
					}
				})
			}
		}
	}
}

// Calls that come together go in one script, and an id is stored once all the same, whether it comes
// twice in one or was there before.
func TestAppendedTwiceTogether(t *testing.T) {
	b := open(t)
	const many = 200
	twin := func(r *tasks.Record) *tasks.Record {
		other := *r
		other.Args = []byte(`"other"`)
		return &other
	}
	var recs, before, again []*tasks.Record
	for range many {
		r, early := rec(), rec()
		recs = append(recs, r, twin(r))
		before = append(before, early)
		again = append(again, twin(early), rec())
	}
	enqueueEach(t, b, recs...)
	for i := 0; i < len(recs); i += 2 {
		r, twin := recs[i], recs[i+1]
		if r.Duplicate == twin.Duplicate || string(r.Args) != string(twin.Args) || string(get(t, b, r.ID).Args) != string(r.Args) {
			t.Errorf("record %s came back as %s (duplicate %v) and %s (duplicate %v)", r.ID, r.Args, r.Duplicate, twin.Args, twin.Duplicate)
		}
	}
	enqueueEach(t, b, before...)
	enqueueEach(t, b, again...)
	for i := 0; i < len(again); i += 2 {
		twin, other, stored := again[i], again[i+1], before[i/2]
		if !twin.Duplicate || other.Duplicate || string(twin.Args) != string(stored.Args) {
			t.Errorf("a record that was there came back as %s (duplicate %v), want %s, and one that wasn't as a duplicate: %v", twin.Args, twin.Duplicate, stored.Args, other.Duplicate)
		}
	}
	if n, want := len(claim(t, b, 4*many)), 3*many; n != want {
		t.Errorf("%d were claimed, want %d", n, want)
	}
}

// A try that was thought lost comes after the one that was sent instead of it.
func TestAppendedLate(t *testing.T) {
	b, c, in := appended(t)
	r := rec()
	enqueue(t, b, r)
	late := c.HGet(t.Context(), in, r.ID).Val()
	wantIDs(t, claimedIDs(claim(t, b, 1)), r)
	c.HSet(t.Context(), in, r.ID, late)
	if got := claim(t, b, 1); len(got) != 0 {
		t.Errorf("claimed again: %v", claimedIDs(got))
	}
	if s := get(t, b, r.ID).Status; s != tasks.Running {
		t.Errorf("it is %s", s)
	}
	waiting(t, c, in, 0)
}

func TestAppendedDamage(t *testing.T) {
	for name, cut := range map[string]int{"nothing left": 0, "in the length": 2, "in the head": 40, "in what never changes": 75} {
		t.Run(name, func(t *testing.T) {
			b, c, in := appended(t)
			bad, good := rec(), rec()
			enqueue(t, b, bad)
			enqueue(t, b, good)
			c.HSet(t.Context(), in, bad.ID, c.HGet(t.Context(), in, bad.ID).Val()[:cut])
			if _, err := b.GetResult(t.Context(), bad.ID); !errors.Is(err, tasks.ErrDamaged) {
				t.Errorf("before: %v", err)
			}
			wantIDs(t, claimedIDs(claim(t, b, 10)), good)
			if _, err := b.GetResult(t.Context(), bad.ID); !errors.Is(err, tasks.ErrDamaged) {
				t.Errorf("after: %v", err)
			}
			if !found(b.Check(t.Context()), "redis.E005") {
				t.Errorf("Check says %v", b.Check(t.Context()))
			}
		})
	}
}
