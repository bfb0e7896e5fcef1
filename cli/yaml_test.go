package cli_test

import (
	"encoding/json"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/sideman-go/sideman/tasks"
)

// Texts stay texts in YAML, whatever they look like.
func TestYAMLKeepsTexts(t *testing.T) {
	store := boltStore(t)
	for _, id := range []string{
		"1e5", "0x1F", "1_000", ".5", "+1", "-1", "007", ".inf", ".NaN", "yes", "No", "~", "null", "TRUE", "2026-01-01", "12:30",
		"a: b", "a #b", "- x", "=", "<<", "é😀", "'", "\"", "%", "*x", "&x", "!x", "{", "plain/id.1-x",
	} {
		text, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		enqueue(t, store, "greet", []string{string(text)}, tasks.ID(id), tasks.Metadata(id, id))
		out := ok(t, store, "tasks", "show", "-o", "yaml", "--", id)
		var doc struct {
			ID       any
			Args     any
			Metadata map[any]any
		}
		if err := yaml.Unmarshal([]byte(out), &doc); err != nil {
			t.Errorf("%q: %v in\n%s", id, err, out)
			continue
		}
		if doc.ID != id || doc.Args != id || doc.Metadata[id] != id {
			t.Errorf("%q is %#v, its argument %#v and its metadata %#v in\n%s", id, doc.ID, doc.Args, doc.Metadata, out)
		}
	}
}
