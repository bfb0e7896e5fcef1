package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/tasks"
)

// deed is a change of tasks, and how it's spoken of.
type deed struct {
	change tasks.Change
	verb   string // "retry"
	doing  string // "Retrying"
	done   string // "retried"
	// from are the statuses that the change applies to.
	from []tasks.Status
}

func (d deed) applies(s tasks.Status) bool { return slices.Contains(d.from, s) }

// again says what the same command does after it has stopped half-way.
func (d deed) again() string {
	if d.change.Kind == tasks.ChangeReschedule {
		return "the same command does the rest, and those once more"
	}
	return "the same command goes on from there"
}

func newDeed(kind tasks.ChangeKind) deed {
	change := tasks.Change{Kind: kind}
	switch kind {
	case tasks.ChangeRetry:
		return deed{change, "retry", "Retrying", "retried", []tasks.Status{tasks.Failed, tasks.Cancelled}}
	case tasks.ChangeCancel:
		return deed{change, "cancel", "Cancelling", "cancelled", []tasks.Status{tasks.Ready, tasks.Running}}
	case tasks.ChangeDelete:
		return deed{change, "delete", "Deleting", "deleted", []tasks.Status{tasks.Ready, tasks.Successful, tasks.Failed, tasks.Cancelled}}
	case tasks.ChangeReschedule:
		return deed{change, "reschedule", "Rescheduling", "rescheduled", []tasks.Status{tasks.Ready}}
	}
	return deed{change: change, verb: string(kind)}
}

// changeCommand is a command that changes tasks, by ids or by flags that select.
func (p *Program) changeCommand(kind tasks.ChangeKind, short, long string, fill func(*call, *tasks.Change) error) *cobra.Command {
	d := newDeed(kind)
	cmd := &cobra.Command{
		Use: d.verb + " [ID...]", Short: short,
		Long: long + `

Say which by ids, or "-" to read them from standard input, one a line; or by flags that select
and --all-matching, which changes all that match and asks before it does, unless --yes is given.
Changes by ids: exit code 3 if one isn't there, 4 if one isn't in a status to be changed so;
the others are changed.`,
		Example: fmt.Sprintf("  @ %[1]s 0190b6b2-8f1c-7c3a-9f0e-5a1d2b3c4d5e\n  @ list --task mail -o name | @ %[1]s -\n  @ %[1]s --all-matching --queue mail --since 2h --dry-run", d.verb),
		RunE: p.run(func(ctx context.Context, c *call, ids []string) error {
			if fill != nil {
				if err := fill(c, &d.change); err != nil {
					return err
				}
			}
			return c.changeTasks(ctx, d, ids)
		}),
	}
	f := cmd.Flags()
	addFilter(f)
	f.Bool("all-matching", false, "all tasks that the other flags select")
	addSafety(f)
	return cmd
}

func (p *Program) tasksRetryCommand() *cobra.Command {
	return p.changeCommand(tasks.ChangeRetry, "Run failed or cancelled tasks again",
		"Make FAILED or CANCELLED tasks READY again, due at once, with one more attempt at least.", nil)
}

func (p *Program) tasksCancelCommand() *cobra.Command {
	cmd := p.changeCommand(tasks.ChangeCancel, "Cancel tasks that wait or run",
		`Cancel READY tasks at once. RUNNING ones are asked to end, and are CANCELLED when their function
has returned, unless it has succeeded.`,
		func(c *call, change *tasks.Change) error {
			change.Reason = c.text("reason")
			return nil
		})
	cmd.Flags().String("reason", "", "why, kept with the task")
	return cmd
}

func (p *Program) tasksDeleteCommand() *cobra.Command {
	cmd := p.changeCommand(tasks.ChangeDelete, "Delete tasks that don't run", "Delete tasks with their results. RUNNING ones are left alone: cancel them.", nil)
	cmd.Aliases = []string{"rm"}
	return cmd
}

func (p *Program) tasksRescheduleCommand() *cobra.Command {
	cmd := p.changeCommand(tasks.ChangeReschedule, "Move waiting tasks to another time", "Move READY tasks to another time, which --at or --in says.", reschedule)
	f := cmd.Flags()
	f.String("at", "", "not before this `TIME`: 2006-01-02T15:04:05Z, 2006-01-02, or in how long: 2h, 7d")
	f.String("in", "", "not before this `DURATION` from now by the store's clock: 90s, 2h, 7d; 0s is now")
	return cmd
}

