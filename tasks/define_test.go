package tasks_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/tasks"
)

func TestV1_EveryFaultOfTheDefinitionsIsReportedTogether(t *testing.T) {
	app := tasks.NewApp()
	tasks.Define(app, "good", echo)
	tasks.Define(app, "", echo)
	tasks.Define(app, "good", echo)
	tasks.Define[string, string](app, "nil function", nil)
	tasks.Define(app, "loud", echo, tasks.Priority(101), tasks.MaxAttempts(0), tasks.Queue(""))
	tasks.Define(app, "timed", echo, tasks.RunIn(time.Second))
	tasks.Define(app, "nil option", echo, nil)
	err := app.Validate()
	wantErr(t, "Validate", err, tasks.ErrInvalidTask,
		`name is empty`, `define task "good": tasks: invalid task: the name is defined already`,
		`"nil function": tasks: invalid task: nil function`,
		"priority is 101", "max attempts is 0", "queue: name is empty", "run_after is for Using", "nil option")
	wantErr(t, "Open", app.Open(t.Context(), nil, nil), tasks.ErrInvalidTask, "name is empty", "priority is 101", "no backend is configured")
}

func TestV1_EnqueueOfAFaultyTaskGivesItsOwnFaults(t *testing.T) {
	b := newSpy(allCaps)
	app, _ := newApp(t, b)
	tasks.Define(app, "other", echo, tasks.Priority(500))
	first := tasks.Define(app, "twice", echo)
	for _, bad := range []*tasks.Task[string, string]{
		tasks.Define(app, "twice", echo),
		tasks.Define[string, string](app, "nil", nil),
		tasks.Define(app, "", echo),
		tasks.Define(app, "loud", echo, tasks.Priority(-101)),
		tasks.Define[string, string](nil, "homeless", echo),
	} {
		_, err := bad.Enqueue(t.Context(), "x")
		wantErr(t, "Enqueue of "+bad.Name(), err, tasks.ErrInvalidTask)
		wantErr(t, "Err of "+bad.Name(), bad.Err(), tasks.ErrInvalidTask)
		if err != nil && strings.Contains(err.Error(), "500") {
			t.Errorf("Enqueue of %q: got %v, want nothing about other tasks", bad.Name(), err)
		}
		_, err = bad.AEnqueue(t.Context(), "x").Wait(t.Context())
		wantErr(t, "AEnqueue of "+bad.Name(), err, tasks.ErrInvalidTask)
		_, err = app.EnqueueMany(t.Context(), first.With("a"), bad.With("x"))
		wantErr(t, "EnqueueMany with "+bad.Name(), err, tasks.ErrInvalidTask)
		wantErr(t, "Using of "+bad.Name(), bad.Using(tasks.Priority(1)).Err(), tasks.ErrInvalidTask)
	}
	equalSlices(t, "calls of the backend", b.Calls(), nil)
	_, err := first.Enqueue(t.Context(), "x")
	wantNil(t, "Enqueue of the first of two with one name", err)
}

func TestV1_ATaskWithoutAppHasNoResults(t *testing.T) {
	_, err := tasks.Define[string, string](nil, "homeless", echo).GetResult(t.Context(), "x")
	wantErr(t, "GetResult", err, tasks.ErrInvalidTask, "nil app")
}

func TestV2_Defaults(t *testing.T) {
	app, _ := newApp(t, dummy.New())
	res, err := tasks.Define(app, "t", echo).Enqueue(t.Context(), "x")
	wantNil(t, "Enqueue", err)
	equal(t, "Queue", res.Queue, "default")
	equal(t, "Alias", res.Alias, "default")
	equal(t, "Priority", res.Priority, 0)
	equal(t, "MaxAttempts", res.MaxAttempts, 1)
	equal(t, "RunAfter", res.RunAfter, time.Time{})
	equal(t, "ExpiresAt", res.ExpiresAt, time.Time{})
	equal(t, "Timeout", res.Timeout, 0)
	equal(t, "Retain is unset", res.Retain == nil, true)
	equal(t, "Status", res.Status, tasks.Ready)
}

