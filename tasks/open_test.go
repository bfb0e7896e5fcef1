package tasks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/tasks"
)

type driverOptions struct {
	Path string        `json:"path"`
	Lock time.Duration `json:"lock_timeout"`
	Size int           `json:"size"`
	Fail bool          `json:"fail"`
}

// recordingDriver is called name, and keeps what happens to its backends in events.
func recordingDriver(name string, events *[]string) tasks.Driver {
	add := func(s string) {
		if events != nil {
			*events = append(*events, s)
		}
	}
	return tasks.Driver{Name: name, Schemes: []string{name}, Configure: func(s tasks.Settings) (tasks.Opener, error) {
		o := driverOptions{Size: 7}
		if err := s.Decode(&o); err != nil {
			return nil, err
		}
		add(fmt.Sprintf("configure %s %+v", s.Alias, o))
		return func(context.Context) (tasks.Backend, error) {
			if o.Fail {
				return nil, tasks.ErrUnavailable
			}
			add("open " + s.Alias)
			b := newSpy(allCaps)
			b.close = func(context.Context) error { add("close " + s.Alias); return nil }
			return b, nil
		}, nil
	}}
}

func TestOpen(t *testing.T) {
	var events []string
	app := tasks.NewApp()
	err := app.Open(t.Context(), tasks.Config{
		"default": {Backend: "a", Options: json.RawMessage(`{"path": "p", "lock_timeout": "1m30s", "size": null}`)},
		"mail":    {URL: "a:x?size=8&path=$%7BHOME%7D", Queues: []string{"mail"}},
	}, tasks.Drivers{recordingDriver("a", &events)})
	wantNil(t, "Open", err)
	equalSlices(t, "events", events, []string{
		"configure default {Path:p Lock:1m30s Size:7 Fail:false}", "configure mail {Path:${HOME} Lock:0s Size:8 Fail:false}",
		"open default", "open mail",
	})
	wantErr(t, "queue", tasks.Define(app, "t", echo, tasks.OnBackend("mail")).Using(tasks.Queue("x")).Err(), tasks.ErrInvalidTask, `"mail"`)
	events = nil
	wantNil(t, "Close", app.Close(t.Context()))
	equalSlices(t, "events", events, []string{"close default", "close mail"})
}

// All faults are found, of the configuration and of the definitions, before
// anything is opened.
func TestOpen_ReportsEveryFaultAndOpensNothing(t *testing.T) {
	var events []string
	app := tasks.NewApp()
	tasks.Define(app, "", echo)
	err := app.Open(t.Context(), tasks.Config{
		"good":     {Backend: "a"},
		"options":  {URL: "a:?size=x&nope=1&path=1&path=2&lock_timeout=5", Options: json.RawMessage(`{"lock_timeout": 5, "fail": "no", "fail": true, "colour": 1}`)},
		"driver":   {Backend: "oracle"},
		"scheme":   {URL: "oracle:x"},
		"mismatch": {Backend: "b", URL: "a:x"},
		"neither":  {},
		"list":     {Backend: "a", Options: json.RawMessage(`[1]`)},
	}, tasks.Drivers{recordingDriver("a", &events), recordingDriver("b", &events)})
	wantErr(t, "Open", err, tasks.ErrInvalidConfig,
		"options.options.lock_timeout: must be a duration in quotes", "options.options.fail: is there twice", "options.options.fail: must be true or false",
		"options.options.colour: unknown; known are path, lock_timeout, size, fail",
		`options.url?size: "x" is not a whole number`, "options.url?nope: unknown", "options.url?path: is there twice", "options.url?lock_timeout: is in the options too",
		`driver.backend: tasks: unknown backend "oracle"; known are "a", "b"`, `scheme.url: tasks: unknown backend: no driver for the scheme "oracle"`,
		`mismatch.backend is "b" but url is of "a"`, `neither: needs "backend" or "url"`, "list.options: must be an object")
	wantErr(t, "Open", err, tasks.ErrInvalidTask, "name is empty")
	wantErr(t, "Open", err, tasks.ErrUnknownBackend)
	equalSlices(t, "events", events, []string{"configure good {Path: Lock:0s Size:7 Fail:false}"})
	equalSlices(t, "Aliases", app.Aliases(), nil)
}

