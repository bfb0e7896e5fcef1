package conformance

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func settleKindCases() []Case {
	return []Case{
		{
			Name: "Settle/Success", Clauses: []string{"W8", "R1"}, Needs: workerCaps,
			What: "a success must make the record SUCCESSFUL with exactly its value, on the last attempt too",
			run: func(e *env) {
				e.kinds([]int{1, 2}, success(`{"b":1,"a":[ 9007199254740993, 1.0, 1e2 ],"a":"\u00e9é\/"}`), success(`"`+strings.Repeat("x", 100_000)+`"`))
			},
		},
		{
			Name: "Settle/NullValue", Clauses: []string{"W8"}, Needs: workerCaps,
			What: "a success without a value must store null",
			run: func(e *env) {
				h := e.connect()
				for _, value := range []json.RawMessage{nil, {}, json.RawMessage("null")} {
					c := e.claimedNow(h)
					if got := e.settlesAs(h, c, tasks.Outcome{Kind: tasks.OutcomeSuccess, Value: value}); string(got.Value) != "null" {
						e.Errorf("value %q reads back as %q, want null", value, got.Value)
					}
				}
			},
		},
		{
			Name: "Settle/Failure", Clauses: []string{"W8", "R6"}, Needs: workerCaps,
			What: "a failure must record its error and make the record FAILED, even with attempts left",
			run: func(e *env) {
				e.kinds([]int{1, 3}, failure("it broke"), tasks.Outcome{Kind: tasks.OutcomeFailure},
					tasks.Outcome{Kind: tasks.OutcomeFailure, Delay: far, Reason: "unused", Value: json.RawMessage(`1`), Error: &tasks.AttemptError{Type: "t"}})
			},
		},
		{
			Name: "Settle/ErrorText", Clauses: []string{"R6"}, Needs: workerCaps,
			What: "type, message and stack of an error must be kept byte for byte",
			run: func(e *env) {
				h := e.connect()
				for _, text := range []string{"", "a\nb\tc\r\n", `quo"te' \ %s $1 {}`, "é ü 漢字 🐙 \u2028", " spaces ", "null", long(8 << 10)} {
					c := e.claimedNow(h)
					out := tasks.Outcome{Kind: tasks.OutcomeFailure, Error: &tasks.AttemptError{Type: "*x." + text, Message: text, Stack: text + text}}
					e.settlesAs(h, c, out)
				}
			},
		},
		{
			Name: "Settle/Retry", Clauses: []string{"W8", "T2", "R6"}, Needs: workerCaps,
			What: "a retry with attempts left must record its error and make the record READY, due after the delay",
			run: func(e *env) {
				e.kinds([]int{2, 5}, retry("again", far), retry("again", 100*365*24*far), tasks.Outcome{Kind: tasks.OutcomeRetry, Delay: 2 * far})
			},
		},
		{
			Name: "Settle/RetryUsedUp", Clauses: []string{"W8", "T1"}, Needs: workerCaps,
			What: "a retry on the last attempt must record its error and make the record FAILED",
			run:  func(e *env) { e.kinds([]int{1}, retry("again", far), retry("again", 0)) },
		},
		{
			Name: "Settle/Snooze", Clauses: []string{"W8"}, Needs: workerCaps,
			What: "a snooze must make the record READY, due after the delay, without the attempt, on the last one too",
			run:  func(e *env) { e.kinds([]int{1, 2}, snoozed(far), snoozed(30*24*far)) },
		},
		{
			Name: "Settle/Release", Clauses: []string{"W8"}, Needs: workerCaps,
			What: "a release must make the record READY as it was, without the attempt, or due after its delay",
			run: func(e *env) {
				h := e.kinds([]int{1, 2}, released(0), released(-far), released(far))
				if !h.caps.Has(tasks.CapDefer) {
					return
				}
				rec := e.record(runAfter(longAgo), inQueue("past"))
				e.enqueue(h, rec)
				was := e.get(h, rec.ID)
				e.settle(h, e.claimFrom(h, "past"), released(0))
				e.same("released at once", e.get(h, rec.ID), was)
			},
		},
		{
			Name: "Settle/Cancel", Clauses: []string{"W8", "R1"}, Needs: workerCaps,
			What: "a cancel must make the record CANCELLED with its reason, and record its error if there is one",
			run: func(e *env) {
				withError := givenUp("the user is gone: é")
				withError.Error = &tasks.AttemptError{Type: "t", Message: "m"}
				e.kinds([]int{1, 2}, givenUp("enough"), givenUp(""), withError)
			},
		},
		{
			Name: "Settle/NegativeDelay", Clauses: []string{"W8"}, Needs: workerCaps,
			What: "a negative delay must count as none",
			run: func(e *env) {
				h := e.connect()
				for _, out := range []tasks.Outcome{retry("again", -far), snoozed(-far), released(-far), retry("again", -1<<63), snoozed(-1 << 63)} {
					c := e.claimedNow(h, attempts(2))
					e.settlesAs(h, c, out)
					again := e.claimOne(h)
					if again.Record.ID != c.Record.ID {
						e.Errorf("after %s with a delay of %v the claim gave %s, want %s", out.Kind, out.Delay, again.Record.ID, c.Record.ID)
					}
					e.settle(h, again, success(`1`))
				}
			},
		},
		{
			Name: "Settle/DelayedKinds", Clauses: []string{"W2", "W8", "T2"}, Needs: workerCaps,
			What: "a retried, snoozed or released record must not be claimable before its delay has passed, and then be so",
			run: func(e *env) {
				h := e.connect()
				e.watchMachine(h)
				const delay = 120 * time.Millisecond
				var cs []tasks.Claimed
				for range 3 {
					cs = append(cs, e.claimedNow(h, attempts(2)))
				}
				e.settleEach(h, with(cs[0].Lease, retry("again", delay)), with(cs[1].Lease, snoozed(delay)), with(cs[2].Lease, released(delay)))
				due := make(map[string]time.Time)
				for _, c := range cs {
					due[c.Record.ID] = e.get(h, c.Record.ID).RunAfter
				}
				e.eventually(delay+2*e.timing.Notice, "all three are claimed again", func() bool {
					for _, c := range e.claim(h, 5) {
						e.inTime("record "+c.Record.ID+" was claimed", c.Record.LastAttemptedAt.Sub(due[c.Record.ID]), e.timing.Late)
						delete(due, c.Record.ID)
					}
					return len(due) == 0
				})
			},
		},
	}
}

// kinds settles each outcome on the first attempt of records with so many in all,
// and on a second one after a failed first.
func (e *env) kinds(most []int, outs ...tasks.Outcome) *handle {
	e.Helper()
	h := e.connect()
	for _, out := range outs {
		for _, n := range most {
			c := e.claimedNow(h, attempts(n), inQueue("first"))
			e.settlesAs(h, c, out)
			e.aside(h, c.Record.ID)

			c = e.claimedNow(h, attempts(n+1), inQueue("second"))
			e.settlesAs(h, c, retry("the first attempt", 0))
			e.pause(time.Millisecond)
			c = e.claimFrom(h, "second")
			e.pause(time.Millisecond)
			e.settlesAs(h, c, out)
			e.aside(h, c.Record.ID)
		}
	}
	return h
}

// aside gets a record out of the way of the next claim, if it is due.
func (e *env) aside(h *handle, id string) {
	e.Helper()
	rec := e.get(h, id)
	if rec.Status != tasks.Ready || rec.RunAfter.After(rec.EnqueuedAt.Add(far/2)) {
		return
	}
	e.settle(h, e.claimFrom(h, rec.Queue), success(`1`))
}
