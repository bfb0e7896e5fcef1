package tasks_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/tasks"
)

// enqueued is the record of one run of a task on a dummy, without what differs
// between runs.
func enqueued(t *testing.T, task *tasks.Task[string, string]) tasks.Record {
	t.Helper()
	res, err := task.Enqueue(t.Context(), "x")
	wantNil(t, "Enqueue", err)
	rec := res.Record
	rec.ID, rec.EnqueuedAt = "", time.Time{}
	return rec
}

func optionsApp(t *testing.T) *tasks.App {
	t.Helper()
	app := tasks.NewApp()
	for _, alias := range []string{"default", "mail"} {
		err := app.UseWith(alias, newSpy(allCaps), tasks.UseOptions{Queues: []string{}})
		wantNil(t, "UseWith", err)
	}
	return app
}

func TestV4_UsingReturnsAChangedCopy(t *testing.T) {
	app := optionsApp(t)
	at := epoch.Add(time.Hour)
	base := tasks.Define(app, "t", echo)
	plain := enqueued(t, base)
	for name, tt := range map[string]struct {
		option tasks.Option
		change func(*tasks.Record)
		field  tasks.Field
	}{
		"OnBackend":   {tasks.OnBackend("mail"), func(r *tasks.Record) { r.Alias = "mail" }, tasks.FieldBackend},
		"Queue":       {tasks.Queue("slow"), func(r *tasks.Record) { r.Queue = "slow" }, tasks.FieldQueue},
		"Priority":    {tasks.Priority(-7), func(r *tasks.Record) { r.Priority = -7 }, tasks.FieldPriority},
		"RunAfter":    {tasks.RunAfter(at), func(r *tasks.Record) { r.RunAfter = at }, tasks.FieldRunAfter},
		"ExpiresAt":   {tasks.ExpiresAt(at), func(r *tasks.Record) { r.ExpiresAt = at }, tasks.FieldExpires},
		"MaxAttempts": {tasks.MaxAttempts(3), func(r *tasks.Record) { r.MaxAttempts = 3 }, tasks.FieldMaxAttempts},
		"Timeout":     {tasks.Timeout(time.Second), func(r *tasks.Record) { r.Timeout = time.Second }, tasks.FieldTimeout},
		"Retain":      {tasks.Retain(0), func(r *tasks.Record) { r.Retain = new(time.Duration) }, tasks.FieldRetain},
		"Metadata":    {tasks.Metadata("k", "v"), func(r *tasks.Record) { r.Metadata = map[string]string{"k": "v"} }, tasks.FieldMetadata},
	} {
		t.Run(name, func(t *testing.T) {
			want := plain
			tt.change(&want)
			changed := base.Using(tt.option)
			if got := enqueued(t, changed); !reflect.DeepEqual(got, want) {
				t.Errorf("with %s: got %+v, want %+v", name, got, want)
			}
			if got := enqueued(t, base); !reflect.DeepEqual(got, plain) {
				t.Errorf("the original: got %+v, want %+v", got, plain)
			}
			// Every option can be cleared, in the copy and where Define set it.
			if got := enqueued(t, changed.Using(tasks.Clear(tt.field))); !reflect.DeepEqual(got, plain) {
				t.Errorf("cleared: got %+v, want %+v", got, plain)
			}
			equal(t, "Name", changed.Name(), "t")
		})
	}
}

func TestV4_ClearTakesBackWhatDefineSet(t *testing.T) {
	app := optionsApp(t)
	plain := enqueued(t, tasks.Define(app, "t", echo))
	full := tasks.Define(app, "full", echo, tasks.OnBackend("mail"), tasks.Queue("slow"), tasks.Priority(9), tasks.MaxAttempts(4),
		tasks.Timeout(time.Minute), tasks.Retain(-1), tasks.Metadata("a", "b"))
	got := enqueued(t, full.Using(tasks.Clear(tasks.FieldBackend, tasks.FieldQueue, tasks.FieldPriority, tasks.FieldMaxAttempts,
		tasks.FieldTimeout, tasks.FieldRetain, tasks.FieldMetadata)))
	plain.Task = "full"
	if !reflect.DeepEqual(got, plain) {
		t.Errorf("cleared: got %+v, want %+v", got, plain)
	}
}

func TestV4_UsingChainsAndLaterOptionsWin(t *testing.T) {
	app := optionsApp(t)
	task := tasks.Define(app, "t", echo, tasks.Metadata("a", "1"), tasks.Priority(1))
	got := enqueued(t, task.Using(tasks.Priority(2), tasks.Metadata("b", "2")).Using(tasks.Priority(3), tasks.Priority(4), tasks.Metadata("a", "3")))
	equal(t, "Priority", got.Priority, 4)
	if want := map[string]string{"a": "3", "b": "2"}; !reflect.DeepEqual(got.Metadata, want) {
		t.Errorf("Metadata: got %v, want %v", got.Metadata, want)
	}
	if got := enqueued(t, task).Metadata; len(got) != 1 || got["a"] != "1" {
		t.Errorf("the original's Metadata: got %v, want only a=1", got)
	}
	got = enqueued(t, task.Using(tasks.RunAfter(epoch.AddDate(100, 0, 0)), tasks.RunIn(0), tasks.ExpiresIn(time.Hour), tasks.ExpiresAt(time.Time{})))
	equal(t, "RunAfter after RunIn(0)", got.RunAfter, time.Time{})
	equal(t, "ExpiresAt after the zero time", got.ExpiresAt, time.Time{})
	got = enqueued(t, task.Using(tasks.RunIn(time.Hour)).Using(tasks.RunAfter(epoch)))
	equal(t, "RunAfter over RunIn", got.RunAfter, epoch)
}

