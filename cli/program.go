package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/redis/go-redis/v9/logging"
	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/backends"
	"github.com/sideman-go/sideman/tasks"
)

// Program is a command line for an App. The zero value is one that administers a store
// without knowing its tasks.
type Program struct {
	// App has the tasks. Its backends are opened as the user's configuration says; if the
	// App has some in use already, those are used and there is nothing to configure. Nil:
	// there are no tasks, and so no worker.
	App *tasks.App
	// Name is the program's, as its help has it. Default: that of its file.
	Name string
	// Version is what the command version says. Default: what the Go toolchain has noted.
	Version string
	// Drivers are the backends to choose from. Default: backends.All().
	Drivers tasks.Drivers
	// URL is the store that is used if the user names none. Default: "bolt:tasks.db", a file
	// in the working directory.
	URL string
}

// Streams are what a command reads and writes.
type Streams struct {
	// In is read where a "-" says so, and for answers if it's a terminal.
	In io.Reader
	// Out gets data, and Err everything that is said about it.
	Out, Err io.Writer
}

// Main makes a program of an App: it runs the command in os.Args and exits with its code.
// It doesn't return.
func Main(app *tasks.App) { (&Program{App: app}).Main() }

// Command returns the commands of an App under one that is named "tasks-admin" unless it's
// renamed, to be added to a cobra program of one's own. Errors are returned, not printed,
// and ExitCode tells what to exit with.
func Command(app *tasks.App) *cobra.Command {
	return (&Program{App: app, Name: "tasks-admin"}).Command()
}

// Main runs the command in os.Args and exits with its code. It doesn't return.
func (p *Program) Main() {
	logging.Disable() // go-redis writes its own lines to standard error, beside the errors that it returns
	os.Exit(p.Run(context.Background(), os.Args[1:], Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

// Run runs a command and returns its exit code. Errors are printed to s.Err. The end of ctx
// ends the command, as an interrupt does.
func (p *Program) Run(ctx context.Context, args []string, s Streams) int {
	root := p.Command() //nolint:contextcheck // its commands get theirs from ExecuteContextC
	root.SetArgs(args)
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return ExitOK
	}
	code := ExitCode(err)
	if code < 0 { // cobra's own: an unknown command, or arguments that it doesn't take
		code = ExitUsage
	}
	text := err.Error()
	if text == "" {
		return code // whatever it means: the command has said all
	}
	_, _ = fmt.Fprintf(s.Err, "%s: %s\n", p.name(), text)
	if code == ExitUsage && !isConfigFault(err) {
		_, _ = fmt.Fprintf(s.Err, "Run '%s --help' for what it takes.\n", cmd.CommandPath())
	}
	return code
}

func (p *Program) name() string {
	if p.Name != "" {
		return p.Name
	}
	return filepath.Base(os.Args[0])
}

func (p *Program) drivers() tasks.Drivers {
	if p.Drivers != nil {
		return p.Drivers
	}
	return backends.All()
}

func (p *Program) url() string {
	if p.URL != "" {
		return p.URL
	}
	return "bolt:tasks.db"
}

func (p *Program) version() string {
	if p.Version != "" {
		return p.Version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}

// Command returns the program's root command, for a cobra program of one's own.
func (p *Program) Command() *cobra.Command {
	root := &cobra.Command{
		Use:   p.name(),
		Short: "Run and administer tasks",
		Long: `Run and administer tasks.

The store is chosen by --url or SIDEMAN_URL, else by a file: --config, SIDEMAN_CONFIG, or
sideman.json, sideman.yaml or sideman.yml in the working directory; else it is ` + p.url() + `.
Each flag can be set by a variable as well, SIDEMAN_ and its name (--dry-run: SIDEMAN_DRY_RUN),
or in the file. A flag comes before a variable, and that before the file: "config show" tells.

Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 3 not found, 4 not in a state to be
changed so, 5 store unreachable, 124 timeout, 130 interrupted.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	p.addGlobals(root)
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		nameExamples(cmd)
		help(cmd, args)
	})
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage("%w", err) })
	root.AddCommand(
		p.benchCommand(),
		p.checkCommand(),
		p.configCommand(),
		p.enqueueCommand(),
		p.manCommand(),
		p.migrateCommand(),
		p.pruneCommand(),
		p.queuesCommand(),
		p.resultCommand(),
		p.statsCommand(),
		p.tasksCommand(),
		p.versionCommand(),
		p.workerCommand(),
	)
	p.addCompletions(root)
	return root
}

var errNoTasks = errors.New("this program knows no task's code: make one that does with cli.Main(app)")

// nameExamples puts the words that come before a command in the place of each "@" in its
// examples: they aren't known before, as the program may be mounted in another.
func nameExamples(cmd *cobra.Command) {
	if cmd.HasParent() {
		cmd.Example = strings.ReplaceAll(cmd.Example, "@", cmd.Parent().CommandPath())
	}
}
