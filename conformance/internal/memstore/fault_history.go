package memstore

import (
	"maps"
	"slices"
)

// withHistories adds the cases of the group History to the faults that they must
// catch. They catch many more, but not in every run; these are certain. They stand
// here in one place because what a history shows is a property of its workload,
// not of the fault: who changes the workload finds here what it must still do.
func withHistories(faults []Fault) []Fault {
	caught := map[string][]string{
		"History/Concurrent": {
			"enqueue-late", "enqueue-tells-nothing", "duplicate-reset", "duplicate-unflagged", "attempts-limit-lost",
			"claim-running", "claim-final", "claim-race", "workers-once", "lease-swept-all", "lease-token-constant", "renew-stale",
			"settle-stale", "settle-twice", "settle-after-return", "settle-forged", "settle-stale-silent", "settle-reversed",
			"success-value-lost", "retry-unlimited", "retry-one-more", "snooze-counts", "release-counts", "errors-lost",
			"cancel-final", "again-running", "again-ready",
		},
		"History/ShortLeases": {
			"claim-race", "lease-never-expires", "lease-expires-early", "lease-swept-early", "lease-token-guessable",
			"renew-in-vain", "settle-stale", "settle-twice", "settle-past-deadline",
			"loss-unrecorded", "loss-uncounted", "loss-beyond-limit", "loss-discards", "loss-vanishes", "sweep-counts-nothing",
		},
		"History/LostReplies": {
			"duplicate-overwrites", "duplicate-reset", "duplicate-refused", "duplicate-unflagged", "duplicate-stored-twice",
			"claim-running", "lease-never-expires", "settle-stale", "settle-twice", "settle-after-return", "loss-vanishes",
		},
	}
	for _, name := range slices.Sorted(maps.Keys(caught)) {
		for _, that := range caught[name] {
			for i := range faults {
				if faults[i].Name == that {
					faults[i].Caught = append(faults[i].Caught, name)
				}
			}
		}
	}
	return faults
}
