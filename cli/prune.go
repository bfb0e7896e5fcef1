package cli

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/tasks"
)

func (p *Program) pruneCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "prune", Short: "Delete old task results", Args: cobra.NoArgs,
		Long: `Delete the results of tasks that finished some time ago: SUCCESSFUL, FAILED and CANCELLED ones, of
the queue "default" unless --queue says another. Others are never touched. It doesn't ask.

Workers delete by themselves what has outlived its retention, so this is for deleting sooner.`,
		Example: "  @ prune --queue '*' --min-age-days 30 --dry-run\n  @ prune --queue mail --older-than 12h --status successful",
		RunE:    p.run(pruneResults),
	}
	f := cmd.Flags()
	f.StringSlice("queue", []string{tasks.DefaultQueue}, "of these `QUEUES`; '*': of all")
	f.Int("min-age-days", 14, "those that finished at least so many `DAYS` ago")
	f.Int("failed-min-age-days", 0, "the same `DAYS` for FAILED ones; default: as for the others")
	f.String("older-than", "", "those that finished at least this `DURATION` ago, instead of --min-age-days: 90s, 2h, 7d")
	f.StringSlice("status", nil, "only these `STATUSES`: successful, failed, cancelled")
	f.Bool("dry-run", false, "only count")
	return cmd
}

func pruneResults(ctx context.Context, c *call, _ []string) error {
	requests, err := c.pruneRequests()
	if err != nil {
		return err
	}
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	doc := TotalsDoc{DryRun: c.bool("dry-run")}
	m := c.meter("Deleting", -1)
	defer m.end()
	for _, req := range requests {
		before := doc.Matched
		totals, err := admin.Prune(ctx, req, tasks.Bulk{DryRun: doc.DryRun, Progress: func(t tasks.Totals) { m.at(before + t.Changed) }})
		doc.Matched += totals.Matched
		doc.Changed = doc.Matched
		if err != nil {
			if doc.DryRun || doc.Changed == 0 {
				return err
			}
			return fmt.Errorf("stopped when %s were deleted, and perhaps some more; the same command goes on from there: %w", plural(doc.Changed, "task result"), err)
		}
	}
	m.end()
	verb := "Deleted"
	if doc.DryRun {
		verb = "Would delete"
	}
	if err := c.printTotals(doc, verb+" "+plural(doc.Changed, "task result")); err != nil {
		return err
	}
	if doc.Matched == 0 && c.settings.origin("queue").by == byDefault {
		_ = c.out.flush() // before the words
		c.say("Only the queue %q was looked at: --queue '*' is for all.", tasks.DefaultQueue)
	}
	return nil
}

// pruneRequests returns what the flags ask for: two requests if failed ones have an age of their own.
func (c *call) pruneRequests() ([]tasks.PruneRequest, error) {
	queues := c.list("queue")
	switch {
	case slices.Contains(queues, "*"):
		queues = nil
	case len(queues) == 0 || slices.Contains(queues, ""):
		return nil, usage("%s is empty; '*' is for all queues", c.settings.origin("queue").text)
	}
	kinds, err := statuses(c.list("status"))
	if err != nil {
		return nil, err
	}
	for _, s := range kinds {
		if !s.Final() {
			return nil, usage("--status: %s tasks have no results to delete", s)
		}
	}
	if len(kinds) == 0 {
		kinds = []tasks.Status{tasks.Successful, tasks.Failed, tasks.Cancelled}
	}
	age, err := c.ageInDays("min-age-days")
	if err != nil {
		return nil, err
	}
	if text := c.text("older-than"); text != "" {
		if c.settings.origin("min-age-days").by != byDefault {
			return nil, usage("--older-than and --min-age-days exclude each other")
		}
		if age, err = parseSpan(text); err != nil || age < 0 {
			return nil, usage("--older-than: %q isn't a duration such as 90s, 2h or 7d", text)
		}
	}
	failedAge, err := c.ageInDays("failed-min-age-days")
	if err != nil {
		return nil, err
	}
	if c.settings.origin("failed-min-age-days").by == byDefault || !slices.Contains(kinds, tasks.Failed) {
		return []tasks.PruneRequest{{Queues: queues, Statuses: kinds, OlderThan: age}}, nil
	}
	requests := []tasks.PruneRequest{{Queues: queues, Statuses: []tasks.Status{tasks.Failed}, OlderThan: failedAge}}
	// No statuses would mean all of them.
	if others := slices.DeleteFunc(slices.Clone(kinds), func(s tasks.Status) bool { return s == tasks.Failed }); len(others) > 0 {
		requests = append(requests, tasks.PruneRequest{Queues: queues, Statuses: others, OlderThan: age})
	}
	return requests, nil
}

// maxDays keeps ages within what a time.Duration holds.
const maxDays = 36500

func (c *call) ageInDays(flag string) (time.Duration, error) {
	n := c.count(flag)
	if n < 0 || n > maxDays {
		return 0, usage("--%s %d: must be from 0 to %d", flag, n, maxDays)
	}
	return time.Duration(n) * 24 * time.Hour, nil
}
