package bolt_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func TestClaimOrder(t *testing.T) { // W1, W2, W9
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		late := rec(delay(2 * time.Second))
		mid := rec(priority(5), delay(time.Second))
		future := rec(priority(100), delay(time.Hour))
		first, second := rec(), rec(queue("other"))
		urgent := rec(priority(5), queue("third"))
		enqueue(t, b, late, mid, future, first, second, urgent)
		wantIDs(t, claimedIDs(claim(t, b, 2, "nobody")))
		time.Sleep(1500 * time.Millisecond)
		wantIDs(t, claimedIDs(claim(t, b, 2)), urgent, mid)
		time.Sleep(time.Second)
		last := rec()
		enqueue(t, b, last)
		got, err := b.Claim(t.Context(), tasks.ClaimRequest{
			Selection: tasks.Selection{Queues: []string{"*"}, Exclude: []string{"other"}}, Worker: "w", Limit: 10, Lease: time.Second,
		})
		if err != nil {
			t.Fatal(err)
		}
		wantIDs(t, claimedIDs(got), first, late, last)
		wantIDs(t, claimedIDs(claim(t, b, 10, "default")))
		wantIDs(t, claimedIDs(claim(t, b, 10, "other", "other", "")), second)
	})
}

// A queue whose name is the start of another's, and a paused one.
func TestQueuesAreApart(t *testing.T) { // W9, W10
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		a, ab := rec(queue("a")), rec(queue("ab"))
		enqueue(t, b, ab, a)
		wantIDs(t, claimedIDs(claim(t, b, 10, "a")), a)
		if err := b.Pause(t.Context(), "ab", true); err != nil {
			t.Fatal(err)
		}
		wantIDs(t, claimedIDs(claim(t, b, 10)))
		wantIDs(t, claimedIDs(claim(t, b, 10, "ab")))
		woken := make(chan error, 1)
		go func() { woken <- b.Wait(t.Context(), tasks.Selection{}) }()
		synctest.Wait()
		select {
		case err := <-woken:
			t.Fatalf("woken for a paused queue: %v", err)
		default:
		}
		start := time.Now()
		if err := b.Pause(t.Context(), "ab", false); err != nil {
			t.Fatal(err)
		}
		if err := <-woken; err != nil || time.Since(start) > 0 {
			t.Errorf("woken after %v: %v", time.Since(start), err)
		}
		wantIDs(t, claimedIDs(claim(t, b, 10)), ab)
	})
}

func TestAttemptsAndTimes(t *testing.T) { // R5, R6, T2, W8
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		r := rec(attempts(2))
		enqueue(t, b, r)
		time.Sleep(time.Second)
		c := claimOne(t, b)
		if c.Lease.Attempt != 1 || c.Record.Status != tasks.Running || len(c.Lease.Token) < 22 {
			t.Errorf("claimed %+v", c)
		}
		started := time.Now()
		settle(t, b, tasks.Outcome{
			Lease: c.Lease, Kind: tasks.OutcomeRetry, Delay: time.Minute,
			Error: &tasks.AttemptError{Type: "*x.Error", Message: "no"},
		})
		got := get(t, b, r.ID)
		if got.Status != tasks.Ready || !got.RunAfter.Equal(started.Add(time.Minute)) || got.Attempts() != 1 || len(got.Errors) != 1 {
			t.Errorf("after a retry: %+v", got)
		}
		wantIDs(t, claimedIDs(claim(t, b, 1)))
		time.Sleep(time.Minute)
		c = claimOne(t, b)
		settle(t, b, tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeRetry, Error: &tasks.AttemptError{Message: "again"}})
		got = get(t, b, r.ID)
		if got.Status != tasks.Failed || got.Attempts() != 2 || len(got.Errors) != 2 || got.Errors[0].Message != "no" ||
			got.Errors[1].Attempt != 2 || got.Errors[1].Worker != "w1" {
			t.Errorf("at the end: %+v", got)
		}
		if !got.StartedAt.Equal(started) || !got.LastAttemptedAt.Equal(started.Add(time.Minute)) ||
			got.FinishedAt.Before(got.LastAttemptedAt) || got.EnqueuedAt.After(got.StartedAt) {
			t.Errorf("times: %+v", got)
		}
	})
}

func TestSnoozeAndReleaseDoNotCount(t *testing.T) { // W8
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		first, second := rec(ttl(time.Hour)), rec()
		enqueue(t, b, first, second)
		settle(t, b, tasks.Outcome{Lease: claimOne(t, b).Lease, Kind: tasks.OutcomeRelease})
		c := claimOne(t, b) // its old place
		if c.Record.ID != first.ID || c.Lease.Attempt != 1 {
			t.Errorf("claimed %+v", c)
		}
		settle(t, b, tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeSnooze, Delay: time.Second})
		wantIDs(t, claimedIDs(claim(t, b, 10)), second)
		time.Sleep(time.Second)
		if c := claimOne(t, b); c.Record.ID != first.ID || c.Record.Attempts() != 1 {
			t.Errorf("claimed %+v", c)
		}
	})
}

