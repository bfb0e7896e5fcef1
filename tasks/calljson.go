package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// CallJSON binds an argument that is written in JSON to the task of that name, for
// those who know neither its type nor its Go value, such as a command line. Enqueue it
// with EnqueueMany.
//
// The JSON is held against the task's argument type, more strictly than a worker does: a
// field that the type doesn't have is an error, since it is most likely misspelt. No
// JSON at all will do for a task that takes None. Errors are ErrUnknownTask,
// ErrInvalidTask for what doesn't fit, and those of Using.
func (a *App) CallJSON(name string, args json.RawMessage, options ...Option) (Call, error) {
	fail := func(err error) (Call, error) { return nil, &Error{Op: "enqueue", Task: name, Err: err} }
	a.mu.RLock()
	def := a.tasks[name]
	known := slices.Sorted(maps.Keys(a.tasks))
	a.mu.RUnlock()
	if def == nil {
		if len(known) == 0 {
			return fail(fmt.Errorf("%w: no task is defined", ErrUnknownTask))
		}
		return fail(fmt.Errorf("%w: known are %s", ErrUnknownTask, quoteAll(known)))
	}
	// The task that Define returned, without its types.
	t := &Task[json.RawMessage, json.RawMessage]{def: def, settings: def.settings, err: errors.Join(def.faults...)}
	if len(options) > 0 {
		t = t.Using(options...)
	}
	if t.err != nil {
		return nil, t.err
	}
	if err := def.fits(args); err != nil {
		return fail(fmt.Errorf("%w: arguments: %w", ErrInvalidTask, err))
	}
	if len(bytes.TrimSpace(args)) == 0 {
		args = json.RawMessage("null")
	}
	return t.With(args), nil
}

// fits reports why JSON isn't one value for an A.
func fits[A any](args json.RawMessage) error {
	var arg A
	_, none := any(arg).(None)
	if len(bytes.TrimSpace(args)) == 0 {
		if none {
			return nil
		}
		return fmt.Errorf("the task takes a %T as JSON, and there is none", arg)
	}
	dec := json.NewDecoder(bytes.NewReader(args))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&arg); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the JSON ends too early")
		}
		return fmt.Errorf("not JSON for a %T: %w", arg, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("more than one JSON value, from byte %d on", dec.InputOffset())
	}
	return nil
}
