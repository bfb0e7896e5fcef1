package redis

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

const (
	// maxPoll is how long a wait sleeps at most while the server's news come in: they
	// wake it. brokenPoll is the same while they don't.
	maxPoll    = 5 * time.Second
	brokenPoll = 250 * time.Millisecond
)

// Wait implements tasks.Store. It notes on the server that somebody waits, in the same step
// as looking; the script that makes a record READY then publishes that.
func (b *Backend) Wait(ctx context.Context, sel tasks.Selection) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	sel.Queues, sel.Exclude = slices.Clone(sel.Queues), slices.Clone(sel.Exclude)
	b.listen(ctx)
	for {
		if err := b.ready(ctx); err != nil {
			return err
		}
		// Registering comes first: what is published after the look wakes us, and so does
		// the subscription when it comes to stand, after which we look again.
		w, live := b.hub.register(sel)
		sleep := maxPoll
		if !live {
			sleep = brokenPoll
		}
		next, found, err := b.look(ctx, sel)
		if err != nil {
			b.hub.unregister(w)
			return err
		}
		if found && next <= 0 {
			b.hub.unregister(w)
			return nil
		}
		byDue := found && next <= sleep
		if byDue {
			sleep = next
		}
		timer := time.NewTimer(sleep)
		isDue := false
		select {
		case <-w.wake:
		case <-timer.C:
			isDue = byDue
		case <-b.done:
		case <-ctx.Done():
		}
		timer.Stop()
		news := b.hub.unregister(w)
		if err := b.ready(ctx); err != nil || news || isDue {
			return err
		}
	}
}

// look returns in what time the next record of the selection is due.
func (b *Backend) look(ctx context.Context, sel tasks.Selection) (next time.Duration, found bool, err error) {
	args := selected(sel)
	if args == nil {
		return 0, false, b.ready(ctx)
	}
	for shard := range b.shards {
		reply, err := run(ctx, b, false, func(ctx context.Context) (any, error) {
			return b.eval(ctx, &b.scripts.look, shard, args...)
		})
		if err != nil {
			return 0, false, err
		}
		l := texts(reply)
		if len(l) != 2 {
			return 0, false, tasks.ErrDamaged
		}
		if l[1] == "" {
			continue
		}
		now, err1 := parseTime(l[0])
		due, err2 := parseTime(l[1])
		if err := errors.Join(err1, err2); err != nil {
			return 0, false, err
		}
		if d := due.Sub(now); !found || d < next {
			next, found = d, true
		}
		if next <= 0 {
			break
		}
	}
	return next, found, nil
}

// WaitResult implements tasks.ResultWaiter.
func (b *Backend) WaitResult(ctx context.Context, id string) (*tasks.Record, error) {
	if rec, err := b.GetResult(ctx, id); err != nil || rec.Status.Final() {
		return rec, err
	}
	b.listen(ctx)
	for {
		ch, live := b.hub.expect(id)
		sleep := time.Second // as the general road does at the end
		if !live {
			sleep = brokenPoll
		}
		noted, err := run(ctx, b, false, func(ctx context.Context) (any, error) {
			return b.eval(ctx, &b.scripts.watch, b.shard(id), id)
		})
		if err == nil && number(noted) == 1 {
			timer := time.NewTimer(sleep)
			select {
			case <-ch:
			case <-timer.C:
			case <-b.done:
			case <-ctx.Done():
			}
			timer.Stop()
		}
		b.hub.forget(id, ch)
		if err != nil {
			return nil, err
		}
		if rec, err := b.GetResult(ctx, id); err != nil || rec.Status.Final() {
			return rec, err
		}
	}
}

// NotifyCancel implements tasks.CancelNotifier.
func (b *Backend) NotifyCancel(ctx context.Context, fn func(id, reason string)) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	b.listen(ctx)
	l := b.hub.listenCancels()
	defer b.hub.dropCancels(l)
	for {
		select {
		case <-l.more:
		case <-b.done:
			return tasks.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
		for _, n := range b.hub.takeCancels(l) {
			fn(n.id, n.reason)
		}
	}
}
