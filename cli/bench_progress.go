package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// errDeclined ends a command that was asked about and wasn't wanted.
var errDeclined = errors.New("nothing was done") //nolint:gochecknoglobals // a sentinel

// askFirst asks the user on the terminal, and returns nil only for a yes, or without asking if
// there is --yes. Where nobody can be asked that is an error.
func (c *call) askFirst(ctx context.Context, question string) error {
	if c.bool("yes") {
		return nil
	}
	in, ok := c.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return usage("%s Say --yes: standard input is no terminal, so nobody can be asked", question)
	}
	fmt.Fprintf(c.err, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() { // a read can't be interrupted; the process ends soon if it is
		line, _ := bufio.NewReader(in).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "y", "yes":
			return nil
		}
		return exit(ExitFailure, errDeclined)
	case <-ctx.Done():
		fmt.Fprintln(c.err)
		return context.Cause(ctx)
	}
}
