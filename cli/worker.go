package cli

import "github.com/spf13/cobra"

func (p *Program) workerCommand() *cobra.Command {
	return &cobra.Command{Use: "worker", Args: cobra.NoArgs, Hidden: true, RunE: p.run(nil)}
}
