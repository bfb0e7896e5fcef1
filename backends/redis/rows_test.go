package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

// Entries of the indexes of RUNNING and of final records stand for several of them.

// together enqueues n records, and claims them by one script.
func together(t *testing.T, b *redis.Backend, n int, lease time.Duration, change ...func(*tasks.Record)) []tasks.Claimed {
	t.Helper()
	recs := make([]*tasks.Record, n)
	for i := range recs {
		recs[i] = rec(change...)
	}
	enqueue(t, b, recs...)
	claimed, err := b.Claim(t.Context(), tasks.ClaimRequest{Worker: "w1", Limit: n, Lease: lease})
	if err != nil || len(claimed) != n {
		t.Fatalf("claimed %d of %d: %v", len(claimed), n, err)
	}
	return claimed
}

// endAll settles claimed records by one script for each shard.
func endAll(t *testing.T, b *redis.Backend, claimed []tasks.Claimed, outcome func(tasks.Claimed) tasks.Outcome) {
	t.Helper()
	outs := make([]tasks.Outcome, len(claimed))
	for i, c := range claimed {
		outs[i] = outcome(c)
	}
	for _, err := range settle(t, b, outs...) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// agrees fails unless the indexes agree with the records, and has so many entries.
func agrees(t *testing.T, b *redis.Backend, o *redis.Options, index string, entries int64) {
	t.Helper()
	if err := b.Verify(t.Context()); err != nil {
		t.Fatalf("the indexes don't agree with the records: %.500v", err)
	}
	if n := b.Client().ZCard(t.Context(), "{"+o.Namespace+":0}:"+index).Val(); n != entries {
		t.Errorf("%s has %d entries, want %d", index, n, entries)
	}
}

// A claim is noted until the last of its records has ended or has a lease of its own.
func TestClaimIsOneEntry(t *testing.T) {
	var o redis.Options
	b := open(t, func(p *redis.Options) { o = *p })
	claimed := together(t, b, 6, time.Minute)
	agrees(t, b, &o, "claims", 1)
	endAll(t, b, claimed[:2], success)
	settleOne(t, b, failure(claimed[2]))
	settleOne(t, b, tasks.Outcome{Lease: claimed[3].Lease, Kind: tasks.OutcomeRelease})
	agrees(t, b, &o, "claims", 1)
	for range 2 { // the second moves a lease that is the record's own
		states, err := b.Renew(t.Context(), []tasks.Lease{claimed[4].Lease}, time.Hour)
		if err != nil || states[0].Lost {
			t.Fatal(states, err)
		}
		agrees(t, b, &o, "leases", 1)
	}
	settleOne(t, b, success(claimed[5]))
	agrees(t, b, &o, "claims", 0)
	settleOne(t, b, success(claimed[4]))
	agrees(t, b, &o, "leases", 0)
	if got := claim(t, b, 10); len(got) != 1 || got[0].Record.ID != claimed[3].Record.ID {
		t.Errorf("claimed %v again, want the one that was released", claimedIDs(got))
	}
}

// More records of one claim are lost than one sweep takes back, beside some that are not.
func TestSweepOfAClaim(t *testing.T) {
	const many, renewed = 470, 3
	var o redis.Options
	b := open(t, func(p *redis.Options) { o = *p })
	claimed := together(t, b, many, time.Millisecond, func(r *tasks.Record) { r.MaxAttempts = 2 })
	var leases []tasks.Lease
	for _, c := range claimed[:renewed] {
		leases = append(leases, c.Lease)
	}
	if states, err := b.Renew(t.Context(), leases, time.Hour); err != nil || states[0].Lost {
		t.Fatal(states, err)
	}
	endAll(t, b, claimed[renewed:renewed+20], success)
	lost := many - renewed - 20
	for swept := 0; swept < lost; {
		got, err := b.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if swept += got.Lost; got.Lost > 200 || got.More != (swept < lost) && got.Lost > 0 {
			t.Errorf("%d were lost, %d in all of %d, and more is %v", got.Lost, swept, lost, got.More)
		}
		if err := b.Verify(t.Context()); err != nil {
			t.Fatalf("%.500v", err)
		}
	}
	agrees(t, b, &o, "claims", 0)
	if n := len(claim(t, b, many)); n != lost {
		t.Errorf("%d can be claimed again, want %d", n, lost)
	}
}

// Records of one entry of final ones are deleted, and run again, one by one and by queue.
func TestFinalTogether(t *testing.T) {
	var o redis.Options
	b := open(t, func(p *redis.Options) { o = *p; p.RetainSuccessful = -1 })
	n := 0
	claimed := together(t, b, 12, time.Minute, func(r *tasks.Record) {
		r.Queue = []string{"a", "b", "c"}[n%3]
		n++
	})
	endAll(t, b, claimed, success)
	agrees(t, b, &o, "final", 1)
	ids := claimedIDs(claimed)
	if got, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeDelete}, ids[4:6]); err != nil || got[0].Err != nil || got[1].Err != nil {
		t.Fatal(got, err)
	}
	agrees(t, b, &o, "final", 1)
	prune := func(req tasks.PruneRequest, want int) {
		t.Helper()
		deleted := 0
		for {
			got, err := b.Prune(t.Context(), req)
			if err != nil || req.Limit > 0 && got.Deleted > req.Limit {
				t.Fatal(got, err)
			}
			deleted += got.Deleted
			if err := b.Verify(t.Context()); err != nil {
				t.Fatalf("%.500v", err)
			}
			if req.After = got.Next; req.After == "" {
				break
			}
		}
		if deleted != want {
			t.Errorf("%d were deleted, want %d", deleted, want)
		}
	}
	prune(tasks.PruneRequest{Queues: []string{"b"}, Limit: 1}, 3)
	agrees(t, b, &o, "final", 1)
	prune(tasks.PruneRequest{OlderThan: time.Hour}, 0)
	prune(tasks.PruneRequest{Limit: 2}, 7)
	agrees(t, b, &o, "final", 0)

	failed := together(t, b, 3, time.Minute)
	endAll(t, b, failed, failure)
	agrees(t, b, &o, "final", 3)
	if got, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeRetry}, claimedIDs(failed)[:2]); err != nil || got[0].Err != nil || got[1].Err != nil {
		t.Fatal(got, err)
	}
	agrees(t, b, &o, "final", 1)
}

