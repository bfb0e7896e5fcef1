// Package redis keeps tasks in a Redis server.
package redis
