package tasks_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/tasks"
)

// resultIn returns the result of a record in that state, as a client sees it.
func resultIn(t *testing.T, change func(*tasks.Record)) *tasks.Result[string] {
	t.Helper()
	b := newSpy(allCaps)
	app, _ := newApp(t, b)
	rec := &tasks.Record{ID: "id-1", Alias: "default", Task: "t"}
	change(rec)
	b.result = func(context.Context, string) (*tasks.Record, error) { return rec, nil }
	res, err := tasks.Define(app, "t", echo).GetResult(t.Context(), "id-1")
	wantNil(t, "GetResult", err)
	return res
}

func TestR3_ReturnValue(t *testing.T) {
	last := tasks.AttemptError{Attempt: 2, Type: "*net.OpError", Message: "no route"}
	for name, tt := range map[string]struct {
		change func(*tasks.Record)
		target error
		part   string
	}{
		"ready":                {func(r *tasks.Record) { r.Status = tasks.Ready }, tasks.ErrNotFinished, "READY"},
		"running":              {func(r *tasks.Record) { r.Status = tasks.Running }, tasks.ErrNotFinished, "RUNNING"},
		"failed":               {func(r *tasks.Record) { r.Status, r.Errors = tasks.Failed, []tasks.AttemptError{{}, last} }, tasks.ErrTaskFailed, "*net.OpError: no route"},
		"failed without error": {func(r *tasks.Record) { r.Status = tasks.Failed }, tasks.ErrTaskFailed, ""},
		"cancelled":            {func(r *tasks.Record) { r.Status, r.CancelReason = tasks.Cancelled, "expired" }, tasks.ErrTaskCancelled, "expired"},
		"cancelled, no reason": {func(r *tasks.Record) { r.Status = tasks.Cancelled }, tasks.ErrTaskCancelled, ""},
		"another type":         {func(r *tasks.Record) { r.Status, r.Value = tasks.Successful, []byte(`{}`) }, nil, "decode as string"},
	} {
		t.Run(name, func(t *testing.T) {
			res := resultIn(t, tt.change)
			got, err := res.ReturnValue()
			if tt.target != nil {
				wantErr(t, "ReturnValue", err, tt.target, tt.part, `task "t" id "id-1" on backend "default"`)
			} else if err == nil {
				t.Error("ReturnValue: got no error, want one about the type")
			}
			equal(t, "value", got, "")
			if !res.Status.Final() {
				return
			}
			_, again := res.Wait(t.Context())
			if again == nil || again.Error() != err.Error() {
				t.Errorf("Wait: got error %v, want the same as ReturnValue, %v", again, err)
			}
		})
	}
	failed := resultIn(t, func(r *tasks.Record) { r.Status, r.Errors = tasks.Failed, []tasks.AttemptError{{}, last} })
	_, err := failed.ReturnValue()
	var attempt *tasks.AttemptError
	if !errors.As(err, &attempt) || *attempt != last {
		t.Errorf("ReturnValue: got error %v, want it to wrap %v", err, last)
	}
	good := resultIn(t, func(r *tasks.Record) { r.Status, r.Value = tasks.Successful, []byte(`"done"`) })
	got, err := good.ReturnValue()
	wantNil(t, "ReturnValue", err)
	equal(t, "value", got, "done")
}

// R2: a result changes by Refresh, and by nothing else.
func TestR2_AResultIsASnapshot(t *testing.T) {
	b := newStore()
	b.result = func(_ context.Context, id string) (*tasks.Record, error) {
		if rec := b.get(id); rec != nil {
			return rec, nil
		}
		return nil, tasks.ErrResultNotFound
	}
	app, _ := newApp(t, b)
	task := tasks.Define(app, "t", echo)
	b.put(&tasks.Record{ID: "id-1", Alias: "default", Task: "t", Status: tasks.Ready, EnqueuedAt: epoch})
	res, err := task.GetResult(t.Context(), "id-1")
	wantNil(t, "GetResult", err)
	later := epoch.Add(time.Second)
	b.put(&tasks.Record{
		ID: "id-1", Alias: "default", Task: "t", Status: tasks.Successful, EnqueuedAt: epoch, StartedAt: later,
		LastAttemptedAt: later, FinishedAt: later, WorkerIDs: []string{"w", "w"}, Errors: []tasks.AttemptError{{Attempt: 1}}, Value: []byte(`"v"`),
	})
	equal(t, "Status before Refresh", res.Status, tasks.Ready)
	_, err = res.ReturnValue()
	wantErr(t, "ReturnValue before Refresh", err, tasks.ErrNotFinished)
	wantNil(t, "Refresh", res.Refresh(t.Context()))
	equal(t, "Status", res.Status, tasks.Successful)
	equal(t, "Attempts", res.Attempts(), 2)
	equal(t, "Errors", len(res.Errors), 1)
	equal(t, "FinishedAt", res.FinishedAt, later)
	got, err := res.ReturnValue()
	wantNil(t, "ReturnValue", err)
	equal(t, "value", got, "v")

	delete(b.recs, "id-1")
	wantErr(t, "Refresh after deletion", res.Refresh(t.Context()), tasks.ErrResultNotFound, `"id-1"`)
	equal(t, "Status after a Refresh that failed", res.Status, tasks.Successful)
}

