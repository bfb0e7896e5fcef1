package conformance

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func waitCases() []Case {
	return slices.Concat(waitWakeCases(), []Case{
		{
			Name: "Wait/DueNow", Clauses: []string{"W2"}, Needs: workerCaps,
			What: "Wait must return at once when a record of the selection is due",
			run: func(e *env) {
				h := e.connect()
				e.watchMachine(h)
				e.enqueue(h, e.record(inQueue("a")))
				for _, sel := range []tasks.Selection{
					{}, all, {Queues: []string{"a"}}, {Queues: []string{"never seen", "a"}}, {Exclude: []string{"b"}},
				} {
					e.step("waiting on %s with a record due", show(sel))
					from := time.Now()
					e.must(h.s.Wait(e.ctx, sel), "wait on %+v", sel)
					e.inTime("Wait on "+show(sel)+" with a record due returned", time.Since(from), e.timing.Late)
				}
			},
		},
		{
			Name: "Wait/Context", Clauses: []string{"W2", "E4"}, Needs: workerCaps,
			What: "Wait must return its ctx's error soon after ctx ends, and at once if it has ended",
			run:  waitContext,
		},
		{
			Name: "Wait/NoSpin", Clauses: []string{"W2"}, Needs: workerCaps,
			What: "Wait must wait while nothing can be claimed: nothing is there, or what is there is leased, deferred, final or not selected",
			run:  waitNoSpin,
		},
		{
			Name: "Wait/NoLostWakeUp", Clauses: []string{"W2"}, Needs: workerCaps,
			What: "a record enqueued between a claim that got nothing and the Wait must not be missed",
			run: func(e *env) {
				h := e.connect()
				w := e.idle(h, "a", "b")
				defer w.stop()
				for i := range 150 {
					rec := e.record(inQueue([]string{"a", "b"}[i%2]))
					e.enqueue(h, rec) // while the worker is on its way from the last one to Wait
					c := w.gets(e.wakeUp(h)+e.timing.Notice, rec.ID, "enqueued while a worker goes idle")
					if i%3 == 0 {
						e.settle(h, c, success(`1`))
					}
				}
			},
		},
		{
			Name: "Wait/SeveralWorkers", Clauses: []string{"W2", "W9"}, Needs: workerCaps,
			What: "of several idle workers each must get what is for its queues, and one of them what is for all",
			run:  waitSeveralWorkers,
		},
		{
			Name: "Wait/OtherQueue", Clauses: []string{"W2", "W9"}, Needs: workerCaps,
			What: "traffic in queues that a worker doesn't select must neither feed it nor keep it from waking for its own",
			run:  waitOtherQueue,
		},
	})
}

func waitContext(e *env) {
	h := e.connect()
	if h.caps.Has(tasks.CapDefer) {
		e.enqueue(h, e.record(delayed(far)))
	}
	ctx, cancel := context.WithCancel(e.ctx)
	ended := make(chan error, 1)
	go func() { ended <- untilItEnds(ctx, h.s) }()
	e.pause(50 * time.Millisecond)
	cancel()
	e.within(2*e.timing.Obey, "ending Wait by cancelling its ctx", func() {
		e.wantErr(<-ended, context.Canceled, "Wait whose ctx was cancelled")
	})
	const short = 80 * time.Millisecond
	e.within(short+2*e.timing.Obey, "waiting with a deadline of 80ms", func() {
		ctx, cancel := e.soon(short)
		defer cancel()
		e.wantErr(untilItEnds(ctx, h.s), context.DeadlineExceeded, "Wait whose ctx's deadline passed")
	})
	e.within(2*e.timing.Obey, "waiting with a ctx that is over", func() {
		e.wantErr(untilItEnds(ctx, h.s), context.Canceled, "Wait whose ctx was over before")
	})
}

var errSpun = errors.New("Wait returned thousands of times with nothing to claim: it doesn't wait")

// untilItEnds waits for what doesn't come, and returns what ended it. Returning
// early is allowed, so it goes back to waiting.
func untilItEnds(ctx context.Context, s tasks.Store) error {
	for range maxReturns {
		if err := s.Wait(ctx, tasks.Selection{}); err != nil {
			return err
		}
	}
	return errSpun
}

