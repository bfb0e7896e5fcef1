//go:build !linux

package bolt

import "os"

func networkFS(string) string { return "" }

func datasync(f *os.File) error { return f.Sync() }
