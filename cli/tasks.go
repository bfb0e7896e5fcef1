package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sideman-go/sideman/tasks"
)

func (p *Program) tasksCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tasks", Short: "List and change tasks", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		p.tasksListCommand(), p.tasksShowCommand(), p.tasksExportCommand(),
		p.tasksRetryCommand(), p.tasksCancelCommand(), p.tasksDeleteCommand(), p.tasksRescheduleCommand(),
	)
	return cmd
}

// addFilter adds the flags that select tasks.
func addFilter(f *pflag.FlagSet) {
	f.StringSlice("status", nil, "only those in one of these `STATUSES`: ready, running, successful, failed, cancelled")
	f.StringSlice("queue", nil, "only those in one of these `QUEUES`")
	f.StringSlice("task", nil, "only runs of one of the tasks by these `NAMES`")
	f.String("worker", "", "only those whose newest attempt was the worker's by this `ID`")
	f.String("since", "", "only those enqueued at this `TIME` or later: 2006-01-02T15:04:05Z, 2006-01-02, or for how long: 2h, 7d")
	f.String("until", "", "only those enqueued before this `TIME`")
	f.String("error", "", "only those whose newest error has this `TEXT` in its type or message")
}

// filterFlags are the names of those flags.
func filterFlags() []string {
	return []string{"status", "queue", "task", "worker", "since", "until", "error"}
}

// filter returns what the flags of addFilter select.
func (c *call) filter() (tasks.Filter, error) {
	f := tasks.Filter{Queues: c.list("queue"), Tasks: c.list("task"), Worker: c.text("worker"), Error: c.text("error")}
	var err error
	if f.Statuses, err = statuses(c.list("status")); err != nil {
		return f, err
	}
	now := time.Now()
	for name, into := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if text := c.text(name); text != "" {
			if *into, err = parseTime(text, now, false); err != nil {
				return f, usage("--%s: %w", name, err)
			}
		}
	}
	return f, nil
}

func statuses(names []string) (all []tasks.Status, err error) {
	for _, name := range names {
		s := tasks.Status(strings.ToUpper(name))
		if !slices.Contains(tasks.Statuses(), s) {
			return nil, usage("--status: there is no status %q; there are ready, running, successful, failed and cancelled", name)
		}
		all = append(all, s)
	}
	return all, nil
}

func (p *Program) tasksListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List tasks, the newest first", Args: cobra.NoArgs,
		Example: "  @ list --status failed --since 1h\n  @ list --error 'connection refused' --limit 0 -o jsonl",
		RunE:    p.run(listTasks),
	}
	f := cmd.Flags()
	addFilter(f)
	f.Int("limit", 50, "at most so many; 0: all")
	f.Bool("oldest", false, "the oldest first")
	f.String("after", "", "go on behind the task with this `ID`")
	return cmd
}

func listTasks(ctx context.Context, c *call, _ []string) error {
	filter, err := c.filter()
	if err != nil {
		return err
	}
	limit := c.count("limit")
	if limit < 0 {
		return usage("--limit %d is negative", limit)
	}
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	last, more := "", false
	req := tasks.ListRequest{Filter: filter, Newest: !c.bool("oldest"), After: c.text("after"), Limit: tasks.MaxPage}
	if limit > 0 {
		req.Limit = min(limit+1, tasks.MaxPage) // one more tells whether there are more
	}
	all := admin.From(ctx, req)
	shown := func(yield func(*tasks.Record, error) bool) {
		n := 0
		for rec, err := range all {
			if err == nil && limit > 0 && n == limit {
				more = true
				return
			}
			n++
			if rec != nil {
				last = rec.ID
			}
			if !yield(rec, err) {
				return
			}
		}
	}
	if err := printAll(c.out, taskView(time.Now()), shown); err != nil {
		return err
	}
	if more {
		_ = c.out.flush()
		c.say("There are more: --after %s, or --limit 0 for all.", last)
	}
	return nil
}

func (p *Program) tasksShowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "show ID...", Aliases: []string{"get"}, Short: "Show all of a task", Args: some("the id of a task"),
		RunE: p.run(showTasks),
	}
}

func showTasks(ctx context.Context, c *call, ids []string) error {
	app, err := c.open(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	for i, id := range ids {
		res, err := app.GetResult(ctx, c.g.backend, id)
		if err != nil {
			return err
		}
		if i > 0 && c.out.people() {
			c.out.line("")
		}
		if err := printOne(c.out, taskView(now), &res.Record, taskFields(&res.Record, now)); err != nil {
			return err
		}
	}
	return nil
}

// some is cobra.MinimumNArgs(1) that says what is missing.
func some(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage("%s is missing", what)
		}
		return nil
	}
}

// exactly is cobra.ExactArgs that says what is missing.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < n:
			return usage("%s is missing", what)
		case len(args) > n:
			return usage("there is more than %s: %q", what, args[n:])
		}
		return nil
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
