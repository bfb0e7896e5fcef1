package bolt_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
)

// list follows a list to its end, doing something between the pages.
func list(t *testing.T, b *bolt.Backend, req tasks.ListRequest, between func()) (all []string) {
	t.Helper()
	for {
		page, err := b.List(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Records) > req.PageSize() {
			t.Fatalf("a page of %d records", len(page.Records))
		}
		all = append(all, ids(page.Records, func(r *tasks.Record) string { return r.ID })...)
		if req.After = page.Next; page.Next == "" {
			return all
		}
		if between != nil {
			between()
		}
	}
}

func TestListPagesAreStable(t *testing.T) { // I1
	b := open(t)
	var recs []*tasks.Record
	for range 25 {
		recs = append(recs, rec())
	}
	enqueue(t, b, recs...)
	reverse := slices.Clone(recs)
	slices.Reverse(reverse)
	for _, limit := range []int{1, 7, 25, 100} {
		wantIDs(t, list(t, b, tasks.ListRequest{Limit: limit}, nil), recs...)
		newest := list(t, b, tasks.ListRequest{Limit: limit, Newest: true}, func() { enqueue(t, b, rec(queue("new"))) })
		wantIDs(t, newest, reverse...)
		got := list(t, b, tasks.ListRequest{Filter: tasks.Filter{Queues: []string{"default"}}, Limit: limit}, func() { enqueue(t, b, rec(queue("new"))) })
		wantIDs(t, got, recs...)
		for _, id := range list(t, b, tasks.ListRequest{Filter: tasks.Filter{Queues: []string{"new"}}}, nil) {
			if _, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeDelete}, []string{id}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// The record that a page ended with may be gone.
	page, err := b.List(t.Context(), tasks.ListRequest{Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeDelete}, []string{page.Next}); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, list(t, b, tasks.ListRequest{After: page.Next}, nil), recs[3:]...)
	wantIDs(t, list(t, b, tasks.ListRequest{After: page.Next, Newest: true}, nil), recs[1], recs[0])
}

func TestListFiltersAgreeWithMatch(t *testing.T) { // I1
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		var all []*tasks.Record
		for i := range 20 {
			r := rec(queue(fmt.Sprint("q", i%3)), func(r *tasks.Record) { r.Task = fmt.Sprint("t", i%2) })
			enqueue(t, b, r)
			all = append(all, r)
			time.Sleep(time.Second)
		}
		for i, c := range claim(t, b, 12) {
			switch i % 4 {
			case 0:
				settle(t, b, success(c))
			case 1:
				settle(t, b, tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeFailure, Error: &tasks.AttemptError{}})
			case 2:
				settle(t, b, tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeCancel})
			}
			time.Sleep(time.Second)
		}
		for i, r := range all {
			all[i] = get(t, b, r.ID)
		}
		for _, f := range []tasks.Filter{
			{},
			{Statuses: []tasks.Status{tasks.Ready}},
			{Statuses: []tasks.Status{tasks.Failed, tasks.Running}},
			{Queues: []string{"q1"}, Tasks: []string{"t0"}},
			{Queues: []string{"none"}},
			{Worker: "w1"},
			{Since: all[5].EnqueuedAt, Until: all[9].EnqueuedAt},
			{FinishedBefore: all[4].FinishedAt},
		} {
			var want []*tasks.Record
			for _, r := range all {
				if f.Match(r) {
					want = append(want, r)
				}
			}
			wantIDs(t, list(t, b, tasks.ListRequest{Filter: f, Limit: 3}, nil), want...)
		}
	})
}

func TestQueues(t *testing.T) { // I2
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		enqueue(t, b, rec(queue("b")), rec(queue("b")), rec(queue("b"), delay(time.Hour)), rec(queue("a"), delay(time.Hour)))
		settle(t, b, success(claimOne(t, b)))
		claimOne(t, b)
		if err := b.Pause(t.Context(), "c", true); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour + time.Minute)
		got, err := b.Queues(t.Context())
		if err != nil || len(got) != 3 {
			t.Fatalf("%+v, %v", got, err)
		}
		a, q, c := got[0], got[1], got[2]
		if a.Name != "a" || a.Counts[tasks.Ready] != 1 || a.OldestDue != time.Minute || a.Paused {
			t.Errorf("a: %+v", a)
		}
		if q.Name != "b" || q.Counts[tasks.Ready] != 1 || q.Counts[tasks.Running] != 1 || q.Counts[tasks.Successful] != 1 || q.Waiting["task"] != 1 {
			t.Errorf("b: %+v", q)
		}
		if c.Name != "c" || !c.Paused {
			t.Errorf("c: %+v", c)
		}
	})
}

