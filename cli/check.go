package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/tasks"
)

// FindingDoc is one thing that check found wrong. Its ID is stable: those of the backends and
// of package tasks are documented there, and those of check are
//
//	cli.E001  the store can't be opened
//	cli.E002  a task has been due for too long       cli.W002 by the warning bound
//	cli.E003  too many tasks are ready               cli.W003
//	cli.E004  too many tasks are failed              cli.W004
//	cli.E005  too few workers are alive              cli.W005
type FindingDoc struct {
	ID      string      `json:"id"`
	Level   tasks.Level `json:"level"`
	Backend string      `json:"backend,omitempty"`
	Message string      `json:"message"`
	Hint    string      `json:"hint,omitempty"`
}

// The findings that aren't of a backend or of App.Check, or that are found before that.
const (
	findUnopened   = "cli.E001"
	findDefinition = "tasks.E001"
)

func (p *Program) checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check", Short: "Look for what is wrong with tasks, stores and their load", Args: cobra.NoArgs,
		Long: `Look for what is or will be wrong: with the definitions of tasks, with each backend of the
configuration (only that of --backend if it is said), and with the load, by the bounds below. It
changes nothing, and doesn't migrate.

A bound is a number above which (for workers: below which) there is an error, or two: WARNING,ERROR.
They count for the queues of --queue together, in each backend.

The exit code is 1 if there is a finding of --fail-level or worse, and 5 if a store can't be
reached. With --nagios it is a plugin's: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.`,
		Example: "  @ check --fail-level warning\n  @ check --max-oldest 5m,1h --min-workers 1 --queue mail\n  @ check --nagios --max-ready 1000,10000 --timeout 10s",
		RunE:    p.nagiosCodes(p.run(check)),
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return asNagios(cmd, usage("%w", err)) })
	f := cmd.Flags()
	f.String("fail-level", string(tasks.LevelError), "fail at findings of this `LEVEL`: warning, error or never")
	f.String("max-oldest", "", "the longest `TIME` that a task may have been due: 1h, or 10m,1h")
	f.String("max-ready", "", "the `NUMBER` of tasks that may be ready")
	f.String("max-failed", "", "the `NUMBER` of tasks that may be failed")
	f.String("min-workers", "", "the `NUMBER` of workers that must be alive, for one of the queues")
	f.StringSlice("queue", nil, "the bounds are for these `QUEUES` only")
	f.Bool("nagios", false, "print one line with performance data, for Nagios, Icinga and the like")
	return cmd
}

func check(ctx context.Context, c *call, _ []string) error {
	fail := c.text("fail-level")
	if !slices.Contains([]string{string(tasks.LevelWarning), string(tasks.LevelError), "never"}, fail) {
		return usage("--fail-level: there is no level %q; there are warning, error and never", fail)
	}
	limits, err := c.limits()
	if err != nil {
		return err
	}
	r, err := c.examine(ctx, limits)
	if err != nil {
		return err
	}
	// Findings about calls that were cut off say nothing of the store. A plugin's timeout does:
	// it says that the store took too long.
	nagios := c.bool("nagios")
	if cause := context.Cause(ctx); cause != nil && (!nagios || errors.Is(cause, errInterrupted)) {
		return cause
	}
	if nagios {
		return c.nagios(r, limits)
	}
	if err := c.printFindings(r.found); err != nil {
		return err
	}
	errs, warnings := r.count(tasks.LevelError), r.count(tasks.LevelWarning)
	if errs+warnings == 0 {
		c.sayLast("No problems were found.")
		return nil
	}
	c.sayLast("Found %s and %s.", plural(errs, "error"), plural(warnings, "warning"))
	switch {
	case fail == "never":
		return nil
	case r.unreachable:
		return exit(ExitUnreachable, nil)
	case errs > 0, fail == string(tasks.LevelWarning):
		return exit(ExitFailure, nil)
	}
	return nil
}

// report is what an examination has come to.
type report struct {
	found       []tasks.Finding
	loads       []load // of the backends that could be asked
	unreachable bool   // one of the stores
}

func (r *report) count(level tasks.Level) (n int) {
	for _, f := range r.found {
		if f.Level == level {
			n++
		}
	}
	return n
}

// examine checks every backend that is asked for. Those that can't be opened are findings.
func (c *call) examine(ctx context.Context, limits *limits) (*report, error) {
	r := &report{}
	only := ""
	if c.settings.origin("backend").by != byDefault {
		only = c.g.backend
	}
	app := c.p.App
	if app == nil || len(app.Aliases()) == 0 {
		var err error
		if app, err = c.openChecked(ctx, r, only); err != nil {
			return nil, err
		}
	} else if _, err := app.Backend(c.g.backend); err != nil && only != "" {
		return nil, err
	}
	stranger := app != c.p.App // it defines no tasks, so that all are unknown to it
	all := app.Check(ctx)
	if stranger && c.p.App != nil && !slices.ContainsFunc(r.found, func(f tasks.Finding) bool { return f.ID == findDefinition }) {
		all = append(all, c.p.App.Check(ctx)...) // which has no backend, and so looks at its definitions only
	}
	for _, f := range all {
		if (only == "" || f.Alias == "" || f.Alias == only) && (!stranger || f.ID != "tasks.W002") {
			r.found = append(r.found, f)
		}
	}
	for _, alias := range app.Aliases() {
		if only == "" || alias == only {
			c.checkLoad(ctx, r, app, alias, limits)
		}
	}
	slices.SortStableFunc(r.found, func(a, b tasks.Finding) int { return severity(b.Level) - severity(a.Level) })
	return r, nil
}

