package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// limits are the bounds on the load.
type limits struct {
	queues                         []string // empty: all
	oldest, ready, failed, workers limit
}

// limit is a bound: above it, or below it for one that is a minimum, there is a finding.
type limit struct {
	flag           string
	minimum        bool
	warn, fail     float64
	warns, fails   bool   // there is such a bound
	warnID, failID string // of the findings
}

// limits reads the flags.
func (c *call) limits() (*limits, error) {
	l := &limits{queues: c.list("queue")}
	seconds := func(s string) (float64, error) {
		d, err := parseSpan(s)
		return d.Seconds(), err
	}
	for _, b := range []struct {
		into  *limit
		flag  string
		id    string
		parse func(string) (float64, error)
	}{
		{&l.oldest, "max-oldest", "002", seconds},
		{&l.ready, "max-ready", "003", wholeNumber},
		{&l.failed, "max-failed", "004", wholeNumber},
		{&l.workers, "min-workers", "005", wholeNumber},
	} {
		*b.into = limit{flag: b.flag, minimum: b.flag == "min-workers", warnID: "cli.W" + b.id, failID: "cli.E" + b.id}
		if err := b.into.read(c.text(b.flag), b.parse); err != nil {
			return nil, usage("--%s: %w", b.flag, err)
		}
	}
	return l, nil
}

func wholeNumber(s string) (float64, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q isn't a whole number", s)
	}
	return float64(n), nil
}

// read reads "ERROR" or "WARNING,ERROR".
func (l *limit) read(text string, parse func(string) (float64, error)) (err error) {
	if text == "" {
		return nil
	}
	first, second, two := strings.Cut(text, ",")
	if two {
		if l.warn, err = parse(strings.TrimSpace(first)); err != nil {
			return err
		}
		l.warns, first = true, strings.TrimSpace(second)
	}
	if l.fail, err = parse(first); err != nil {
		return err
	}
	l.fails = true
	if l.warns && (l.minimum && l.warn < l.fail || !l.minimum && l.warn > l.fail) {
		return errors.New("the bound for warnings comes first, and is reached before the one for errors")
	}
	if min(l.warn, l.fail) < 0 {
		return errors.New("a bound isn't negative")
	}
	return nil
}

// check holds a number against the bounds; text says what it is.
func (l *limit) check(is float64, alias, text, hint string) []tasks.Finding {
	beyond := func(bound float64) bool {
		if l.minimum {
			return is < bound
		}
		return is > bound
	}
	switch {
	case l.fails && beyond(l.fail):
		return []tasks.Finding{{ID: l.failID, Level: tasks.LevelError, Alias: alias, Message: text, Hint: hint}}
	case l.warns && beyond(l.warn):
		return []tasks.Finding{{ID: l.warnID, Level: tasks.LevelWarning, Alias: alias, Message: text, Hint: hint}}
	}
	return nil
}

func (l *limits) any() bool {
	return l.oldest.fails || l.ready.fails || l.failed.fails || l.workers.fails
}

// load is how much there is to do in a backend, in the queues that are looked at.
type load struct {
	alias                  string
	oldest                 time.Duration
	oldestQueue            string
	ready, running, failed int64
	workers                int
}

// checkLoad measures the load if the bounds or the form need it. What keeps it from being
// measured is a finding if there are bounds: App.Check has said the rest.
func (c *call) checkLoad(ctx context.Context, r *report, app *tasks.App, alias string, limits *limits) {
	if !limits.any() && !c.bool("nagios") {
		return
	}
	l, err := measureLoad(ctx, app, alias, limits.queues)
	if err != nil {
		if errors.Is(err, tasks.ErrUnsupported) {
			return // it keeps no tasks for workers
		}
		r.unreachable = r.unreachable || errors.Is(err, tasks.ErrUnavailable)
		if !slices.ContainsFunc(r.found, func(f tasks.Finding) bool { return f.Alias == alias && f.Level == tasks.LevelError }) {
			r.found = append(r.found, tasks.Finding{ID: findUnopened, Level: tasks.LevelError, Alias: alias, Message: "the load can't be read: " + err.Error()})
		}
		return
	}
	r.loads = append(r.loads, l)
	r.found = append(r.found, slices.Concat(
		limits.oldest.check(l.oldest.Seconds(), alias, fmt.Sprintf("a task in queue %q has been due for %s", l.oldestQueue, span(l.oldest)),
			"start more workers for the queue, or see what holds them up"),
		limits.ready.check(float64(l.ready), alias, countOf(int(l.ready), "task")+" ready", "start more workers"),
		limits.failed.check(float64(l.failed), alias, countOf(int(l.failed), "task")+" failed", "tasks list --status failed shows them; retry or delete them"),
		limits.workers.check(float64(l.workers), alias, countOf(l.workers, "worker")+" alive", "start workers"),
	)...)
}

func measureLoad(ctx context.Context, app *tasks.App, alias string, only []string) (load, error) {
	l := load{alias: alias}
	admin, err := app.Admin(alias)
	if err != nil {
		return l, err
	}
	queues, err := admin.Queues(ctx)
	if err != nil {
		return l, err
	}
	workers, err := admin.Workers(ctx)
	if err != nil {
		return l, err
	}
	for _, q := range queues {
		if len(only) > 0 && !slices.Contains(only, q.Name) {
			continue
		}
		l.ready += q.Counts[tasks.Ready]
		l.running += q.Counts[tasks.Running]
		l.failed += q.Counts[tasks.Failed]
		if q.OldestDue > l.oldest {
			l.oldest, l.oldestQueue = q.OldestDue, q.Name
		}
	}
	for _, w := range workers {
		takes := tasks.Selection{Queues: w.Queues, Exclude: w.Exclude}.Has
		if !w.Stopping && (len(only) == 0 || slices.ContainsFunc(only, takes)) {
			l.workers++
		}
	}
	return l, nil
}