// More records of one entry have been kept long enough than one sweep deletes.
func TestSweepOfFinalTogether(t *testing.T) {
	const many = 450
	var o redis.Options
	b := open(t, func(p *redis.Options) { o = *p; p.RetainSuccessful = time.Microsecond })
	endAll(t, b, together(t, b, many, time.Minute), success)
	var rounds []int
	for pruned := 0; pruned < many; {
		got, err := b.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if got.Pruned > 0 {
			rounds = append(rounds, got.Pruned)
		}
		if pruned += got.Pruned; got.More != (pruned < many) {
			t.Errorf("after %v more is %v", rounds, got.More)
		}
		agrees(t, b, &o, "final", int64(min(1, many-pruned)))
	}
	if want := []int{200, 200, 50}; !slices.Equal(rounds, want) {
		t.Errorf("deleted %v, want %v", rounds, want)
	}
	if page, err := b.List(t.Context(), tasks.ListRequest{}); err != nil || len(page.Records) > 0 {
		t.Error(fmt.Sprint(page), err)
	}
}

// Of two outcomes of one attempt in one script the second comes too late, whatever they are.
func TestSettleTwiceTogether(t *testing.T) {
	b := open(t)
	claimed := together(t, b, 4, time.Minute)
	pairs := [][2]tasks.Outcome{
		{success(claimed[0]), success(claimed[0])},
		{success(claimed[1]), failure(claimed[1])},
		{failure(claimed[2]), success(claimed[2])},
		{{Lease: claimed[3].Lease, Kind: tasks.OutcomeRelease}, success(claimed[3])},
	}
	var outs []tasks.Outcome
	for _, p := range pairs {
		outs = append(outs, p[:]...)
	}
	for i, err := range settle(t, b, outs...) {
		if second := i%2 == 1; second != errors.Is(err, tasks.ErrLeaseLost) || !second && err != nil {
			t.Errorf("outcome %d: %v", i, err)
		}
	}
	for i, want := range []tasks.Status{tasks.Successful, tasks.Successful, tasks.Failed, tasks.Ready} {
		if r := get(t, b, claimed[i].Record.ID); r.Status != want {
			t.Errorf("record %d is %s, want %s", i, r.Status, want)
		}
	}
}

// A record that stands in the index of READY twice is claimed once, and the wrong entry goes.
func TestClaimOfASecondEntry(t *testing.T) {
	var o redis.Options
	b := open(t, func(p *redis.Options) { o = *p })
	r := rec()
	enqueue(t, b, r)
	if n := b.Client().ZAdd(t.Context(), "{"+o.Namespace+":0}:ready:default", goredis.Z{Member: fmt.Sprintf("%03d%018d%s", 199, 1, r.ID)}).Val(); n != 1 {
		t.Fatal("there was such an entry")
	}
	if got := claim(t, b, 10); len(got) != 1 || got[0].Record.ID != r.ID {
		t.Errorf("claimed %v", claimedIDs(got))
	} else {
		settleOne(t, b, success(got[0]))
	}
	agrees(t, b, &o, "ready:default", 0)
}
