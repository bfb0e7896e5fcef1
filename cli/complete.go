package cli

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sideman-go/sideman/tasks"
)

// completeTimeout bounds how long the shell waits for names from the store.
const completeTimeout = time.Second

// completer proposes values for what a user has begun to type.
type completer = func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective)

// addCompletions gives completions to the flags and arguments of all commands: by a flag's name,
// and by what an argument is called in Use. One that has its own keeps it.
func (p *Program) addCompletions(top *cobra.Command) {
	flags := map[string]completer{
		"output":     fixed(forms()...),
		"status":     fixed(statusNames()...),
		"queue":      p.queueNames,
		"queues":     p.queueNames,
		"exclude":    p.queueNames,
		"backend":    p.aliasNames,
		"task":       p.taskNames,
		"worker":     p.workerNames,
		"fail-level": fixed(string(tasks.LevelWarning), string(tasks.LevelError), "never"),
		"config": func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return []string{"json", "yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
		},
	}
	arguments := map[string]completer{
		"NAME":  p.taskNames,
		"TASK":  p.taskNames,
		"QUEUE": p.queueNames,
		"ID":    p.taskIDs,
		"DIR": func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveFilterDirs
		},
	}
	var add func(cmd *cobra.Command)
	add = func(cmd *cobra.Command) {
		each := func(f *pflag.Flag) {
			if complete := flags[f.Name]; complete != nil {
				if f.Value.Type() == "stringSlice" {
					complete = listOf(complete)
				}
				_ = cmd.RegisterFlagCompletionFunc(f.Name, complete) // fails if the command has its own
			}
		}
		cmd.LocalNonPersistentFlags().VisitAll(each)
		cmd.PersistentFlags().VisitAll(each)
		if cmd.ValidArgsFunction == nil && len(cmd.ValidArgs) == 0 {
			cmd.ValidArgsFunction = argumentOf(cmd.Use, arguments)
		}
		for _, sub := range cmd.Commands() {
			add(sub)
		}
	}
	add(top)
}

// argumentOf is the completer for the arguments that Use names: the first one only, unless it is
// written with "..." and repeated.
func argumentOf(use string, by map[string]completer) completer {
	words := strings.Fields(use)
	if len(words) < 2 {
		return cobra.NoFileCompletions
	}
	name, many := strings.CutSuffix(strings.Trim(words[1], "[]"), "...")
	complete := by[name]
	if complete == nil {
		return cobra.NoFileCompletions
	}
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 && !many {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		names, directive := complete(cmd, args, begun)
		return slices.DeleteFunc(names, func(s string) bool {
			value, _, _ := strings.Cut(s, "\t")
			return slices.Contains(args, value)
		}), directive
	}
}

// fixed completes one of these.
func fixed(values ...string) completer {
	return func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return slices.Clone(values), cobra.ShellCompDirectiveNoFileComp
	}
}

// listOf completes the last of values with commas between them.
func listOf(one completer) completer {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		before := ""
		if i := strings.LastIndexByte(begun, ','); i >= 0 {
			before = begun[:i+1]
		}
		values, directive := one(cmd, args, begun[len(before):])
		there := strings.Split(before, ",")
		var all []string
		for _, v := range values {
			name, _, _ := strings.Cut(v, "\t")
			if strings.ContainsAny(name, `,"`) || slices.Contains(there, name) {
				continue // it would have to be quoted, or is there already
			}
			all = append(all, before+v)
		}
		return all, directive
	}
}

func statusNames() (names []string) {
	for _, s := range tasks.Statuses() {
		names = append(names, strings.ToLower(string(s)))
	}
	return names
}

// taskNames completes the names of the program's tasks.
func (p *Program) taskNames(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if p.App == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return p.App.TaskNames(), cobra.ShellCompDirectiveNoFileComp
}

// aliasNames completes the aliases of backends in the configuration.
func (p *Program) aliasNames(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	names := []string{tasks.DefaultAlias}
	if p.App != nil && len(p.App.Aliases()) > 0 {
		names = p.App.Aliases()
	} else if c, err := p.completing(cmd); err == nil {
		if s, err := c.store(); err == nil {
			names = sortedKeys(s.config)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// queueNames completes the names of the queues in the store.
func (p *Program) queueNames(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return p.fromStore(cmd, func(ctx context.Context, admin *tasks.Admin) (names []string, err error) {
		queues, err := admin.Queues(ctx)
		for _, q := range queues {
			names = append(names, q.Name)
		}
		return names, err
	})
}

// workerNames completes the ids of the live workers.
func (p *Program) workerNames(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return p.fromStore(cmd, func(ctx context.Context, admin *tasks.Admin) (names []string, err error) {
		workers, err := admin.Workers(ctx)
		for _, w := range workers {
			names = append(names, w.ID)
		}
		return names, err
	})
}

// taskIDs completes the ids of the newest tasks.
func (p *Program) taskIDs(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return p.fromStore(cmd, func(ctx context.Context, admin *tasks.Admin) (names []string, err error) {
		page, err := admin.List(ctx, tasks.ListRequest{Newest: true, Limit: 50})
		for _, r := range page.Records {
			names = append(names, cobra.CompletionWithDesc(r.ID, visible(r.Task)+" "+strings.ToLower(string(r.Status))))
		}
		return names, err
	})
}

// completing is the call of a command that isn't run.
func (p *Program) completing(cmd *cobra.Command) (*call, error) {
	c := &call{p: p, flags: cmd.Flags(), in: strings.NewReader(""), err: io.Discard}
	var err error
	if c.settings, err = p.settle(cmd); err != nil {
		return nil, err
	}
	return c, c.readGlobals(cmd)
}

// fromStore asks the store for names. Whatever goes wrong, and if it takes too long, there are
// none: this isn't the place to report it.
func (p *Program) fromStore(cmd *cobra.Command, ask func(context.Context, *tasks.Admin) ([]string, error)) ([]cobra.Completion, cobra.ShellCompDirective) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	answer := make(chan []string, 1)
	go func() { // closing may take longer; the program ends anyway
		defer close(answer)
		c, err := p.completing(cmd)
		if err != nil {
			return
		}
		defer func() { _ = c.close(ctx) }()
		app, err := c.openLooking(ctx)
		if err != nil {
			return
		}
		admin, err := app.Admin(c.g.backend)
		if err != nil {
			return
		}
		names, err := ask(ctx, admin)
		if err != nil {
			return
		}
		answer <- slices.DeleteFunc(names, func(s string) bool {
			name, _, _ := strings.Cut(s, "\t")
			return strings.ContainsFunc(name, hidden)
		})
	}()
	var names []string
	select {
	case names = <-answer:
	case <-ctx.Done():
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// openLooking is open for what must not change the store's schema.
func (c *call) openLooking(ctx context.Context) (*tasks.App, error) {
	if app := c.p.App; app != nil && len(app.Aliases()) > 0 {
		return app, nil
	}
	s, err := c.store()
	if err != nil {
		return nil, err
	}
	one := s.config[c.g.backend]
	if err := c.mustExist(one, s.from); err != nil {
		return nil, err
	}
	app := tasks.NewAppWith(tasks.AppOptions{Logger: c.logger()})
	return app, c.openAs(ctx, app, tasks.Config{c.g.backend: withoutMigrate(one)}, s.from)
}
