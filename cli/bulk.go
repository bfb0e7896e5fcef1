package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/sideman-go/sideman/tasks"
)

// TotalsDoc counts what a change of many tasks did, as programs get it.
type TotalsDoc struct {
	// Matched tasks were selected. Changed ones were changed, or would be if this weren't a dry
	// run; skipped ones weren't in a status for it, or had left it.
	Matched int `json:"matched"`
	Changed int `json:"changed"`
	Skipped int `json:"skipped"`
	// DryRun: nothing was changed.
	DryRun bool `json:"dry_run"`
}

// printTotals prints totals, for people as a sentence.
func (c *call) printTotals(doc TotalsDoc, sentence string) error {
	switch {
	case c.out.people():
		c.out.line("%s", sentence)
		return nil
	case c.out.form == asName: // totals have no name
		c.say("%s", sentence)
		return nil
	}
	v := view[TotalsDoc]{doc: func(d TotalsDoc) any { return d }}
	return printOne(c.out, v, doc, nil)
}

// bulk is a change of all tasks that a filter matches.
type bulk struct {
	deed
	filter tasks.Filter
	// question asks about so many tasks, and ends before the store: "Retry 3 tasks".
	question func(n int) string
}

// selection returns what the flags of addFilter select for a change, and whether they do so at all.
// One that was given and is empty is most likely an unset variable of a script's, and would select
// everything.
func (c *call) selection(d deed) (filter tasks.Filter, given bool, err error) {
	for _, name := range filterFlags() {
		from := c.settings.origin(name)
		if from.by == byDefault {
			continue
		}
		given = true
		if emptyFlag(c.flags.Lookup(name)) {
			return filter, true, usage("%s is empty, which would select all", from.text)
		}
	}
	if filter, err = c.filter(); err != nil {
		return filter, given, err
	}
	if len(filter.Statuses) == 0 {
		filter.Statuses = d.from // others would only be skipped, one by one
	} else if !slices.ContainsFunc(filter.Statuses, d.applies) {
		return filter, given, usage("--status %s: only tasks that are %s can be %s",
			strings.ToLower(statusList(filter.Statuses, "and")), statusList(d.from, "or"), d.done)
	}
	return filter, given, nil
}

func emptyFlag(f *pflag.Flag) bool {
	if list, ok := f.Value.(pflag.SliceValue); ok {
		all := list.GetSlice()
		return len(all) == 0 || slices.Contains(all, "")
	}
	return f.Value.String() == ""
}

// changeMatching changes what the flags select.
func (c *call) changeMatching(ctx context.Context, d deed) error {
	filter, given, err := c.selection(d)
	if err != nil {
		return err
	}
	b := bulk{deed: d, filter: filter, question: func(n int) string { return capital(d.verb) + " " + plural(n, "task") }}
	if !given {
		b.question = func(n int) string {
			return fmt.Sprintf("No flag selects any: %s ALL %s %s tasks", d.verb, number(int64(n)), statusList(d.from, "and"))
		}
	}
	return c.runBulk(ctx, b)
}

// runBulk changes what a filter matches, when it has asked, or only says what it would do.
func (c *call) runBulk(ctx context.Context, b bulk) error {
	dry, yes := c.bool("dry-run"), c.bool("yes")
	if !dry && !yes {
		if err := c.mayAsk(); err != nil {
			return err
		}
	}
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	total := -1
	if dry || !yes {
		found, err := c.look(ctx, admin, b)
		if err != nil {
			return err
		}
		doc := TotalsDoc{Matched: found.matched, Changed: found.changed, Skipped: found.matched - found.changed, DryRun: dry}
		if dry || found.changed == 0 {
			return c.printTotals(doc, b.sentence(doc))
		}
		if err := c.ask(ctx, fmt.Sprintf("%s of %s?", b.question(found.changed), c.where())); err != nil {
			return err
		}
		total = found.matched
	}
	m := c.meter(b.doing, total)
	totals, err := admin.AlterMatching(ctx, b.change, b.filter, tasks.Bulk{Progress: func(t tasks.Totals) { m.at(t.Matched) }})
	m.end()
	doc := TotalsDoc{Matched: totals.Matched, Changed: totals.Changed, Skipped: totals.Skipped}
	if err == nil {
		return c.printTotals(doc, b.sentence(doc))
	}
	if !c.out.people() && c.out.form != asName { // programs get how far it came on standard output, too
		_ = c.printTotals(doc, "")
	}
	return fmt.Errorf("stopped when %s were %s, and perhaps some more of the last batch; %s: %w",
		plural(totals.Changed, "task"), b.done, b.again(), err)
}

// sentence says what came of it.
func (b bulk) sentence(doc TotalsDoc) string {
	text := fmt.Sprintf("%s %s", capital(b.done), plural(doc.Changed, "task"))
	switch {
	case doc.Matched == 0:
		text = "No task matches"
	case doc.DryRun:
		text = fmt.Sprintf("Would %s %s", b.verb, plural(doc.Changed, "task"))
	case b.change.Kind == tasks.ChangeCancel && slices.Contains(b.filter.Statuses, tasks.Running):
		text += " (running ones were asked to end)"
	}
	if doc.Skipped > 0 {
		text += fmt.Sprintf("; skipped %s, not %s", number(int64(doc.Skipped)), statusList(b.from, "or"))
	}
	return text + "."
}

// sampleSize is how many of the tasks to be changed are shown.
const sampleSize = 5

// found is what a filter matches.
type found struct {
	matched, changed int
	sample           []*tasks.Record
}

// look counts what matches, and shows some of it.
func (c *call) look(ctx context.Context, admin *tasks.Admin, b bulk) (f found, err error) {
	m := c.meter("Counting", -1)
	defer func() { m.end() }()
	for rec, err := range admin.All(ctx, b.filter) {
		if err != nil {
			return f, fmt.Errorf("nothing was changed: %w", err)
		}
		if f.matched++; f.matched%tasks.MaxPage == 0 {
			m.at(f.matched)
		}
		if !b.applies(rec.Status) {
			continue
		}
		if f.changed++; f.changed <= sampleSize {
			f.sample = append(f.sample, rec)
		}
	}
	m.end()
	if f.changed == 0 || c.bool("dry-run") && c.g.quiet {
		return f, nil
	}
	// These are words: standard output gets the totals alone.
	p, err := newPrinter(c.err, asTable, c.g.noColor)
	if err != nil {
		return f, err
	}
	if f.changed > sampleSize {
		p.line("The oldest %d of %s:", sampleSize, plural(f.changed, "task"))
	}
	err = printAll(p, taskView(time.Now()), func(yield func(*tasks.Record, error) bool) {
		for _, rec := range f.sample {
			if !yield(rec, nil) {
				return
			}
		}
	})
	if err != nil {
		return f, err
	}
	return f, p.flush()
}

// where names the store, without its secrets.
func (c *call) where() string {
	if c.owned {
		if s, err := c.store(); err == nil && s.config[c.g.backend].URL != "" {
			return redactURL(s.config[c.g.backend].URL)
		}
	}
	return fmt.Sprintf("the backend %q", c.g.backend)
}

// plural is "1 task", "1,234 tasks".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(int64(n)) + " " + noun + "s"
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// statusList is "READY, FAILED or CANCELLED".
func statusList(all []tasks.Status, last string) string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = string(s)
	}
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " " + last + " " + names[n-1]
	}
	return strings.Join(names, "")
}
