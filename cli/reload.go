package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"
)

// reloadEvery is how often the program's file is looked at.
const reloadEvery = 500 * time.Millisecond

// rebuild waits for the program's file to be replaced.
type rebuild struct {
	path  string
	first build
}

// build tells a file from another by the same name. The zero build is none.
type build struct{ modified, size int64 }

func buildAt(path string) build {
	info, err := os.Stat(path)
	if err != nil || !runnable(info) {
		return build{}
	}
	return build{info.ModTime().UnixNano(), info.Size()}
}

func newRebuild() (*rebuild, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("--reload: the program's file isn't known: %w", err)
	}
	return &rebuild{path, buildAt(path)}, nil
}

// wait returns true when there is another file, and it is complete: it is as it was half a
// second ago.
func (r *rebuild) wait(ctx context.Context) bool {
	last := r.first
	for pause(ctx, reloadEvery) == nil {
		now := buildAt(r.path)
		if now != r.first && now == last && now != (build{}) {
			return true
		}
		last = now
	}
	return false
}

// restarts is how often it is tried to start a rebuilt program: a build that takes pauses
// leaves a file for a while that can't be started.
const restarts = 20

// restart puts the program's file in the place of this process. It returns only if that
// fails, or where a process can't be replaced.
func restart(log *slog.Logger) error {
	path, err := os.Executable()
	if err != nil {
		return exit(ExitFailure, err)
	}
	for try := 1; ; try++ {
		done, err := replaceProcess(path)
		if done {
			return nil
		}
		if try == restarts {
			return exit(ExitFailure, fmt.Errorf("the rebuilt program can't be started: %w", err))
		}
		log.Warn("The rebuilt program can't be started, trying again", "error", err)
		time.Sleep(reloadEvery)
	}
}
