package conformance

import (
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// soundWaiter ends the case if a native WaitResult returns records that aren't final,
// which would make Result.Wait ask again without end and without a pause. It leaves
// nothing to be claimed.
func (e *env) soundWaiter(h *handle) {
	e.Helper()
	waiter, ok := tasks.As[tasks.ResultWaiter](h.b)
	if !ok {
		return
	}
	rec := e.record(attempts(2))
	e.enqueue(h, rec)
	unmoved := func(status tasks.Status) {
		e.Helper()
		e.step("waiting for the result of a record that is %s", status)
		ctx, cancel := e.soon(20 * time.Millisecond)
		defer cancel()
		if got, err := waiter.WaitResult(ctx, rec.ID); err == nil {
			e.Fatalf("WaitResult of a record that stays %s: got %s, want it to wait", status, brief(got))
		}
	}
	unmoved(tasks.Ready)
	if h.s == nil {
		return
	}
	c := e.claimOne(h)
	unmoved(tasks.Running)
	e.settle(h, c, retry("again", 0))
	unmoved(tasks.Ready)
	e.settle(h, e.claimOne(h), success("1"))
}

func resultWaitNative(e *env) {
	h := e.connect()
	waiter, ok := tasks.As[tasks.ResultWaiter](h.b)
	if !ok {
		return
	}
	e.soundWaiter(h)
	rec := e.record(attempts(2))
	e.enqueue(h, rec)
	type answer struct {
		rec *tasks.Record
		err error
	}
	ended := make(chan answer, 1)
	go func() {
		rec, err := waiter.WaitResult(e.ctx, rec.ID)
		ended <- answer{rec, err}
	}()
	unmoved := func(after string) {
		e.Helper()
		e.pause(20 * time.Millisecond)
		select {
		case a := <-ended:
			e.Fatalf("WaitResult returned after %s: %s, error %v", after, brief(a.rec), a.err)
		default:
		}
	}
	unmoved("the enqueue")
	c := e.claimOne(h)
	unmoved("the claim")
	e.settle(h, c, retry("again", 0))
	unmoved("a retry")
	c = e.claimOne(h)
	unmoved("the second claim")
	e.settle(h, c, success("7"))
	e.step("waiting for WaitResult of a final record")
	select {
	case a := <-ended:
		e.must(a.err, "WaitResult of a record that became final")
		e.same("what WaitResult gave", a.rec, e.get(h, rec.ID))
	case <-e.ctx.Done():
		e.Fatalf("WaitResult didn't return for a record that became final")
	}
	for _, id := range []string{"", "nobody", "a\x00b"} {
		_, err := waiter.WaitResult(e.ctx, id)
		e.wantErr(err, tasks.ErrResultNotFound, "WaitResult of %q", id)
	}
}
