package tasks_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

type greeting struct {
	Name  string `json:"name"`
	Times int    `json:"times"`
}

func jsonApp(t *testing.T) *tasks.App {
	t.Helper()
	app, _ := newApp(t, newStore())
	tasks.Define(app, "greet", func(context.Context, greeting) (string, error) { return "", nil }, tasks.Priority(7), tasks.MaxAttempts(3))
	tasks.Define(app, "tick", func(context.Context, tasks.None) (tasks.None, error) { return tasks.None{}, nil })
	tasks.Define(app, "any", func(context.Context, json.RawMessage) (tasks.None, error) { return tasks.None{}, nil })
	return app
}

func TestCallJSON(t *testing.T) {
	app := jsonApp(t)
	for _, tt := range []struct{ name, args, want string }{
		{"greet", ` {"name": "ada", "times": 2} `, `{"name":"ada","times":2}`},
		{"greet", `{}`, `{}`},
		{"tick", ``, `null`},
		{"tick", `{"whatever": 1}`, `{"whatever":1}`},
		{"any", `12345678901234567890`, `12345678901234567890`},
	} {
		call, err := app.CallJSON(tt.name, json.RawMessage(tt.args), tasks.RunIn(time.Hour))
		wantNil(t, tt.name+" "+tt.args, err)
		res, err := app.EnqueueMany(t.Context(), call)
		wantNil(t, "EnqueueMany", err)
		equal(t, "arguments", string(res[0].Args), tt.want)
		equal(t, "task", res[0].Task, tt.name)
	}
}

func TestCallJSONKeepsTheDefinitionsOptions(t *testing.T) {
	app := jsonApp(t)
	call, err := app.CallJSON("greet", json.RawMessage(`{}`), tasks.MaxAttempts(4))
	wantNil(t, "CallJSON", err)
	res, err := app.EnqueueMany(t.Context(), call)
	wantNil(t, "EnqueueMany", err)
	equal(t, "priority", res[0].Priority, 7)
	equal(t, "attempts", res[0].MaxAttempts, 4)
}

func TestCallJSONFaults(t *testing.T) {
	app := jsonApp(t)
	for _, tt := range []struct {
		name, args string
		target     error
		parts      []string
	}{
		{"greet", ``, tasks.ErrInvalidTask, []string{"greeting", "there is none"}},
		{"greet", `{"nam": "ada"}`, tasks.ErrInvalidTask, []string{`unknown field "nam"`}},
		{"greet", `{"times": "two"}`, tasks.ErrInvalidTask, []string{"times", "string"}},
		{"greet", `{"name": "ada"`, tasks.ErrInvalidTask, []string{"ends too early"}},
		{"greet", `{} {}`, tasks.ErrInvalidTask, []string{"more than one"}},
		{"greet", `{} x`, tasks.ErrInvalidTask, []string{"more than one"}},
		{"greet", `{name: 1}`, tasks.ErrInvalidTask, []string{"invalid character"}},
		{"tick", `{`, tasks.ErrInvalidTask, []string{"ends too early"}},
		{"gret", `{}`, tasks.ErrUnknownTask, []string{`"greet"`, `"tick"`}},
	} {
		call, err := app.CallJSON(tt.name, json.RawMessage(tt.args))
		wantErr(t, tt.name+" "+tt.args, err, tt.target, tt.parts...)
		if call != nil {
			t.Errorf("%s %s: a call beside the error", tt.name, tt.args)
		}
	}
	_, err := app.CallJSON("greet", json.RawMessage(`{}`), tasks.Priority(1000))
	wantErr(t, "priority", err, tasks.ErrInvalidTask, "1000")
	_, err = tasks.NewApp().CallJSON("greet", nil)
	wantErr(t, "empty app", err, tasks.ErrUnknownTask, "no task is defined")
}

func TestFilterError(t *testing.T) { // I1
	rec := func(errs ...tasks.AttemptError) *tasks.Record { return &tasks.Record{Errors: errs} }
	refused := tasks.AttemptError{Type: "*net.OpError", Message: "dial tcp: Connection refused"}
	other := tasks.AttemptError{Type: "*errors.errorString", Message: "no such user"}
	for _, tt := range []struct {
		text string
		rec  *tasks.Record
		want bool
	}{
		{"", rec(), true},
		{"refused", rec(refused), true},
		{"connection REFUSED", rec(refused), true},
		{"operror", rec(refused), true},
		{"refused", rec(refused, other), false}, // only the newest counts
		{"user", rec(refused, other), true},
		{"x", rec(), false},
	} {
		f := tasks.Filter{Error: tt.text}
		if got := f.Match(tt.rec); got != tt.want {
			t.Errorf("%q on %+v: %t, want %t", tt.text, tt.rec.Errors, got, tt.want)
		}
	}
}
