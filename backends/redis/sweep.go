package redis

import (
	"context"
	"encoding/json"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

const (
	// sweepLimit bounds each kind of work of one script, and of one sweep of a shard.
	sweepLimit = 200
	// forgetWorkers is for how long a worker is silent until it is forgotten, if that is
	// longer than ten of its intervals.
	forgetWorkers = time.Hour
)

// Sweep implements tasks.Store.
func (b *Backend) Sweep(ctx context.Context) (tasks.Swept, error) {
	if err := b.ready(ctx); err != nil {
		return tasks.Swept{}, err
	}
	return run(ctx, b, true, b.sweep)
}

func (b *Backend) sweep(ctx context.Context) (tasks.Swept, error) {
	var swept tasks.Swept
	lost := encodeError(&tasks.AttemptError{Type: tasks.ErrorTypeLost, Message: lifecycle.LostMessage})
	for shard := range b.shards {
		reply, err := b.eval(ctx, &b.scripts.sweep, shard, sweepLimit, lost)
		if err != nil {
			return tasks.Swept{}, err
		}
		if n := list(reply); len(n) == 4 {
			swept.Lost += int(number(n[0]))
			swept.Expired += int(number(n[1]))
			swept.Pruned += int(number(n[2]))
			swept.More = swept.More || number(n[3]) == 1
		}
	}
	now, beats, err := b.beats(ctx)
	if err != nil {
		return swept, nil // the next sweep will come to it
	}
	for id, raw := range beats {
		if w, err := decodeBeat(raw); err == nil && now.Sub(w.BeatAt) <= max(forgetWorkers, 10*w.Interval) {
			continue
		}
		// Unless it has made itself heard in the meantime.
		if _, err := b.eval(ctx, &b.scripts.beat, 0, id, "", raw); err != nil {
			break
		}
	}
	return swept, nil
}

// beats returns the stored heartbeats and the server's time.
func (b *Backend) beats(ctx context.Context) (now time.Time, beats map[string]string, err error) {
	reply, err := b.eval(ctx, &b.scripts.workers, 0)
	if err != nil {
		return now, nil, err
	}
	l := list(reply)
	if len(l) != 2 {
		return now, nil, tasks.ErrDamaged
	}
	now, err = parseTime(text(l[0]))
	return now, pairs(l[1]), err
}

// decodeBeat reads a heartbeat: the server's time, and the rest as JSON.
func decodeBeat(raw string) (w tasks.WorkerInfo, err error) {
	if len(raw) < sizeTime {
		return w, errShort
	}
	if err = json.Unmarshal([]byte(raw[sizeTime:]), &w); err != nil {
		return w, err
	}
	w.BeatAt, err = parseTime(raw[:sizeTime])
	return w, err
}
