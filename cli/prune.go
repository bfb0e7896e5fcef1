package cli

import "github.com/spf13/cobra"

func (p *Program) pruneCommand() *cobra.Command {
	return &cobra.Command{Use: "prune", Args: cobra.NoArgs, Hidden: true, RunE: p.run(nil)}
}
