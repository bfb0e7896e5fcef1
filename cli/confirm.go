package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// addSafety adds the flags of commands that change much at once.
func addSafety(f *pflag.FlagSet) {
	f.Bool("dry-run", false, "only count, and show what would be changed")
	f.BoolP("yes", "y", false, "don't ask")
}

// isTerminal reports whether a person is at the other end.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// mayAsk reports, as an error, that there is nobody to ask.
func (c *call) mayAsk() error {
	if isTerminal(c.in) && isTerminal(c.err) {
		return nil
	}
	if c.flags.Lookup("dry-run") == nil {
		return usage("without a terminal there is nobody to ask: --yes does it without asking")
	}
	return usage("without a terminal there is nobody to ask: --yes does it without asking, --dry-run shows what it would do")
}

// confirm asks a question, unless --yes has answered it.
func (c *call) confirm(ctx context.Context, question string) error {
	if c.bool("yes") {
		return nil
	}
	if err := c.mayAsk(); err != nil {
		return usage("%s %w", question, err)
	}
	return c.ask(ctx, question)
}

// ask asks a question and returns an error unless the answer is yes.
func (c *call) ask(ctx context.Context, question string) error {
	_, _ = fmt.Fprintf(c.err, "%s [y/N] ", question)
	answer, answered := "", false
	for line, err := range lines(ctx, c.in) {
		if err != nil {
			_, _ = fmt.Fprintln(c.err)
			return fmt.Errorf("nothing was changed: %w", err)
		}
		answer, answered = strings.ToLower(strings.TrimSpace(line)), true
		break
	}
	if !answered { // the end of the input, which doesn't end the line
		_, _ = fmt.Fprintln(c.err)
	}
	if answer != "y" && answer != "yes" {
		return exit(ExitFailure, errors.New("not confirmed: nothing was changed"))
	}
	return nil
}

// lines yields the lines of a reader until it or ctx ends. Nothing ends a read from a terminal: its
// goroutine is left to wait for a line that nobody wants any more.
func lines(ctx context.Context, r io.Reader) iter.Seq2[string, error] {
	type read struct {
		line string
		err  error
	}
	return func(yield func(string, error) bool) {
		reads, over := make(chan read), make(chan struct{})
		defer close(over)
		go func() {
			defer close(reads)
			send := func(one read) bool {
				select {
				case reads <- one:
					return true
				case <-over:
					return false
				}
			}
			s := bufio.NewScanner(r)
			for s.Scan() {
				if !send(read{line: s.Text()}) {
					return
				}
			}
			if err := s.Err(); err != nil {
				send(read{err: err})
			}
		}()
		for {
			select {
			case one, ok := <-reads:
				if !ok || !yield(one.line, one.err) || one.err != nil {
					return
				}
			case <-ctx.Done():
				yield("", ctx.Err())
				return
			}
		}
	}
}