func severity(l tasks.Level) int {
	if l == tasks.LevelError {
		return 1
	}
	return 0
}

// openChecked opens what is configured for the program's App. If that fails for one backend, or
// for a fault in a definition, that is a finding, and the other backends are opened for
// an App without tasks.
func (c *call) openChecked(ctx context.Context, r *report, only string) (*tasks.App, error) {
	s, err := c.store()
	if err != nil {
		return nil, err
	}
	cfg := make(tasks.Config, len(s.config))
	whole := c.p.App != nil
	for alias, b := range s.config {
		if only != "" && alias != only && !whole {
			continue
		}
		cfg[alias] = withoutMigrate(b)
		if err := c.mustExist(b, s.from); err != nil {
			delete(cfg, alias)
			whole = false
			if only == "" || alias == only {
				r.unopened(alias, b, err)
			}
		}
	}
	if whole {
		err := c.openAs(ctx, c.p.App, cfg, s.from)
		if err == nil {
			return c.p.App, nil
		}
		if errors.Is(err, tasks.ErrInvalidConfig) {
			return nil, err
		}
		if e, ok := errors.AsType[*tasks.Error](err); ok && e.Alias != "" { // it's the one that can't be opened
			if only == "" || e.Alias == only {
				r.unopened(e.Alias, cfg[e.Alias], err)
			}
			delete(cfg, e.Alias)
		} else {
			r.faulty(err)
		}
	}
	return c.openEach(ctx, r, cfg, s.from, only)
}

// openEach opens each backend by itself for an App without tasks.
func (c *call) openEach(ctx context.Context, r *report, cfg tasks.Config, from origin, only string) (*tasks.App, error) {
	app := tasks.NewAppWith(tasks.AppOptions{Logger: c.logger()})
	c.app, c.owned = app, true
	for _, alias := range sortedKeys(cfg) {
		if only != "" && alias != only {
			continue
		}
		err := app.Open(ctx, tasks.Config{alias: cfg[alias]}, c.p.drivers())
		switch {
		case err == nil:
		case errors.Is(err, tasks.ErrInvalidConfig):
			return nil, fmt.Errorf("the store of %s: %w", from.text, c.located(err))
		default:
			r.unopened(alias, cfg[alias], err)
		}
	}
	return app, nil
}

// faulty adds the faults in definitions that keep an App from being opened.
func (r *report) faulty(err error) {
	if e, ok := errors.AsType[*tasks.Error](err); ok && e.Op == "open" {
		err = e.Err // the outermost: the faults are in there
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, fault := range joined.Unwrap() {
			r.faulty(fault)
		}
		return
	}
	r.found = append(r.found, tasks.Finding{
		ID: findDefinition, Level: tasks.LevelError, Message: err.Error(),
		Hint: "correct the tasks.Define call or the configuration",
	})
}

// unopened adds the finding of a backend that can't be opened.
func (r *report) unopened(alias string, b tasks.BackendConfig, err error) {
	f := tasks.Finding{ID: findUnopened, Level: tasks.LevelError, Alias: alias, Message: err.Error()}
	if e, ok := errors.AsType[*tasks.Error](err); ok {
		f.Message = "it can't be opened: " + e.Err.Error() // the alias is there already
	}
	if errors.Is(err, tasks.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		r.unreachable = true
		if boltPath(b) == "" { // whose errors say what to do
			f.Hint = "see that the server runs, and that address, user and password are right"
		}
	}
	r.found = append(r.found, f)
}

func (c *call) printFindings(found []tasks.Finding) error {
	if len(found) == 0 && c.out.people() {
		return nil
	}
	v := view[tasks.Finding]{
		doc: func(f tasks.Finding) any {
			return FindingDoc{ID: f.ID, Level: f.Level, Backend: f.Alias, Message: f.Message, Hint: f.Hint}
		},
		name: func(f tasks.Finding) string { return f.ID },
		columns: []column[tasks.Finding]{
			{
				head: "LEVEL", cell: func(f tasks.Finding) string { return string(f.Level) },
				paint: func(f tasks.Finding) style {
					if f.Level == tasks.LevelError {
						return red
					}
					return yellow
				},
			},
			{head: "ID", cell: func(f tasks.Finding) string { return f.ID }},
			{head: "BACKEND", cell: func(f tasks.Finding) string { return f.Alias }},
			{head: "MESSAGE", cell: func(f tasks.Finding) string { return oneLine(f.Message) }},
			{head: "HINT", cell: func(f tasks.Finding) string { return oneLine(f.Hint) }},
		},
	}
	return printAll(c.out, v, func(yield func(tasks.Finding, error) bool) {
		for _, f := range found {
			if !yield(f, nil) {
				return
			}
		}
	})
}
