// Package containers is where the conformance suite will meet real servers. It is empty so far.
//
// It is a module of its own because it will need a Docker client and what that brings
// along, some ninety modules; none of them belongs in the dependency graph of a program
// that only wants to run tasks. It will start PostgreSQL and Redis servers in containers,
// put a proxy that can cut and stall connections in front of them, and run the suite of
// github.com/sideman-go/sideman/conformance against the backends that need a server.
package containers
