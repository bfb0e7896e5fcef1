package cli

import "github.com/spf13/cobra"

func (p *Program) migrateCommand() *cobra.Command {
	return &cobra.Command{Use: "migrate", Args: cobra.NoArgs, Hidden: true, RunE: p.run(nil)}
}
