// Package database runs the conformance suite on the backend database, on a PostgreSQL in a container.
package database
