package database

import (
	"context"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

const (
	// recoverTimeout bounds one attempt to give back what a lost reply claimed.
	recoverTimeout = 5 * time.Second
	// lostClaim is for how long it is tried, if the lease isn't shorter.
	lostClaim = time.Minute
)

// sqlHeld returns the ids of the records that are RUNNING by a claim. In: $1 its key. There is no
// index for that: claims are few.
const sqlHeld = `SELECT t.id FROM @.leases l CROSS JOIN unnest(l.ids) AS i(id) JOIN @.tasks t ON t.id = i.id
WHERE l.key = $1::bytea AND <running> AND t.claim = $1::bytea`

// giveBack releases what was claimed by a claim whose reply was lost: nobody would run
// it, and when its lease had run out an attempt would be counted that never was. The
// statement may still be on its way to a server that doesn't answer, so finding nothing
// isn't the end of it.
func (b *Backend) giveBack(key []byte, lease time.Duration) {
	b.inflight.Go(func() { // the caller is in flight, so this is before Close is done waiting
		over := time.Now().Add(min(lease, lostClaim))
		for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
			last := b.alive() != nil || time.Now().After(over)
			ctx, cancel := context.WithTimeout(context.Background(), recoverTimeout)
			n, err := b.releaseClaim(ctx, key)
			cancel()
			if last || (err == nil && n > 0) {
				return
			}
			select {
			case <-time.After(wait):
			case <-b.done:
			}
		}
	})
}

// releaseClaim releases what is RUNNING by a claim and returns how much that was.
func (b *Backend) releaseClaim(ctx context.Context, key []byte) (int, error) {
	var outs []settling
	err := b.read(ctx, b.sql.held, []any{key}, func() { outs = nil }, func(scan func(...any) error) error {
		s := settling{out: &tasks.Outcome{Kind: tasks.OutcomeRelease}, lease: lease{key: key}}
		if err := scan(&s.out.Lease.ID); err != nil {
			return err
		}
		outs = append(outs, s)
		return nil
	})
	if err != nil || len(outs) == 0 {
		return 0, err
	}
	return len(outs), b.settleSlow(ctx, outs, make([]error, len(outs)))
}
