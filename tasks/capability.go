package tasks

import "strings"

// Capability names things that a backend may or may not do. A value is a set:
// combine with |, ask with Has. Backends declare theirs as data, and the App
// refuses what isn't declared before the backend is called, with ErrUnsupported.
//
// The set grows with the framework. A backend that doesn't know a new member
// doesn't declare it, so it is refused there.
type Capability uint32

// The capabilities.
const (
	// CapResults: GetResult finds the records of this store.
	CapResults Capability = 1 << iota
	// CapDefer: RunAfter and RunIn.
	CapDefer
	// CapPriority: a priority other than 0 is accepted. Where nothing waits
	// (immediate, dummy) it has no effect.
	CapPriority
	// CapWorker: the backend is a Store whose records workers run.
	CapWorker
	// CapDurable: what was stored survives Close, reopen and kill -9.
	CapDurable
	// CapShared: several processes may use the store at once.
	CapShared
	// CapTransactional: records can be enqueued in the caller's own transaction.
	CapTransactional
	// CapNotify: Wait wakes on an enqueue without polling the store.
	CapNotify
	// CapList: the backend is a Lister.
	CapList
	// CapInspect: the backend is an Inspector: counts, cancel, retry, delete,
	// reschedule, pause and prune.
	CapInspect
	// CapExpire: ExpiresAt and ExpiresIn.
	CapExpire
)

// capabilityNames returns the names, in the order of the constants.
func capabilityNames() []string {
	return []string{
		"results", "defer", "priority", "worker", "durable", "shared",
		"transactional", "notify", "list", "inspect", "expire",
	}
}

// Capabilities returns every known capability, one at a time.
func Capabilities() []Capability {
	all := make([]Capability, len(capabilityNames()))
	for i := range all {
		all[i] = 1 << i
	}
	return all
}

// Has reports whether c has all of want.
func (c Capability) Has(want Capability) bool { return c&want == want }

// String lists the names in c, separated by commas: "results,defer".
func (c Capability) String() string {
	var names []string
	for i, name := range capabilityNames() {
		if c.Has(1 << i) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ",")
}
