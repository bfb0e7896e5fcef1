// Package configfile is what a program needs to let its user choose the backend: the
// flags -config and -url, shared by the examples that have them.
package configfile

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"strings"

	"github.com/sideman-go/sideman/backends"
	"github.com/sideman-go/sideman/tasks"
)

// Flags are the flags -config and -url of a program.
type Flags struct {
	set       *flag.FlagSet
	file, url *string
	example   string
	env       string
}

// Define adds the flags to the set. Example is the path of a file, for the help. What -url
// says can be in the environment variable env instead, where a password is seen by fewer:
// the list of processes shows flags to everybody.
func Define(set *flag.FlagSet, example, env string) *Flags {
	return &Flags{
		set:     set,
		example: example,
		env:     env,
		file:    set.String("config", "", "choose the backend by this `FILE`, such as "+example),
		// No default from the environment: the help prints defaults.
		url: set.String("url", "", "use this `URL` instead of the file's; with a password in it, better by the variable "+env),
	}
}

// Open opens the App's backends as the file says that the user has named, or else as the
// fallback does. Its errors say which file is meant and what can be done, and never have a
// URL in them, which may have a password.
func (f *Flags) Open(ctx context.Context, app *tasks.App, fallback tasks.Config) error {
	if f.set.NArg() > 0 { // whatever it is, perhaps a URL, it isn't repeated
		return errors.New("an argument belongs to no flag: give the file as -config FILE and a URL as -url URL")
	}
	cfg, from := fallback, "the built-in configuration"
	if *f.file != "" {
		var err error
		if cfg, err = read(*f.file); err != nil {
			return err
		}
		from = *f.file
	}
	url, by := *f.url, "-url"
	if url == "" {
		url, by = os.Getenv(f.env), f.env
	}
	if url != "" {
		from += " with " + by
		cfg = maps.Clone(cfg)
		b := cfg[tasks.DefaultAlias]
		b.URL = url
		cfg[tasks.DefaultAlias] = b
	}
	err := app.Open(ctx, cfg, backends.All())
	switch {
	case err == nil:
		return nil
	case errors.Is(err, tasks.ErrUnavailable):
		return fmt.Errorf("%s: %w\nIs that the right place? Another one is chosen by -url or the variable %s", from, err, f.env)
	case url != "" && *f.file == "":
		return fmt.Errorf("%s: %w\nA URL of another backend goes with that one's file, such as -config %s", from, err, f.example)
	}
	return fmt.Errorf("%s: %w", from, err)
}

func read(path string) (tasks.Config, error) {
	if strings.Contains(path, "://") {
		return nil, errors.New("-config wants the path of a file; a URL goes to -url")
	}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("-config: %w; the path is relative to the working directory", err)
	}
	if err != nil {
		return nil, fmt.Errorf("-config: %w", err)
	}
	cfg, err := tasks.ParseConfig(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}
