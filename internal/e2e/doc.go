// Package e2e holds tests and benchmarks of the whole: an App, a bolt file and a
// worker, under load and under kill -9.
package e2e
