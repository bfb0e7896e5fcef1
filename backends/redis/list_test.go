package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

// listAll follows Next through a list. Between two pages it calls between with the last record
// seen.
func listAll(t *testing.T, b *redis.Backend, req tasks.ListRequest, between func(last *tasks.Record)) (recs []*tasks.Record) {
	t.Helper()
	for {
		page, err := b.List(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, page.Records...)
		if req.After = page.Next; req.After == "" {
			return recs
		}
		if between != nil && len(recs) > 0 {
			between(recs[len(recs)-1])
		}
	}
}

func recIDs(recs []*tasks.Record) []string {
	ids := make([]string, len(recs))
	for i, r := range recs {
		ids[i] = r.ID
	}
	return ids
}

// fillHay stores n READY records with some of a queue "rare" among them, which are claimed
// first. Where they are further apart than a list looks along the ids at first, they are found by
// their indexes.
func fillHay(t *testing.T, b *redis.Backend, shards, n, rare int) (recs []*tasks.Record) {
	t.Helper()
	all := make([]*tasks.Record, n)
	for i := range all {
		r := rec()
		r.ID = fmt.Sprintf("id-%06d-%04x", i, i*7919%65536)
		if i%(n/rare) == n/rare/2 {
			r.Queue, r.Priority, r.Task = "rare", 50, []string{"a", "b"}[len(recs)%2]
			recs = append(recs, r)
		}
		all[i] = r
	}
	if shards == 1 {
		for part := range slices.Chunk(all, 1000) {
			if err := b.Enqueue(t.Context(), part); err != nil {
				t.Fatal(err)
			}
		}
		return recs
	}
	// A batch can't be in several shards.
	enqueueEach(t, b, all...)
	return recs
}

func failure(c tasks.Claimed) tasks.Outcome {
	return tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeFailure, Error: &tasks.AttemptError{Message: "broken"}}
}

func settleOne(t *testing.T, b *redis.Backend, out tasks.Outcome) {
	t.Helper()
	if err := settle(t, b, out)[0]; err != nil {
		t.Fatal(err)
	}
}

// Whatever way a list looks for few records among many, it shows those that match, in order.
func TestListFewAmongMany(t *testing.T) {
	for _, shards := range []int{1, 5} {
		t.Run(fmt.Sprintf("shards=%d", shards), func(t *testing.T) {
			b := open(t, func(o *redis.Options) { o.Shards = shards })
			rare := fillHay(t, b, shards, 6_000, 15)
			if _, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeCancel}, []string{rare[3].ID, rare[12].ID}); err != nil {
				t.Fatal(err)
			}
			for i, c := range claim(t, b, 12, "rare") {
				switch i % 4 {
				case 0, 1:
					settleOne(t, b, failure(c))
				case 2:
					settleOne(t, b, success(c))
				}
			}
			all := listAll(t, b, tasks.ListRequest{Limit: 1000}, nil)
			if len(all) != 6_000 {
				t.Fatal(len(all))
			}
			failed := tasks.Filter{Statuses: []tasks.Status{tasks.Failed}}
			middle := get(t, b, rare[8].ID).EnqueuedAt
			for name, f := range map[string]tasks.Filter{
				"failed":   failed,
				"running":  {Statuses: []tasks.Status{tasks.Running}},
				"both":     {Statuses: []tasks.Status{tasks.Failed, tasks.Running}},
				"stopped":  {Statuses: []tasks.Status{tasks.Cancelled}},
				"unhappy":  {Statuses: []tasks.Status{tasks.Failed, tasks.Cancelled}},
				"unended":  {Statuses: []tasks.Status{tasks.Failed, tasks.Cancelled, tasks.Running}},
				"unknown":  {Tasks: []string{"c"}},
				"final":    {Statuses: []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled}},
				"ready":    {Statuses: []tasks.Status{tasks.Ready}, Queues: []string{"rare"}},
				"queue":    {Queues: []string{"none", "rare"}},
				"task":     {Tasks: []string{"a"}, Queues: []string{"rare"}},
				"tasks":    {Statuses: []tasks.Status{tasks.Ready, tasks.Failed}, Tasks: []string{"b", "a"}},
				"worker":   {Worker: "w1"},
				"worker2":  {Worker: "1"},
				"error":    {Error: "BROKEN"},
				"since":    {Statuses: failed.Statuses, Since: middle},
				"until":    {Statuses: failed.Statuses, Until: middle},
				"between":  {Queues: []string{"rare"}, Since: middle.Add(-time.Microsecond), Until: middle.Add(time.Nanosecond)},
				"finished": {FinishedBefore: time.Now().Add(time.Hour)},
				"none":     {Statuses: []tasks.Status{tasks.Ready}, FinishedBefore: time.Now().Add(time.Hour)},
				"old":      {Since: time.Unix(-5, 0), Queues: []string{"rare"}},
			} {
				for _, newest := range []bool{false, true} {
					var want []string
					for _, r := range all {
						if f.Match(r) {
							want = append(want, r.ID)
						}
					}
					if newest {
						slices.Reverse(want)
					}
					for _, limit := range []int{2, 1000} {
						req := tasks.ListRequest{Filter: f, Newest: newest, Limit: limit}
						if got := recIDs(listAll(t, b, req, nil)); !slices.Equal(got, want) {
							t.Errorf("%s, newest %v, limit %d:\ngot  %v\nwant %v", name, newest, limit, got, want)
						}
					}
					if len(want) > 2 {
						req := tasks.ListRequest{Filter: f, Newest: newest, After: want[0]}
						if got := recIDs(listAll(t, b, req, nil)); !slices.Equal(got, want[1:]) {
							t.Errorf("%s, newest %v, after the first:\ngot  %v\nwant %v", name, newest, got, want[1:])
						}
					}
				}
			}
		})
	}
}

