package cli

import "github.com/spf13/cobra"

func (p *Program) enqueueCommand() *cobra.Command {
	return &cobra.Command{Use: "enqueue", Args: cobra.NoArgs, Hidden: true, RunE: p.run(nil)}
}
