package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/sideman-go/sideman/internal/strictjson"
)

// Config says which backend each alias is, as Django's TASKS setting does. It is
// plain data: write it as a literal, or read it with ParseConfig.
//
//	{"default": {"backend": "bolt", "options": {"path": "tasks.db"}},
//	 "mail":    {"url": "bolt:mail.db", "queues": ["mail", "newsletters"]}}
type Config map[string]BackendConfig

// BackendConfig configures one alias. Backend or URL must be there; if both are,
// they name the same driver.
type BackendConfig struct {
	// Backend is a driver's name: "immediate", "dummy", "bolt".
	Backend string `json:"backend,omitempty"`
	// URL says which driver by its scheme, and where: "bolt:tasks.db".
	URL string `json:"url,omitempty"`
	// Queues are the names that tasks may be enqueued to: absent means just
	// "default", and an empty list turns the check off.
	Queues []string `json:"queues,omitzero"`
	// Options are the driver's own, strictly decoded by it.
	Options json.RawMessage `json:"options,omitempty"`
}

// Driver opens a kind of backend from configuration. Package backends has those
// that come with the framework; others are values like them.
type Driver struct {
	// Name is what BackendConfig.Backend says.
	Name string
	// Schemes are the URL schemes that mean this driver, in lower case.
	Schemes []string
	// Configure decodes and checks the settings without touching the store, and
	// reports every fault it finds, together, each beginning with where it is, as
	// Decode's do and Settings.At says: "mail.options.path". App.Open makes
	// ErrInvalidConfig of them.
	Configure func(Settings) (Opener, error)
}

// Opener opens a configured backend.
type Opener func(ctx context.Context) (Backend, error)

// Drivers is a set of drivers. There is no global one: a program says which it
// has, usually by backends.All().
type Drivers []Driver

// Settings is what a driver is configured from.
type Settings struct {
	// Alias is the backend's alias.
	Alias string
	// URL is nil if there was none. Its scheme has chosen the driver. What follows is in
	// Opaque for "mystore:tasks.db", and in Host and Path for "mystore://host/tasks".
	URL *url.URL

	options json.RawMessage
}

// Decode decodes the options into the struct that into points to, by its json tags
// and strictly: unknown names, values of the wrong type and repeated names are faults,
// all reported together, each with its path. A time.Duration is written as "90s" or
// "1h". The query of the URL has options as well. What isn't there stays as it is in
// the struct.
func (s Settings) Decode(into any) error {
	var faults []error
	if len(s.options) > 0 {
		faults = append(faults, strictjson.Decode(s.Alias+".options", s.options, into))
	}
	if s.URL != nil && s.URL.RawQuery != "" {
		faults = append(faults, strictjson.DecodeQuery(s.Alias+".url", s.URL.RawQuery, s.options, into))
	}
	return errors.Join(faults...)
}

// At says where an option is, or belongs, for the text of a fault: "mail.options.path", or
// "mail.url?path" if the query of the URL has it, or "mail.url" for the URL itself.
func (s Settings) At(option string) string {
	switch {
	case s.URL != nil && s.URL.Query().Has(option):
		return s.Alias + ".url?" + option
	case s.URL != nil && option == "url":
		return s.Alias + ".url"
	}
	return s.Alias + ".options." + option
}

// ParseConfig reads a Config from JSON, strictly: unknown names, repeated names and
// anything after the object are errors. Every fault is reported, with its path, as
// ErrInvalidConfig. Options are checked by App.Open, which knows the drivers.
func ParseConfig(data []byte) (Config, error) {
	members, err := strictjson.Object("", data)
	faults := []error{err}
	cfg := make(Config, len(members))
	for _, m := range members {
		var b BackendConfig
		faults = append(faults, strictjson.Decode(m.Name, m.Value, &b), b.check(m.Name))
		cfg[m.Name] = b
	}
	if err == nil && len(members) == 0 {
		faults = append(faults, errors.New(`no backend: give at least {"default": {"backend": "…"}}`))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, &Error{Op: "parse configuration", Err: fmt.Errorf("%w:\n%w", ErrInvalidConfig, err)}
	}
	return cfg, nil
}

// ConfigFromURL returns the Config in which the alias "default" is the backend of
// that URL: "immediate:", "dummy:", "bolt:tasks.db", "bolt:///var/lib/app/tasks.db".
// Options may follow as a query: "bolt:tasks.db?lock_timeout=2s".
func ConfigFromURL(rawURL string) (Config, error) {
	b := BackendConfig{URL: rawURL}
	if err := b.check(DefaultAlias); err != nil {
		return nil, &Error{Op: "parse configuration", Err: fmt.Errorf("%w: %w", ErrInvalidConfig, err)}
	}
	return Config{DefaultAlias: b}, nil
}

