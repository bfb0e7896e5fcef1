package database_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// openConfig opens an App with one backend, and closes it again.
func openConfig(t *testing.T, cfg tasks.BackendConfig) error {
	t.Helper()
	app := tasks.NewApp()
	err := app.Open(t.Context(), tasks.Config{"default": cfg}, tasks.Drivers{database.Driver()})
	if err == nil {
		err = app.Close(t.Context())
	}
	return err
}

func TestDriverOpens(t *testing.T) {
	server := serverURL(t)
	schema := newSchema(t, server)
	options, err := json.Marshal(map[string]any{"url": server, "schema": schema, "migrate": true, "retain_failed": "48h"})
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]tasks.BackendConfig{
		"url":     {URL: addParam(addParam(addParam(server, "schema", schema), "migrate", "true"), "application_name", "me")},
		"options": {Backend: "database", Options: options},
		"both":    {Backend: "database", URL: addParam(server, "poll_only", "true"), Options: []byte(`{"migrate": true, "schema": "` + strings.ReplaceAll(schema, `"`, `\"`) + `"}`)},
	} {
		if err := openConfig(t, cfg); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// No fault gives a password away.
func TestDriverRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg  tasks.BackendConfig
		want string
	}{
		"unknown option":       {tasks.BackendConfig{URL: "postgres://u:sesame@h/d?schem=x"}, "schem"},
		"bad option":           {tasks.BackendConfig{URL: "postgres://u:sesame@h/d?poll_interval=1"}, "poll_interval"},
		"bad parameter of pgx": {tasks.BackendConfig{URL: "postgres://u:sesame@h/d?sslmode=perhaps"}, "\ndefault.url: "},
		"bad port":             {tasks.BackendConfig{URL: "postgres://u:sesame@h:99999/d"}, "\ndefault.url: "},
		"url twice":            {tasks.BackendConfig{URL: "postgres://u:sesame@h/d", Options: []byte(`{"url": "postgres://u:sesame@other/d"}`)}, "differ"},
		"opaque":               {tasks.BackendConfig{URL: "postgres:d"}, "postgres://"},
		"schema":               {tasks.BackendConfig{URL: "postgres://u:sesame@h/d?schema=pg_x"}, "\ndefault.url?schema: "},
		"schema option":        {tasks.BackendConfig{Backend: "database", Options: []byte(`{"schema": "pg_x"}`)}, "\ndefault.options.schema: "},
	} {
		err := openConfig(t, tt.cfg)
		switch {
		case !errors.Is(err, tasks.ErrInvalidConfig):
			t.Errorf("%s: got %v, want ErrInvalidConfig", name, err)
		case !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s: got %v, want it to say %q", name, err, tt.want)
		case strings.Contains(err.Error(), "sesame"):
			t.Errorf("%s: the password is in %v", name, err)
		}
	}
}

func TestUnreachableGivesNoPasswordAway(t *testing.T) {
	err := openConfig(t, tasks.BackendConfig{URL: "postgres://u:sesame@127.0.0.1:1/d"})
	if !errors.Is(err, tasks.ErrUnavailable) || strings.Contains(err.Error(), "sesame") {
		t.Errorf("got %v, want ErrUnavailable without the password", err)
	}
}
