package cli

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

func (p *Program) manCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "man [DIR]", Short: "Write the manual", Hidden: true, Args: cobra.MaximumNArgs(1),
		Long: `Write a manual page for every command into DIR, or print that of the program itself.

The date in them is that of SOURCE_DATE_EPOCH if it is set, for builds that can be repeated.`,
		Example: "  @ man | man -l -\n  @ man /usr/local/share/man/man1\n  @ man --markdown docs/cli",
		RunE:    func(cmd *cobra.Command, args []string) error { return coded(p.writeManual(cmd, args)) },
	}
	cmd.Flags().Bool("markdown", false, "write Markdown")
	return cmd
}

// writeManual doesn't look at the configuration: there is none where packages are built.
func (p *Program) writeManual(cmd *cobra.Command, args []string) error {
	markdown, _ := cmd.Flags().GetBool("markdown")
	top := topOf(cmd)
	everyCommand(top, nameExamples)
	defer func(before bool) { top.DisableAutoGenTag = before }(top.DisableAutoGenTag)
	top.DisableAutoGenTag = true // a date in every file, which makes each look changed
	header := &doc.GenManHeader{Section: "1", Source: strings.TrimSpace(p.name() + " " + p.version()), Manual: "User Commands"}
	if !markdown {
		defer escapeLong(top)()
	}
	if len(args) == 0 {
		if markdown {
			return doc.GenMarkdown(top, cmd.OutOrStdout())
		}
		return doc.GenMan(top, header, cmd.OutOrStdout())
	}
	dir := args[0]
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a manual is for all to read
		return fmt.Errorf("the folder for the manual: %w", err)
	}
	var err error
	if markdown {
		err = doc.GenMarkdownTree(top, dir)
	} else {
		err = doc.GenManTree(top, header, dir)
	}
	if err != nil {
		return fmt.Errorf("the manual: %w", err)
	}
	_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "Wrote the manual to %s.\n", dir)
	return nil
}

// topOf returns the command of the Program that a command is of, which may be below one of the user's.
func topOf(cmd *cobra.Command) *cobra.Command {
	for cmd.HasParent() && cmd.PersistentFlags().Lookup("config") == nil {
		cmd = cmd.Parent()
	}
	return cmd
}

func everyCommand(cmd *cobra.Command, do func(*cobra.Command)) {
	do(cmd)
	for _, sub := range cmd.Commands() {
		everyCommand(sub, do)
	}
}

// escapeLong keeps what is plain text in the commands' descriptions from being taken for Markdown, which
// is how manual pages are made. The function that it returns takes that back.
func escapeLong(cmd *cobra.Command) (restore func()) {
	long := cmd.Long
	cmd.Long = strings.NewReplacer("_", `\_`, "*", `\*`, "<", `\<`, "`", "\\`", "[", `\[`).Replace(long)
	undo := []func(){func() { cmd.Long = long }}
	for _, sub := range cmd.Commands() {
		undo = append(undo, escapeLong(sub))
	}
	return func() {
		for _, f := range undo {
			f()
		}
	}
}