// check reports what is wrong in itself.
func (b *BackendConfig) check(alias string) error {
	var faults []error
	add := func(path, format string, args ...any) {
		faults = append(faults, fmt.Errorf("%s%s: %w", alias, path, fmt.Errorf(format, args...)))
	}
	if err := checkName(alias); err != nil {
		add("", "alias: %w", err)
	}
	if b.Backend == "" && b.URL == "" {
		add("", `needs "backend" or "url"`)
	}
	if b.URL != "" {
		if _, err := parseURL(b.URL); err != nil {
			add(".url", "%w", err)
		}
	}
	if _, err := checkQueues(b.Queues); err != nil {
		add("", "%w", err)
	}
	return errors.Join(faults...)
}

// parseURL parses a backend's URL. Its errors never have the URL in them, which may
// hold a password.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// Not even the parser's reason: of "redis://user:pa#ss" it is that the port "pa" is none.
		return nil, errors.New(`not a URL; user and password need the characters %, /, ?, # and @ written as %25, %2F, %3F, %23 and %40`)
	}
	if u.Scheme == "" {
		return nil, errors.New(`no scheme: write "NAME:…", as in "bolt:tasks.db", or use "backend" for a name`)
	}
	return u, nil
}

// find returns the driver for a configuration.
func (d Drivers) find(b *BackendConfig, u *url.URL) (Driver, error) {
	var names, schemes []string
	var byName, byScheme *Driver
	for i := range d {
		names = append(names, d[i].Name)
		schemes = append(schemes, d[i].Schemes...)
		if d[i].Name == b.Backend {
			byName = &d[i]
		}
		if u != nil && slices.Contains(d[i].Schemes, u.Scheme) {
			byScheme = &d[i]
		}
	}
	switch {
	case b.Backend != "" && byName == nil:
		return Driver{}, fmt.Errorf("backend: %w %s; known are %s", ErrUnknownBackend, quote(b.Backend), quoteAll(names))
	case u != nil && byScheme == nil:
		return Driver{}, fmt.Errorf("url: %w: no driver for the scheme %s; known are %s", ErrUnknownBackend, quote(u.Scheme), quoteAll(schemes))
	case byName != nil && byScheme != nil && byName.Name != byScheme.Name:
		return Driver{}, fmt.Errorf("backend is %s but url is of %s", quote(byName.Name), quote(byScheme.Name))
	case byName != nil:
		return *byName, nil
	default:
		return *byScheme, nil
	}
}

// Open opens every backend of the configuration and puts it to use, or none. All
// faults of the configuration and of the definitions are found first, and
// reported together; only then is any store touched.
func (a *App) Open(ctx context.Context, cfg Config, drivers Drivers) error {
	fail := func(err error) error { return &Error{Op: "open", Err: err} }
	var faults []error
	openers := make(map[string]Opener, len(cfg))
	aliases := slices.Sorted(maps.Keys(cfg))
	for _, alias := range aliases {
		opener, err := drivers.configure(alias, cfg[alias])
		faults = append(faults, err)
		openers[alias] = opener
	}
	if len(cfg) == 0 {
		faults = append(faults, errors.New("no backend is configured"))
	}
	if err := errors.Join(faults...); err != nil {
		faults = []error{fmt.Errorf("%w:\n%w", ErrInvalidConfig, err)}
	}
	if err := errors.Join(append(faults, a.Validate())...); err != nil {
		return fail(err)
	}

	var used []string
	for _, alias := range aliases {
		b, err := openers[alias](ctx)
		if err == nil {
			if err = a.UseWith(alias, b, UseOptions{Queues: cfg[alias].Queues}); err == nil {
				used = append(used, alias)
				continue
			}
			if b != nil {
				err = errors.Join(err, b.Close(ctx))
			}
		} else {
			err = &Error{Op: "open", Alias: alias, Err: err}
		}
		return errors.Join(err, a.drop(ctx, used))
	}
	// Now that the backends are known, what the tasks ask of them can be held
	// against what they can do.
	if err := a.Validate(); err != nil {
		return errors.Join(fail(err), a.drop(ctx, used))
	}
	return nil
}

func (d Drivers) configure(alias string, b BackendConfig) (Opener, error) {
	if err := b.check(alias); err != nil {
		return nil, err
	}
	var u *url.URL
	if b.URL != "" {
		u, _ = parseURL(b.URL) // checked above
	}
	driver, err := d.find(&b, u)
	if err != nil {
		return nil, fmt.Errorf("%s.%w", alias, err)
	}
	return driver.Configure(Settings{Alias: alias, URL: u, options: b.Options})
}

// drop closes backends and takes them out of use again.
func (a *App) drop(ctx context.Context, aliases []string) error {
	var faults []error
	for _, alias := range aliases {
		a.mu.Lock()
		s := a.slots[alias]
		delete(a.slots, alias)
		a.mu.Unlock()
		faults = append(faults, s.backend.Close(ctx))
	}
	return errors.Join(faults...)
}

// NoPath returns an error for settings whose URL says more than a scheme: for
// drivers that have no place to name.
func (s Settings) NoPath() error {
	if u := s.URL; u != nil && strings.Trim(u.Opaque+u.Host+u.Path, "/") != "" {
		return fmt.Errorf("%s.url: %q takes nothing after the scheme", s.Alias, u.Scheme+":")
	}
	return nil
}
