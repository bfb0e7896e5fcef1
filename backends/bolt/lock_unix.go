//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package bolt

import (
	"context"
	"errors"
	"os"
	"syscall"
	"time"
)

const lockRetry = 20 * time.Millisecond

// lockFile takes the lock that bbolt takes on these systems. It belongs to the
// open file, so that bbolt then gets it at once.
func lockFile(ctx context.Context, f *os.File, timeout time.Duration) error {
	start := time.Now()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return &os.PathError{Op: "lock", Path: f.Name(), Err: err}
		case time.Since(start) >= timeout:
			return errLocked
		}
		retry := time.NewTimer(min(lockRetry, timeout))
		select {
		case <-retry.C:
		case <-ctx.Done():
			retry.Stop()
			return ctx.Err()
		}
	}
}

// probe opens the file for writing. The lock is safe: it belongs to the other
// open file.
func probe(path string) (*os.File, error) { return os.OpenFile(path, os.O_RDWR, 0) }

// syncDir makes what was created in a folder durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}