func TestR4_GetResult(t *testing.T) {
	app, _ := newApp(t, dummy.New())
	task := tasks.Define(app, "t", echo)
	other := tasks.Define(app, "other", echo)
	res, err := task.Using(tasks.Priority(5)).Enqueue(t.Context(), "x")
	wantNil(t, "Enqueue", err)
	for name, id := range map[string]string{"unknown": "0190", "empty": "", "malformed": "' OR 1=1\x00\xff", "long": string(make([]byte, 10_000))} {
		_, err := task.GetResult(t.Context(), id)
		wantErr(t, name, err, tasks.ErrResultNotFound, `task "t"`)
		_, err = app.GetResult(t.Context(), "default", id)
		wantErr(t, name, err, tasks.ErrResultNotFound)
	}
	_, err = other.GetResult(t.Context(), res.ID)
	wantErr(t, "another task's", err, tasks.ErrResultMismatch, `task "other"`, `"t"`)
	for name, same := range map[string]*tasks.Task[string, string]{"task": task, "variant": task.Using(tasks.Priority(-5)), "faulty variant": task.Using(tasks.Priority(500))} {
		got, err := same.GetResult(t.Context(), res.ID)
		wantNil(t, name, err)
		equal(t, name, got.ID, res.ID)
	}
	raw, err := app.GetResult(t.Context(), "default", res.ID)
	wantNil(t, "App.GetResult", err)
	equal(t, "raw Task", raw.Task, "t")
	_, err = app.GetResult(t.Context(), "nope", res.ID)
	wantErr(t, "unknown alias", err, tasks.ErrUnknownBackend, `"nope"`)
	_, err = task.Using(tasks.OnBackend("nope")).GetResult(t.Context(), res.ID)
	wantErr(t, "task on an unknown alias", err, tasks.ErrUnknownBackend, `"nope"`)
}

func TestR7_ResultsShareNothingWithTheStore(t *testing.T) {
	b := dummy.New()
	app, _ := newApp(t, b)
	task := tasks.Define(app, "t", echo, tasks.Metadata("k", "v"), tasks.Retain(time.Hour))
	res, err := task.Enqueue(t.Context(), "abc")
	wantNil(t, "Enqueue", err)
	other, err := task.GetResult(t.Context(), res.ID)
	wantNil(t, "GetResult", err)
	for _, r := range []*tasks.Result[string]{res, other} {
		r.Args[1], r.Metadata["k"], *r.Retain = 'X', "changed", 0
	}
	for what, rec := range map[string]*tasks.Record{"stored": b.Results()[0], "the next": &mustEnqueue(t, task, "abc").Record} {
		equal(t, what+" Args", string(rec.Args), `"abc"`)
		equal(t, what+" Metadata", rec.Metadata["k"], "v")
		equal(t, what+" Retain", *rec.Retain, time.Hour)
	}
}

func mustEnqueue[A, R any](t *testing.T, task *tasks.Task[A, R], arg A) *tasks.Result[R] {
	t.Helper()
	res, err := task.Enqueue(t.Context(), arg)
	if err != nil {
		t.Fatalf("Enqueue: %v", err)
	}
	return res
}

func TestR3_WaitPolls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newSpy(allCaps)
		app, _ := newApp(t, b)
		res := mustEnqueue(t, tasks.Define(app, "t", echo), "x")
		end := time.Now().Add(time.Minute)
		polls := 0
		b.result = func(context.Context, string) (*tasks.Record, error) {
			polls++
			rec := &tasks.Record{ID: res.ID, Task: "t", Status: tasks.Running}
			if !time.Now().Before(end) {
				rec.Status, rec.Value = tasks.Successful, []byte(`"done"`)
			}
			return rec, nil
		}
		got, err := res.Wait(t.Context())
		wantNil(t, "Wait", err)
		equal(t, "value", got, "done")
		equal(t, "Status", res.Status, tasks.Successful)
		if late := time.Since(end); late > time.Second {
			t.Errorf("Wait: returned %v late, want at most 1s", late)
		}
		if polls < 60 || polls > 80 {
			t.Errorf("polls in a minute: got %d, want 60 to 80", polls)
		}
	})
}

func TestR3_WaitEndsWithItsCtx(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, _ := newApp(t, dummy.New()) // where nothing ever becomes final
		res := mustEnqueue(t, tasks.Define(app, "t", echo), "x")
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		_, err := res.Wait(ctx)
		wantErr(t, "Wait", err, context.DeadlineExceeded, "wait for result", `"t"`)
		equal(t, "waited", time.Since(start), 3*time.Second)
		equal(t, "Status", res.Status, tasks.Ready)
	})
}

