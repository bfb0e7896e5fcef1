package conformance

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func resultCases() []Case {
	return slices.Concat([]Case{
		{
			Name: "Result/UnknownIds", Clauses: []string{"R4"}, Needs: tasks.CapResults,
			What: "any id that isn't stored, however malformed, must give ErrResultNotFound and never a driver's error",
			run:  resultUnknownIDs,
		},
		{
			Name: "Result/Mismatch", Clauses: []string{"R4"}, Needs: tasks.CapResults,
			What: "a task must refuse another task's record as ErrResultMismatch, and take a Using variant's as its own",
			run:  resultMismatch,
		},
		{
			Name: "Result/Snapshot", Clauses: []string{"R2", "R7"}, Needs: tasks.CapResults | tasks.CapWorker,
			What: "a result must stay as it was until Refresh, which brings everything up to date",
			run:  resultSnapshot,
		},
		{
			Name: "Result/Deleted", Clauses: []string{"R2"}, Needs: tasks.CapResults | tasks.CapInspect,
			What: "Refresh of a record deleted since must give ErrResultNotFound and leave the result as it was",
			run: func(e *env) {
				h := e.connect()
				task := echo[int](h, "gone")
				res, err := task.Enqueue(e.ctx, 1)
				e.must(err, "enqueue")
				before := res.Clone()
				admin, err := h.app.Admin(tasks.DefaultAlias)
				e.must(err, "Admin")
				e.must(admin.Delete(e.ctx, res.ID), "delete")
				e.wantErr(res.Refresh(e.ctx), tasks.ErrResultNotFound, "Refresh of a deleted record")
				e.same("the result of a deleted record", &res.Record, before)
				_, err = task.GetResult(e.ctx, res.ID)
				e.wantErr(err, tasks.ErrResultNotFound, "GetResult of a deleted record")
				_, err = res.Wait(e.ctx)
				e.wantErr(err, tasks.ErrResultNotFound, "Wait for a deleted record")
			},
		},
		{
			Name: "Result/ContextOver", Clauses: []string{"E4"}, Needs: tasks.CapResults,
			What: "reading with a ctx that is over must give ctx's error, not ErrResultNotFound or a stale answer",
			run: func(e *env) {
				h := e.connect()
				rec := e.record()
				e.enqueue(h, rec)
				ctx, cancel := e.soon(time.Minute)
				cancel()
				for what, id := range map[string]string{"a stored id": rec.ID, "an unknown id": "nobody"} {
					_, err := h.b.GetResult(ctx, id)
					e.wantErr(err, ctx.Err(), "Backend.GetResult of %s with a ctx that is over", what)
					_, err = h.app.GetResult(ctx, tasks.DefaultAlias, id)
					e.wantErr(err, ctx.Err(), "App.GetResult of %s with a ctx that is over", what)
				}
			},
		},
		{
			Name: "Result/Successful", Clauses: []string{"R3", "V6"}, Needs: tasks.CapResults | tasks.CapWorker,
			What: "a SUCCESSFUL record's value must come back in the task's type, and byte for byte below it",
			run:  resultSuccessful,
		},
		{
			Name: "Result/Failed", Clauses: []string{"R3", "R6"}, Needs: tasks.CapResults | tasks.CapWorker,
			What: "a FAILED record must give ErrTaskFailed, wrapping the last recorded error, with all of it",
			run:  resultFailed,
		},
		{
			Name: "Result/Cancelled", Clauses: []string{"R3"}, Needs: tasks.CapResults | tasks.CapWorker,
			What: "a CANCELLED record must give ErrTaskCancelled and keep the reason",
			run: func(e *env) {
				h := e.connect()
				res, err := echo[int](h, "cancelled").Enqueue(e.ctx, 1)
				e.must(err, "enqueue")
				c := e.claimOne(h)
				e.settle(h, c, tasks.Outcome{Kind: tasks.OutcomeCancel, Reason: "not today: \"ü\""})
				value, err := res.Wait(e.ctx)
				e.wantErr(err, tasks.ErrTaskCancelled, "the return value of a CANCELLED record, %d", value)
				if res.Status != tasks.Cancelled || res.CancelReason != "not today: \"ü\"" || len(res.Value) > 0 {
					e.Errorf("got %s, reason %q, value %s", res.Status, res.CancelReason, res.Value)
				}
			},
		},
		{
			Name: "Result/NotFinished", Clauses: []string{"R1", "R3"}, Needs: tasks.CapResults | tasks.CapWorker,
			What: "the value of a record that is READY, RUNNING or waiting for its next attempt must be ErrNotFinished",
			run: func(e *env) {
				h := e.connect()
				task := echo[int](h, "unfinished", tasks.MaxAttempts(3))
				res, err := task.Enqueue(e.ctx, 1)
				e.must(err, "enqueue")
				want := func(status tasks.Status, errs int) {
					e.Helper()
					e.must(res.Refresh(e.ctx), "refresh")
					_, err := res.ReturnValue()
					e.wantErr(err, tasks.ErrNotFinished, "the return value of a record that is %s", res.Status)
					if res.Status != status || len(res.Errors) != errs || !res.FinishedAt.IsZero() || len(res.Value) > 0 {
						e.Errorf("got %s with %d errors, finished at %v, value %q; want %s, %d, unset, none",
							res.Status, len(res.Errors), res.FinishedAt, res.Value, status, errs)
					}
				}
				want(tasks.Ready, 0)
				c := e.claimOne(h)
				want(tasks.Running, 0)
				e.settle(h, c, retry("later", 0))
				want(tasks.Ready, 1)
			},
		},
		{
			Name: "Result/Story", Clauses: []string{"R5", "R6"}, Needs: tasks.CapResults | tasks.CapWorker,
			What: "attempts, workers, errors and times of a record with several attempts must tell its story in order",
			run:  resultStory,
		},
	}, resultWaitCases())
}