func TestOpen_ClosesWhatItOpenedWhenALaterOneFails(t *testing.T) {
	nilBackend := tasks.Driver{Name: "nil", Configure: func(tasks.Settings) (tasks.Opener, error) {
		return func(context.Context) (tasks.Backend, error) { return nil, nil }, nil
	}}
	for name, tt := range map[string]struct {
		last   tasks.BackendConfig
		define []tasks.Option
		target error
		closed []string
	}{
		"opener fails":       {tasks.BackendConfig{Backend: "a", Options: json.RawMessage(`{"fail": true}`)}, nil, tasks.ErrUnavailable, []string{"close x", "close y"}},
		"opener gives nil":   {tasks.BackendConfig{Backend: "nil"}, nil, tasks.ErrInvalidConfig, []string{"close x", "close y"}},
		"definition's queue": {tasks.BackendConfig{Backend: "a"}, []tasks.Option{tasks.OnBackend("x"), tasks.Queue("nope")}, tasks.ErrInvalidTask, []string{"close x", "close y", "close z"}},
		"definition's alias": {tasks.BackendConfig{Backend: "a"}, []tasks.Option{tasks.OnBackend("nope")}, tasks.ErrUnknownBackend, []string{"close x", "close y", "close z"}},
	} {
		t.Run(name, func(t *testing.T) {
			var events []string
			app := tasks.NewApp()
			if tt.define != nil {
				tasks.Define(app, "t", echo, tt.define...)
			}
			err := app.Open(t.Context(), tasks.Config{"x": {Backend: "a"}, "y": {Backend: "a"}, "z": tt.last}, tasks.Drivers{recordingDriver("a", &events), nilBackend})
			wantErr(t, "Open", err, tt.target)
			var closed []string
			for _, e := range events {
				if strings.HasPrefix(e, "close") {
					closed = append(closed, e)
				}
			}
			equalSlices(t, "closed", closed, tt.closed)
			equalSlices(t, "Aliases", app.Aliases(), nil)
		})
	}
}

func TestOpen_AnAliasThatIsTakenIsClosedAgain(t *testing.T) {
	var events []string
	app, _ := newApp(t, dummy.New())
	err := app.Open(t.Context(), tasks.Config{"default": {Backend: "a"}}, tasks.Drivers{recordingDriver("a", &events)})
	wantErr(t, "Open", err, tasks.ErrInvalidConfig, `"default"`, "in use already")
	equal(t, "last event", events[len(events)-1], "close default")
	_, err = tasks.Define(app, "t", echo).Enqueue(t.Context(), "x")
	wantNil(t, "Enqueue on the one that was there", err)
}

func TestDriversOfImmediateAndDummy(t *testing.T) {
	drivers := tasks.Drivers{immediate.Driver(), dummy.Driver()}
	for _, name := range []string{"immediate", "dummy"} {
		cfg, err := tasks.ConfigFromURL(name + ":")
		wantNil(t, "ConfigFromURL", err)
		app := tasks.NewApp()
		wantNil(t, "Open "+name, app.Open(t.Context(), cfg, drivers))
		wantNil(t, "Close "+name, app.Close(t.Context()))
		for _, bad := range []tasks.BackendConfig{{URL: name + ":x"}, {URL: name + "://host"}, {URL: name + ":?a=1"}, {Backend: name, Options: json.RawMessage(`{"a": 1}`)}} {
			err := tasks.NewApp().Open(t.Context(), tasks.Config{"default": bad}, drivers)
			wantErr(t, fmt.Sprintf("Open %+v", bad), err, tasks.ErrInvalidConfig, "default")
		}
	}
}
