// Package dummy is the backend for tests of code that enqueues: it keeps what is
// enqueued in memory and runs nothing, so that a test can look at it. It is
// Django's DummyBackend.
//
// # Opening
//
// New, or "dummy:" as a URL, or {"backend": "dummy"}. There is nothing to configure.
//
// # Capabilities
//
// Results and list, within the process and the Backend; defer, priority and
// expire, which are accepted and have no effect. No worker: records stay READY.
//
// # Delivery
//
// None. Arguments still go through the one encoding, so a test sees what a real
// backend would refuse.
//
// # Ordering
//
// Results returns the records in the order in which they were enqueued.
//
// # Clock
//
// The process's.
//
// # Storage
//
// In memory, until Clear or Close.
//
// # Limits
//
// Memory. Nothing is ever pruned.
package dummy
