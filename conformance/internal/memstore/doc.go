// Package memstore is the reference store of the conformance suite: the whole
// contract in memory, as simply as it can be said. One mutex, one map, and sorted
// scans; what happens to a record is package lifecycle's business.
//
// It is the oracle for what a store does, and it proves the suite: Faults are
// small, named deviations from it, each of which a case of the suite must catch.
// They replace a decision (rules) or a method (methods), so that the reference
// itself has no trace of them.
//
// It works in testing/synctest bubbles if the Place is made inside of the bubble.
package memstore
