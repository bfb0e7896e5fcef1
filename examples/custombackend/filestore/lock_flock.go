//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package filestore

import (
	"os"
	"syscall"
)

// lockFile locks the file, or fails if it is locked. The system unlocks it when it is
// closed, also when that is because the process was killed: a lock that is just a file
// would stay behind.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) }
