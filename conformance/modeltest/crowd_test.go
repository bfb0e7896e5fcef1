package modeltest

import (
	"fmt"

	"pgregory.net/rapid"

	"github.com/sideman-go/sideman/tasks"
)

// crowded is how many records stores may treat in another way than a few.
const crowded = 70

// crowd does operations on many records at once. All but the first few of them are deleted
// in the end, since they make each comparison slow.
func (m *machine) crowd(t *rapid.T) {
	if !oneOf(t, "many", false, false, false, true) {
		t.Skip("it takes long")
	}
	ids, leases := len(m.ids), len(m.leases)
	recs := m.drawRecords(t)
	few := len(recs)
	for i := few; i < crowded; i++ {
		rec := recs[i%few].Clone()
		rec.ID += fmt.Sprintf("-%d", i)
		recs = append(recs, rec)
	}
	if ids > 0 && rapid.Bool().Draw(t, "with one again") {
		recs[few].ID = rapid.SampledFrom(m.ids).Draw(t, "id")
	}
	m.put(t, recs)
	many := m.ids[ids+few:]
	m.claimUpTo(t, crowded)
	if claimed := m.leases[leases:]; len(claimed) > 0 {
		out := drawOutcome(t)
		if out.Kind == "other" {
			out.Kind = tasks.OutcomeRelease
		}
		m.settleBy(t, claimed, func() tasks.Outcome { return out })
	}
	m.compare(t)
	m.change(t, tasks.Change{Kind: tasks.ChangeDelete}, many)
	m.ids, m.leases = m.ids[:ids+few], m.leases[:leases]
}
