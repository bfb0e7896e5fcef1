package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/tasks"
)

func (p *Program) queuesCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "queues", Short: "List, pause and empty queues", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	purge := &cobra.Command{
		Use: "purge NAME...", Short: "Delete what waits in queues", Args: some("the name of a queue"),
		Long: `Delete the READY tasks of queues, those for later included; with --all the finished ones too.
RUNNING ones are never touched. It asks before it does, unless --yes is given.`,
		RunE: p.run(purgeQueues),
	}
	purge.Flags().Bool("all", false, "finished tasks too, with their results")
	addSafety(purge.Flags())
	cmd.AddCommand(
		&cobra.Command{
			Use: "list", Aliases: []string{"ls"}, Short: "List queues with how many tasks they have", Args: cobra.NoArgs,
			Long: "List queues with how many tasks they have. -o wide has the waiting ones by task, too.",
			RunE: p.run(listQueues),
		},
		&cobra.Command{
			Use: "pause NAME...", Short: "Let no worker take tasks of queues", Args: some("the name of a queue"),
			Long: "Let no worker take tasks of queues. Those that run go on, and tasks can be enqueued.",
			RunE: p.run(func(ctx context.Context, c *call, names []string) error { return c.pause(ctx, names, true) }),
		},
		&cobra.Command{
			Use: "resume NAME...", Short: "Let workers take tasks of paused queues again", Args: some("the name of a queue"),
			RunE: p.run(func(ctx context.Context, c *call, names []string) error { return c.pause(ctx, names, false) }),
		},
		purge,
	)
	return cmd
}

// QueueDoc is how a queue stands, as programs get it.
type QueueDoc struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
	// How many tasks it has, by status.
	Ready      int64 `json:"ready"`
	Running    int64 `json:"running"`
	Successful int64 `json:"successful"`
	Failed     int64 `json:"failed"`
	Cancelled  int64 `json:"cancelled"`
	// OldestSeconds is for how long the task has been due that is due longest; 0 if none is.
	OldestSeconds float64 `json:"oldest_seconds"`
	// Waiting has how many are READY by task.
	Waiting map[string]int64 `json:"waiting"`
}

func newQueueDoc(q tasks.QueueInfo) QueueDoc {
	doc := QueueDoc{
		Name: q.Name, Paused: q.Paused, Waiting: q.Waiting,
		Ready: q.Counts[tasks.Ready], Running: q.Counts[tasks.Running], Successful: q.Counts[tasks.Successful],
		Failed: q.Counts[tasks.Failed], Cancelled: q.Counts[tasks.Cancelled], OldestSeconds: q.OldestDue.Seconds(),
	}
	if doc.Waiting == nil {
		doc.Waiting = map[string]int64{}
	}
	return doc
}

func queueView() view[tasks.QueueInfo] {
	counted := func(head string, s tasks.Status) column[tasks.QueueInfo] {
		return column[tasks.QueueInfo]{
			head: head, right: true, cell: func(q tasks.QueueInfo) string { return number(q.Counts[s]) },
			paint: func(q tasks.QueueInfo) style {
				if q.Counts[s] == 0 {
					return faint
				}
				return statusStyle(s)
			},
		}
	}
	return view[tasks.QueueInfo]{
		doc:  func(q tasks.QueueInfo) any { return newQueueDoc(q) },
		name: func(q tasks.QueueInfo) string { return q.Name },
		columns: []column[tasks.QueueInfo]{
			{head: "QUEUE", cell: func(q tasks.QueueInfo) string { return q.Name }},
			{head: "STATE", cell: func(q tasks.QueueInfo) string { return stateOf(q.Paused) }, paint: func(q tasks.QueueInfo) style { return stateStyle(q.Paused) }},
			counted("READY", tasks.Ready), counted("RUNNING", tasks.Running), counted("SUCCESSFUL", tasks.Successful),
			counted("FAILED", tasks.Failed), counted("CANCELLED", tasks.Cancelled),
			{head: "OLDEST DUE", right: true, cell: func(q tasks.QueueInfo) string {
				if q.OldestDue <= 0 {
					return ""
				}
				return span(q.OldestDue)
			}},
			{head: "WAITING", wide: true, cell: func(q tasks.QueueInfo) string {
				var parts []string
				for _, name := range sortedKeys(q.Waiting) {
					parts = append(parts, name+" "+strconv.FormatInt(q.Waiting[name], 10))
				}
				return strings.Join(parts, ", ")
			}},
		},
	}
}

func stateOf(paused bool) string {
	if paused {
		return "paused"
	}
	return "open"
}

func stateStyle(paused bool) style {
	if paused {
		return yellow
	}
	return plain
}

func listQueues(ctx context.Context, c *call, _ []string) error {
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	queues, err := admin.Queues(ctx)
	if err != nil {
		return err
	}
	return printAll(c.out, queueView(), func(yield func(tasks.QueueInfo, error) bool) {
		for _, q := range queues {
			if !yield(q, nil) {
				return
			}
		}
	})
}

// PauseDoc is a queue that was paused or resumed, as programs get it.
type PauseDoc struct {
	Name   string `json:"name"`
	Paused bool   `json:"paused"`
}

// pause pauses queues or resumes them. One need not have tasks yet, but it's said if it hasn't:
// the name may be misspelt.
func (c *call) pause(ctx context.Context, names []string, paused bool) error {
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	do := admin.Resume
	if paused {
		do = admin.Pause
	}
	v := view[PauseDoc]{
		doc:  func(d PauseDoc) any { return d },
		name: func(d PauseDoc) string { return d.Name },
		columns: []column[PauseDoc]{
			{head: "QUEUE", cell: func(d PauseDoc) string { return d.Name }},
			{head: "STATE", cell: func(d PauseDoc) string { return stateOf(d.Paused) }, paint: func(d PauseDoc) style { return stateStyle(d.Paused) }},
		},
	}
	err = printAll(c.out, v, func(yield func(PauseDoc, error) bool) {
		for _, name := range names {
			if err := do(ctx, name); err != nil {
				yield(PauseDoc{}, err)
				return
			}
			if !yield(PauseDoc{name, paused}, nil) {
				return
			}
		}
	})
	if err != nil {
		return err
	}
	_ = c.out.flush() // before the words
	for _, name := range names {
		// One page, as counting takes long in a large store.
		page, err := admin.List(ctx, tasks.ListRequest{Filter: tasks.Filter{Queues: []string{name}}, Limit: 1})
		if err == nil && len(page.Records) == 0 && page.Next == "" {
			c.say("The queue %q has no tasks now: is that its name?", name)
		}
	}
	return nil
}

func purgeQueues(ctx context.Context, c *call, names []string) error {
	d := newDeed(tasks.ChangeDelete)
	b := bulk{deed: d, filter: tasks.Filter{Queues: names, Statuses: []tasks.Status{tasks.Ready}}}
	if c.bool("all") {
		b.filter.Statuses = d.from
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		if name == "" {
			return usage("the name of a queue is empty")
		}
		quoted[i] = strconv.Quote(name)
	}
	b.question = func(n int) string {
		return fmt.Sprintf("Delete %s (%s) in %s", plural(n, "task"), statusList(b.filter.Statuses, "and"), strings.Join(quoted, ", "))
	}
	return c.runBulk(ctx, b)
}
