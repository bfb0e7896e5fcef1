package worker

import (
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func (w *Worker) logStart() {
	args := []any{"worker_id", w.opts.WorkerID, "queues", strings.Join(w.opts.Queues, ",")}
	if len(w.opts.Exclude) > 0 {
		args = append(args, "exclude", strings.Join(w.opts.Exclude, ","))
	}
	w.log.Info("Starting worker", append(args, "backend", w.opts.Backend, "concurrency", w.opts.Concurrency)...)
}

func (w *Worker) logStop(err error) {
	s := w.Stats()
	attrs := []slog.Attr{
		slog.String("worker_id", w.opts.WorkerID), slog.Duration("after", time.Since(w.started)),
		slog.Int64("claimed", s.Claimed), slog.Int64("succeeded", s.Succeeded), slog.Int64("failed", s.Failed),
		slog.Int64("retried", s.Retried), slog.Int64("snoozed", s.Snoozed), slog.Int64("cancelled", s.Cancelled),
		slog.Int64("released", s.Released), slog.Int64("lost_leases", s.LostLeases),
		slog.Int64("abandoned", s.Abandoned), slog.Int64("settle_errors", s.SettleErrors),
	}
	level := slog.LevelInfo
	if err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.Any("error", err))
	}
	w.log.LogAttrs(w.base.ctx, level, "Stopped worker", attrs...)
}

func (w *Worker) logBatchEnd() {
	w.log.Info("No more tasks to run for worker_id=" + w.opts.WorkerID + " - exiting gracefully.")
}

func (w *Worker) logMaxTasks() {
	w.log.Info("Run maximum tasks (" + strconv.Itoa(w.opts.MaxTasks) + ") on worker=" + w.opts.WorkerID + " - exiting gracefully.")
}

func (w *Worker) logRunning(j *job) {
	line := tasks.LogLine{ID: j.rec.ID, Path: j.rec.Task, State: tasks.Running, Attempt: j.lease.Attempt}
	line.Log(&j.ctx, w.log)
}

// logSettled writes the line of an outcome that was stored.
func (w *Worker) logSettled(j *job, status tasks.Status) {
	line := tasks.LogLine{
		ID: j.rec.ID, Path: j.rec.Task, State: status, Attempt: j.lease.Attempt,
		Error: j.out.Error, Outcome: j.out.Kind, Delay: j.out.Delay, Reason: j.out.Reason,
	}
	if !j.began.IsZero() {
		line.Took = j.took
	}
	if line.Reason == "" {
		line.Reason = j.reason
	}
	line.Log(w.base.ctx, w.log)
}

func (w *Worker) logLost(j *job) {
	w.log.Warn("Task lost its lease, its outcome isn't stored",
		"id", j.rec.ID, "path", j.rec.Task, "attempt", j.lease.Attempt)
}

const (
	unknownEvery = time.Minute
	maxUnknown   = 1000
)

// unknownTasks keeps the log of undefined tasks to one line a minute and name.
type unknownTasks struct {
	mu   sync.Mutex
	seen map[string]time.Time
}

func (u *unknownTasks) saw(w *Worker, rec *tasks.Record) {
	if !u.due(rec.Task, time.Now()) {
		return
	}
	w.log.Warn("Task isn't defined here, it is put back", "worker_id", w.opts.WorkerID,
		"id", rec.ID, "path", rec.Task, "queue", rec.Queue, "delay", w.opts.UnknownDelay)
}

func (u *unknownTasks) due(name string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if last, ok := u.seen[name]; ok && now.Sub(last) < unknownEvery {
		return false
	}
	if u.seen == nil {
		u.seen = make(map[string]time.Time)
	}
	if len(u.seen) >= maxUnknown {
		for k, last := range u.seen {
			if now.Sub(last) >= unknownEvery {
				delete(u.seen, k)
			}
		}
		if len(u.seen) >= maxUnknown {
			return false // enough was said this minute
		}
	}
	u.seen[name] = now
	return true
}
