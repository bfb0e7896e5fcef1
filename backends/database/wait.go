package database

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"github.com/sideman-go/sideman/tasks"
)

// What is said on the channel. The first byte says what it is, and after each line
// feed follows a name.
const (
	// noteDue: records in these queues are due. Without a name: in any.
	noteDue = 'r'
	// noteLook: when records of these queues will be due may have changed.
	noteLook = 'd'
	// noteCancel: the cancellation of RUNNING records was requested. It has no names.
	noteCancel = 'c'
)

// maxPayload bounds a notification; PostgreSQL takes up to 7999 bytes.
const maxPayload = 7000

// news are the queues to tell of: whether a record in them is due.
type news map[string]bool

func (n news) add(queue string, due bool) { n[queue] = n[queue] || due }

// payload returns what to say, or "" if there is nothing.
func (n news) payload() string {
	if len(n) == 0 {
		return ""
	}
	kind, size := byte(noteLook), 1
	names := make([]string, 0, len(n))
	for q, due := range n {
		if due {
			kind = noteDue
		}
		size += 1 + len(q)
		names = append(names, q)
	}
	if size > maxPayload {
		return string(kind)
	}
	slices.Sort(names)
	return string(kind) + "\n" + strings.Join(names, "\n")
}

// hub tells those that wait, in this process, what the listener has heard.
type hub struct {
	mu      sync.Mutex
	waiters map[*waiter]struct{}
	cancels map[*canceller]struct{}
}

// waiter is one Wait.
type waiter struct {
	sel  tasks.Selection
	wake chan struct{} // has room for one
	due  atomic.Bool   // a record is due, so there is no need to look
}

// canceller is one NotifyCancel, which must not hold the listener up.
type canceller struct {
	more chan struct{} // has room for one
}

func (h *hub) add(w *waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.waiters == nil {
		h.waiters = make(map[*waiter]struct{})
	}
	h.waiters[w] = struct{}{}
}

func (h *hub) remove(w *waiter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.waiters, w)
}

func poke(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}

// hear takes one notification.
func (h *hub) hear(payload string) {
	if payload == "" {
		return
	}
	kind, names := payload[0], strings.Split(payload, "\n")[1:]
	h.mu.Lock()
	defer h.mu.Unlock()
	if kind == noteCancel {
		for c := range h.cancels {
			poke(c.more)
		}
		return
	}
	for w := range h.waiters {
		if len(names) == 0 || slices.ContainsFunc(names, w.sel.Has) {
			if kind == noteDue {
				w.due.Store(true)
			}
			poke(w.wake)
		}
	}
}

// look makes every waiter look for itself: the listener may have missed something.
func (h *hub) look() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for w := range h.waiters {
		poke(w.wake)
	}
	for c := range h.cancels {
		poke(c.more)
	}
}

func (h *hub) listen(c *canceller) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.cancels == nil {
		h.cancels = make(map[*canceller]struct{})
	}
	h.cancels[c] = struct{}{}
}

func (h *hub) leave(c *canceller) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.cancels, c)
}

// sqlDue returns how many microseconds it is until a record of the selection is due,
// or no row if there is none.
//
// In: $1 the queues, $2 those to leave out. It goes from the head of each priority of
// each queue to the next, and so costs nothing for the records that wait behind.
const sqlDue = `WITH RECURSIVE <queues>, <levels>
SELECT (extract(epoch FROM min(l.first) - <now>) * 1000000)::int8 FROM level l
HAVING count(*) > 0`

// lookTimeout bounds one look of somebody who waits, whose ctx often has no deadline. A
// connection that has been cut without a word would keep it for as long as TCP takes to notice.
const lookTimeout = 5 * time.Second

// look is read within lookTimeout.
func (b *Backend) look(ctx context.Context, query string, args []any, reset func(), each func(scan func(...any) error) error) error {
	bounded, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	err := b.read(bounded, query, args, reset, each)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return unavailable(err)
	}
	return err
}

