package tasks

import (
	"context"
	"log/slog"
	"time"
)

// LogLine is what is logged of a task that has reached a status, by workers and by
// immediate: Django's lines, and what else is known.
//
//	INFO  Task id=… path=… state=RUNNING attempt=1
//	INFO  Task id=… path=… state=SUCCESSFUL attempt=1 took=…
//	ERROR Task id=… path=… state=FAILED attempt=1 took=… error_type=… error=… stack=…
//	WARN  Task id=… path=… state=READY attempt=1 … outcome=retry delay=…
//	INFO  Task id=… path=… state=CANCELLED … reason=…
//
// Arguments, return values and metadata are never logged.
type LogLine struct {
	ID, Path string
	State    Status
	Attempt  int
	// Took is how long the attempt ran; 0 leaves it out.
	Took time.Duration
	// Error is the attempt's, if it failed.
	Error *AttemptError
	// Outcome and Delay say why a record is READY again, and for how long it waits.
	Outcome OutcomeKind
	Delay   time.Duration
	// Reason is why a record is CANCELLED.
	Reason string
}

// level is a warning where a task is READY again because it failed. A snooze is
// nothing to warn of, and what is given back unstarted is of no interest.
func (l *LogLine) level() slog.Level {
	switch l.State {
	case Failed:
		return slog.LevelError
	case Ready:
		switch l.Outcome {
		case OutcomeRelease:
			return slog.LevelDebug
		case OutcomeSnooze:
			return slog.LevelInfo
		case OutcomeRetry, OutcomeFailure, OutcomeSuccess, OutcomeCancel:
		}
		return slog.LevelWarn
	case Running, Successful, Cancelled:
	}
	return slog.LevelInfo
}

// Enabled reports whether Log would log a line of that state and outcome, so that
// callers can save making it.
func (l *LogLine) Enabled(ctx context.Context, logger *slog.Logger) bool {
	return logger.Enabled(ctx, l.level())
}

// Log writes the line.
func (l *LogLine) Log(ctx context.Context, logger *slog.Logger) {
	if !l.Enabled(ctx, logger) {
		return
	}
	attrs := make([]slog.Attr, 0, 10)
	attrs = append(attrs, slog.String("id", l.ID), slog.String("path", l.Path),
		slog.String("state", string(l.State)), slog.Int("attempt", l.Attempt))
	if l.Took > 0 {
		attrs = append(attrs, slog.Duration("took", l.Took))
	}
	if l.Error != nil {
		attrs = append(attrs, slog.String("error_type", l.Error.Type), slog.String("error", l.Error.Message))
		if l.Error.Stack != "" {
			attrs = append(attrs, slog.String("stack", l.Error.Stack))
		}
	}
	switch l.State {
	case Ready:
		attrs = append(attrs, slog.String("outcome", string(l.Outcome)), slog.Duration("delay", l.Delay))
	case Cancelled:
		attrs = append(attrs, slog.String("reason", l.Reason))
	case Running, Successful, Failed:
	}
	logger.LogAttrs(ctx, l.level(), "Task", attrs...)
}
