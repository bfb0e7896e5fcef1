package tasks_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/tasks"
)

func TestE1_EnqueueReturnsTheStoredResult(t *testing.T) {
	b := newSpy(allCaps)
	app, _ := newApp(t, b)
	task := tasks.Define(app, "t", echo)
	res, err := task.Enqueue(t.Context(), "x")
	wantNil(t, "Enqueue", err)
	equal(t, "Status", res.Status, tasks.Ready)
	equal(t, "Task", res.Task, "t")
	equal(t, "Args", string(res.Args), `"x"`)
	equal(t, "has EnqueuedAt", res.EnqueuedAt.IsZero(), false)
	again, err := task.GetResult(t.Context(), res.ID)
	wantNil(t, "E2: GetResult at once", err)
	equal(t, "ID", again.ID, res.ID)
	equal(t, "EnqueuedAt", again.EnqueuedAt, res.EnqueuedAt)
}

func TestE1_EnqueueManyStoresMixedTasksInOneWrite(t *testing.T) {
	b := newSpy(allCaps)
	app, _ := newApp(t, b)
	text := tasks.Define(app, "text", echo)
	number := tasks.Define(app, "number", nopOf[int])
	results, err := app.EnqueueMany(t.Context(), text.With("a"), number.With(1), text.Using(tasks.Priority(9)).With("b"))
	wantNil(t, "EnqueueMany", err)
	var got []string
	for _, res := range results {
		got = append(got, res.Task+string(res.Args))
	}
	equalSlices(t, "results in order", got, []string{`text"a"`, `number1`, `text"b"`})
	equalSlices(t, "calls of the backend", b.Calls(), []string{"enqueue"})
	typed, err := text.Result(results[0])
	wantNil(t, "Result", err)
	equal(t, "typed ID", typed.ID, results[0].ID)
	_, err = text.Result(results[1])
	wantErr(t, "Result of another task", err, tasks.ErrResultMismatch, `"number"`, `task "text"`)
}

func TestE1_ABatchIsRefusedAsAWhole(t *testing.T) {
	b, other := newSpy(allCaps), newSpy(allCaps)
	app, _ := newApp(t, b)
	use(t, app, "mail", other)
	foreign, _ := newApp(t, newSpy(allCaps))
	task := tasks.Define(app, "t", echo)
	good := task.With("x")
	for name, tt := range map[string]struct {
		bad    tasks.Call
		target error
		parts  []string
	}{
		"unserializable": {tasks.Define(app, "any", nopOf[any]).With(make(chan int)), tasks.ErrNotSerializable, []string{`task "any"`}},
		"option":         {task.Using(tasks.Priority(500)).With("x"), tasks.ErrInvalidTask, []string{"priority is 500"}},
		"two backends":   {task.Using(tasks.OnBackend("mail")).With("x"), tasks.ErrInvalidTask, []string{"two backends", `"default" and "mail"`}},
		"two apps":       {tasks.Define(foreign, "foreign", echo).With("x"), tasks.ErrInvalidTask, []string{"two Apps", `task "foreign"`}},
	} {
		for order, calls := range map[string][]tasks.Call{"last": {good, tt.bad}, "first": {tt.bad, good}} {
			_, err := app.EnqueueMany(t.Context(), calls...)
			wantErr(t, name+" "+order, err, tt.target)
			if order == "last" {
				wantErr(t, name, err, tt.target, tt.parts...)
			}
			equalSlices(t, name+": calls of the backends", append(b.Calls(), other.Calls()...), nil)
		}
	}
	_, err := foreign.EnqueueMany(t.Context(), good)
	wantErr(t, "all of another App", err, tasks.ErrInvalidTask, "another App")
	equalSlices(t, "calls of the backend", b.Calls(), nil)
}