// nextDue returns how long it is until a record of the selection is due.
func (b *Backend) nextDue(ctx context.Context, sel tasks.Selection) (in time.Duration, found bool, err error) {
	query, queues, exclude := b.selection(sel, b.sql.dueAll, b.sql.dueSome)
	err = b.look(ctx, query, []any{queues, exclude}, func() { found = false }, func(scan func(...any) error) error {
		var us pgtype.Int8
		if err := scan(&us); err != nil {
			return err
		}
		found = us.Valid
		if hours := us.Int64 / 3_600_000_000; hours > 1000 {
			in = 1000 * time.Hour
		} else {
			in = time.Duration(us.Int64) * time.Microsecond
		}
		return nil
	})
	return in, found, err
}

// Wait implements tasks.Store.
func (b *Backend) Wait(ctx context.Context, sel tasks.Selection) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.inflight.Done()
	// Registering comes first: what is heard of after the look wakes us. Until the
	// listener is up nothing is heard; when it is, it makes everybody look.
	b.startListening() //nolint:contextcheck // it outlives the call
	w := &waiter{sel: tasks.Selection{Queues: slices.Clone(sel.Queues), Exclude: slices.Clone(sel.Exclude)}, wake: make(chan struct{}, 1)}
	b.hub.add(w)
	defer b.hub.remove(w)
	for {
		in, found, err := b.nextDue(ctx, w.sel)
		if err != nil {
			if b.alive() != nil {
				return tasks.ErrClosed
			}
			return err
		}
		if (found && in <= 0) || w.due.Load() {
			return nil
		}
		sleep := b.opts.pollInterval()
		if found {
			sleep = min(sleep, in+time.Millisecond/2)
		}
		timer := time.NewTimer(sleep)
		select {
		case <-w.wake:
		case <-timer.C:
		case <-b.done:
		case <-ctx.Done():
		}
		timer.Stop()
		switch {
		case b.alive() != nil:
			return tasks.ErrClosed
		case ctx.Err() != nil:
			return ctx.Err()
		case w.due.Load():
			return nil
		}
	}
}

// sqlCancels returns the RUNNING records whose cancellation is requested, and why. They have
// an index of their own, so it's no matter how many are RUNNING.
const sqlCancels = `SELECT t.id, t.cancel_reason FROM @.tasks t WHERE t.cancel_requested AND <running>`

// NotifyCancel implements tasks.CancelNotifier. It hears of cancellations from the
// listener, or looks for them each poll interval if there is none.
func (b *Backend) NotifyCancel(ctx context.Context, fn func(id, reason string)) error {
	if err := b.enter(ctx); err != nil {
		return err
	}
	defer b.inflight.Done()
	b.startListening() //nolint:contextcheck // it outlives the call
	c := &canceller{more: make(chan struct{}, 1)}
	b.hub.listen(c)
	defer b.hub.leave(c)
	// The reasons may be any bytes of any length, so they aren't in the notification, and
	// looking for one is no more work than looking for all.
	known, err := b.cancels(ctx)
	for {
		if err != nil {
			if b.alive() != nil {
				return tasks.ErrClosed
			}
			return err
		}
		var poll <-chan time.Time
		if b.opts.PollOnly {
			poll = time.After(b.opts.pollInterval())
		}
		select {
		case <-c.more:
		case <-poll:
		case <-b.done:
			return tasks.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
		var now map[string]string
		if now, err = b.cancels(ctx); err == nil {
			for id, reason := range now {
				if _, told := known[id]; !told {
					fn(id, reason)
				}
			}
			known = now
		}
	}
}

// cancels returns the requested cancellations and their reasons.
func (b *Backend) cancels(ctx context.Context) (reasons map[string]string, err error) {
	err = b.look(ctx, b.sql.cancels, nil, func() { reasons = make(map[string]string) }, func(scan func(...any) error) error {
		var id string
		var reason []byte
		err := scan(&id, &reason)
		reasons[id] = string(reason)
		return err
	})
	return reasons, err
}
