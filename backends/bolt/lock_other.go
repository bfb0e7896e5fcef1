//go:build !linux && !darwin && !freebsd && !netbsd && !openbsd && !dragonfly

package bolt

import (
	"context"
	"os"
	"time"
)

// lockFile leaves the lock to bbolt.
func lockFile(context.Context, *os.File, time.Duration) error { return nil }

// probe doesn't open the file where closing it again might drop bbolt's lock.
func probe(string) (*os.File, error) { return nil, nil }

// syncDir does nothing: folders can't be synced here.
func syncDir(string) error { return nil }
