package tasks

import (
	"context"
	"log/slog"
	"time"
)

// LogState logs the status that a record has reached, as Django does:
//
//	INFO  Task id=… path=… state=RUNNING
//	INFO  Task id=… path=… state=SUCCESSFUL
//	ERROR Task id=… path=… state=FAILED error_type=… error=… stack=…
//	WARN  Task id=… path=… state=READY …       (a retry or snooze, with its time)
//
// Arguments, return values and metadata are never logged. A nil logger means the
// App's.
func (r *Runtime) LogState(ctx context.Context, logger *slog.Logger, rec *Record) {
	if logger == nil {
		logger = r.app.logger()
	}
	level := slog.LevelInfo
	switch rec.Status {
	case Failed:
		level = slog.LevelError
	case Ready:
		level = slog.LevelWarn
	case Running, Successful, Cancelled:
	}
	if !logger.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String("id", rec.ID), slog.String("path", rec.Task), slog.String("state", string(rec.Status)))
	switch rec.Status {
	case Ready, Failed:
		attrs = append(attrs, slog.Int("attempt", rec.Attempts()), slog.Int("max_attempts", rec.MaxAttempts))
		if last := rec.LastError(); last != nil && last.Attempt == rec.Attempts() {
			attrs = append(attrs, slog.String("error_type", last.Type), slog.String("error", last.Message))
			if last.Stack != "" {
				attrs = append(attrs, slog.String("stack", last.Stack))
			}
		}
		if rec.Status == Ready {
			attrs = append(attrs, slog.String("run_after", rec.RunAfter.Format(time.RFC3339Nano)))
		}
	case Cancelled:
		attrs = append(attrs, slog.String("reason", rec.CancelReason))
	case Running, Successful:
	}
	logger.LogAttrs(ctx, level, "Task", attrs...)
}
