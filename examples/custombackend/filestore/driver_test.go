package filestore_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/examples/custombackend/filestore"
	"github.com/sideman-go/sideman/tasks"
)

func TestDriverRefusesWrongOptions(t *testing.T) {
	t.Parallel()
	for options, want := range map[string]string{
		`{}`:                               "main.options.dir",
		`{"dir": "x", "retain": "1h"}`:     "main.options.retain",
		`{"dir": "x", "no_sync": "maybe"}`: "main.options.no_sync",
	} {
		cfg, err := tasks.ParseConfig([]byte(`{"main": {"backend": "filestore", "options": ` + options + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		err = tasks.NewApp().Open(t.Context(), cfg, tasks.Drivers{filestore.Driver()})
		if !errors.Is(err, tasks.ErrInvalidConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("options %s: got %v, want ErrInvalidConfig about %s", options, err, want)
		}
	}
}
