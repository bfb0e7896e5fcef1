package cli

import "github.com/spf13/cobra"

func (p *Program) queuesCommand() *cobra.Command {
	return &cobra.Command{Use: "queues", Args: cobra.NoArgs, Hidden: true, RunE: p.run(nil)}
}
