package bolt_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
)

func TestDriver(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	drivers := tasks.Drivers{bolt.Driver()}
	for _, c := range []struct {
		cfg  tasks.BackendConfig
		file string // relative to dir
		text string // of the error, if there is no file
	}{
		{tasks.BackendConfig{URL: "bolt:a.db"}, "a.db", ""},
		{tasks.BackendConfig{URL: "bolt:b%20c.db?lock_timeout=2s"}, "b c.db", ""},
		{tasks.BackendConfig{URL: "bolt://" + filepath.ToSlash(dir) + "/d.db"}, "d.db", ""},
		{tasks.BackendConfig{Backend: "bolt", Options: []byte(`{"path":"e.db","retain_failed":"1h"}`)}, "e.db", ""},
		{tasks.BackendConfig{URL: "bolt://tasks.db"}, "", "did you mean bolt:tasks.db or bolt:///tasks.db?"},
		{tasks.BackendConfig{URL: "bolt:"}, "", "\ndefault.options.path: "},
		{tasks.BackendConfig{Backend: "bolt"}, "", "\ndefault.options.path: "},
		{tasks.BackendConfig{URL: "bolt:x.db?max_size=1"}, "", "\ndefault.url?max_size: "},
		{tasks.BackendConfig{URL: "bolt:x.db", Options: []byte(`{"path":"y.db"}`)}, "", "y.db"},
		{tasks.BackendConfig{Backend: "bolt", Options: []byte(`{"path":"x.db","pathh":1}`)}, "", "pathh"},
	} {
		app := tasks.NewApp()
		err := app.Open(t.Context(), tasks.Config{"default": c.cfg}, drivers)
		if c.file == "" {
			if !errors.Is(err, tasks.ErrInvalidConfig) || !strings.Contains(fmt.Sprint(err), c.text) {
				t.Errorf("%+v: %v", c.cfg, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%+v: %v", c.cfg, err)
			continue
		}
		if err := app.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if m, _ := filepath.Glob(filepath.Join(dir, c.file)); len(m) != 1 {
			t.Errorf("%+v: no file %s", c.cfg, c.file)
		}
	}
}