func TestAlter(t *testing.T) { // I3
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		ready, running, failed := rec(delay(time.Hour)), rec(), rec()
		enqueue(t, b, running, failed, ready)
		claimOne(t, b)
		settle(t, b, tasks.Outcome{Lease: claimOne(t, b).Lease, Kind: tasks.OutcomeFailure, Error: &tasks.AttemptError{Message: "x"}})
		all := []string{ready.ID, running.ID, failed.ID, "nope", ""}
		alter := func(c tasks.Change, want ...any) {
			t.Helper()
			got, err := b.Alter(t.Context(), c, all)
			if err != nil || len(got) != len(all) {
				t.Fatalf("%s: %v, %v", c.Kind, got, err)
			}
			for i, w := range want {
				switch w := w.(type) {
				case tasks.Status:
					if got[i].Err != nil || got[i].Status != w {
						t.Errorf("%s of record %d: %+v, want %s", c.Kind, i, got[i], w)
					}
				case error:
					if !errors.Is(got[i].Err, w) {
						t.Errorf("%s of record %d: %+v, want %v", c.Kind, i, got[i], w)
					}
				}
			}
			for _, a := range got[3:] {
				if !errors.Is(a.Err, tasks.ErrResultNotFound) {
					t.Errorf("%s of an unknown id: %+v", c.Kind, a)
				}
			}
			if err := b.Verify(); err != nil {
				t.Errorf("after %s:\n%v", c.Kind, err)
			}
		}
		no := tasks.ErrNoChange
		alter(tasks.Change{Kind: tasks.ChangeReschedule, Delay: time.Minute}, tasks.Ready, no, no)
		if got := get(t, b, ready.ID); !got.RunAfter.Equal(time.Now().Add(time.Minute)) {
			t.Errorf("rescheduled to %v", got.RunAfter)
		}
		alter(tasks.Change{Kind: tasks.ChangeRetry}, no, no, tasks.Ready)
		if c := claimOne(t, b); c.Record.ID != failed.ID || c.Record.Attempts() != 2 || len(c.Record.Errors) != 1 {
			t.Errorf("retried: %+v", c.Record)
		} else {
			settle(t, b, tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeFailure})
		}
		alter(tasks.Change{Kind: tasks.ChangeCancel, Reason: "r"}, tasks.Cancelled, tasks.Running, no)
		alter(tasks.Change{Kind: tasks.ChangeDelete}, tasks.Status(""), no, tasks.Status(""))
		if _, err := b.GetResult(t.Context(), ready.ID); !errors.Is(err, tasks.ErrResultNotFound) {
			t.Errorf("deleted: %v", err)
		}
	})
}

func TestPrune(t *testing.T) { // I4
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		var final []*tasks.Record
		for i := range 30 {
			r := rec(queue(fmt.Sprint("q", i%2)), retain(time.Duration(-i)))
			if i == 0 {
				r.Retain = nil
			}
			final = append(final, r)
		}
		enqueue(t, b, final...)
		for _, c := range claim(t, b, 30) {
			settle(t, b, success(c))
		}
		unfinished := rec()
		enqueue(t, b, unfinished)
		prune := func(req tasks.PruneRequest) (n int) {
			t.Helper()
			for {
				p, err := b.Prune(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if n += p.Deleted; req.Limit > 0 && p.Deleted > req.Limit {
					t.Errorf("%d deleted at once", p.Deleted)
				}
				if req.After = p.Next; p.Next == "" {
					return n
				}
			}
		}
		if n := prune(tasks.PruneRequest{OlderThan: time.Second}); n != 0 {
			t.Errorf("too young: %d", n)
		}
		time.Sleep(time.Second)
		if n := prune(tasks.PruneRequest{Statuses: []tasks.Status{tasks.Failed}}); n != 0 {
			t.Errorf("of another status: %d", n)
		}
		if n := prune(tasks.PruneRequest{OlderThan: time.Second, Queues: []string{"q1"}, Limit: 4}); n != 15 {
			t.Errorf("of one queue: %d", n)
		}
		if n := prune(tasks.PruneRequest{Limit: 1}); n != 15 {
			t.Errorf("the rest: %d", n)
		}
		if _, err := b.Prune(t.Context(), tasks.PruneRequest{Statuses: []tasks.Status{tasks.Ready}}); err == nil {
			t.Error("READY records can be pruned")
		}
		get(t, b, unfinished.ID)
	})
}

func TestHeartbeats(t *testing.T) { // I2
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		beat := func(id string, stopped bool) {
			t.Helper()
			err := b.Heartbeat(t.Context(), tasks.WorkerInfo{ID: id, Interval: time.Second, Queues: []string{"*"}, Stopped: stopped})
			if err != nil {
				t.Fatal(err)
			}
		}
		alive := func(want string) {
			t.Helper()
			ws, err := b.Workers(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(ids(ws, func(w tasks.WorkerInfo) string { return fmt.Sprint(w.ID, w.Age) }), " "); got != want {
				t.Errorf("alive: %q, want %q", got, want)
			}
		}
		beat("b", false)
		time.Sleep(2 * time.Second)
		beat("a", false)
		time.Sleep(time.Second)
		alive("a1s b3s")
		time.Sleep(time.Second)
		alive("a2s")
		beat("a", true)
		beat("never", true)
		alive("")
		time.Sleep(2 * time.Hour)
		if _, err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// What is pruned makes room: the file doesn't grow with what has passed through.
func TestSpaceIsUsedAgain(t *testing.T) { // I4
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		var size int64
		for round := range 6 {
			var recs []*tasks.Record
			for range 800 {
				recs = append(recs, rec())
			}
			enqueue(t, b, recs...)
			for got := claim(t, b, 500); len(got) > 0; got = claim(t, b, 500) {
				outs := make([]tasks.Outcome, len(got))
				for i, c := range got {
					outs[i] = success(c)
				}
				settle(t, b, outs...)
			}
			time.Sleep(25 * time.Hour)
			for more := true; more; {
				s, err := b.Sweep(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				more = s.More
			}
			now := b.Size()
			if round == 1 {
				size = now
			}
			if round > 1 && now > size*3/2 {
				t.Fatalf("round %d: %d bytes are in use, after %d in the first rounds", round, now, size)
			}
		}
	})
}
