package crew

import (
	"context"
	"slices"
	"syscall"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// frozen stops a worker as it stands (SIGSTOP) for longer than its lease, and lets it go on when
// others have taken over and run the tasks once more. What it then comes with is refused.
func (c *crew) frozen() {
	t := c.t
	c.short()
	until, raise := c.flag("first")
	again, raiseAgain := c.flag("again")
	first := hire(t, c.order)
	ids := c.enqueue(10, job{Until: until, Again: again})
	c.await("S", len(ids))
	first.freeze()
	ps := append(c.hire(2), first)
	c.await("S", 2*len(ids))
	raise()
	first.thaw()
	c.await("D", len(ids))
	time.Sleep(c.order.Sweep) // in which it settles
	if counts := c.counts(); counts[tasks.Running] != int64(len(ids)) || len(counts) != 1 {
		t.Errorf("after the stale worker's outcomes counts are %v, want %d RUNNING", counts, len(ids))
	}
	more := c.enqueue(10, job{}) // which any of them may run
	raiseAgain()
	c.successful(len(ids) + len(more))
	stopAll(ps)
	c.wantAttempts(ids, 1, 2)
	c.wantAttempts(more, 1)
}

// stoppedHard stops a worker by two signals while its handlers, which ignore their contexts, run
// on. What it hands back is run again, and not before its process has ended.
func (c *crew) stoppedHard() {
	t := c.t
	never, _ := c.flag("never")
	first := hire(t, c.order)
	ids := c.enqueue(5, job{Until: never})
	c.await("S", len(ids))
	ps := c.hire(1)
	first.signal(syscall.SIGTERM)
	time.Sleep(100 * time.Millisecond) // or they come as one
	first.signal(syscall.SIGTERM)
	if err := first.cmd.Wait(); err == nil {
		t.Error("a worker process that has left handlers behind ended with 0")
	}
	first.over = true
	ended := time.Now()
	c.successful(len(ids))
	stopAll(ps)
	all := runs(t, c.order.Dir)
	for _, id := range ids {
		rec := c.record(id)
		if rec.Attempts() != 2 || len(rec.Errors) != 1 || rec.Errors[0].Type != tasks.ErrorTypeInterrupted {
			t.Errorf("record %s has %d attempts and the errors %+v, want 2 and one that is %q", id, rec.Attempts(), rec.Errors, tasks.ErrorTypeInterrupted)
		}
		if got := attemptsOf(all[id]); !slices.Equal(got, []int{1, 2}) {
			t.Errorf("record %s was run as attempts %v, want 1, interrupted, and 2", id, got)
		} else if all[id][1].start.Before(ended) {
			t.Errorf("record %s was run again %v before its first worker had ended", id, ended.Sub(all[id][1].start))
		}
	}
}

// servicesApart has two services with different tasks on one store. One of them goes down with
// kill -9, and the other, which doesn't know its tasks, sweeps: it must neither fail nor lose
// them, nor use up their attempts.
func (c *crew) servicesApart() {
	t := c.t
	c.short()
	c.order.UnknownDelay = 200 * time.Millisecond
	until, raise := c.flag("go")
	other := c.order
	other.Task = "another"
	ours := hire(t, c.order)
	ids := c.enqueue(5, job{Until: until})
	c.await("S", len(ids))
	ours.kill()
	raise()
	theirs := hire(t, other)
	waiting := c.enqueue(5, job{})
	c.eventually("what was lost is READY", func() bool { return c.counts()[tasks.Ready] == int64(len(ids)+len(waiting)) })
	time.Sleep(time.Second) // in which the other service comes upon each of them some times
	ps := append(c.hire(1), theirs)
	c.successful(len(ids) + len(waiting))
	stopAll(ps)
	c.wantAttempts(ids, 1, 2) // those of the service that doesn't know them don't count
	c.wantAttempts(waiting, 1)
}

// oneConnection has workers claim, renew and settle through one connection each.
func (c *crew) oneConnection() {
	t := c.t
	c.short()
	c.order.Place.PoolSize = 1
	ps := c.hire(2)
	ids := c.enqueue(500, job{Sleep: 5 * time.Millisecond})
	long := c.enqueue(10, job{Sleep: c.order.Lease * 3 / 2})
	c.successful(len(ids) + len(long))
	stopAll(ps)
	wantOneRun(t, c.order.Dir, append(ids, long...))
	// Their logs aren't held against them: on a busy machine a renewal may wait for its turn until
	// its time is over, and is done again in time, as the attempts show.
	c.wantAttempts(long, 1)
}

// badOutcomes runs tasks that end in every way that isn't good between good ones: each must end
// as it should, at once and after one run, and do its neighbours no harm. One fails 350 times
// before it succeeds.
func (c *crew) badOutcomes() {
	t := c.t
	want := map[string]tasks.Status{
		"error": tasks.Failed, "panic": tasks.Failed, "goexit": tasks.Failed, "huge error": tasks.Failed, "huge result": tasks.Failed,
		"NaN": tasks.Failed, "channel": tasks.Failed, "hostile result": tasks.Successful, "good": tasks.Successful,
	}
	var calls []tasks.Call
	for what := range want {
		calls = append(calls, c.bad.With("good"), c.bad.With(what), c.bad.With("good"))
	}
	calls = append(calls, c.often.With("fails often"))
	p := hire(t, c.order)
	results, err := c.app.EnqueueMany(t.Context(), calls...)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for i, res := range results {
		_, _ = res.Wait(ctx)
		if i == len(results)-1 {
			if res.Status != tasks.Successful || res.Attempts() != manyFailures+1 || len(res.Errors) != manyFailures {
				t.Errorf("the one that fails often is %s after %d attempts with %d errors, want SUCCESSFUL after %d", res.Status, res.Attempts(), len(res.Errors), manyFailures+1)
			}
			break
		}
		what := string(res.Args)
		status := want[what[1:len(what)-1]]
		failed := 0
		if status == tasks.Failed {
			failed = 1
		}
		if res.Status != status || res.Attempts() != 1 || len(res.Errors) != failed {
			t.Errorf("%s is %s after %d attempts with %d errors, want %s after 1", what, res.Status, res.Attempts(), len(res.Errors), status)
		}
	}
	p.stop()
}
