package conformance

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func hostileSettleCases() []Case {
	return []Case{
		{
			Name: "Hostile/Values", Clauses: []string{"F2", "W8"}, Needs: inspecting,
			What: "a value with hostile bytes must be stored exactly or refused alone, with its neighbours in the batch settled",
			run: func(e *env) {
				hostileSettle(e, func(text string) tasks.Outcome {
					return tasks.Outcome{Kind: tasks.OutcomeSuccess, Value: json.RawMessage(text)}
				}, func(rec *tasks.Record) string { return string(rec.Value) })
			},
		},
		{
			Name: "Hostile/ErrorMessages", Clauses: []string{"F2", "W8", "R6"}, Needs: inspecting,
			What: "an error whose message has hostile bytes must not wedge its batch, nor its own record",
			run: func(e *env) {
				hostileSettle(e, func(text string) tasks.Outcome { return failure(text) },
					func(rec *tasks.Record) string { return lastError(rec).Message })
			},
		},
		{
			Name: "Hostile/Stacks", Clauses: []string{"F2", "W8", "R6"}, Needs: inspecting,
			What: "the same of an error's stack, in an attempt that is tried again",
			run: func(e *env) {
				hostileSettle(e, func(text string) tasks.Outcome {
					return tasks.Outcome{Kind: tasks.OutcomeRetry, Delay: time.Hour, Error: &tasks.AttemptError{Type: "panic", Message: "m", Stack: text}}
				}, func(rec *tasks.Record) string { return lastError(rec).Stack })
			},
		},
		{
			Name: "Hostile/ErrorTypes", Clauses: []string{"F2", "W8", "R6"}, Needs: inspecting,
			What: "the same of an error's type",
			run: func(e *env) {
				hostileSettle(e, func(text string) tasks.Outcome {
					return tasks.Outcome{Kind: tasks.OutcomeFailure, Error: &tasks.AttemptError{Type: text, Message: "m"}}
				}, func(rec *tasks.Record) string { return lastError(rec).Type })
			},
		},
		{
			Name: "Hostile/Reasons", Clauses: []string{"F2", "W8", "T4"}, Needs: inspecting,
			What: "the same of the reason of a cancellation",
			run: func(e *env) {
				hostileSettle(e, func(text string) tasks.Outcome { return tasks.Outcome{Kind: tasks.OutcomeCancel, Reason: text} },
					func(rec *tasks.Record) string { return rec.CancelReason })
			},
		},
		{
			Name: "Hostile/Workers", Clauses: []string{"F2", "R6"}, Needs: inspecting,
			What: "a claim or heartbeat by a worker with a hostile id must be refused whole or be stored exactly",
			run:  hostileWorkers,
		},
		{
			Name: "Hostile/OddOutcomes", Clauses: []string{"W8"}, Needs: inspecting,
			What: "an outcome of an unknown kind, or a failure without an error, must not harm its batch",
			run: func(e *env) {
				h := e.connect()
				e.enqueue(h, e.records(4)...)
				cs := e.exactly(h, inQueues(4, "*"))
				errs := e.settleAll(h, with(cs[0].Lease, success("1")), with(cs[1].Lease, tasks.Outcome{Kind: "nonsense"}),
					with(cs[2].Lease, tasks.Outcome{Kind: tasks.OutcomeFailure}), with(cs[3].Lease, tasks.Outcome{Kind: tasks.OutcomeSuccess}))
				if errs[1] == nil || errors.Is(errs[1], tasks.ErrLeaseLost) {
					e.Errorf("outcome of an unknown kind: got %v, want an error of its own", errs[1])
				}
				for _, i := range []int{0, 2, 3} {
					e.must(errs[i], "outcome %d beside one of an unknown kind", i)
				}
				e.status(h, "outcome of an unknown kind", cs[1].Record.ID, tasks.Running)
				e.settle(h, cs[1], failure("known"))
				if got := e.status(h, "failure without an error", cs[2].Record.ID, tasks.Failed); len(got.Errors) != 1 || got.Errors[0].Attempt != 1 {
					e.Errorf("failure without an error: got errors %+v, want one of attempt 1", got.Errors)
				}
				if got := e.status(h, "success without a value", cs[3].Record.ID, tasks.Successful); string(got.Value) != "null" {
					e.Errorf("success without a value: got %q, want null", got.Value)
				}
			},
		},
		{
			Name: "Hostile/Unknown", Clauses: []string{"W11"}, Needs: inspecting,
			What: "records of a task that nobody knows must not keep those behind them from being claimed",
			run: func(e *env) {
				h := e.connect()
				e.enqueue(h, e.records(20, named("nobody's"), attempts(3))...)
				good := e.record(named("good"))
				e.enqueue(h, good)
				seen := false
				for range 5 {
					for _, c := range e.claim(h, 7) {
						if c.Record.ID == good.ID {
							seen = true
							e.settle(h, c, success("1"))
							continue
						}
						e.settle(h, c, released(time.Hour)) // as a worker does that doesn't know the task
					}
				}
				if !seen {
					e.Errorf("the record behind 20 of an unknown task was not claimed")
				}
				for _, rec := range e.list(h, tasks.Filter{Tasks: []string{"nobody's"}}) {
					if rec.Status != tasks.Ready || rec.Attempts() != 0 {
						e.Errorf("record of an unknown task is %s with %d attempts, want READY with none", rec.Status, rec.Attempts())
					}
				}
			},
		},
	}
}