func resultUnknownIDs(e *env) {
	h := e.connect()
	rec := e.record()
	e.enqueue(h, rec)
	task := echo[int](h, "any")
	for _, id := range []string{
		"", " ", "x", "0", "nobody", rec.ID + "0", rec.ID[:len(rec.ID)-1], strings.ToUpper(rec.ID), rec.ID + " ", " " + rec.ID, rec.ID + "\x00",
		"{" + rec.ID + "}", strings.ReplaceAll(rec.ID, "-", ""), "00000000-0000-0000-0000-000000000000",
		"\x00", "a\x00b", "\xff", "\xed\xa0\x80", "%", "*", "' OR '1'='1", "../../etc/passwd", "\n", "\r\n", "😀",
		strings.Repeat("x", tasks.MaxID), strings.Repeat("x", tasks.MaxID+1), strings.Repeat("x", 100_000), strings.Repeat("\x00", 1000),
	} {
		if id == rec.ID { // an id without letters has no upper case
			continue
		}
		show := id[:min(len(id), 40)]
		if got, err := h.b.GetResult(e.ctx, id); !errors.Is(err, tasks.ErrResultNotFound) || got != nil {
			e.Errorf("Backend.GetResult of %q (%d bytes): got %s, error %v; want ErrResultNotFound", show, len(id), brief(got), err)
		}
		_, err := h.app.GetResult(e.ctx, tasks.DefaultAlias, id)
		e.wantErr(err, tasks.ErrResultNotFound, "App.GetResult of %q (%d bytes)", show, len(id))
		_, err = task.GetResult(e.ctx, id)
		e.wantErr(err, tasks.ErrResultNotFound, "Task.GetResult of %q (%d bytes)", show, len(id))
	}
	e.get(h, rec.ID) // the connection still works
	_, err := h.app.GetResult(e.ctx, "elsewhere", rec.ID)
	e.wantErr(err, tasks.ErrUnknownBackend, "App.GetResult from an alias that isn't there")
}

func resultMismatch(e *env) {
	h := e.connect()
	mine, other := echo[int](h, "mine"), echo[int](h, "other")
	res, err := mine.Using(tasks.Queue("mail")).Enqueue(e.ctx, 1)
	e.must(err, "enqueue")
	got, err := other.GetResult(e.ctx, res.ID)
	e.wantErr(err, tasks.ErrResultMismatch, "another task's GetResult")
	if got != nil {
		e.Errorf("another task's GetResult gives a result as well as an error")
	}
	for what, task := range map[string]*tasks.Task[int, int]{"its own": mine, "a variant's": mine.Using(tasks.MaxAttempts(7))} {
		got, err := task.GetResult(e.ctx, res.ID)
		e.must(err, "%s GetResult", what)
		e.same(what+" GetResult", &got.Record, &res.Record)
	}
}

