// Package modeltest runs random sequences of operations on a store and on the
// conformance suite's reference side by side, and compares everything that can be
// seen after each step. Where they differ, the sequence is made as short as it can be,
// and written to testdata/rapid, from where every later run tries it first: a fault
// that was found that way is committed with its fix.
//
// bolt runs in synctest bubbles. database and redis go by the clock of their server, so they
// run outside of bubbles, and what their code asks for the time is told the reference's: the
// functions of PostgreSQL's clock are hidden by others of the same names, and scripts that
// are sent to Redis have the call replaced. So every outcome is compared with its times,
// and a store that goes by the process's clock is found out. It needs the servers that
// TASKS_TEST_POSTGRES_URL and TASKS_TEST_REDIS_URL name.
//
// The suite's cases say what must hold; this finds what nobody thought of saying.
//
// It is a module of its own because of pgregory.net/rapid, whose flags and licence
// (MPL-2.0) don't belong into the programs and tests of those who import Sideman.
package modeltest
