package tasks

import (
	"context"
	"log/slog"
	"maps"
)

// Info is what a handler may know about its own run.
type Info struct {
	ID          string
	Task        string
	Alias       string
	Queue       string
	Priority    int
	Attempt     int // from 1
	MaxAttempts int
	Metadata    map[string]string // a copy
	WorkerID    string
	// Logger adds the task's id, path and attempt to what is logged.
	Logger *slog.Logger
}

type infoKey struct{}

// infoSource is the context of a handler. It has what an Info is made from instead of an Info,
// so that handlers that don't ask cost nothing.
type infoSource struct {
	context.Context //nolint:containedctx // it is a context itself

	app *App
	rec *Record
	// workers is the record's WorkerIDs as of this attempt: a goroutine that the handler
	// left behind may ask when the next one has started.
	workers []string
}

func withInfo(ctx context.Context, app *App, rec *Record) context.Context {
	return &infoSource{ctx, app, rec, rec.WorkerIDs}
}

// Value implements context.Context.
func (s *infoSource) Value(key any) any {
	if key == (infoKey{}) {
		return s
	}
	return s.Context.Value(key)
}

// FromContext returns what is known about the run whose handler or
// run middleware has this context. ok is false elsewhere, also
// under Task.Call.
func FromContext(ctx context.Context) (info Info, ok bool) {
	s, ok := ctx.Value(infoKey{}).(*infoSource)
	if !ok {
		return Info{}, false
	}
	r := s.rec
	info = Info{
		ID: r.ID, Task: r.Task, Alias: r.Alias, Queue: r.Queue, Priority: r.Priority,
		Attempt: len(s.workers), MaxAttempts: r.MaxAttempts, Metadata: maps.Clone(r.Metadata),
	}
	if n := len(s.workers); n > 0 {
		info.WorkerID = s.workers[n-1]
	}
	info.Logger = s.app.logger().With("id", r.ID, "path", r.Task, "attempt", info.Attempt)
	return info, true
}