func TestE3_AnIDStoredAlreadyStoresNothing(t *testing.T) {
	b := dummy.New()
	app, log := newApp(t, b)
	hooked := 0
	app.AddHooks(tasks.Hooks{Enqueued: func(context.Context, *tasks.Record) error { hooked++; return nil }})
	task := tasks.Define(app, "t", echo)
	once := task.Using(tasks.ID("order-17"))
	first, err := once.Enqueue(t.Context(), "first")
	wantNil(t, "Enqueue", err)
	equal(t, "ID", first.ID, "order-17")
	equal(t, "Duplicate of the first", first.Duplicate, false)
	second, err := once.Using(tasks.Priority(9)).Enqueue(t.Context(), "second")
	wantNil(t, "Enqueue again", err)
	equal(t, "Duplicate", second.Duplicate, true)
	equal(t, "Args are the stored ones", string(second.Args), `"first"`)
	equal(t, "Priority is the stored one", second.Priority, 0)
	third, err := once.AEnqueue(t.Context(), "third").Wait(t.Context())
	wantNil(t, "AEnqueue", err)
	equal(t, "Duplicate", third.Duplicate, true)
	b.AssertCount(t, 1)
	equal(t, "Enqueued hooks", hooked, 1)
	equal(t, "log lines", len(log.Lines("state=enqueued")), 1)

	other := tasks.Define(app, "other", echo)
	_, err = other.Using(tasks.ID("order-17")).Enqueue(t.Context(), "x")
	wantErr(t, "another task's id", err, tasks.ErrResultMismatch, `"other"`, `taken by "t"`, `"order-17"`)
	b.AssertCount(t, 1)

	results, err := app.EnqueueMany(t.Context(), task.Using(tasks.ID("new")).With("a"), task.Using(tasks.ID("new")).With("b"))
	wantNil(t, "EnqueueMany with one id twice", err)
	equal(t, "first", results[0].Duplicate, false)
	equal(t, "second", results[1].Duplicate, true)
	equal(t, "second's Args", string(results[1].Args), `"a"`)
}

func TestE3_IDsAreDistinctShortAndAscend(t *testing.T) {
	app, _ := newApp(t, dummy.New())
	task := tasks.Define(app, "t", echo)
	last := ""
	for range 100 {
		res, err := task.Enqueue(t.Context(), "x")
		wantNil(t, "Enqueue", err)
		if res.ID <= last || len(res.ID) >= 64 {
			t.Fatalf("ID: got %q after %q, want a greater one under 64 bytes", res.ID, last)
		}
		last = res.ID
	}
}

func TestE4_ACtxThatIsOverStoresNothing(t *testing.T) {
	b := newSpy(allCaps)
	app, _ := newApp(t, b)
	task := tasks.Define(app, "t", echo)
	why := errors.New("why")
	for name, tt := range map[string]struct {
		ctx    func() (context.Context, context.CancelFunc)
		target error
	}{
		"cancelled": {func() (context.Context, context.CancelFunc) { return context.WithCancel(t.Context()) }, context.Canceled},
		"deadline": {func() (context.Context, context.CancelFunc) {
			return context.WithDeadline(t.Context(), time.Now().Add(-1))
		}, context.DeadlineExceeded},
		"cause": {func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancelCause(t.Context())
			return ctx, func() { cancel(why) }
		}, why},
	} {
		ctx, cancel := tt.ctx()
		cancel()
		_, err := task.Enqueue(ctx, "x")
		wantErr(t, name+": Enqueue", err, tt.target, `enqueue task "t"`, `backend "default"`)
		_, err = task.AEnqueue(ctx, "x").Wait(t.Context())
		wantErr(t, name+": AEnqueue", err, tt.target)
		_, err = app.EnqueueMany(ctx, task.With("x"))
		wantErr(t, name+": EnqueueMany", err, tt.target)
		_, err = task.GetResult(ctx, "id")
		wantErr(t, name+": GetResult", err, tt.target)
	}
	equalSlices(t, "calls of the backend", b.Calls(), nil)
}

func TestE4_TheBackendsErrorIsWrapped(t *testing.T) {
	b := newSpy(allCaps)
	app, _ := newApp(t, b)
	cause := errors.New("connection reset")
	b.enqueue = func(context.Context, []*tasks.Record) error { return errors.Join(tasks.ErrUnknownOutcome, cause) }
	hooked := false
	app.AddHooks(tasks.Hooks{Enqueued: func(context.Context, *tasks.Record) error { hooked = true; return nil }})
	task := tasks.Define(app, "t", echo).Using(tasks.ID("id-1"))
	_, err := task.Enqueue(t.Context(), "x")
	wantErr(t, "Enqueue", err, tasks.ErrUnknownOutcome, `enqueue task "t" id "id-1" on backend "default": `)
	wantErr(t, "Enqueue", err, cause)
	_, err = task.AEnqueue(t.Context(), "x").Wait(t.Context())
	wantErr(t, "AEnqueue", err, tasks.ErrUnknownOutcome, `task "t" id "id-1"`)
	_, err = app.EnqueueMany(t.Context(), task.With("x"), task.With("y"))
	wantErr(t, "EnqueueMany", err, tasks.ErrUnknownOutcome, `enqueue on backend "default"`)
	equal(t, "hook called", hooked, false)
}