// A record that goes from one wanted status to another between two pages is still shown once.
func TestListFollowsRecordsThatMove(t *testing.T) {
	for _, shards := range []int{1, 5} {
		for _, newest := range []bool{false, true} {
			t.Run(fmt.Sprintf("shards=%d,newest=%v", shards, newest), func(t *testing.T) {
				b := open(t, func(o *redis.Options) { o.Shards = shards })
				want := recIDs(fillHay(t, b, shards, 8_000, 3))
				if newest {
					slices.Reverse(want)
				}
				// From READY to RUNNING, one in each pause, from the other end and from this.
				req := tasks.ListRequest{Limit: 1, Newest: newest}
				req.Filter = tasks.Filter{Statuses: []tasks.Status{tasks.Ready, tasks.Running}, Queues: []string{"rare"}}
				var claimed []tasks.Claimed
				got := listAll(t, b, req, func(*tasks.Record) { claimed = append(claimed, claim(t, b, 1, "rare")...) })
				if ids := recIDs(got); !slices.Equal(ids, want) {
					t.Errorf("READY to RUNNING:\ngot  %v\nwant %v", ids, want)
				}
				claimed = append(claimed, claim(t, b, 10, "rare")...)
				if len(claimed) != len(want) {
					t.Fatal(len(claimed))
				}
				req.Filter = tasks.Filter{Statuses: []tasks.Status{tasks.Running, tasks.Failed}}
				got = listAll(t, b, req, func(*tasks.Record) {
					if n := len(claimed); n > 1 {
						settleOne(t, b, failure(claimed[n-1]))
						settleOne(t, b, failure(claimed[0]))
						claimed = claimed[1 : n-1]
					}
				})
				if ids := recIDs(got); !slices.Equal(ids, want) {
					t.Errorf("RUNNING to FAILED:\ngot  %v\nwant %v", ids, want)
				}
			})
		}
	}
}

func member(m string) goredis.Z { return goredis.Z{Member: m} }

// A READY record that an older program couldn't decode is in no index but `damaged`; one whose
// entries are left over from another status isn't shown.
func TestListWithDamagedIndexes(t *testing.T) {
	var o redis.Options
	b := open(t, func(p *redis.Options) { o = *p })
	c, prefix := raw(t, &o)
	rare := fillHay(t, b, 1, 6_000, 4)
	ctx := t.Context()
	for _, m := range c.ZRange(ctx, prefix+"ready:rare", 0, -1).Val() {
		if m[21:] == rare[1].ID {
			c.ZRem(ctx, prefix+"ready:rare", m)
		}
	}
	c.HSet(ctx, prefix+"damaged", rare[1].ID, "of a newer version")
	c.Set(ctx, prefix+"h:"+rare[2].ID, "9 from the future", 0)
	row := func(ids ...string) string {
		var row strings.Builder
		for _, id := range ids {
			fmt.Fprintf(&row, "%03d%s", len(id), id)
		}
		return row.String()
	}
	zeros := strings.Repeat("0", 36)
	c.ZAdd(ctx, prefix+"final", member(zeros+row(rare[3].ID, "gone")), member(zeros+"-99"), member(zeros+row("cut")[:5]), member("x"))
	c.Set(ctx, prefix+"claim:a", row(rare[3].ID, rare[0].ID), 0)
	c.ZAdd(ctx, prefix+"claims", member(zeros[:18]+"a"), member(zeros[:18]+"b"))
	c.ZAdd(ctx, prefix+"leases", member("253402300799000000"+rare[3].ID), member("253402300799000000"+rare[0].ID))
	for _, newest := range []bool{false, true} {
		want := recIDs([]*tasks.Record{rare[0], rare[1], rare[3]})
		if newest {
			slices.Reverse(want)
		}
		for _, statuses := range [][]tasks.Status{{tasks.Ready}, {tasks.Ready, tasks.Running, tasks.Failed}} {
			req := tasks.ListRequest{Filter: tasks.Filter{Statuses: statuses, Queues: []string{"rare"}}, Newest: newest}
			if got := recIDs(listAll(t, b, req, nil)); !slices.Equal(got, want) {
				t.Errorf("%v: got %v, want %v", statuses, got, want)
			}
		}
		final := tasks.ListRequest{Filter: tasks.Filter{Statuses: []tasks.Status{tasks.Failed, tasks.Running}}, Newest: newest}
		if got := listAll(t, b, final, nil); len(got) != 0 {
			t.Errorf("got %v", recIDs(got))
		}
	}
}

// Where too many records have the wanted status for all of them to be looked at, the list
// goes along the ids to the end.
func TestListFewAmongTooMany(t *testing.T) {
	b := open(t)
	want := recIDs(fillHay(t, b, 1, 14_000, 7))
	for _, c := range claim(t, b, len(want), "rare") {
		settleOne(t, b, success(c))
	}
	req := tasks.ListRequest{Filter: tasks.Filter{Statuses: []tasks.Status{tasks.Ready, tasks.Successful}, Worker: "w1"}, Limit: 3}
	if got := recIDs(listAll(t, b, req, nil)); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}
