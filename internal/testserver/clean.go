package testserver

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// T is the part of a test that cleaning up needs, whatever runs the test.
type T interface {
	Helper()
	Cleanup(f func())
	Errorf(format string, args ...any)
}

// cleanTime is how long cleaning up may take.
const cleanTime = 20 * time.Second

// DropSchema drops a schema of the PostgreSQL server, if it is there, at the end of the test. Before,
// it looks whether the records that the test leaves there have the right stages.
func DropSchema(t T, server, schema string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
		defer cancel()
		conn, err := pgx.Connect(ctx, server)
		if err != nil {
			t.Errorf("dropping the schema: %v", err)
			return
		}
		defer conn.Close(ctx)
		if err := Stages(ctx, conn, schema); err != nil && !missing(err) {
			t.Errorf("what the test has left in schema %s: %v", schema, err)
		}
		// Whoever still uses it is left over from the test, and gets an error.
		if _, err := conn.Exec(ctx, "SET client_min_messages = warning; DROP SCHEMA IF EXISTS "+pgx.Identifier{schema}.Sanitize()+" CASCADE"); err != nil {
			t.Errorf("dropping the schema: %v", err)
		}
	})
}

// DropNamespace deletes what the Redis server has of a namespace at the end of the test.
func DropNamespace(t T, server, namespace string) {
	t.Helper()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), cleanTime)
		defer cancel()
		o, err := redis.ParseURL(server)
		if err != nil {
			t.Errorf("the server to clean up isn't a URL of go-redis") // it may have a password in it
			return
		}
		o.ContextTimeoutEnabled = true
		c := redis.NewClient(o)
		defer c.Close()
		for cursor, more := uint64(0), true; more; more = cursor != 0 {
			var keys []string
			if keys, cursor, err = c.Scan(ctx, cursor, "{"+namespace+":*", 5000).Result(); err == nil {
				// One command a key, since they may be in several slots.
				_, err = c.Pipelined(ctx, func(p redis.Pipeliner) error {
					for _, key := range keys {
						p.Unlink(ctx, key)
					}
					return nil
				})
			}
			if err != nil {
				t.Errorf("deleting the namespace: %v", err)
				return
			}
		}
	})
}