func TestE6_WhatWasEnqueuedReadsBack(t *testing.T) {
	app := tasks.NewApp()
	wantNil(t, "UseWith", app.UseWith("mail/ü", dummy.New(), tasks.UseOptions{Queues: []string{}}))
	at := time.Date(2030, 1, 2, 3, 4, 5, 123456000, time.FixedZone("CET", 3600))
	task := tasks.Define(app, "send %", echo, tasks.OnBackend("mail/ü"), tasks.Queue("🦀 slow"), tasks.Priority(-100),
		tasks.Metadata("traceparent", "00-ab"), tasks.Metadata("tenant", "Größe\n"))
	res, err := task.Using(tasks.RunAfter(at)).Enqueue(t.Context(), "x")
	wantNil(t, "Enqueue", err)
	got, err := task.GetResult(t.Context(), res.ID)
	wantNil(t, "GetResult", err)
	equal(t, "Alias", got.Alias, "mail/ü")
	equal(t, "Queue", got.Queue, "🦀 slow")
	equal(t, "Priority", got.Priority, -100)
	equal(t, "RunAfter", got.RunAfter, at.UTC())
	equal(t, "Args", string(got.Args), `"x"`)
	if want := map[string]string{"traceparent": "00-ab", "tenant": "Größe\n"}; !maps.Equal(got.Metadata, want) {
		t.Errorf("Metadata: got %v, want %v", got.Metadata, want)
	}
}

func TestE7_MetadataIsBounded(t *testing.T) {
	for name, tt := range map[string]struct {
		most, bytes int
		ok          bool
	}{
		"at the default":   {0, tasks.DefaultMaxMetadata, true},
		"over the default": {0, tasks.DefaultMaxMetadata + 1, false},
		"own":              {5, 5, true},
		"over own":         {5, 6, false},
		"no limit":         {-1, 10 * tasks.DefaultMaxMetadata, true},
	} {
		app, _ := newAppWith(t, dummy.New(), tasks.AppOptions{MaxMetadata: tt.most})
		_, err := tasks.Define(app, "t", echo).Using(tasks.Metadata("key", strings.Repeat("x", tt.bytes-3))).Enqueue(t.Context(), "x")
		if tt.ok {
			wantNil(t, name, err)
		} else {
			wantErr(t, name, err, tasks.ErrTooLarge, "metadata")
		}
	}
}

func TestEnqueueLogsWithoutArguments(t *testing.T) {
	app, log := newApp(t, dummy.New())
	res, err := tasks.Define(app, "t", echo).Using(tasks.Metadata("tenant", "secret-1")).Enqueue(t.Context(), "secret-2")
	wantNil(t, "Enqueue", err)
	equalSlices(t, "log", log.Lines(), []string{"DEBUG Task id=" + res.ID + " path=t state=enqueued backend=default"})
}

// What a caller does with its result doesn't reach who has had the record in hand meanwhile.
func TestResultIsTheCallersAlone(t *testing.T) {
	var kept *tasks.Record
	for name, c := range map[string]struct {
		backend tasks.Backend
		keep    func(app *tasks.App)
	}{
		"enqueue middleware": {dummy.New(), func(app *tasks.App) {
			app.AroundEnqueue(around(func(recs []*tasks.Record) error {
				kept = recs[0]
				return nil
			}, nil))
		}},
		"run middleware of a task that ran at once": {immediate.New(), func(app *tasks.App) {
			app.AroundRun(func(next tasks.RunFunc) tasks.RunFunc {
				return func(ctx context.Context, rec *tasks.Record) (json.RawMessage, error) {
					kept = rec
					return next(ctx, rec)
				}
			})
		}},
	} {
		t.Run(name, func(t *testing.T) {
			kept = nil
			app, _ := newApp(t, c.backend)
			c.keep(app)
			res, err := tasks.Define(app, "t", echo).Enqueue(t.Context(), "x")
			if err != nil || kept == nil {
				t.Fatal(kept, err)
			}
			if kept == &res.Record {
				t.Error("the record that was kept is the result's own")
			}
		})
	}
}