func TestV4_UsingValidatesAtOnce(t *testing.T) {
	b := newSpy(0)
	app, _ := newApp(t, b)
	task := tasks.Define(app, "t", echo)
	for name, tt := range map[string]struct {
		option tasks.Option
		target error
		part   string
	}{
		"priority":           {tasks.Priority(101), tasks.ErrInvalidTask, "priority is 101, and must be from -100 to 100"},
		"no attempts":        {tasks.MaxAttempts(0), tasks.ErrInvalidTask, "max attempts is 0"},
		"negative timeout":   {tasks.Timeout(-1), tasks.ErrInvalidTask, "timeout is -1ns"},
		"empty queue":        {tasks.Queue(""), tasks.ErrInvalidTask, "queue: name is empty"},
		"unknown queue":      {tasks.Queue("nope"), tasks.ErrInvalidTask, `queue "nope" is not one of backend "default": "default"`},
		"bad alias":          {tasks.OnBackend("\x00"), tasks.ErrInvalidTask, "backend: name"},
		"empty id":           {tasks.ID(""), tasks.ErrInvalidTask, "ID: empty"},
		"long id":            {tasks.ID("0123456789012345678901234567890123456789012345678901234567890123"), tasks.ErrInvalidTask, "64 bytes, over the 63 allowed"},
		"expired at once":    {tasks.ExpiresIn(0), tasks.ErrInvalidTask, "ExpiresIn(0s)"},
		"backoff":            {tasks.Backoff(tasks.Constant(0)), tasks.ErrInvalidTask, "backoff is for Define"},
		"unknown field":      {tasks.Clear("colour"), tasks.ErrInvalidTask, `Clear("colour")`},
		"nil option":         {nil, tasks.ErrInvalidTask, "nil option"},
		"year 10000":         {tasks.RunAfter(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), tasks.ErrInvalidTask, "year is 10000"},
		"year 10000 in UTC":  {tasks.ExpiresAt(time.Date(9999, 12, 31, 23, 59, 0, 0, time.FixedZone("", -3600))), tasks.ErrInvalidTask, "year is 10000"},
		"year 0":             {tasks.RunAfter(time.Date(0, 6, 1, 0, 0, 0, 0, time.UTC)), tasks.ErrInvalidTask, "year is 0"},
		"end of time":        {tasks.RunAfter(time.Unix(1<<62, 0)), tasks.ErrInvalidTask, "the year is"},
		"defer undeclared":   {tasks.RunIn(time.Second), tasks.ErrUnsupported, "capability defer"},
		"expire undeclared":  {tasks.ExpiresIn(time.Second), tasks.ErrUnsupported, "capability expire"},
		"empty metadata key": {tasks.Metadata("", "v"), tasks.ErrInvalidTask, "metadata key"},
		"NUL in metadata":    {tasks.Metadata("k", "a\x00b"), tasks.ErrInvalidTask, `metadata value of "k"`},
		"bytes in metadata":  {tasks.Metadata("k\xff", ""), tasks.ErrInvalidTask, "metadata key"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := task.Using(tt.option)
			wantErr(t, "Err", changed.Err(), tt.target, `using task "t"`, tt.part)
			_, err := changed.Enqueue(t.Context(), "x")
			wantErr(t, "Enqueue", err, tt.target, tt.part)
			_, err = changed.AEnqueue(t.Context(), "x").Wait(t.Context())
			wantErr(t, "AEnqueue", err, tt.target, tt.part)
			wantErr(t, "Err of a further copy", changed.Using(tasks.Queue("default")).Err(), tt.target, tt.part)
			wantNil(t, "Err of the original", task.Err())
		})
	}
	equalSlices(t, "calls of the backend", b.Calls(), nil)
}

// A backend that comes into use later is held against the task at the enqueue.
func TestV5_ValidatesAgainAtEnqueue(t *testing.T) {
	app := tasks.NewApp()
	late := tasks.Define(app, "t", echo).Using(tasks.OnBackend("late"), tasks.RunIn(time.Hour), tasks.Queue("slow"))
	wantNil(t, "Err before", late.Err())
	_, err := late.Enqueue(t.Context(), "x")
	wantErr(t, "Enqueue without backends", err, tasks.ErrUnknownBackend, `"late"`, "no backend is in use yet")
	use(t, app, "other", dummy.New())
	_, err = late.Enqueue(t.Context(), "x")
	wantErr(t, "Enqueue to an unknown alias", err, tasks.ErrUnknownBackend, `"late"`, `the App has "other"`)
	b := newSpy(0)
	use(t, app, "late", b)
	_, err = late.Enqueue(t.Context(), "x")
	wantErr(t, "Enqueue without defer", err, tasks.ErrUnsupported, "capability defer")
	wantErr(t, "Enqueue to an unknown queue", err, tasks.ErrInvalidTask, `queue "slow"`)
	equalSlices(t, "calls of the backend", b.Calls(), nil)
}