func lastError(rec *tasks.Record) tasks.AttemptError {
	if last := rec.LastError(); last != nil {
		return *last
	}
	return tasks.AttemptError{}
}

// hostileSettle settles an outcome with hostile bytes between good ones.
func hostileSettle(e *env, outcome func(text string) tasks.Outcome, read func(*tasks.Record) string) {
	h := e.connect()
	for what, text := range hostileTexts() {
		e.enqueue(h, e.records(3)...)
		cs := e.exactly(h, inQueues(3, "*"))
		bad := outcome(text)
		errs := e.settleAll(h, with(cs[0].Lease, success("1")), with(cs[1].Lease, bad), with(cs[2].Lease, failure("no")))
		if errs[0] != nil || errs[2] != nil {
			e.Errorf("%s: its neighbours in the batch got errors %v and %v, want nil", what, errs[0], errs[2])
		}
		e.status(h, "neighbour of "+what, cs[0].Record.ID, tasks.Successful)
		e.status(h, "neighbour of "+what, cs[2].Record.ID, tasks.Failed)
		rec := e.get(h, cs[1].Record.ID)
		switch {
		case errs[1] == nil && rec.Status == tasks.Running:
			e.Errorf("%s: settled without an error, and the record is RUNNING still", what)
		case errs[1] == nil && read(rec) != text:
			e.Errorf("%s: settled without an error, and got %.40q (%d bytes), want %.40q (%d bytes)", what, read(rec), len(read(rec)), text, len(text))
		case errs[1] != nil && (errors.Is(errs[1], tasks.ErrLeaseLost) || rec.Status != tasks.Running):
			e.Errorf("%s: refused with %.200v, and the record is %s; want another error, and RUNNING", what, errs[1], rec.Status)
		case errs[1] != nil:
			e.settle(h, cs[1], failure("what it returned can't be stored"))
		}
	}
}

func hostileWorkers(e *env) {
	h := e.connect()
	texts := hostileTexts()
	texts["8 MiB"] = strings.Repeat("w", 1<<20) // as long as arguments may be is long enough
	for what, text := range texts {
		e.enqueue(h, e.record())
		e.step("claiming as a worker with %s in its id", what)
		got, err := h.s.Claim(e.ctx, tasks.ClaimRequest{Selection: all, Worker: text, Limit: 1, Lease: time.Minute})
		e.hold(got)
		switch {
		case err != nil && len(got) > 0:
			e.Errorf("claim as a worker with %s in its id: got %d records and the error %.200v", what, len(got), err)
		case err != nil:
			got = e.exactly(h, inQueues(1, "*")) // it was left READY
		case len(got) != 1:
			e.Fatalf("claim as a worker with %s in its id: got %d records, want 1", what, len(got))
		default:
			if ids := e.get(h, got[0].Record.ID).WorkerIDs; len(ids) != 1 || ids[0] != text {
				e.Errorf("claim as a worker with %s in its id: stored %.80q", what, ids)
			}
		}
		e.settle(h, got[0], success("1"))
		e.step("heartbeat of a worker with %s in its id", what)
		if err := h.s.Heartbeat(e.ctx, tasks.WorkerInfo{ID: text, Host: text, Interval: time.Minute}); err == nil {
			if w, there := e.workers(h)[text]; !there || w.Host != text {
				e.Errorf("heartbeat of a worker with %s in its id was taken, and isn't stored exactly", what)
			}
		}
	}
	e.beat(h, tasks.WorkerInfo{ID: "good", Interval: time.Minute})
	if _, there := e.workers(h)["good"]; !there {
		e.Errorf("after hostile heartbeats a good one isn't listed")
	}
}
