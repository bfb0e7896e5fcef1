// Mounted is a program with commands of its own, by cobra, and Sideman's among them:
//
//	go run ./examples/cli/mounted orders
//	go run ./examples/cli/mounted jobs enqueue send_receipt --args '{"number": 7, "email": "ada@example.com"}'
//	go run ./examples/cli/mounted jobs worker --batch
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/examples/cli/shoptasks"
)

func main() { os.Exit(run(command())) }

// command is the shop's command line.
func command() *cobra.Command {
	shop := &cobra.Command{Use: "shop", Short: "Run the shop", SilenceErrors: true, SilenceUsage: true}
	shop.AddCommand(&cobra.Command{
		Use: "orders", Short: "List the orders",
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), "7  ada@example.com")
			return err
		},
	})
	jobs := cli.Command(shoptasks.NewApp())
	jobs.Use = "jobs"
	shop.AddCommand(jobs)
	return shop
}

// run runs it and returns the exit code: that of Sideman's commands for their errors, and 1 for
// the shop's own.
func run(shop *cobra.Command) int {
	err := shop.Execute()
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" { // some errors only have a code: what they are about has been printed
		_, _ = fmt.Fprintln(os.Stderr, "shop:", text)
	}
	if code := cli.ExitCode(err); code > 0 {
		return code
	}
	return 1
}
