package modeltest

import (
	"errors"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

func (m *machine) enqueue(t *rapid.T) {
	m.put(t, m.drawRecords(t))
}

// enqueueAgain enqueues ids that are stored, or were, among new ones.
func (m *machine) enqueueAgain(t *rapid.T) {
	if len(m.ids) == 0 {
		t.Skip("there are none")
	}
	var recs []*tasks.Record
	for _, id := range m.someIDs(t) {
		recs = append(recs, drawRecord(t, id, m.clock.now()))
	}
	m.put(t, recs)
}

func (m *machine) put(t *rapid.T, recs []*tasks.Record) {
	forRef := make([]*tasks.Record, len(recs))
	for i, rec := range recs {
		forRef[i] = rec.Clone()
		if !slices.Contains(m.ids, rec.ID) {
			m.ids = append(m.ids, rec.ID)
		}
	}
	err, refErr := m.store.Enqueue(m.ctx, recs), m.ref.Enqueue(m.ctx, forRef)
	same(t, "the errors of Enqueue", verdict(err), verdict(refErr))
	same(t, "what Enqueue reports", storeds(recs), storeds(forRef))
}

func (m *machine) drawRecords(t *rapid.T) []*tasks.Record {
	recs := make([]*tasks.Record, rapid.IntRange(1, 3).Draw(t, "how many"))
	for i := range recs {
		recs[i] = drawRecord(t, drawID(t, m.made), m.clock.now())
		m.made++
	}
	return recs
}

func (m *machine) claim(t *rapid.T) { m.claimUpTo(t, rapid.IntRange(0, 4).Draw(t, "limit")) }

func (m *machine) claimUpTo(t *rapid.T, limit int) {
	req := tasks.ClaimRequest{
		Selection: drawSelection(t), Worker: oneOf(t, "worker", "w0", "w1"),
		Limit: limit, Lease: oneOf(t, "lease", brief, time.Second, time.Second, time.Minute),
	}
	before := m.expired(t)
	got, err := m.store.Claim(m.ctx, req)
	want, refErr := m.ref.Claim(m.ctx, req)
	if left := m.expired(t); len(left) < len(before) {
		m.clear(t, left)
	}
	same(t, "the errors of Claim", verdict(err), verdict(refErr))
	same(t, "the claims", untold(got), untold(want))
	for i := range got {
		m.leases = append(m.leases, lease{got[i].Lease, want[i].Lease})
	}
}

// expired returns the ids of the reference's records that a claim may cancel besides
// those that it comes upon.
func (m *machine) expired(t *rapid.T) (ids []string) {
	if !m.clears {
		return nil
	}
	for _, rec := range m.pages(t, m.ref, tasks.ListRequest{}) {
		if lifecycle.Expired(rec, m.clock.now()) {
			ids = append(ids, rec.ID)
		}
	}
	return ids
}

// clear cancels expired records in the reference that the store has cancelled.
func (m *machine) clear(t *rapid.T, ids []string) {
	for _, id := range ids {
		rec, err := m.store.GetResult(m.ctx, id)
		switch {
		case err == nil && rec.Status != tasks.Cancelled:
			continue
		case err != nil && !errors.Is(err, tasks.ErrResultNotFound):
			t.Fatalf("get %s: %v", id, err)
		}
		change := tasks.Change{Kind: tasks.ChangeCancel, Reason: lifecycle.ReasonExpired}
		if _, err := m.ref.Alter(m.ctx, change, []string{id}); err != nil {
			t.Fatalf("cancel %s: %v", id, err)
		}
	}
}

// someLeases draws leases, live ones and others.
func (m *machine) someLeases(t *rapid.T) []lease {
	if len(m.leases) == 0 {
		t.Skip("there are none")
	}
	newest := m.leases[max(0, len(m.leases)-6):]
	some := rapid.SliceOfN(rapid.SampledFrom(newest), 1, 3).Draw(t, "leases")
	for i := range some {
		switch oneOf(t, "token", "own", "own", "own", "own", "own", "none", "another's") {
		case "none":
			some[i].store.Token, some[i].ref.Token = "", ""
		case "another's":
			some[i].store.Token, some[i].ref.Token = newest[0].store.Token, newest[0].ref.Token
		}
	}
	return some
}

func (m *machine) renew(t *rapid.T) {
	some := m.someLeases(t)
	d := oneOf(t, "for", brief, time.Second, time.Minute, time.Hour)
	got, err := m.store.Renew(m.ctx, leasesOf(some, false), d)
	want, refErr := m.ref.Renew(m.ctx, leasesOf(some, true), d)
	same(t, "the errors of Renew", verdict(err), verdict(refErr))
	same(t, "the states of the leases", got, want)
}

func leasesOf(some []lease, ref bool) (leases []tasks.Lease) {
	for _, l := range some {
		if ref {
			leases = append(leases, l.ref)
		} else {
			leases = append(leases, l.store)
		}
	}
	return leases
}

func (m *machine) settle(t *rapid.T) {
	m.settleBy(t, m.someLeases(t), func() tasks.Outcome { return drawOutcome(t) })
}

// settleBy settles leases, each with an outcome of its own.
func (m *machine) settleBy(t *rapid.T, leases []lease, outcome func() tasks.Outcome) {
	var outs, forRef []tasks.Outcome
	for _, l := range leases {
		out := outcome()
		out.Lease = l.ref
		forRef = append(forRef, out)
		out.Lease = l.store
		outs = append(outs, out)
	}
	got, err := m.store.Settle(m.ctx, outs)
	want, refErr := m.ref.Settle(m.ctx, forRef)
	same(t, "the errors of Settle", verdict(err), verdict(refErr))
	same(t, "the verdicts on the outcomes", verdicts(got), verdicts(want))
}

func (m *machine) advance(t *rapid.T) {
	m.clock.advance(t, oneOf(t, "how long", time.Microsecond, time.Millisecond, time.Second, time.Second, time.Minute, time.Hour, 25*time.Hour, 8*24*time.Hour))
}

func (m *machine) sweep(t *rapid.T) {
	got, err := m.store.Sweep(m.ctx)
	want, refErr := m.ref.Sweep(m.ctx)
	same(t, "the errors of Sweep", verdict(err), verdict(refErr))
	same(t, "what the sweep did", got, want)
}

func (m *machine) alter(t *rapid.T) {
	m.change(t, drawChange(t, m.clock.now()), m.someIDs(t))
}

func (m *machine) change(t *rapid.T, change tasks.Change, ids []string) {
	got, err := m.store.Alter(m.ctx, change, ids)
	want, refErr := m.ref.Alter(m.ctx, change, ids)
	same(t, "the errors of Alter", verdict(err), verdict(refErr))
	same(t, "the answers to the change", altereds(got), altereds(want))
}

func (m *machine) pause(t *rapid.T) {
	queue, paused := drawQueue(t), rapid.Bool().Draw(t, "paused")
	same(t, "the errors of Pause", verdict(m.store.Pause(m.ctx, queue, paused)), verdict(m.ref.Pause(m.ctx, queue, paused)))
}

// prune prunes in batches to the end: what one batch finds is the store's affair.
func (m *machine) prune(t *rapid.T) {
	req := tasks.PruneRequest{
		OlderThan: oneOf(t, "older than", 0, brief, time.Second, time.Hour, 24*time.Hour),
		Limit:     rapid.IntRange(0, 3).Draw(t, "limit"),
	}
	req.Statuses = slices.DeleteFunc(drawStatuses(t), func(s tasks.Status) bool { return !s.Final() })
	if rapid.Bool().Draw(t, "one queue") {
		req.Queues = []string{drawQueue(t)}
	}
	same(t, "how many records were pruned", m.pruneAll(t, m.store, req), m.pruneAll(t, m.ref, req))
}

func (m *machine) pruneAll(t *rapid.T, s tasks.Store, req tasks.PruneRequest) (sum int) {
	for range 1000 {
		got, err := s.Prune(m.ctx, req)
		if err != nil {
			t.Fatalf("prune: %v", err)
		}
		sum += got.Deleted
		if req.After = got.Next; req.After == "" {
			return sum
		}
	}
	t.Fatalf("pruning by %+v doesn't end", req)
	return sum
}

func (m *machine) list(t *rapid.T) {
	req := tasks.ListRequest{Filter: drawFilter(t, m.began, m.clock.now()), Newest: rapid.Bool().Draw(t, "newest"), Limit: rapid.IntRange(0, 4).Draw(t, "page")}
	if len(m.ids) > 0 && rapid.Bool().Draw(t, "from the middle") {
		req.After = rapid.SampledFrom(m.ids).Draw(t, "after")
	}
	same(t, "the list", m.pages(t, m.store, req), m.pages(t, m.ref, req))
}

func (m *machine) heartbeat(t *rapid.T) {
	w := tasks.WorkerInfo{
		ID: oneOf(t, "worker", "w0", "w1"), Host: "host", PID: 1, Queues: []string{"*"}, StartedAt: m.began.UTC(), Running: 1,
		Interval: oneOf(t, "interval", time.Second, time.Minute), Stopped: rapid.IntRange(0, 3).Draw(t, "stopped") == 3,
	}
	same(t, "the errors of Heartbeat", verdict(m.store.Heartbeat(m.ctx, w)), verdict(m.ref.Heartbeat(m.ctx, w)))
}

// reopen closes both and opens them again. Where the store takes back what was
// RUNNING and forgets the workers, the reference is made to do the same: a renewal
// for no time, and a sweep.
func (m *machine) reopen(t *rapid.T) {
	if m.loses {
		if len(m.leases) > 0 {
			if _, err := m.ref.Renew(m.ctx, leasesOf(m.leases, true), time.Nanosecond); err != nil {
				t.Fatalf("renew for no time: %v", err)
			}
		}
		for _, id := range []string{"w0", "w1"} {
			if err := m.ref.Heartbeat(m.ctx, tasks.WorkerInfo{ID: id, Stopped: true}); err != nil {
				t.Fatalf("stop a worker: %v", err)
			}
		}
	}
	m.close(t)
	m.connect(t)
	if !m.loses {
		return
	}
	got, err := m.store.Sweep(m.ctx)
	want, refErr := m.ref.Sweep(m.ctx)
	same(t, "the errors of Sweep", verdict(err), verdict(refErr))
	got.Lost, want.Lost = 0, 0 // the one by opening, the other by the sweep
	same(t, "what the sweep did after opening again", got, want)
}
