//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package filestore

import (
	"errors"
	"os"
)

// lockFile always fails: without a lock two processes would run the same records.
func lockFile(*os.File) error { return errors.ErrUnsupported }
