//go:build unix

package cli

import (
	"io/fs"
	"os"
	"syscall"
)

// runnable reports whether a file could be a program.
func runnable(info fs.FileInfo) bool {
	return info.Mode().IsRegular() && info.Size() > 0 && info.Mode()&0o111 != 0
}

// replaceProcess makes the process that of another program, with the same arguments. So it
// never returns true.
func replaceProcess(path string) (done bool, err error) {
	return false, syscall.Exec(path, os.Args, os.Environ())
}
