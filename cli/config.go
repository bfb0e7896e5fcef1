package cli

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// SettingDoc is one setting, as config show has it.
type SettingDoc struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
}

func (p *Program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "config", Short: "Look at the configuration", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use: "show", Short: "Print the settings that count, and where each comes from; without secrets", Args: cobra.NoArgs,
		RunE: p.run(showConfig),
	})
	return cmd
}

func showConfig(_ context.Context, c *call, _ []string) error {
	docs, err := c.storeDocs()
	if err != nil {
		return err
	}
	c.flags.VisitAll(func(f *pflag.Flag) {
		if handOnly(f.Name) || f.Name == "url" || f.Name == "config" {
			return
		}
		docs = append(docs, SettingDoc{strings.ReplaceAll(f.Name, "-", "_"), f.Value.String(), c.settings.origin(f.Name).text})
	})
	v := view[SettingDoc]{
		doc:  func(d SettingDoc) any { return d },
		name: func(d SettingDoc) string { return d.Name },
		columns: []column[SettingDoc]{
			{head: "SETTING", cell: func(d SettingDoc) string { return d.Name }},
			{head: "VALUE", cell: func(d SettingDoc) string { return d.Value }},
			{head: "SOURCE", cell: func(d SettingDoc) string { return d.Source }},
		},
	}
	return printAll(c.out, v, func(yield func(SettingDoc, error) bool) {
		for _, d := range docs {
			if !yield(d, nil) {
				return
			}
		}
	})
}

// storeDocs describes the backends.
func (c *call) storeDocs() (docs []SettingDoc, err error) {
	if app := c.p.App; app != nil && len(app.Aliases()) > 0 {
		for _, alias := range app.Aliases() {
			docs = append(docs, SettingDoc{join(backendsKey, alias), "in use", "the program"})
		}
		return docs, nil
	}
	s, err := c.store()
	if err != nil {
		return nil, err
	}
	if file := c.settings.file; file != nil {
		docs = append(docs, SettingDoc{"config", file.path, c.settings.origin("config").text})
	}
	for _, alias := range sortedKeys(s.config) {
		b, from := s.config[alias], s.from.text
		if file := c.settings.file; file != nil && (alias != c.g.backend || s.from.by == byFile) {
			if backends := file.root.get(backendsKey); backends != nil {
				if line, ok := backends.find(alias); ok {
					from = file.at(line)
				}
			}
		}
		add := func(name, value string) {
			docs = append(docs, SettingDoc{join(join(backendsKey, alias), name), value, from})
		}
		if b.Backend != "" {
			add("backend", b.Backend)
		}
		if b.URL != "" {
			add("url", redactURL(b.URL))
		}
		if len(b.Queues) > 0 {
			add("queues", strings.Join(b.Queues, ","))
		}
		if len(b.Options) > 0 {
			add("options", redactOptions(b.Options))
		}
	}
	return docs, nil
}

const redacted = "xxxxx"

// secret matches the names of settings that hold one.
var secret = regexp.MustCompile(`(?i)pass|secret|token|key|credential`)

// redactURL takes the secrets out of a URL; one that isn't a URL is all secret.
func redactURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return redacted
	}
	if u.Scheme != "bolt" && strings.Contains(u.Opaque, "@") {
		return redacted // user:password@host without a scheme, which makes the user one
	}
	if _, ok := u.User.Password(); ok {
		u.User = url.UserPassword(u.User.Username(), redacted)
	} else if u.User != nil && strings.HasPrefix(u.Scheme, "redis") {
		u.User = url.User(redacted) // most likely a password that has lost its colon
	}
	q := u.Query()
	changed := false
	for name := range q {
		if secret.MatchString(name) {
			q.Set(name, redacted)
			changed = true
		}
	}
	if changed {
		u.RawQuery = q.Encode()
	}
	return u.String()
}

// redactOptions does so in a driver's options.
func redactOptions(raw json.RawMessage) string {
	var v any
	if json.Unmarshal(raw, &v) != nil {
		return redacted
	}
	data, err := encode(redactValue(v), "")
	if err != nil {
		return redacted
	}
	return string(data)
}

func redactValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			text, isText := inner.(string)
			switch {
			case secret.MatchString(k):
				v[k] = redacted
			case isText && strings.EqualFold(k, "url"):
				v[k] = redactURL(text)
			default:
				v[k] = redactValue(inner)
			}
		}
	case []any:
		for i := range v {
			v[i] = redactValue(v[i])
		}
	case string:
		if strings.Contains(v, "://") {
			return redactURL(v)
		}
	}
	return v
}
