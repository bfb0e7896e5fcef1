// Package pgbouncer runs the conformance suite on the backend database through PgBouncer in
// transaction mode, and has programs go through it that aren't set up for it.
package pgbouncer
