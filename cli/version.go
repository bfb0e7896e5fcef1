package cli

import (
	"context"
	"runtime"

	"github.com/spf13/cobra"
)

// VersionDoc is what the command version says.
type VersionDoc struct {
	Program string `json:"program"`
	Version string `json:"version"`
	Go      string `json:"go"`
}

func (p *Program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: p.run(func(_ context.Context, c *call, _ []string) error {
			doc := VersionDoc{p.name(), p.version(), runtime.Version()}
			v := view[VersionDoc]{doc: func(d VersionDoc) any { return d }, name: func(d VersionDoc) string { return d.Version }}
			return printOne(c.out, v, doc, []field{{name: "Program", value: doc.Program}, {name: "Version", value: doc.Version}, {name: "Go", value: doc.Go}})
		}),
	}
}