func waitNoSpin(e *env) {
	h := e.connect()
	idles := func(what string, sel tasks.Selection) {
		e.Helper()
		e.step("counting how often Wait returns with %s", what)
		const span, most = 200 * time.Millisecond, 60
		ctx, cancel := e.soon(span)
		defer cancel()
		for n := 0; ; n++ {
			if err := h.s.Wait(ctx, sel); err != nil {
				return
			}
			if n == most {
				e.Errorf("with %s, Wait on %+v returned over %d times within %v", what, sel, most, span)
				return
			}
		}
	}
	idles("an empty store", tasks.Selection{})
	e.enqueue(h, e.record())
	c := e.claimOne(h)
	idles("a record that is leased", all)
	e.settle(h, c, success(`1`))
	idles("a record that is final", tasks.Selection{Queues: []string{"default"}})
	if h.caps.Has(tasks.CapDefer) {
		e.enqueue(h, e.record(delayed(far)), e.record(delayed(2*far), inQueue("other")))
		idles("records that are deferred", tasks.Selection{})
	}
	e.enqueue(h, e.record(inQueue("b")))
	idles("a due record in another queue", tasks.Selection{Queues: []string{"default", "never seen"}})
	idles("a due record in an excluded queue", tasks.Selection{Exclude: []string{"b"}})
}

func waitSeveralWorkers(e *env) {
	h := e.connect()
	own := make(map[string]*idler)
	for _, q := range []string{"a", "b", "c"} {
		own[q] = e.idle(h, q)
		defer own[q].stop()
	}
	e.pause(20 * time.Millisecond)
	recs := make(map[string]*tasks.Record)
	for _, q := range []string{"c", "a", "b"} {
		recs[q] = e.record(inQueue(q))
	}
	e.enqueue(h, recs["a"], recs["b"], recs["c"])
	for q, w := range own {
		w.gets(e.wakeUp(h)+e.timing.Notice, recs[q].ID, "enqueued to queue "+q+" together with others")
	}
	// Several on one queue: whoever comes first.
	shared := make(chan string, 10)
	var workers []*idler
	for range 3 {
		w := e.idle(h, "shared")
		workers = append(workers, w)
		go func() {
			for {
				select {
				case c := <-w.got:
					shared <- c.Record.ID
				case <-w.done:
					return
				}
			}
		}()
	}
	defer func() {
		for _, w := range workers {
			w.stop()
		}
	}()
	e.pause(20 * time.Millisecond)
	for range 5 {
		rec := e.record(inQueue("shared"))
		e.enqueue(h, rec)
		e.step("waiting until one of three idle workers has record %s", rec.ID)
		timer := time.NewTimer(e.wakeUp(h) + e.timing.Notice)
		select {
		case id := <-shared:
			if id != rec.ID {
				e.Errorf("one of three idle workers got record %s, want %s", id, rec.ID)
			}
		case <-timer.C:
			e.Fatalf("none of three idle workers claimed record %s within %v", rec.ID, e.wakeUp(h)+e.timing.Notice)
		}
		timer.Stop()
	}
}

func waitOtherQueue(e *env) {
	h := e.connect()
	listed, excluding := e.idle(h, "a"), e.idleOn(h, tasks.Selection{Exclude: []string{"b", "a"}})
	defer listed.stop()
	defer excluding.stop()
	e.pause(20 * time.Millisecond)
	var noise []*tasks.Record
	for range 20 {
		rec := e.record(inQueue("b"))
		e.enqueue(h, rec)
		noise = append(noise, rec)
	}
	mine, other := e.record(inQueue("a")), e.record(inQueue("c"))
	e.enqueue(h, mine)
	listed.gets(e.wakeUp(h)+e.timing.Notice, mine.ID, "after traffic in another queue")
	e.enqueue(h, other)
	excluding.gets(e.wakeUp(h)+e.timing.Notice, other.ID, "after traffic in excluded queues")
	if got := e.claimAs(h, inQueues(100, "b")); len(got) != len(noise) {
		e.Errorf("%d of the %d records that nobody selects are left", len(got), len(noise))
	}
}