// A definition that asks too much of its backend is found once both are known,
// whichever came first.
func TestV5_ValidateHoldsDefinitionsAgainstBackends(t *testing.T) {
	app := tasks.NewApp()
	tasks.Define(app, "elsewhere", echo, tasks.OnBackend("mail"))
	tasks.Define(app, "queued", echo, tasks.Queue("slow"))
	tasks.Define(app, "urgent", echo, tasks.Priority(5))
	wantNil(t, "Validate without backends", app.Validate())
	use(t, app, "default", newSpy(0))
	err := app.Validate()
	wantErr(t, "unknown alias", err, tasks.ErrUnknownBackend, `task "elsewhere"`, `"mail"`)
	wantErr(t, "queue", err, tasks.ErrInvalidTask, `task "queued"`, `queue "slow"`)
	wantErr(t, "priority", err, tasks.ErrUnsupported, `task "urgent"`, "capability priority")
	use(t, app, "mail", newSpy(0))
	if err := app.Validate(); err == nil || strings.Contains(err.Error(), "mail") {
		t.Errorf("Validate with mail: got %v, want nothing about mail", err)
	}
}

func TestCallRunsTheFunctionDirectly(t *testing.T) {
	app := tasks.NewApp()
	got, err := tasks.Define(app, "t", func(ctx context.Context, n int) (int, error) {
		if _, ok := tasks.FromContext(ctx); ok {
			t.Error("FromContext under Call: got ok, want none")
		}
		return n + 1, nil
	}).Call(t.Context(), 41)
	wantNil(t, "Call", err)
	equal(t, "Call", got, 42)
	_, err = tasks.Define[int, int](app, "nil", nil).Call(t.Context(), 1)
	wantErr(t, "Call of a nil function", err, tasks.ErrInvalidTask, "nil function")
}

func TestNoneTakesAndGivesNull(t *testing.T) {
	app, _ := newApp(t, immediate.New())
	res, err := tasks.Define(app, "t", nop).Enqueue(t.Context(), tasks.None{})
	wantNil(t, "Enqueue", err)
	equal(t, "Args", string(res.Args), "null")
	equal(t, "Value", string(res.Value), "null")
	_, err = res.ReturnValue()
	wantNil(t, "ReturnValue", err)
	// Arguments of an older definition that had some.
	var none tasks.None
	wantNil(t, "decoding an object", none.UnmarshalJSON([]byte(`{"a":1}`)))
}

func TestTaskNamesAndAliasesAreSorted(t *testing.T) {
	app, _ := newApp(t, dummy.New())
	for _, name := range []string{"b", "c", "a"} {
		tasks.Define(app, name, echo)
	}
	use(t, app, "another", dummy.New())
	equalSlices(t, "TaskNames", app.TaskNames(), []string{"a", "b", "c"})
	equalSlices(t, "Aliases", app.Aliases(), []string{"another", "default"})
}

// An Invocation can be enqueued again and again, so what one run's record goes
// through doesn't show in the next.
func TestInvocationIsImmutable(t *testing.T) {
	app, _ := newApp(t, dummy.New())
	app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc {
		return func(ctx context.Context, alias string, recs []*tasks.Record) error {
			recs[0].Args[1] = 'X'
			*recs[0].Retain++
			return next(ctx, alias, recs)
		}
	})
	inv := tasks.Define(app, "t", echo, tasks.Retain(time.Hour)).With("abc")
	ids := map[string]bool{}
	for range 2 {
		res, err := tasks.EnqueueOne(t.Context(), inv)
		wantNil(t, "EnqueueOne", err)
		equal(t, "Args", string(res.Args), `"Xbc"`)
		equal(t, "Retain", *res.Retain, time.Hour+1)
		ids[res.ID] = true
		res.Args[2], *res.Retain = 'Y', 0
	}
	equal(t, "ids", len(ids), 2)
}

func TestEnqueueOfNilInvocationsIsRefused(t *testing.T) {
	app, _ := newApp(t, dummy.New())
	good := tasks.Define(app, "t", echo).With("x")
	for name, call := range map[string]tasks.Call{
		"nil": nil, "nil pointer": (*tasks.Invocation[int])(nil), "zero": &tasks.Invocation[int]{},
	} {
		_, err := app.EnqueueMany(t.Context(), good, call)
		wantErr(t, name, err, tasks.ErrInvalidTask, "call 1")
	}
	_, err := tasks.EnqueueOne[int](t.Context(), nil)
	wantErr(t, "EnqueueOne(nil)", err, tasks.ErrInvalidTask)
	_, err = tasks.Prepare(t.Context())
	wantErr(t, "Prepare()", err, tasks.ErrInvalidTask, "nothing to enqueue")
	if got, err := app.EnqueueMany(t.Context()); got != nil || err != nil {
		t.Errorf("EnqueueMany(): got %v, %v, want nil, nil", got, err)
	}
	if errors.Is(app.Validate(), tasks.ErrInvalidTask) {
		t.Error("Validate: got faults, want none from refused calls")
	}
}