func reschedule(c *call, change *tasks.Change) (err error) {
	at, in := c.text("at"), c.text("in")
	switch {
	case (at == "") == (in == ""):
		return usage("reschedule to when? Give either --at or --in")
	case at != "":
		if change.At, err = parseTime(at, time.Now(), true); err != nil {
			return usage("--at: %w", err)
		}
	default:
		if change.Delay, err = parseSpan(in); err != nil || change.Delay < 0 {
			return usage("--in: %q isn't a duration such as 90s, 2h or 7d", in)
		}
	}
	return nil
}

func (c *call) changeTasks(ctx context.Context, d deed, ids []string) error {
	all := c.bool("all-matching")
	selecting := c.byHand(filterFlags())
	switch {
	case all && len(ids) > 0:
		return usage("ids and --all-matching exclude each other")
	case all:
		return c.changeMatching(ctx, d)
	case len(selecting) > 0 && len(ids) > 0:
		return usage("ids and %s exclude each other", strings.Join(selecting, " "))
	case len(selecting) > 0:
		return usage("to %s all tasks that match, add --all-matching to %s", d.verb, strings.Join(selecting, " "))
	case len(ids) == 0:
		return usage(`%s which tasks? Give ids, or "-" to read them, or --all-matching with flags that select`, d.verb)
	case count(ids, "-") > 1:
		return usage(`"-" is there twice: standard input is read only once`)
	}
	return c.changeIDs(ctx, d, ids)
}

func count[E comparable](list []E, one E) (n int) {
	for _, e := range list {
		if e == one {
			n++
		}
	}
	return n
}

// byHand returns those of the flags that are on the command line.
func (c *call) byHand(names []string) (given []string) {
	for _, name := range names {
		if c.settings.origin(name).by == byFlag {
			given = append(given, "--"+name)
		}
	}
	return given
}

// ChangeDoc is what became of one task, as programs get it.
type ChangeDoc struct {
	ID string `json:"id"`
	// Status is the task's now; none if it's gone or was never there.
	Status tasks.Status `json:"status,omitempty"`
	// Changed: it was changed, or would be if this weren't a dry run. A RUNNING task that is
	// cancelled was only asked to end.
	Changed bool `json:"changed"`
	// Error says why it wasn't: "not found", or which status it's in: "is READY".
	Error string `json:"error,omitempty"`

	code int // the exit code that it means
	dry  bool
}

func newChangeDoc(id string, a tasks.Altered) ChangeDoc {
	doc := ChangeDoc{ID: id, Status: a.Status, Changed: a.Err == nil}
	switch {
	case a.Err == nil:
	case errors.Is(a.Err, tasks.ErrResultNotFound):
		doc.Error, doc.code = "not found", ExitNotFound
	case errors.Is(a.Err, tasks.ErrNoChange):
		doc.Error, doc.code = "is "+string(a.Status), ExitConflict
	default:
		doc.Error, doc.code = a.Err.Error(), codeOf(a.Err)
	}
	return doc
}

func changeView(d deed) view[ChangeDoc] {
	return view[ChangeDoc]{
		doc:  func(doc ChangeDoc) any { return doc },
		name: func(doc ChangeDoc) string { return doc.ID },
		columns: []column[ChangeDoc]{
			{head: "ID", cell: func(doc ChangeDoc) string { return doc.ID }},
			{
				head: "STATUS", cell: func(doc ChangeDoc) string { return string(doc.Status) },
				paint: func(doc ChangeDoc) style { return statusStyle(doc.Status) },
			},
			{
				head: "RESULT", cell: func(doc ChangeDoc) string { return d.result(doc) },
				paint: func(doc ChangeDoc) style {
					if doc.Changed {
						return plain
					}
					return red
				},
			},
		},
	}
}

// result says in words what became of a task.
func (d deed) result(doc ChangeDoc) string {
	switch {
	case !doc.Changed:
		return doc.Error
	case doc.dry:
		return "would be " + d.done
	case d.change.Kind == tasks.ChangeCancel && doc.Status == tasks.Running:
		return "asked to end"
	}
	return d.done
}
