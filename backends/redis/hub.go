package redis

import (
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/tasks"
)

// hub hands what the server publishes to those in this process that wait for it. One
// subscription, on a connection of its own, serves all of them, and all shards.
type hub struct {
	mu      sync.Mutex
	started bool
	live    bool // the subscription is confirmed
	waits   map[*waiter]struct{}
	finals  map[string][]chan struct{} // by record id
	cancels map[*listener]struct{}
}

// waiter is one Wait that sleeps.
type waiter struct {
	sel     tasks.Selection
	wake    chan struct{}
	woken   bool
	matched bool // there is news of a queue that it asks for
}

// listener gathers notes for one NotifyCancel.
type listener struct {
	notes []cancelNote
	more  chan struct{}
}

type cancelNote struct{ id, reason string }

func (h *hub) init() {
	h.waits = make(map[*waiter]struct{})
	h.finals = make(map[string][]chan struct{})
	h.cancels = make(map[*listener]struct{})
}

// listen starts the subscription, the first time.
func (b *Backend) listen(ctx context.Context) {
	h := &b.hub
	h.mu.Lock()
	start := !h.started
	h.started = true
	h.mu.Unlock()
	if !start || !b.enter() {
		return
	}
	go func() {
		defer b.inflight.Done()
		b.subscribe(context.WithoutCancel(ctx))
	}()
}

const (
	// pingAfter is for how long the subscription is silent until the server is asked whether
	// it is there, and pingTimeout how long the answer may take. go-redis asks, too, but
	// doesn't wait for the answer, and so misses connections that have fallen silent.
	pingAfter   = 3 * time.Second
	pingTimeout = 3 * time.Second
	// The intervals between attempts to subscribe.
	firstRetry = 50 * time.Millisecond
	lastRetry  = time.Second
)

// subscribe receives until the backend is closed. Whenever the subscription is confirmed anew,
// everybody looks again, because something may have been missed.
func (b *Backend) subscribe(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		<-b.done
		cancel()
	}()
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		if b.session(ctx) {
			wait = firstRetry
		}
		b.hub.setLive(false)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return
		}
	}
}

// session receives from one subscription until it fails, and reports whether it ever stood.
func (b *Backend) session(ctx context.Context) (stood bool) {
	sub := b.client.Subscribe(ctx, b.channel)
	defer sub.Close()
	stop := context.AfterFunc(ctx, func() { _ = sub.Close() })
	defer stop()
	asked := false
	for {
		limit := pingAfter
		if asked {
			limit = pingTimeout
		}
		m, err := sub.ReceiveTimeout(ctx, limit)
		if err != nil {
			var silent net.Error
			if asked || ctx.Err() != nil || !errors.As(err, &silent) || !silent.Timeout() || sub.Ping(ctx) != nil {
				return stood
			}
			asked = true
			continue
		}
		asked = false
		switch m := m.(type) {
		case *redis.Subscription:
			if m.Kind == "subscribe" {
				stood = true
				b.hub.setLive(true)
			}
		case *redis.Message:
			b.hub.receive(m.Payload)
		}
	}
}

// setLive notes whether the subscription stands, and wakes everybody.
func (h *hub) setLive(live bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.live = live
	for w := range h.waits {
		w.rouse(false)
	}
	for id := range h.finals {
		h.tell(id)
	}
}

// receive handles one message: a letter and what it is about.
func (h *hub) receive(payload string) {
	if payload == "" {
		return
	}
	rest := payload[1:]
	h.mu.Lock()
	defer h.mu.Unlock()
	switch payload[0] {
	case 'w': // a record of that queue is READY, or the queue was resumed
		for w := range h.waits {
			switch {
			case w.sel.Has(rest):
				w.rouse(true)
			case w.sel.All():
				w.rouse(false) // not its queue, but its note on the server is used up
			}
		}
	case 'f':
		h.tell(rest)
	case 'c':
		if len(rest) < 3 {
			return
		}
		n, err := strconv.Atoi(rest[:3])
		if err != nil || n < 0 || 3+n > len(rest) {
			return
		}
		for l := range h.cancels {
			l.notes = append(l.notes, cancelNote{rest[3 : 3+n], rest[3+n:]})
			select {
			case l.more <- struct{}{}:
			default:
			}
		}
	}
}

// rouse wakes a waiter; h.mu is held.
func (w *waiter) rouse(matched bool) {
	w.matched = w.matched || matched
	if !w.woken {
		w.woken = true
		close(w.wake)
	}
}

// register adds a waiter, and says whether news come in.
func (h *hub) register(sel tasks.Selection) (w *waiter, live bool) {
	w = &waiter{sel: sel, wake: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waits[w] = struct{}{}
	return w, h.live
}

// unregister reports whether there was news for the waiter.
func (h *hub) unregister(w *waiter) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waits, w)
	return w.matched
}

// tell wakes those that wait for a record; h.mu is held.
func (h *hub) tell(id string) {
	for _, ch := range h.finals[id] {
		close(ch)
	}
	delete(h.finals, id)
}

// expect returns a channel that is closed with the end of a record, and says whether news
// come in.
func (h *hub) expect(id string) (ch chan struct{}, live bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	ch = make(chan struct{})
	h.finals[id] = append(h.finals[id], ch)
	return ch, h.live
}

func (h *hub) forget(id string, ch chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	left := slices.DeleteFunc(h.finals[id], func(c chan struct{}) bool { return c == ch })
	if len(left) == 0 {
		delete(h.finals, id)
	} else {
		h.finals[id] = left
	}
}

func (h *hub) listenCancels() *listener {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := &listener{more: make(chan struct{}, 1)}
	h.cancels[l] = struct{}{}
	return l
}

func (h *hub) dropCancels(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.cancels, l)
}

func (h *hub) takeCancels(l *listener) []cancelNote {
	h.mu.Lock()
	defer h.mu.Unlock()
	notes := l.notes
	l.notes = nil
	return notes
}
