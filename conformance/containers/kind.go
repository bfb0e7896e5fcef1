package containers

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
)

// Kind says what server it is.
type Kind string

// The servers that there are.
const (
	Postgres Kind = "postgres"
	Redis    Kind = "redis"
	// PgBouncer is started by Server.PgBouncer, before a PostgreSQL.
	PgBouncer Kind = "pgbouncer"
)

// OwnServersEnv is the variable that, if it isn't empty, makes Start run a container though
// a URL names a running server: the servers of cmd/with-servers are for tests that don't
// restart them.
const OwnServersEnv = "TASKS_TEST_OWN_SERVERS"

// SmallDisk is a folder of each PostgreSQL container on a disk of its own, of 32 MB, which a
// test can fill.
const SmallDisk = "/small"

// password is that of PostgreSQL in containers, which only this machine can reach.
const password = "sideman"

// spec is how to run a kind of server, by the conventions of the official images.
type spec struct {
	urlEnv   string // names a running server
	imageEnv string // names the image
	image    string // the default
	port     string // in the container
	env      map[string]string
	cmd      []string
	stop     string // the signal that shuts it down in good order at once

	entrypoint []string          // instead of the image's
	user       string            // uid:gid, instead of the image's
	files      map[string]string // what to put there before it starts, by path
	tmpfs      map[string]string // mounts in memory by path, with their options
}

// URLEnv is the variable that names a running server.
func (k Kind) URLEnv() string { return k.spec().urlEnv }

func (k Kind) spec() spec {
	switch k {
	case Postgres:
		return spec{
			urlEnv:   "TASKS_TEST_POSTGRES_URL",
			imageEnv: "TASKS_TEST_POSTGRES_IMAGE",
			image:    "postgres:16-alpine",
			port:     "5432/tcp",
			env:      map[string]string{"POSTGRES_PASSWORD": password},
			cmd:      []string{"postgres", "-c", "max_connections=300"},
			stop:     "SIGINT", // SIGTERM waits until all clients have left
			tmpfs:    map[string]string{SmallDisk: "size=32m"},
		}
	case PgBouncer:
		return spec{
			imageEnv: "TASKS_TEST_PGBOUNCER_IMAGE",
			image:    "edoburu/pgbouncer:v1.25.2-p0",
			port:     "6432/tcp",
			// Images differ in their entrypoints, and in who it runs as, which must not be root.
			entrypoint: []string{"pgbouncer", bouncerIni},
			user:       "65534:65534",
			stop:       "SIGKILL", // any other may wait for clients, depending on the version
		}
	case Redis:
		return spec{
			urlEnv:   "TASKS_TEST_REDIS_URL",
			imageEnv: "TASKS_TEST_REDIS_IMAGE",
			image:    "redis:7-alpine",
			port:     "6379/tcp",
			cmd: []string{
				"redis-server", "--protected-mode", "no", "--appendonly", "yes", "--appendfsync", "always",
				"--maxmemory-policy", "noeviction", "--save", "",
			},
			stop: "SIGTERM",
		}
	}
	panic(fmt.Sprintf("containers: no kind of server: %q", string(k)))
}

// url is that of a server started here.
func (k Kind) url(addr string) string {
	if k != Redis {
		return "postgres://postgres:" + password + "@" + addr + "/postgres?sslmode=disable"
	}
	return "redis://" + addr + "/0"
}

// ping asks a server whether it is ready for work, which is later than that it listens.
func (k Kind) ping(ctx context.Context, url string) error {
	if k != Redis {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		return conn.Ping(ctx)
	}
	o, err := redis.ParseURL(url)
	if err != nil {
		return fmt.Errorf("%s isn't a URL of Redis", k.spec().urlEnv)
	}
	o.ContextTimeoutEnabled = true
	o.MaxRetries = -1
	c := redis.NewClient(o)
	defer c.Close()
	return c.Ping(ctx).Err()
}
