package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/worker"
)

// pair is Sideman and a peer on the same store.
type pair struct {
	on         string
	ours, peer contender
	// raw is our backend without the runtime, and full a second store of ours, which has many
	// finished records.
	raw, full contender
	// cpu is how much processor time the server has taken, nil if there is none of its own.
	cpu func(context.Context) (time.Duration, error)
	// about says what the store is and how it is set.
	about string
	// stop ends the server.
	stop func() error
}

// openPair starts what a pair needs.
func openPair(ctx context.Context, on, dir string, size sizes) (*pair, error) {
	switch on {
	case onFile:
		ours := newSideman(boltPlace(dir, "sideman"))
		return &pair{
			on: on, ours: ours, peer: &backliteQueue{dir: dir},
			raw: &rawSideman{sideman: ours}, full: &filled{sideman: newSideman(boltPlace(dir, "full")), fill: finishMany, n: size.finished},
			about: "files in " + dir + "; both sync every commit", stop: func() error { return nil },
		}, nil
	case onPostgres:
		s, err := startServer(ctx, containers.Postgres)
		if err != nil {
			return nil, err
		}
		at := s.Near(ctx)
		about, err := aboutPostgres(ctx, at)
		about += reachedBy(s, at)
		in := func(schema string) *sideman {
			return newSideman(place{
				backend: on, url: at + "&migrate=true&schema=" + schema, tuned: worker.Options{Concurrency: 1000},
				empty: func(ctx context.Context) error { return dropSchema(ctx, at, schema) },
			})
		}
		const second = "sideman_full"
		ours := in("sideman")
		return &pair{
			on: on, ours: &postgresSideman{sideman: ours, server: at}, peer: &riverQueue{url: at},
			raw: &rawSideman{sideman: ours}, full: &filled{sideman: in(second), fill: copyFinished(at, second), tidy: vacuum(at, second), n: size.finished},
			cpu: cpuOf(s), about: about, stop: s.Close,
		}, err
	case onRedis:
		s, err := startServer(ctx, containers.Redis)
		if err != nil {
			return nil, err
		}
		at := s.Near(ctx)
		if err := persist(ctx, at); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		about, err := aboutRedis(ctx, at)
		about += reachedBy(s, at)
		in := func(url string) *sideman {
			return newSideman(place{
				backend: on, url: url, tuned: worker.Options{Concurrency: 100}, // 1,000 were slower
				empty: func(ctx context.Context) error { return flush(ctx, url) },
				quiet: rewritten(at),
			})
		}
		ours := in(at)
		return &pair{
			on: on, ours: ours, peer: &asynqQueue{url: at},
			raw: &rawSideman{sideman: ours}, full: &filled{sideman: in(strings.TrimSuffix(at, "/0") + "/1"), fill: finishMany, n: size.finished},
			cpu: cpuOf(s), about: about, stop: s.Close,
		}, err
	}
	return nil, fmt.Errorf("there is no pair %q; there are %s, %s and %s", on, onPostgres, onRedis, onFile)
}

// startServer starts a server in a container, as the tests do, or connects to the one that
// the environment names.
func startServer(ctx context.Context, kind containers.Kind) (*containers.Server, error) {
	if err := os.Setenv(containers.ServersEnv, "1"); err != nil {
		return nil, err
	}
	return containers.Start(ctx, kind)
}

// reachedBy says by which way a server in a container is reached, if there is something to say.
func reachedBy(s *containers.Server, at string) string {
	switch {
	case !s.Owned():
		return ""
	case at == s.Direct():
		return ", through a port that Docker publishes"
	}
	return ", at its container's own address"
}

// cpuOf is nil for a server that isn't in a container of this process's own.
func cpuOf(s *containers.Server) func(context.Context) (time.Duration, error) {
	if !s.Owned() {
		return nil
	}
	return s.CPU
}

// postgresSideman can say how much WAL there is, and counts as River is counted: Queues counts all
// that there is, by queue, status and task.
type postgresSideman struct {
	*sideman

	server string
	conn   *pgx.Conn // for completed, from its first call on
}

func (s *postgresSideman) completed(ctx context.Context) (n int, err error) {
	if s.conn == nil || s.conn.IsClosed() {
		if s.conn, err = pgx.Connect(ctx, s.server); err != nil {
			return 0, err
		}
	}
	err = s.conn.QueryRow(ctx, "SELECT count(*) FROM sideman.tasks WHERE status = 2").Scan(&n)
	return n, err
}

func (s *postgresSideman) walPosition(ctx context.Context) (float64, error) {
	return walPosition(ctx, s.server)
}

func (r *riverQueue) walPosition(ctx context.Context) (float64, error) {
	return walPosition(ctx, r.url)
}

func walPosition(ctx context.Context, url string) (at float64, err error) {
	err = onConn(ctx, url, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8").Scan(&at)
	})
	return at, err
}

func dropSchema(ctx context.Context, url, schema string) error {
	return onConn(ctx, url, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, "SET client_min_messages = warning; DROP SCHEMA IF EXISTS "+pgx.Identifier{schema}.Sanitize()+" CASCADE")
		return err
	})
}

func aboutPostgres(ctx context.Context, url string) (about string, err error) {
	err = onConn(ctx, url, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `SELECT 'PostgreSQL ' || current_setting('server_version') || ', fsync ' || current_setting('fsync')
			|| ', synchronous_commit ' || current_setting('synchronous_commit') || ', shared_buffers ' || current_setting('shared_buffers')`).Scan(&about)
	})
	return about, err
}

func onConn(ctx context.Context, url string, fn func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(fn(conn), conn.Close(ctx))
}

func flush(ctx context.Context, url string) error {
	return onRedisConn(url, func(c *redis.Client) error { return c.FlushDB(ctx).Err() })
}

// persist sets Redis as most are who keep tasks in it: each write goes to a file, which is synced
// once a second. The tests' servers sync it after every command.
func persist(ctx context.Context, url string) error {
	return onRedisConn(url, func(c *redis.Client) error { return c.ConfigSet(ctx, "appendfsync", "everysec").Err() })
}

// rewritten waits until the server isn't writing its append-only file anew, as it does in a process beside it
// once that has grown: what has made it grow is what came before.
func rewritten(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		return onRedisConn(url, func(c *redis.Client) error {
			for {
				info, err := c.InfoMap(ctx, "persistence").Result()
				if err != nil {
					return err
				}
				p := info["Persistence"]
				if p["aof_rewrite_in_progress"] == "0" && p["aof_rewrite_scheduled"] == "0" {
					return nil
				}
				select {
				case <-time.After(100 * time.Millisecond):
				case <-ctx.Done():
					return ctx.Err()
				}
			}
		})
	}
}

func aboutRedis(ctx context.Context, url string) (about string, err error) {
	err = onRedisConn(url, func(c *redis.Client) error {
		info, err := c.InfoMap(ctx, "server").Result()
		if err != nil {
			return err
		}
		set, err := c.ConfigGet(ctx, "append*").Result()
		if err != nil {
			return err
		}
		about = fmt.Sprintf("Redis %s, appendonly %s, appendfsync %s", info["Server"]["redis_version"], set["appendonly"], set["appendfsync"])
		return nil
	})
	return about, err
}

func onRedisConn(url string, fn func(*redis.Client) error) error {
	o, err := redis.ParseURL(url)
	if err != nil {
		return err
	}
	c := redis.NewClient(o)
	return errors.Join(fn(c), c.Close())
}
