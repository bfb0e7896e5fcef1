package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/sideman-go/sideman/tasks"
)

// globals are the flags of every command.
type globals struct {
	url, config, backend, output string
	noColor, quiet, verbose      bool
	timeout                      time.Duration
}

func (p *Program) addGlobals(root *cobra.Command) {
	f := root.PersistentFlags()
	f.String("url", "", "the store's `URL`; if it has a password, better by SIDEMAN_URL, as others see flags")
	f.String("config", "", "a `FILE` of configuration, JSON or YAML")
	f.StringP("backend", "b", tasks.DefaultAlias, "the `ALIAS` of the backend in the configuration")
	f.StringP("output", "o", "table", "the `FORM` of output: table, wide, json, jsonl, yaml or name")
	f.Bool("no-color", false, "no colour and no boxes, as NO_COLOR")
	f.BoolP("quiet", "q", false, "say nothing but data and errors")
	f.BoolP("verbose", "v", false, "log what goes on to standard error")
	f.Duration("timeout", 0, "give up after this `TIME`; 0: never")
}

// call is one invocation of a command: its flags as they are set by whatever sets them, the
// streams, and the store once it is open.
type call struct {
	p *Program
	g globals

	flags    *pflag.FlagSet
	settings *settings
	out      *printer
	in       io.Reader
	err      io.Writer

	app   *tasks.App // open, or nil
	owned bool       // and to be closed
	apart bool       // what is opened from now on isn't the program's own App
}

// action is what a command does. Its errors get their exit codes.
type action func(ctx context.Context, c *call, args []string) error

// run makes a command of an action. The context ends at an interrupt, or when the time is
// over that --timeout gives.
func (p *Program) run(do action) func(*cobra.Command, []string) error {
	return p.runAs(do, true)
}

// runAs is run; without signals the action looks after them itself.
func (p *Program) runAs(do action, signals bool) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) (err error) {
		c := &call{p: p, flags: cmd.Flags(), in: cmd.InOrStdin(), err: cmd.ErrOrStderr()}
		if c.settings, err = p.settle(cmd); err != nil {
			return coded(err)
		}
		if err := c.readGlobals(cmd); err != nil {
			return coded(err)
		}
		ctx := cmd.Context()
		if signals {
			var stop func()
			ctx, stop = interruptible(ctx)
			defer stop()
		}
		if c.g.timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, c.g.timeout)
			defer cancel()
		}
		defer func() { err = coded(errors.Join(err, c.close(ctx))) }()
		if err = do(ctx, c, args); err == nil {
			return c.out.flush()
		}
		_ = c.out.flush() // what there is; the error says more
		if ctx.Err() != nil && errors.Is(context.Cause(ctx), errInterrupted) && ExitCode(err) < 0 {
			return exit(ExitInterrupted, fmt.Errorf("%w: %w", errInterrupted, err))
		}
		return err
	}
}

// interruptible returns a context that an interrupt ends. A second one ends the process.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	over := make(chan struct{})
	go func() {
		select {
		case <-signals:
			signal.Stop(signals)
			cancel(errInterrupted)
		case <-over:
		}
	}()
	return ctx, func() {
		close(over)
		signal.Stop(signals)
		cancel(nil)
	}
}

func (c *call) readGlobals(cmd *cobra.Command) error {
	f := c.flags
	c.g = globals{
		url: c.text("url"), config: c.text("config"), backend: c.text("backend"), output: c.text("output"),
		noColor: c.bool("no-color"), quiet: c.bool("quiet"), verbose: c.bool("verbose"),
	}
	c.g.timeout, _ = f.GetDuration("timeout")
	if c.g.timeout < 0 {
		return usage("--timeout %v is negative", c.g.timeout)
	}
	out, err := newPrinter(cmd.OutOrStdout(), c.g.output, c.g.noColor)
	c.out = out
	return err
}

// text, bool, count, list and span return flags by their names. That a command has them is for its
// author to see to: none is the zero value.
func (c *call) text(name string) string        { v, _ := c.flags.GetString(name); return v }
func (c *call) bool(name string) bool          { v, _ := c.flags.GetBool(name); return v }
func (c *call) count(name string) int          { v, _ := c.flags.GetInt(name); return v }
func (c *call) list(name string) []string      { v, _ := c.flags.GetStringSlice(name); return v }
func (c *call) span(name string) time.Duration { v, _ := c.flags.GetDuration(name); return v }

// say tells the user something that isn't data.
func (c *call) say(format string, args ...any) {
	if !c.g.quiet {
		_, _ = fmt.Fprintf(c.err, format+"\n", args...)
	}
}

// logger logs to standard error if the user wants that.
func (c *call) logger() *slog.Logger {
	if c.g.verbose {
		return slog.New(slog.NewTextHandler(c.err, nil))
	}
	return slog.New(slog.DiscardHandler)
}
