package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/tasks"
)

func (p *Program) resultCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "result ID", Short: "Print how a task stands, and what it returned", Args: exactly(1, "the id of a task"),
		Long: `Print how a task stands, and what it returned.

With --wait or --watch it goes on until the task has ended, for --timeout at most. The exit code is
then 0 if it is SUCCESSFUL, 1 if FAILED, 4 if CANCELLED, and 124 if it hasn't ended in time.`,
		RunE: p.run(showResult),
	}
	cmd.Flags().Bool("wait", false, "wait until it has ended")
	cmd.Flags().Bool("watch", false, "print each change until it has ended")
	return cmd
}

func showResult(ctx context.Context, c *call, ids []string) error {
	rec, err := c.read(ctx, c.g.backend, ids[0])
	if err != nil {
		return err
	}
	switch {
	case c.bool("watch"):
		return c.watchResult(ctx, rec)
	case c.bool("wait"):
		return c.waitAndPrint(ctx, c.g.backend, rec)
	}
	return c.printResult(rec)
}

// read reads a task, from a store that is open or to be opened.
func (c *call) read(ctx context.Context, alias, id string) (*tasks.Record, error) {
	app, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	res, err := app.GetResult(ctx, alias, id)
	if err != nil {
		return nil, err
	}
	return &res.Record, nil
}

// printResult prints a task as it stands: for people only what matters then.
func (c *call) printResult(rec *tasks.Record) error {
	now := time.Now()
	fields := []field{
		{name: "ID", value: rec.ID},
		{name: "Task", value: rec.Task},
		{name: "Status", value: string(rec.Status), style: statusStyle(rec.Status)},
	}
	switch rec.Status {
	case tasks.Ready, tasks.Running:
		fields = append(fields, field{name: "Queue", value: rec.Queue})
		if rec.RunAfter.After(now) {
			fields = append(fields, field{name: "Run after", value: clock(rec.RunAfter, now)})
		}
		if rec.Attempts() > 0 {
			fields = append(fields, field{name: "Attempts", value: attempts(rec)})
		}
	case tasks.Successful:
		fields = append(fields, field{name: "Return value", value: string(rec.Value)})
	case tasks.Cancelled:
		fields = append(fields, field{name: "Reason", value: rec.CancelReason})
	case tasks.Failed:
	}
	if e := rec.LastError(); e != nil && rec.Status != tasks.Successful {
		fields = append(fields, field{name: "Error", value: e.Type + ": " + e.Message, style: red})
	}
	return printOne(c.out, taskView(now), rec, fields)
}

func attempts(rec *tasks.Record) string {
	return strconv.Itoa(rec.Attempts()) + " of " + strconv.Itoa(rec.MaxAttempts)
}

// waitAndPrint waits until a task has ended, prints how, and returns what to exit with.
func (c *call) waitAndPrint(ctx context.Context, alias string, rec *tasks.Record) error {
	rec, err := c.follow(ctx, alias, rec, func(*tasks.Record) error { return nil })
	if err != nil {
		return err
	}
	return errors.Join(c.printResult(rec), verdict(rec))
}

// verdict is what to exit with for a task that has ended.
func verdict(rec *tasks.Record) error {
	switch rec.Status {
	case tasks.Failed:
		return exit(ExitFailure, fmt.Errorf("task %s is FAILED", rec.ID))
	case tasks.Cancelled:
		return exit(ExitConflict, fmt.Errorf("task %s is CANCELLED", rec.ID))
	case tasks.Ready, tasks.Running, tasks.Successful:
	}
	return nil
}

// watchResult prints each change of a task, a line each.
func (c *call) watchResult(ctx context.Context, rec *tasks.Record) error {
	n := 0
	show := func(rec *tasks.Record) error {
		defer func() { n++ }()
		if err := c.printChange(rec, n); err != nil {
			return err
		}
		return c.out.flush()
	}
	if err := show(rec); err != nil {
		return err
	}
	rec, err := c.follow(ctx, c.g.backend, rec, show)
	if err != nil {
		return err
	}
	return verdict(rec)
}

func (c *call) printChange(rec *tasks.Record, n int) error {
	switch c.out.form {
	case asTable, asWide:
		now := time.Now()
		text := "" // of the value or of what went wrong
		switch {
		case rec.Status == tasks.Successful:
			text = string(rec.Value)
		case rec.Status == tasks.Running:
			text = "attempt " + attempts(rec)
			if n := len(rec.WorkerIDs); n > 0 {
				text += ", worker " + rec.WorkerIDs[n-1]
			}
		default:
			text = note(rec)
		}
		if rec.Status == tasks.Ready && rec.RunAfter.After(now) {
			text += " (runs " + ago(rec.RunAfter, now) + ")"
		}
		c.out.line("%s %s %s", c.out.paint(faint, now.Format(time.TimeOnly)),
			c.out.paint(statusStyle(rec.Status), pad(string(rec.Status), len(tasks.Successful))), visible(text))
		return nil
	case asName:
		c.out.line("%s", rec.Status)
		return nil
	}
	return c.out.stream(newTaskDoc(rec), n)
}

// The pauses between two looks at a task grow from the one to the other.
const (
	shortPause = 20 * time.Millisecond
	longPause  = 500 * time.Millisecond
)

// follow reads a task until it has ended and tells of each change. It outlives an outage of
// the store, and lets go of a store between two looks that a worker couldn't have meanwhile.
func (c *call) follow(ctx context.Context, alias string, rec *tasks.Record, changed func(*tasks.Record) error) (*tasks.Record, error) {
	c.g.backend = alias // which open opens
	away := false
	for wait := shortPause; !rec.Status.Final(); wait = min(wait*3/2, longPause) {
		if err := c.letGo(); err != nil { //nolint:contextcheck // a store is closed also when the context is over
			return nil, err
		}
		if err := pause(ctx, wait); err != nil {
			return nil, fmt.Errorf("task %s is still %s: %w", rec.ID, rec.Status, err)
		}
		next, err := c.read(ctx, alias, rec.ID)
		switch {
		case ctx.Err() != nil:
			continue // pause says so
		case errors.Is(err, tasks.ErrUnavailable):
			if !away {
				away = true
				c.say("Trying again until it can be read: %v", err)
			}
			continue
		case errors.Is(err, tasks.ErrResultNotFound):
			return nil, fmt.Errorf("%w: it was there before, so it was deleted, or has ended and isn't kept", err)
		case err != nil:
			return nil, err
		}
		away = false
		if next.Status != rec.Status || next.Attempts() != rec.Attempts() || next.CancelRequested != rec.CancelRequested {
			wait = shortPause
			if err := changed(next); err != nil {
				return nil, err
			}
		}
		rec = next
	}
	return rec, nil
}
