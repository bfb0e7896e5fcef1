// Package conformance is the public suite that proves a backend: each clause of
// the contract, on the live backend, through exported API only. A backend of
// yours is tested by one call of Run; the backends that come with the framework
// are tested by the same.
package conformance
