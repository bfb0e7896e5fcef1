package bolt

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

const (
	// maxPoll is how long a wait sleeps at most on a database that is ours alone:
	// all news come through the hub, but the clock may be set.
	maxPoll = 10 * time.Second
	// sharedPoll is the same on a borrowed database, where another Backend may
	// write.
	sharedPoll = 500 * time.Millisecond
)

// hub tells those that wait, in this process, what a commit has changed.
type hub struct {
	mu      sync.Mutex
	wake    chan struct{}              // closed when a record may have become due
	waiting int                        // how many hold wake
	finals  map[string][]chan envelope // by record id
	cancels map[*listener]struct{}
}

// listener gathers notes for one NotifyCancel, which must not hold the writer up.
type listener struct {
	notes []cancelNote
	more  chan struct{}
}

func (h *hub) init() {
	h.wake = make(chan struct{})
	h.finals = make(map[string][]chan envelope)
	h.cancels = make(map[*listener]struct{})
}

// publish is called after each commit.
func (h *hub) publish(n *news) {
	if !n.ready && len(n.finals)+len(n.gone)+len(n.cancels) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if n.ready && h.waiting > 0 {
		close(h.wake)
		h.wake = make(chan struct{})
		h.waiting = 0
	}
	if len(h.finals) > 0 {
		for _, e := range n.finals {
			h.tell(e.rec.ID, *e)
		}
		for _, id := range n.gone {
			h.tell(id, envelope{})
		}
	}
	if len(n.cancels) > 0 {
		for l := range h.cancels {
			l.notes = append(l.notes, n.cancels...)
			select {
			case l.more <- struct{}{}:
			default:
			}
		}
	}
}

// tell sends to those that wait for a record. Each has room for one and gets one.
func (h *hub) tell(id string, e envelope) {
	for _, ch := range h.finals[id] {
		ch <- e
	}
	delete(h.finals, id)
}

// register returns a channel that is closed at the next news of READY records.
func (h *hub) register() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting++
	return h.wake
}

// poll is how long to sleep at most.
func (b *Backend) poll() time.Duration {
	if b.file == nil {
		return sharedPoll
	}
	return maxPoll
}

// Wait implements tasks.Store.
func (b *Backend) Wait(ctx context.Context, sel tasks.Selection) error {
	for {
		if err := b.ready(ctx); err != nil {
			return err
		}
		// Registering comes first: what is enqueued after the look wakes us.
		wake := b.hub.register()
		sleep := b.poll()
		due := false
		pending := b.journal.heads() // before the view: what is committed meanwhile is in there
		err := b.read(func(t *txn) error {
			next, found := t.nextDue(sel)
			for queue, at := range pending {
				if sel.Has(queue) && t.get(inPaused, []byte(queue)) == nil && (!found || at.Before(next)) {
					next, found = at, true
				}
			}
			if found {
				sleep = min(sleep, next.Sub(t.now))
				due = sleep <= 0
			}
			return nil
		})
		if err != nil || due {
			return err
		}
		timer := time.NewTimer(sleep)
		select {
		case <-wake:
		case <-timer.C:
		case <-b.done:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// nextDue returns the earliest time at which a record of the selection is due.
func (t *txn) nextDue(sel tasks.Selection) (next time.Time, found bool) {
	c := t.cursor(inReady)
	t.eachQueue(sel, func(queue string) bool {
		if due, ok := earliest(c, queue); ok && (!found || due.Before(next)) {
			next, found = due, true
		}
		return !found || next.After(t.now) // one that is due now is enough
	})
	return next, found
}

// WaitResult implements tasks.ResultWaiter.
func (b *Backend) WaitResult(ctx context.Context, id string) (*tasks.Record, error) {
	ch := make(chan envelope, 1)
	b.hub.expect(id, ch)
	defer b.hub.forget(id, ch)
	for {
		rec, err := b.GetResult(ctx, id)
		if err != nil || rec.Status.Final() {
			return rec, err
		}
		timer := time.NewTimer(b.poll())
		select {
		case e := <-ch:
			timer.Stop()
			return b.finished(ctx, e)
		case <-timer.C:
		case <-b.done:
			timer.Stop()
			return nil, tasks.ErrClosed
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// finished completes a record that has just become final.
func (b *Backend) finished(ctx context.Context, e envelope) (*tasks.Record, error) {
	switch {
	case e.rec.ID == "":
		return nil, tasks.ErrResultNotFound
	case !e.farArgs || e.rec.Args != nil:
		return e.rec.Clone(), nil
	}
	return b.GetResult(ctx, e.rec.ID)
}

func (h *hub) expect(id string, ch chan envelope) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.finals[id] = append(h.finals[id], ch)
}

func (h *hub) forget(id string, ch chan envelope) {
	h.mu.Lock()
	defer h.mu.Unlock()
	left := slices.DeleteFunc(h.finals[id], func(c chan envelope) bool { return c == ch })
	if len(left) == 0 {
		delete(h.finals, id)
	} else {
		h.finals[id] = left
	}
}

// NotifyCancel implements tasks.CancelNotifier.
func (b *Backend) NotifyCancel(ctx context.Context, fn func(id, reason string)) error {
	if err := b.ready(ctx); err != nil {
		return err
	}
	l := &listener{more: make(chan struct{}, 1)}
	b.hub.mu.Lock()
	b.hub.cancels[l] = struct{}{}
	b.hub.mu.Unlock()
	defer func() {
		b.hub.mu.Lock()
		delete(b.hub.cancels, l)
		b.hub.mu.Unlock()
	}()
	for {
		select {
		case <-l.more:
		case <-b.done:
			return tasks.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
		b.hub.mu.Lock()
		notes := l.notes
		l.notes = nil
		b.hub.mu.Unlock()
		for _, n := range notes {
			fn(n.id, n.reason)
		}
	}
}
