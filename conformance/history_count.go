package conformance

import (
	"github.com/sideman-go/sideman/tasks"
)

// account counts, beside the judgement of single records: nothing that was enqueued
// is lost, nothing is there that wasn't, and nothing has run more often than was
// answered for.
func (h *history) account() {
	h.step("counting what came of the records")
	lives := h.byRecord()
	known := make(map[string]*tasks.Record)
	for _, rec := range h.list(h.handles[0], tasks.Filter{}) {
		known[rec.ID] = rec
		if h.recs[rec.ID] == nil {
			h.Errorf("record %s is there, and nobody enqueued it", rec.ID)
		}
	}
	lost := 0
	for _, id := range h.ids {
		rec := known[id]
		if rec == nil {
			if h.stored(id) {
				h.Errorf("record %s is lost: its enqueue was answered, and it isn't there", id)
			}
			continue
		}
		t := tally(lives[id])
		if t.successes > 1 {
			h.Errorf("record %s was settled as a success %d times", id, t.successes)
		}
		if got := rec.Attempts(); got > t.claims-t.uncounted || got < t.claims-t.uncounted-t.maybeUncounted {
			h.Errorf("record %s has %d attempts; it was claimed %d times, of which %d don't count, and %d may not", id, got, t.claims, t.uncounted, t.maybeUncounted)
		}
		for _, err := range rec.Errors {
			if err.Type == tasks.ErrorTypeLost {
				lost++
			}
		}
	}
	if swept := h.swept(); swept != lost {
		h.Errorf("sweeps say that they took back %d leases, and the records tell of %d lost attempts", swept, lost)
	}
}

// swept is how many leases the sweeps took back, as they say.
func (h *history) swept() (sum int) {
	for _, s := range h.sweeps {
		sum += s.lost
	}
	return sum
}

// tallied are counts over the history of one record.
type tallied struct {
	claims, successes         int
	uncounted, maybeUncounted int // attempts given back, for certain and maybe
}

func tally(acts []*act) (t tallied) {
	for _, a := range acts {
		gives := a.Outcome == tasks.OutcomeSnooze || a.Outcome == tasks.OutcomeRelease
		switch {
		case a.What == doClaim:
			t.claims++
		case a.What != doSettle:
		case a.Unknown && gives:
			t.maybeUncounted++
		case !a.Refused && !a.Unknown && gives:
			t.uncounted++
		case !a.Refused && !a.Unknown && a.Outcome == tasks.OutcomeSuccess:
			t.successes++
		}
	}
	return t
}

// enough refuses a history in which too little happened to prove anything.
func (h *history) enough() {
	var got least
	for _, acts := range h.byRecord() {
		for i, a := range acts {
			if a.What == doLose {
				continue
			}
			got.acts++
			if a.Unknown {
				got.unknown++
			} else if a.Refused && (a.What == doSettle || a.What == doRenew) {
				got.refused++
			}
			for _, b := range acts[i+1:] {
				if b.What != doLose && b.Client != a.Client && b.Call < a.Return && !a.Unknown {
					got.overlaps++
				}
			}
		}
	}
	got.redelivered = h.swept()
	h.Logf("%d calls on %d records, %d pairs of them at once on one record, %d stale leases refused, %d lost leases taken back, %d replies lost",
		got.acts, len(h.ids), got.overlaps, got.refused, got.redelivered, got.unknown)
	for _, c := range []struct {
		what      string
		got, want int
	}{
		{"calls", got.acts, h.least.acts},
		{"pairs of calls at once on one record", got.overlaps, h.least.overlaps},
		{"stale leases that were refused", got.refused, h.least.refused},
		{"lost leases taken back", got.redelivered, h.least.redelivered},
		{"lost replies", got.unknown, h.least.unknown},
	} {
		if c.got < c.want {
			h.Errorf("the history has %d %s, and with less than %d it proves nothing", c.got, c.what, c.want)
		}
	}
}
