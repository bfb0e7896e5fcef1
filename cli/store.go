package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// store is which backends there are, and where that is said.
type store struct {
	config tasks.Config
	from   origin // of the alias that is asked for
}

// store returns the configuration that counts.
//
// A URL alone says nothing of queues, so any may be used; in a file each alias lists those
// that it takes, as for App.Open.
func (c *call) store() (store, error) {
	by := c.settings.origin("url")
	file := c.settings.file
	var backends *node
	if file != nil {
		backends = file.root.get(backendsKey)
	}
	if by.by == byFile && backends != nil {
		return store{}, c.faults(fmt.Errorf(`%s: "url" and "backends" exclude each other`, by.text))
	}
	s := store{config: tasks.Config{}, from: by}
	if backends != nil {
		cfg, err := tasks.ParseConfig(backends.encode())
		if err != nil {
			return store{}, c.located(err)
		}
		s.config = cfg
		if line, ok := backends.find(c.g.backend); ok && by.by == byDefault {
			s.from = origin{byFile, file.at(line)}
		}
	}
	raw := c.g.url
	if by.by == byDefault {
		if len(s.config) > 0 {
			if _, ok := s.config[c.g.backend]; !ok {
				return store{}, c.faults(fmt.Errorf("%w: %s has no backend %q; it has %s", tasks.ErrUnknownBackend, file.path, c.g.backend, aliases(s.config)))
			}
			return s, nil
		}
		raw = c.p.url()
	}
	cfg, err := tasks.ConfigFromURL(raw)
	if err != nil {
		return store{}, fmt.Errorf("%s: %w", by.text, err)
	}
	one := cfg[tasks.DefaultAlias]
	one.Queues = []string{}
	s.config[c.g.backend] = one
	return s, nil
}

func aliases(cfg tasks.Config) string {
	var names []string
	for name := range cfg {
		names = append(names, fmt.Sprintf("%q", name))
	}
	return strings.Join(names, ", ")
}

func (c *call) faults(err error) error {
	return exit(ExitUsage, fmt.Errorf("%w: %w", tasks.ErrInvalidConfig, err))
}

// faultLine is a line of an error of configuration: where, and what.
var faultLine = regexp.MustCompile(`(?m)^([^\s:]+): `)

// located adds the lines of the file to the faults that an error lists, a line each.
func (c *call) located(err error) error {
	file := c.settings.file
	if err == nil || file == nil || !errors.Is(err, tasks.ErrInvalidConfig) {
		return err
	}
	backends := file.root.get(backendsKey)
	if backends == nil {
		return err
	}
	text := faultLine.ReplaceAllStringFunc(err.Error(), func(at string) string {
		if line, ok := backends.find(strings.TrimSuffix(at, ": ")); ok {
			return file.at(line) + ": " + backendsKey + "." + at
		}
		return at
	})
	return &reworded{text, err}
}

// reworded is an error with another text.
type reworded struct {
	text string
	err  error
}

func (r *reworded) Error() string { return r.text }
func (r *reworded) Unwrap() error { return r.err }

// open opens the backend that is asked for, with an App that has no tasks: for
// commands that administer. An App whose backends are in use already is used as it is.
func (c *call) open(ctx context.Context) (*tasks.App, error) { return c.openOne(ctx, c.mustExist) }

// openNew is open for a command that may be the first to use the store.
func (c *call) openNew(ctx context.Context) (*tasks.App, error) {
	return c.openOne(ctx, func(tasks.BackendConfig, origin) error { return nil })
}

func (c *call) openOne(ctx context.Context, look func(tasks.BackendConfig, origin) error) (*tasks.App, error) {
	if c.app != nil {
		return c.app, nil
	}
	if app := c.p.App; app != nil && !c.apart && len(app.Aliases()) > 0 {
		c.app = app
		return app, nil
	}
	s, err := c.store()
	if err != nil {
		return nil, err
	}
	if err := look(s.config[c.g.backend], s.from); err != nil {
		return nil, err
	}
	app := tasks.NewAppWith(tasks.AppOptions{Logger: c.logger()})
	return app, c.openAs(ctx, app, tasks.Config{c.g.backend: s.config[c.g.backend]}, s.from)
}

// openTasks opens every backend for the program's own App: for commands that run, enqueue or
// check its tasks. Without an App it's openNew. Each of tune changes the configuration of the
// backend that is asked for.
func (c *call) openTasks(ctx context.Context, tune ...func(*tasks.BackendConfig)) (*tasks.App, error) {
	app := c.p.App
	if app == nil || len(app.Aliases()) > 0 {
		return c.openNew(ctx)
	}
	s, err := c.store()
	if err != nil {
		return nil, err
	}
	one := s.config[c.g.backend]
	for _, change := range tune {
		change(&one)
	}
	s.config[c.g.backend] = one
	return app, c.openAs(ctx, app, s.config, s.from)
}

func (c *call) openAs(ctx context.Context, app *tasks.App, cfg tasks.Config, from origin) error {
	if err := app.Open(ctx, cfg, c.p.drivers()); err != nil {
		return fmt.Errorf("the store of %s: %w", from.text, c.located(err))
	}
	c.app, c.owned = app, true
	return nil
}

// letGo closes a store of which only one process can have hold, so that another, as the worker
// that is waited for, gets at it. The next open opens it again.
func (c *call) letGo(ctx context.Context) error {
	if !c.owned {
		return nil
	}
	b, err := c.app.Backend(c.g.backend)
	if err != nil {
		return err
	}
	if caps := b.Capabilities(); caps.Has(tasks.CapShared) || !caps.Has(tasks.CapDurable) {
		return nil
	}
	err = c.close(ctx)
	c.app, c.apart = nil, true
	return err
}

// admin returns what administers the store.
func (c *call) admin(ctx context.Context) (*tasks.Admin, error) {
	app, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	return app.Admin(c.g.backend)
}

// closeTimeout bounds how long a command waits for its store to close.
const closeTimeout = 5 * time.Second

func (c *call) close(ctx context.Context) error {
	if !c.owned {
		return nil
	}
	c.owned = false
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	return c.app.Close(ctx)
}

// mustExist keeps a command that only looks from making an empty file.
func (c *call) mustExist(b tasks.BackendConfig, from origin) error {
	path := boltPath(b)
	if path == "" {
		return nil
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return exit(ExitNotFound, fmt.Errorf("there is no file %s (%s): the first enqueue or worker makes it; "+
		"another store is chosen by --url, SIDEMAN_URL or a file of configuration", path, from.text))
}

// boltPath returns the file of a bolt backend, or "" for others.
func boltPath(b tasks.BackendConfig) string {
	if u, err := url.Parse(b.URL); err == nil && u.Scheme == "bolt" {
		if u.Opaque != "" {
			path, _ := url.PathUnescape(u.Opaque) // what can't be unescaped isn't found
			return path
		}
		return u.Path
	}
	if b.Backend != "bolt" {
		return ""
	}
	var o struct {
		Path string `json:"path"`
	}
	_ = jsonUnmarshal(b.Options, &o) // its faults are found when it's opened
	return o.Path
}
