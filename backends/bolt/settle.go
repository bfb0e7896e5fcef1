package bolt

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// held returns the stored form of the record if the lease is the live one. It
// may be past its deadline: as long as nobody has reclaimed it, it is live.
func (t *txn) held(l *tasks.Lease) (head, error) {
	raw := t.raw(l.ID)
	if raw == nil {
		return nil, tasks.ErrLeaseLost
	}
	h, err := readHead(raw)
	if err != nil {
		return nil, t.damaged(l.ID, err)
	}
	var token [sizeToken]byte
	if len(l.Token) != 2*sizeToken || !h.running() {
		return nil, tasks.ErrLeaseLost
	}
	if _, err := hex.Decode(token[:], []byte(l.Token)); err != nil || !bytes.Equal(token[:], h.token()) {
		return nil, tasks.ErrLeaseLost
	}
	return h, nil
}

func (t *txn) settle(outs []tasks.Outcome) ([]error, error) {
	verdicts := make([]error, len(outs))
	for i := range outs {
		out := &outs[i]
		if err := known(out.Kind); err != nil {
			verdicts[i] = err
			continue
		}
		raw, err := t.held(&out.Lease)
		if err != nil {
			verdicts[i] = err
			continue
		}
		e, err := decode(out.Lease.ID, raw)
		if err != nil {
			verdicts[i] = t.damaged(out.Lease.ID, err)
			continue
		}
		err = t.update(e, func(r *tasks.Record) bool {
			lifecycle.Settle(r, *out, t.now)
			return false
		})
		if err != nil {
			return nil, err
		}
	}
	return verdicts, nil
}

// known refuses kinds that lifecycle.Settle would ignore.
func known(kind tasks.OutcomeKind) error {
	if !kind.Valid() {
		return fmt.Errorf("bolt: unknown kind of outcome %q", kind)
	}
	return nil
}

// Settle implements tasks.Store.
func (b *Backend) Settle(ctx context.Context, outs []tasks.Outcome) ([]error, error) {
	if err := b.ready(ctx); err != nil || len(outs) == 0 {
		return nil, err
	}
	outs, size := own(outs)
	var verdicts []error
	err := b.do(ctx, &op{size: size, apply: func(t *txn) (err error) {
		verdicts, err = t.settle(outs)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return verdicts, nil
}

// own copies outcomes, because the writer may read them after the caller has left.
func own(outs []tasks.Outcome) (copies []tasks.Outcome, size int) {
	copies = slices.Clone(outs)
	for i := range copies {
		o := &copies[i]
		o.Value = slices.Clone(o.Value)
		size += 512 + len(o.Value)
		if o.Error != nil {
			e := *o.Error
			o.Error = &e
			size += len(e.Message) + len(e.Stack)
		}
	}
	return copies, size
}

// settleLater puts outcomes in line that nobody waits for.
func (b *Backend) settleLater(outs []tasks.Outcome) {
	if len(outs) == 0 {
		return
	}
	o := &op{
		size:   512 * len(outs),
		finish: func(error) {},
		apply: func(t *txn) error {
			_, err := t.settle(outs)
			return err
		},
	}
	_ = b.submit(o) // closed: the leases run out
}

// Renew implements tasks.Store.
func (b *Backend) Renew(ctx context.Context, leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
	if err := b.ready(ctx); err != nil || len(leases) == 0 {
		return nil, err
	}
	if d <= 0 {
		return nil, errLease
	}
	leases = slices.Clone(leases)
	var states []tasks.LeaseState
	err := b.do(ctx, &op{size: 512 * len(leases), apply: func(t *txn) (err error) {
		states, err = t.renew(leases, d)
		return err
	}})
	if err != nil {
		return nil, err
	}
	return states, nil
}

// renew moves deadlines without decoding the records.
func (t *txn) renew(leases []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
	states := make([]tasks.LeaseState, len(leases))
	deadline := lifecycle.Time(t.now.Add(d))
	for i := range leases {
		id := leases[i].ID
		h, err := t.held(&leases[i])
		if err != nil {
			states[i].Lost = true
			continue
		}
		states[i].Deadline = deadline
		if states[i].CancelRequested = h.cancelRequested(); states[i].CancelRequested {
			reason, err := h.find(tagReason)
			if err != nil {
				return nil, t.damaged(id, err)
			}
			states[i].CancelReason = string(reason)
		}
		if err := t.del(inLeases, timeKey(h.time(offUntil), id)); err != nil {
			return nil, err
		}
		h = head(bytes.Clone(h))
		h.patch(offUntil, deadline)
		if err := t.put(inLeases, timeKey(deadline, id), nil); err != nil {
			return nil, err
		}
		if err := t.put(inRecords, []byte(id), h); err != nil {
			return nil, err
		}
	}
	return states, nil
}
