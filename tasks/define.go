package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Task is a definition: a name, a function and defaults, with the argument type A
// and the return type R. It is immutable and safe for concurrent use. Several
// arguments go into a struct; None stands for no argument and for no result.
type Task[A, R any] struct {
	def      *definition
	settings settings
	fn       func(context.Context, A) (R, error)
	err      error
}

// None is the argument of a task that takes none, and the return value of a task
// that gives none. It is null in JSON, and takes any JSON.
type None struct{}

// MarshalJSON returns null.
func (None) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

// UnmarshalJSON takes any value and keeps nothing of it.
func (*None) UnmarshalJSON([]byte) error { return nil }

// definition is what the App keeps of a Task: no types, and nothing of Using.
type definition struct {
	app      *App
	name     string
	settings settings
	faults   []error
	run      func(ctx context.Context, args json.RawMessage) (json.RawMessage, error)
	// fits reports why JSON that a person has written can't be the argument.
	fits func(args json.RawMessage) error
}

// Define adds a task to the app. The name is what is stored with each run, so it
// is explicit, unique in the app, and best left alone when the code is renamed.
//
// Faults (an empty or taken name, a nil function, options out of range) are kept:
// App.Validate, App.Open and workers report them all together, and enqueuing the
// task gives its own. Django's decorator is @task, with module path and name
// derived from the function.
func Define[A, R any](app *App, name string, fn func(context.Context, A) (R, error), options ...Option) *Task[A, R] {
	t := &Task[A, R]{fn: fn, settings: defaultSettings().with(options)}
	t.def = &definition{app: app, name: name, settings: t.settings}
	untyped := hasAny(reflect.TypeFor[A]())
	t.def.run = func(ctx context.Context, args json.RawMessage) (json.RawMessage, error) {
		var arg A
		if err := decode(args, &arg, untyped); err != nil {
			return nil, fmt.Errorf("decode the arguments as %T: %w", arg, err)
		}
		value, err := fn(ctx, arg)
		if err != nil {
			return nil, err
		}
		return encode(value, "return value", app.options.MaxArgs)
	}
	t.def.fits = fits[A]

	add := func(err error) { t.def.faults = append(t.def.faults, &Error{Op: "define", Task: name, Err: err}) }
	if err := checkName(name); err != nil {
		add(fmt.Errorf("%w: %w", ErrInvalidTask, err))
	}
	if fn == nil {
		add(fmt.Errorf("%w: nil function", ErrInvalidTask))
	}
	for _, f := range []Field{FieldRunAfter, FieldExpires, FieldID} {
		if t.settings.set[f] {
			add(fmt.Errorf("%w: %s is for Using, not for Define", ErrInvalidTask, f))
		}
	}
	if err := t.settings.check(); err != nil {
		add(err)
	}
	if app == nil {
		add(fmt.Errorf("%w: nil app", ErrInvalidTask))
	} else {
		app.define(t.def, add)
	}
	t.err = errors.Join(t.def.faults...)
	return t
}

func (a *App) define(d *definition, fault func(error)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tasks[d.name] != nil {
		fault(fmt.Errorf("%w: the name is defined already", ErrInvalidTask))
	} else if d.name != "" {
		a.tasks[d.name] = d
	}
	a.faults = append(a.faults, d.faults...)
}

// Name returns the task's name.
func (t *Task[A, R]) Name() string { return t.def.name }

// Err returns what is wrong with the task or with the options given to Using, or
// nil. Enqueue and AEnqueue return it as well.
func (t *Task[A, R]) Err() error { return t.err }

// Using returns a copy of the task with the options changed, checked at once (see
// Err); a task with an error keeps it. The copy is the same task: it has the same name, and its GetResult reads
// every run of it.
func (t *Task[A, R]) Using(options ...Option) *Task[A, R] {
	c := *t
	c.settings = t.settings.with(options)
	if t.err != nil {
		return &c // which has the error too
	}
	var faults []error
	if c.settings.set[FieldBackoff] {
		faults = append(faults, fmt.Errorf("%w: backoff is for Define, not for Using", ErrInvalidTask))
	}
	faults = append(faults, c.settings.check())
	if errors.Join(faults...) == nil {
		// A backend that isn't in use yet is found out at the enqueue.
		if s, err := t.def.app.slot(c.settings.alias); err == nil {
			faults = append(faults, s.accepts(&c.settings))
		}
	}
	if err := errors.Join(faults...); err != nil {
		c.err = &Error{Op: "using", Task: t.def.name, Alias: c.settings.alias, Err: err}
	}
	return &c
}

// Call runs the function directly: no backend, no encoding, no middleware.
func (t *Task[A, R]) Call(ctx context.Context, arg A) (R, error) {
	if t.fn == nil {
		var zero R
		return zero, t.err
	}
	return t.fn(ctx, arg)
}

// With binds an argument, for EnqueueMany and for the backends' EnqueueTx. The
// argument is encoded at once: changing it later changes nothing.
func (t *Task[A, R]) With(arg A) *Invocation[R] {
	c := t.call(arg)
	c.shared = true
	return &Invocation[R]{c}
}

func (t *Task[A, R]) call(arg A) call {
	c := call{def: t.def, settings: t.settings, err: t.err}
	if c.err == nil {
		c.args, c.err = encode(arg, "arguments", t.def.app.options.MaxArgs)
	}
	return c
}

// Call is a task with its argument: an *Invocation of any type.
type Call interface{ bound() *call }

// Invocation is a task with its argument. It is immutable; each time it is
// enqueued there is another run, with another id unless the option ID chose it.
type Invocation[R any] struct{ call call }

func (i *Invocation[R]) bound() *call {
	if i == nil {
		return nil
	}
	return &i.call
}

type call struct {
	def      *definition
	settings settings
	args     json.RawMessage
	shared   bool // an Invocation's, which may be enqueued again
	err      error
}

// record makes the record of a run for the backend in s: rec, which is empty.
func (c *call) record(s *slot, rec *Record) error {
	if c.err != nil {
		return c.err
	}
	t := &c.settings
	if err := s.accepts(t); err != nil {
		return err
	}
	if err := c.def.app.checkMetadata(t.metadata); err != nil {
		return err
	}
	*rec = Record{
		ID: t.id, Alias: s.alias, Task: c.def.name, Queue: t.queue, Priority: t.priority,
		Args: c.args, Metadata: maps.Clone(t.metadata),
		MaxAttempts: t.maxAttempts, Timeout: t.timeout,
		RunAfter: t.runAfter, Delay: t.delay, ExpiresAt: t.expiresAt, TTL: t.ttl,
		Status: Ready,
	}
	if rec.ID == "" {
		rec.ID = c.def.app.ids.New()
	}
	if c.shared {
		rec.Args = slices.Clone(c.args)
	}
	if t.retain != nil {
		rec.Retain = new(*t.retain)
	}
	return nil
}
