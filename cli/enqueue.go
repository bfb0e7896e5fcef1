package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/tasks"
)

func (p *Program) enqueueCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "enqueue NAME", Short: "Enqueue a task", Args: exactly(1, "the name of a task"),
		Long: `Enqueue a task, with its argument as JSON. A program that knows the task's code checks the argument.

With --wait it waits until the task has ended, for --timeout at most, and prints how. The exit code
is then 0 if it is SUCCESSFUL, 1 if FAILED, 4 if CANCELLED, and 124 if it hasn't ended in time.`,
		Example: "  @ enqueue greet --args '\"Ada\"' --wait --timeout 30s\n" +
			"  @ enqueue resize --args '{\"image\": 7}' --queue images --in 10m\n" +
			"  jq .order invoice.json | @ enqueue charge --args-file - -o name",
		RunE: p.run(enqueueTask),
	}
	f := cmd.Flags()
	f.String("args", "", "the argument as `JSON`; none is for tasks that take none")
	f.String("args-file", "", "read the JSON from this `FILE`; -: from standard input")
	f.String("queue", "", "the queue's `NAME`; default: as the task is defined, as for all below")
	f.Int("priority", 0, "from -100 to 100, larger runs sooner")
	addDays(f, "in", "run it after this `TIME`: 90s, 2h, 7d")
	f.String("at", "", "run it at this `TIME`: 2006-01-02T15:04:05Z, 2006-01-02")
	addDays(f, "expires-in", "cancel it if it hasn't started after this `TIME`")
	f.String("expires-at", "", "cancel it if it hasn't started at this `TIME`")
	f.Int("max-attempts", 0, "try at most so many times")
	f.Duration("task-timeout", 0, "end an attempt that takes longer; 0: never")
	addDays(f, "retain", "keep it for this `TIME` when it has ended, as 7d or forever; 0: not at all")
	f.String("id", "", "the task's `ID`; one that is stored already enqueues nothing")
	f.StringArray("metadata", nil, "`KEY=VALUE` to go with it; more by more flags")
	f.Bool("wait", false, "wait until it has ended")
	return cmd
}

func enqueueTask(ctx context.Context, c *call, names []string) error {
	name := names[0]
	args, err := c.jsonArgs()
	if err != nil {
		return err
	}
	options, err := c.taskOptions(time.Now())
	if err != nil {
		return err
	}
	app, err := c.openTasks(ctx)
	if err != nil {
		return err
	}
	if err := c.mustDefine(app, name); err != nil {
		return err
	}
	if c.p.App == nil && len(args) == 0 {
		args = json.RawMessage("null")
	}
	one, err := app.CallJSON(name, args, options...)
	if err != nil {
		return err
	}
	results, err := app.EnqueueMany(ctx, one)
	if err != nil {
		return err
	}
	rec := &results[0].Record
	if rec.Duplicate {
		c.say("A task with the id %s is stored already: nothing was enqueued.", rec.ID)
	}
	if !c.bool("wait") {
		if err := c.leavesNothing(app, rec); err != nil {
			c.say("%v.", err)
		}
		return c.printResult(rec)
	}
	if err := c.leavesNothing(app, rec); err != nil {
		return errors.Join(c.printResult(rec), exit(ExitUsage, fmt.Errorf("--wait: %w", err)))
	}
	if !rec.Status.Final() {
		c.say("Enqueued %s, waiting for it.", rec.ID)
	}
	return c.waitAndPrint(ctx, rec.Alias, rec)
}

// leavesNothing says so if no worker will ever see the task.
func (c *call) leavesNothing(app *tasks.App, rec *tasks.Record) error {
	if b, err := app.Backend(rec.Alias); err != nil {
		return err
	} else if _, ok := tasks.As[*dummy.Backend](b); ok {
		return errors.New("the backend dummy runs nothing, and what it keeps ends with this process")
	}
	return nil
}

