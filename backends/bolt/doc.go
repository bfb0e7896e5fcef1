// Package bolt keeps tasks in a file, by way of bbolt: durable background work in
// one process, without a server.
package bolt
