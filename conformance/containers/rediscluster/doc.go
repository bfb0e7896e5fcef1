// Package rediscluster runs the conformance suite on the backend redis, on a Redis Cluster in
// containers, and has Sentinel fail over under workers.
package rediscluster