func resultSnapshot(e *env) {
	h := e.connect()
	task := echo[int](h, "watched")
	res, err := task.Enqueue(e.ctx, 1)
	e.must(err, "enqueue")
	other, err := task.GetResult(e.ctx, res.ID)
	e.must(err, "get result")
	before := res.Clone()
	c := e.claimOne(h)
	e.settle(h, c, success("7"))
	e.same("Enqueue's result before Refresh", &res.Record, before)
	e.same("GetResult's result before Refresh", &other.Record, before)
	if _, err := res.ReturnValue(); !errors.Is(err, tasks.ErrNotFinished) {
		e.Errorf("the return value before Refresh gives error %v, want ErrNotFinished", err)
	}
	e.must(res.Refresh(e.ctx), "refresh")
	e.same("the result after Refresh", &res.Record, e.get(h, res.ID))
	e.same("the other result after the first one's Refresh", &other.Record, before)
	if value, err := res.ReturnValue(); value != 7 || err != nil {
		e.Errorf("the return value after Refresh is %d, error %v; want 7", value, err)
	}
	if res.Attempts() != 1 || res.StartedAt.IsZero() || res.FinishedAt.IsZero() || res.Status != tasks.Successful {
		e.Errorf("after Refresh: %s, %d attempts, started at %v, finished at %v", res.Status, res.Attempts(), res.StartedAt, res.FinishedAt)
	}
	scribble(&res.Record)
	res.WorkerIDs[0], res.Value[0] = "scribbled", 'X'
	if got := e.get(h, res.ID); got.WorkerIDs[0] == "scribbled" || string(got.Value) != "7" || got.Status != tasks.Successful {
		e.Errorf("changing a result changed what is stored: %s, %v, %s", got.Status, got.WorkerIDs, got.Value)
	}
}

func resultSuccessful(e *env) {
	type deep struct {
		N    int64
		Text string
		List []string
		Map  map[string]any
		Ptr  *int
	}
	h := e.connect()
	task := echo[deep](h, "typed")
	want := deep{N: 1<<62 + 1, Text: "ü\u0000<&>\u2028😀", List: []string{}, Map: map[string]any{"a": nil}, Ptr: new(int)}
	res, err := task.Enqueue(e.ctx, want)
	e.must(err, "enqueue")
	e.runAll(h)
	got, err := res.Wait(e.ctx)
	e.must(err, "wait")
	if got.N != want.N || got.Text != want.Text || got.List == nil || len(got.Map) != 1 || got.Ptr == nil {
		e.Errorf("the value is %+v, want %+v", got, want)
	}
	// Below the types: exactly the bytes that were settled.
	for _, value := range []string{
		"null", "0", "1.0", "1e400", `" "`, ` { "b" : 1, "a" : [ ] } `, `{"a":1,"a":2}`, `"\u0000\ud800"`, "12345678901234567890123",
		`"` + strings.Repeat("v", tasks.DefaultMaxArgs-2) + `"`,
	} {
		e.enqueue(h, e.record())
		c := e.claimOne(h)
		e.settle(h, c, success(value))
		rec := e.get(h, c.Record.ID)
		if string(rec.Value) != value || rec.Status != tasks.Successful {
			e.Errorf("settled with %.60s, the record is %s with value %.60s", value, rec.Status, rec.Value)
		}
	}
	e.enqueue(h, e.record())
	c := e.claimOne(h)
	e.settle(h, c, success(""))
	if rec := e.get(h, c.Record.ID); string(rec.Value) != "null" {
		e.Errorf("settled without a value, the record has the value %q, want null", rec.Value)
	}
}

func resultFailed(e *env) {
	h := e.connect()
	res, err := echo[int](h, "failing", tasks.MaxAttempts(2)).Enqueue(e.ctx, 1)
	e.must(err, "enqueue")
	e.settle(h, e.claimOne(h), retry("the first", 0))
	last := tasks.AttemptError{Type: "*fs.PathError", Message: "open /x: 'ü' \"😀\"\n\tno", Stack: "goroutine 1:\n\tmain.go:1"}
	e.settle(h, e.claimOne(h), tasks.Outcome{Kind: tasks.OutcomeFailure, Error: &last})
	_, err = res.Wait(e.ctx)
	e.wantErr(err, tasks.ErrTaskFailed, "the return value of a FAILED record")
	var got *tasks.AttemptError
	if !errors.As(err, &got) {
		e.Fatalf("the error %v wraps no *AttemptError", err)
	}
	if got.Type != last.Type || got.Message != last.Message || got.Stack != last.Stack || got.Attempt != 2 || got.Worker != "worker-1" {
		e.Errorf("the last error is %+v, want %+v of attempt 2 by worker-1", *got, last)
	}
	if len(res.Errors) != 2 || res.Errors[0].Message != "the first" {
		e.Errorf("the errors are %+v, want two, the first of them first", res.Errors)
	}
	if res.Status != tasks.Failed || len(res.Value) > 0 {
		e.Errorf("the record is %s with value %s", res.Status, res.Value)
	}
}
