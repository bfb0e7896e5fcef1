package cli

import "github.com/spf13/cobra"

func (p *Program) statsCommand() *cobra.Command {
	return &cobra.Command{Use: "stats", Args: cobra.NoArgs, Hidden: true, RunE: p.run(nil)}
}
