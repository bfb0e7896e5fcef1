//go:build !unix

package cli

import (
	"io/fs"
	"os"
	"os/exec"
)

// runnable reports whether a file could be a program.
func runnable(info fs.FileInfo) bool { return info.Mode().IsRegular() && info.Size() > 0 }

// replaceProcess starts a program with the same arguments, as one process can't become
// another here. This one is to end then.
func replaceProcess(path string) (done bool, err error) {
	cmd := exec.Command(path, os.Args[1:]...) //nolint:noctx // it outlives this process
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = cmd.Start()
	return err == nil, err
}
