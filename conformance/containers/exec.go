package containers

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	tcexec "github.com/testcontainers/testcontainers-go/exec"
)

// Exec runs a command in the server's container, as root, and returns an error with what it said
// if it fails.
func (s *Server) Exec(ctx context.Context, command ...string) error {
	if s.c == nil {
		return errors.New("containers: the server isn't owned")
	}
	code, said, err := s.c.Exec(ctx, command, tcexec.Multiplexed(), tcexec.WithUser("0"))
	if err != nil {
		return fmt.Errorf("running %q in the container: %w", command, err)
	}
	if code != 0 {
		text, _ := io.ReadAll(said)
		return fmt.Errorf("%q in the container ended with code %d: %s", command, code, strings.TrimSpace(string(text)))
	}
	return nil
}
