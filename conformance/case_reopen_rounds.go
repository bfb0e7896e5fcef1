package conformance

import "github.com/sideman-go/sideman/tasks"

// reopenRounds keeps a model of what is known of each record, and lets leases be
// lost where the store does that at a reopen.
func reopenRounds(e *env) {
	h := e.connect()
	done := make(map[string]bool)
	enqueued := 0
	finish := func(c tasks.Claimed) {
		if done[c.Record.ID] {
			e.Errorf("record %s is claimed after it was SUCCESSFUL", c.Record.ID)
		}
		e.settle(h, c, success("1"))
		done[c.Record.ID] = true
	}
	for range 6 {
		e.enqueue(h, e.records(7, attempts(100))...)
		enqueued += 7
		for i, c := range e.claim(h, 5) {
			switch i % 3 {
			case 0:
				finish(c)
			case 1:
				e.settle(h, c, retry("again", 0))
			}
		}
		h = e.reopen(h)
		if n := len(e.list(h, tasks.Filter{})); n != enqueued {
			e.Errorf("after a reopen %d records are there, want %d", n, enqueued)
		}
		if n := e.counts(h)[tasks.Successful]; n != int64(len(done)) {
			e.Errorf("after a reopen %d records are SUCCESSFUL, want %d", n, len(done))
		}
	}
	// Those that are leased still are the case's own to settle.
	e.mu.Lock()
	held := make(map[string]tasks.Lease)
	for _, l := range e.leases {
		held[l.ID] = l
	}
	e.mu.Unlock()
	for _, rec := range e.list(h, tasks.Filter{Statuses: []tasks.Status{tasks.Running}}) {
		finish(tasks.Claimed{Record: rec, Lease: held[rec.ID]})
	}
	for {
		got := e.claim(h, 10)
		if len(got) == 0 {
			break
		}
		for _, c := range got {
			finish(c)
		}
	}
	if len(done) != enqueued {
		e.Errorf("%d of %d records came to their end", len(done), enqueued)
	}
}
