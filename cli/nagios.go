package cli

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/tasks"
)

// What a plugin of Nagios exits with.
const (
	nagiosOK = iota
	nagiosWarning
	nagiosCritical
	nagiosUnknown
)

// nagios prints the report as a plugin does: one line that says how it is, then performance
// data, and the findings again in the lines below, of which the monitoring shows as many
// as it likes.
func (c *call) nagios(r *report, limits *limits) error {
	code, state := nagiosOK, "OK"
	switch {
	case r.count(tasks.LevelError) > 0:
		code, state = nagiosCritical, "CRITICAL"
	case r.count(tasks.LevelWarning) > 0:
		code, state = nagiosWarning, "WARNING"
	}
	var first string
	if len(r.found) == 0 {
		first = nagiosLoad(r.loads)
	} else {
		first = r.found[0].Message
		if more := len(r.found) - 1; more > 0 {
			first += fmt.Sprintf(" (and %d more)", more)
		}
	}
	line := "SIDEMAN " + state + " - " + nagiosText(first)
	if perf := nagiosPerformance(r.loads, limits); perf != "" {
		line += " | " + perf
	}
	c.out.line("%s", line)
	for _, f := range r.found {
		c.out.line("%s", nagiosText(f.String()))
	}
	if code == nagiosOK {
		return nil
	}
	return exit(code, nil)
}

// nagiosText is a text without what has a meaning there: the bar, and ends of lines.
func nagiosText(s string) string { return visible(strings.ReplaceAll(oneLine(s), "|", "/")) }

// oneLine joins the lines of a text.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func nagiosLoad(loads []load) string {
	if len(loads) == 0 {
		return "no problems found"
	}
	var parts []string
	for _, l := range loads {
		s := fmt.Sprintf("%d ready, %d running, %d failed, %s", l.ready, l.running, l.failed, countOf(l.workers, "worker"))
		if l.oldest > 0 {
			s += ", the oldest due for " + span(l.oldest)
		}
		if len(loads) > 1 {
			s = l.alias + ": " + s
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// nagiosPerformance is 'label'=value[unit];warning;critical;minimum for each number.
func nagiosPerformance(loads []load, limits *limits) string {
	var all []string
	for _, l := range loads {
		add := func(label string, value float64, unit string, bound *limit) {
			if len(loads) > 1 {
				label = "'" + strings.ReplaceAll(strings.ReplaceAll(l.alias, "'", ""), "=", "") + " " + label + "'"
			}
			all = append(all, fmt.Sprintf("%s=%s%s;%s;0", label, decimal(value), unit, bound.bounds()))
		}
		add("oldest", l.oldest.Seconds(), "s", &limits.oldest)
		add("ready", float64(l.ready), "", &limits.ready)
		add("running", float64(l.running), "", &limit{})
		add("failed", float64(l.failed), "", &limits.failed)
		add("workers", float64(l.workers), "", &limits.workers)
	}
	return strings.Join(all, " ")
}

func decimal(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

// bounds is the bounds as "warning;critical"; a minimum is written "2:".
func (l *limit) bounds() string {
	one := func(is bool, bound float64) string {
		switch {
		case !is:
			return ""
		case l.minimum:
			return decimal(bound) + ":"
		}
		return decimal(bound)
	}
	return one(l.warns, l.warn) + ";" + one(l.fails, l.fail)
}

// nagiosCodes gives errors a plugin's code and line if --nagios is set: UNKNOWN, because the
// codes of commands would mean other states.
func (p *Program) nagiosCodes(run func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		return asNagios(cmd, run(cmd, args))
	}
}

func asNagios(cmd *cobra.Command, err error) error {
	wanted, _ := cmd.Flags().GetBool("nagios")
	if err == nil || !wanted {
		return err
	}
	if f, ok := errors.AsType[*failure](err); ok && f.err == nil {
		return err // the line is printed
	}
	_, _ = io.WriteString(cmd.OutOrStdout(), "SIDEMAN UNKNOWN - "+nagiosText(err.Error())+"\n") // nobody is left to be told
	return exit(nagiosUnknown, nil)
}