// mustDefine makes the App have the task, if the program has none of its own: then any name
// will do, and it's for a worker elsewhere to know it.
func (c *call) mustDefine(app *tasks.App, name string) error {
	if c.p.App != nil {
		if known := c.p.App.TaskNames(); len(known) > 0 {
			return unknownTask(name, known)
		}
		return nil
	}
	b, err := app.Backend(c.g.backend)
	if err != nil {
		return err
	}
	if _, ok := tasks.As[*immediate.Backend](b); ok {
		return exit(ExitUsage, fmt.Errorf("%w: the backend immediate runs tasks in this process, and %w", tasks.ErrUnsupported, errNoTasks))
	}
	tasks.Define(app, name, func(context.Context, json.RawMessage) (json.RawMessage, error) { return nil, errNoTasks })
	return nil
}

// jsonArgs returns the argument, or nil if none is given.
func (c *call) jsonArgs() (json.RawMessage, error) {
	file := c.text("args-file")
	given := c.settings.origin("args").by != byDefault
	what := "--args"
	args := []byte(c.text("args"))
	switch {
	case file == "":
		if !given {
			return nil, nil
		}
	case given:
		return nil, usage("--args and --args-file exclude each other")
	case file == "-":
		what = "standard input"
		var err error
		if args, err = io.ReadAll(c.in); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	default:
		what = file
		var err error
		if args, err = os.ReadFile(file); err != nil {
			return nil, exit(ExitUsage, fmt.Errorf("--args-file: %w", err))
		}
	}
	return args, checkJSON(args, what)
}

// checkJSON says where JSON is wrong, which stands in what.
func checkJSON(data []byte, what string) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return usage("%s: there is no JSON", what)
	}
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	if err == nil {
		return nil
	}
	hint := ""
	if !strings.ContainsAny(string(data[:1]), "{[\"") {
		hint = `; a text needs quotes: '"…"'`
	}
	if fault, ok := errors.AsType[*json.SyntaxError](err); ok {
		before := data[:min(max(fault.Offset-1, 0), int64(len(data)))]
		line := 1 + bytes.Count(before, []byte("\n"))
		column := len(before) - bytes.LastIndexByte(before, '\n')
		return usage("%s: not JSON, in line %d at byte %d: %w%s", what, line, column, err, hint)
	}
	return usage("%s: not JSON: %w%s", what, err, hint)
}

// taskOptions are the flags that say how the task is to run; what isn't given is left as the
// task defines it.
func (c *call) taskOptions(now time.Time) (options []tasks.Option, err error) {
	given := func(name string) bool { return c.settings.origin(name).by != byDefault }
	add := func(name string, option func() tasks.Option) {
		if given(name) {
			options = append(options, option())
		}
	}
	add("backend", func() tasks.Option { return tasks.OnBackend(c.g.backend) })
	add("queue", func() tasks.Option { return tasks.Queue(c.text("queue")) })
	add("priority", func() tasks.Option { return tasks.Priority(c.count("priority")) })
	add("max-attempts", func() tasks.Option { return tasks.MaxAttempts(c.count("max-attempts")) })
	add("task-timeout", func() tasks.Option { return tasks.Timeout(c.span("task-timeout")) })
	add("id", func() tasks.Option { return tasks.ID(c.text("id")) })
	if d, set := c.days("retain"); set {
		if d == 0 && c.bool("wait") {
			return nil, usage("--wait can't see how a task ended that --retain 0 deletes")
		}
		options = append(options, tasks.Retain(d))
	}
	for _, when := range []struct {
		in, at   string
		optionIn func(time.Duration) tasks.Option
		optionAt func(time.Time) tasks.Option
	}{
		{"in", "at", tasks.RunIn, tasks.RunAfter},
		{"expires-in", "expires-at", tasks.ExpiresIn, tasks.ExpiresAt},
	} {
		d, set := c.days(when.in)
		if set && given(when.at) {
			return nil, usage("--%s and --%s exclude each other", when.in, when.at)
		}
		if set {
			options = append(options, when.optionIn(d))
		}
		if given(when.at) {
			t, err := parseTime(c.text(when.at), now, true)
			if err != nil {
				return nil, usage("--%s: %w", when.at, err)
			}
			options = append(options, when.optionAt(t))
		}
	}
	pairs, _ := c.flags.GetStringArray("metadata")
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if !ok || key == "" {
			return nil, usage("--metadata %q isn't KEY=VALUE", pair)
		}
		options = append(options, tasks.Metadata(key, value))
	}
	return options, nil
}