func TestFencing(t *testing.T) { // W3, W5
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		enqueue(t, b, rec(attempts(2)), rec())
		stale := claimOne(t, b)
		other := claimOne(t, b)
		time.Sleep(31 * time.Second)
		// Past its deadline, but not reclaimed: still the live one.
		states, err := b.Renew(t.Context(), []tasks.Lease{other.Lease, {ID: "nope"}}, time.Minute)
		if err != nil || states[0].Lost || !states[1].Lost || !states[0].Deadline.Equal(time.Now().Add(time.Minute)) {
			t.Fatalf("renew: %+v, %v", states, err)
		}
		swept, err := b.Sweep(t.Context())
		if err != nil || swept.Lost != 1 {
			t.Fatalf("swept %+v, %v", swept, err)
		}
		fresh := claimOne(t, b)
		if fresh.Record.ID != stale.Record.ID || fresh.Lease.Token == stale.Lease.Token || fresh.Record.Errors[0].Type != tasks.ErrorTypeLost {
			t.Fatalf("reclaimed %+v", fresh)
		}
		verdicts := settle(t, b, success(stale), success(other), success(fresh), success(fresh),
			tasks.Outcome{Lease: tasks.Lease{ID: "nope"}, Kind: tasks.OutcomeSuccess})
		for i, lost := range []bool{true, false, false, true, true} {
			if errors.Is(verdicts[i], tasks.ErrLeaseLost) != lost || (!lost && verdicts[i] != nil) {
				t.Errorf("verdict %d: %v", i, verdicts[i])
			}
		}
		for _, c := range []tasks.Claimed{other, fresh} {
			if got := get(t, b, c.Record.ID); got.Status != tasks.Successful || string(got.Value) != `"ok"` {
				t.Errorf("settled: %+v", got)
			}
		}
		// Lost a second time, with no attempts left.
		enqueue(t, b, rec())
		last := claimOne(t, b)
		time.Sleep(time.Minute)
		if _, err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := get(t, b, last.Record.ID); got.Status != tasks.Failed || got.Errors[0].Type != tasks.ErrorTypeLost {
			t.Errorf("a poison record: %+v", got)
		}
	})
}

func TestUnknownKindOfOutcome(t *testing.T) {
	b := open(t)
	enqueue(t, b, rec(), rec())
	one, two := claimOne(t, b), claimOne(t, b)
	verdicts := settle(t, b, tasks.Outcome{Lease: one.Lease, Kind: "party"}, success(two))
	if verdicts[0] == nil || errors.Is(verdicts[0], tasks.ErrLeaseLost) || verdicts[1] != nil {
		t.Errorf("verdicts: %v", verdicts)
	}
	if errs := settle(t, b, success(one)); errs[0] != nil {
		t.Errorf("the lease of the refused outcome is gone: %v", errs[0])
	}
}

func TestExpiry(t *testing.T) { // T5
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		claimed, swept := rec(ttl(time.Second)), rec(ttl(time.Second), queue("idle"))
		started := rec(ttl(time.Second), queue("started"), attempts(2))
		good := rec()
		enqueue(t, b, claimed, swept, started, good)
		c := claim(t, b, 1, "started")[0]
		settle(t, b, tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeRetry, Error: &tasks.AttemptError{}})
		time.Sleep(time.Second)
		wantIDs(t, claimedIDs(claim(t, b, 10, "default")), good)
		if s, err := b.Sweep(t.Context()); err != nil || s.Expired != 1 {
			t.Errorf("swept %+v, %v", s, err)
		}
		for _, r := range []*tasks.Record{claimed, swept} {
			if got := get(t, b, r.ID); got.Status != tasks.Cancelled || got.CancelReason != "expired" {
				t.Errorf("expired: %+v", got)
			}
		}
		wantIDs(t, claimedIDs(claim(t, b, 10)), started)
	})
}

func TestWait(t *testing.T) { // W2, notify
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		wait := func(sel tasks.Selection) time.Duration {
			start := time.Now()
			if err := b.Wait(t.Context(), sel); err != nil {
				t.Fatal(err)
			}
			return time.Since(start)
		}
		enqueue(t, b, rec(queue("q"), delay(time.Hour)), rec(priority(7), queue("q"), delay(time.Minute)))
		if d := wait(tasks.Selection{Queues: []string{"q"}}); d != time.Minute {
			t.Errorf("woken after %v, and the next record is due after a minute", d)
		}
		if d := wait(tasks.Selection{}); d != 0 {
			t.Errorf("woken after %v, though a record is due", d)
		}
		woken := make(chan time.Time, 1)
		go func() {
			wait(tasks.Selection{Exclude: []string{"q"}})
			woken <- time.Now()
		}()
		synctest.Wait()
		time.Sleep(3 * time.Second)
		enqueue(t, b, rec(queue("elsewhere")))
		if at := <-woken; !at.Equal(time.Now()) {
			t.Errorf("woken at %v, now is %v", at, time.Now())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.Wait(ctx, tasks.Selection{Queues: []string{"nobody"}}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("at the end of ctx: %v", err)
		}
		closed := make(chan error, 1)
		go func() { closed <- b.Wait(t.Context(), tasks.Selection{Queues: []string{"nobody"}}) }()
		synctest.Wait()
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-closed; !errors.Is(err, tasks.ErrClosed) {
			t.Errorf("at Close: %v", err)
		}
	})
}

func TestWaitResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		large := args([]byte(`"` + strings.Repeat("x", 5000) + `"`))
		kept, gone, deleted := rec(large), rec(retain(0), large), rec(delay(time.Hour))
		enqueue(t, b, kept, gone, deleted)
		type answer struct {
			rec *tasks.Record
			err error
		}
		var answers []chan answer
		for _, r := range []*tasks.Record{kept, gone, deleted} {
			ch := make(chan answer, 1)
			answers = append(answers, ch)
			go func() {
				rec, err := b.WaitResult(t.Context(), r.ID)
				ch <- answer{rec, err}
			}()
		}
		synctest.Wait()
		start := time.Now()
		settle(t, b, success(claimOne(t, b)), success(claimOne(t, b)))
		if _, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeDelete}, []string{deleted.ID}); err != nil {
			t.Fatal(err)
		}
		for i, want := range []*tasks.Record{kept, gone} {
			a := <-answers[i]
			if a.err != nil || a.rec.Status != tasks.Successful || len(a.rec.Args) != len(want.Args) {
				t.Errorf("%d: %+v, %v", i, a.rec, a.err)
			}
		}
		if a := <-answers[2]; !errors.Is(a.err, tasks.ErrResultNotFound) {
			t.Errorf("deleted: %+v, %v", a.rec, a.err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("it took %v: found by polling", d)
		}
		if _, err := b.GetResult(t.Context(), gone.ID); !errors.Is(err, tasks.ErrResultNotFound) {
			t.Errorf("Retain(0): %v", err)
		}
		if _, err := b.WaitResult(t.Context(), "nope"); !errors.Is(err, tasks.ErrResultNotFound) {
			t.Errorf("unknown: %v", err)
		}
	})
}

func TestCancelOfARunningRecord(t *testing.T) { // T4
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		enqueue(t, b, rec(), rec())
		c, ready := claimOne(t, b), rec()
		enqueue(t, b, ready)
		ctx, cancel := context.WithCancel(t.Context())
		type note struct{ id, reason string }
		notes := make(chan note, 10)
		ended := make(chan error, 1)
		go func() { ended <- b.NotifyCancel(ctx, func(id, reason string) { notes <- note{id, reason} }) }()
		synctest.Wait()
		got, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeCancel, Reason: "enough"}, []string{c.Record.ID, ready.ID})
		if err != nil || got[0].Status != tasks.Running || got[1].Status != tasks.Cancelled {
			t.Fatalf("%+v, %v", got, err)
		}
		synctest.Wait()
		if n := <-notes; n != (note{c.Record.ID, "enough"}) || len(notes) > 0 {
			t.Errorf("notified of %+v and %d more", n, len(notes))
		}
		states, err := b.Renew(t.Context(), []tasks.Lease{c.Lease}, time.Minute)
		if err != nil || !states[0].CancelRequested || states[0].CancelReason != "enough" {
			t.Errorf("renewed: %+v, %v", states, err)
		}
		settle(t, b, tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeRelease})
		if got := get(t, b, c.Record.ID); got.Status != tasks.Cancelled || got.CancelReason != "enough" {
			t.Errorf("at the end: %+v", got)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("NotifyCancel: %v", err)
		}
	})
}

func TestRetentionSweep(t *testing.T) { // I4
	synctest.Test(t, func(t *testing.T) {
		b := open(t)
		day, short, ever := rec(), rec(retain(time.Minute)), rec(retain(-1))
		enqueue(t, b, day, short, ever, rec(delay(100*time.Hour)))
		for _, c := range claim(t, b, 10) {
			settle(t, b, success(c))
		}
		for _, step := range []struct {
			sleep  time.Duration
			pruned int
		}{{59 * time.Second, 0}, {time.Second, 1}, {24 * time.Hour, 1}, {10000 * time.Hour, 0}} {
			time.Sleep(step.sleep)
			if s, err := b.Sweep(t.Context()); err != nil || s.Pruned != step.pruned {
				t.Errorf("after %v: swept %+v, %v", step.sleep, s, err)
			}
		}
		get(t, b, ever.ID)
		if _, err := b.GetResult(t.Context(), day.ID); !errors.Is(err, tasks.ErrResultNotFound) {
			t.Error(err)
		}
	})
}
