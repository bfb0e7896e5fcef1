package cli

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// schemaOf returns the schema that a backend's configuration names, empty if it is the
// default one; ok is false if the backend isn't a database.
func schemaOf(b tasks.BackendConfig) (schema string, ok bool) {
	var query url.Values
	driver := database.Driver()
	if u, err := url.Parse(b.URL); err == nil {
		ok = slices.Contains(driver.Schemes, strings.ToLower(u.Scheme))
		query = u.Query()
	}
	if !ok && b.Backend != driver.Name {
		return "", false
	}
	var o struct {
		Schema string `json:"schema"`
	}
	_ = jsonUnmarshal(b.Options, &o) // its faults are found when it's opened
	if s := query.Get("schema"); s != "" {
		return s, true
	}
	return o.Schema, true
}

// withoutMigrate takes the option migrate out of a backend's configuration, so that opening
// it changes nothing.
func withoutMigrate(b tasks.BackendConfig) tasks.BackendConfig {
	const option = "migrate"
	if _, ok := schemaOf(b); !ok {
		return b
	}
	if u, err := url.Parse(b.URL); err == nil && u.RawQuery != "" {
		q := u.Query()
		q.Del(option)
		u.RawQuery = q.Encode()
		b.URL = u.String()
	}
	var options map[string]json.RawMessage
	if jsonUnmarshal(b.Options, &options) == nil && options[option] != nil {
		delete(options, option)
		if data, err := encode(options, ""); err == nil {
			b.Options = data
		}
	}
	return b
}
