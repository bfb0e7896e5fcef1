// Package redis runs the conformance suite on the backend redis, on a Redis in a container.
package redis
