package cli

import "github.com/spf13/cobra"

func (p *Program) resultCommand() *cobra.Command {
	return &cobra.Command{Use: "result", Args: cobra.NoArgs, Hidden: true, RunE: p.run(nil)}
}