func TestR3_WaitOnWhatWasDeleted(t *testing.T) {
	b := dummy.New()
	app, _ := newApp(t, b)
	res := mustEnqueue(t, tasks.Define(app, "t", echo), "x")
	b.Clear()
	_, err := res.Wait(t.Context())
	wantErr(t, "Wait", err, tasks.ErrResultNotFound)
}

// waiter knows when a record becomes final.
type waiter struct {
	*spy

	wait func(ctx context.Context, id string) (*tasks.Record, error)
}

func (w *waiter) WaitResult(ctx context.Context, id string) (*tasks.Record, error) {
	return w.wait(ctx, id)
}

func TestR3_WaitAsksAResultWaiter(t *testing.T) {
	b := &waiter{spy: newSpy(allCaps)}
	app, _ := newApp(t, wrapper{b})
	res := mustEnqueue(t, tasks.Define(app, "t", echo), "x")
	b.Calls()
	b.wait = func(_ context.Context, id string) (*tasks.Record, error) {
		return &tasks.Record{ID: id, Task: "t", Status: tasks.Successful, Value: []byte(`"waited"`)}, nil
	}
	got, err := res.Wait(t.Context())
	wantNil(t, "Wait", err)
	equal(t, "value", got, "waited")
	equalSlices(t, "calls of the backend", b.Calls(), nil)

	res = mustEnqueue(t, tasks.Define(app, "u", echo), "x")
	b.wait = func(context.Context, string) (*tasks.Record, error) { return nil, tasks.ErrClosed }
	_, err = res.Wait(t.Context())
	wantErr(t, "Wait", err, tasks.ErrClosed, "wait for result")
}

func TestR1_Statuses(t *testing.T) {
	final := map[tasks.Status]bool{tasks.Successful: true, tasks.Failed: true, tasks.Cancelled: true}
	equal(t, "Statuses", len(tasks.Statuses()), 5)
	for _, s := range tasks.Statuses() {
		equal(t, string(s)+" is final", s.Final(), final[s])
		equal(t, string(s)+" is valid", s.Valid(), true)
	}
	equal(t, "an empty status is valid", tasks.Status("").Valid(), false)
	equal(t, "lower case is valid", tasks.Status("ready").Valid(), false)
}

func TestRecordClone(t *testing.T) {
	rec := &tasks.Record{
		Args: []byte("1"), Metadata: map[string]string{"k": "v"}, Retain: new(time.Hour), WorkerIDs: []string{"w"},
		Errors: []tasks.AttemptError{{Message: "m"}}, Value: []byte("2"),
	}
	c := rec.Clone()
	c.Args[0], c.Metadata["k"], *c.Retain, c.WorkerIDs[0], c.Errors[0].Message, c.Value[0] = 'X', "X", 0, "X", "X", 'X'
	if got := string(rec.Args) + rec.Metadata["k"] + rec.Retain.String() + rec.WorkerIDs[0] + rec.Errors[0].Message + string(rec.Value); got != "1v1h0m0swm2" {
		t.Errorf("the original after the copy was changed: got %q, want 1v1h0m0swm2", got)
	}
	if last := rec.LastError(); last == &rec.Errors[0] || last.Error() != "m" {
		t.Errorf("LastError: got %v, want a copy that says m", last)
	}
	equal(t, "LastError of none", (&tasks.Record{}).LastError() == nil, true)
}

func TestRecordDueAt(t *testing.T) {
	for name, tt := range map[string]struct{ runAfter, want time.Time }{
		"unset":   {time.Time{}, epoch},
		"earlier": {epoch.Add(-1), epoch},
		"later":   {epoch.Add(1), epoch.Add(1)},
	} {
		rec := tasks.Record{EnqueuedAt: epoch, RunAfter: tt.runAfter}
		equal(t, name, rec.DueAt(), tt.want)
	}
}

// hasty is a waiter that returns at once, final or not.
type hasty struct{ *spy }

func (h hasty) WaitResult(ctx context.Context, id string) (*tasks.Record, error) {
	return h.GetResult(ctx, id)
}

// R3: a ResultWaiter that returns too early makes Wait poll, not spin.
func TestR3_WaitDoesNotTrustAHastyWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, _ := newApp(t, hasty{newSpy(allCaps)})
		res := mustEnqueue(t, tasks.Define(app, "t", func(context.Context, int) (int, error) { return 0, nil }), 1)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := res.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want the deadline's error", err)
		}
	})
}

// CAP2: what a backend doesn't declare isn't used, also if it is there.
func TestCAP2_WaiterWithoutResults(t *testing.T) {
	app, _ := newApp(t, hasty{newSpy(allCaps &^ tasks.CapResults)})
	res := mustEnqueue(t, tasks.Define(app, "t", func(context.Context, int) (int, error) { return 0, nil }), 1)
	if _, err := res.Wait(t.Context()); !errors.Is(err, tasks.ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}
