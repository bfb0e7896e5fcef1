package cli

import "github.com/spf13/cobra"

func (p *Program) benchCommand() *cobra.Command {
	return &cobra.Command{Use: "bench", Args: cobra.NoArgs, Hidden: true, RunE: p.run(nil)}
}
