package cli

import "github.com/spf13/cobra"

func (p *Program) manCommand() *cobra.Command {
	return &cobra.Command{Use: "man", Args: cobra.NoArgs, Hidden: true, RunE: p.run(nil)}
}
