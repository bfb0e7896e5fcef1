package containers

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// Where PgBouncer's configuration is in its container.
const (
	bouncerIni   = "/etc/sideman-pgbouncer.ini"
	bouncerUsers = "/etc/sideman-userlist.txt"
)

// bouncerConfig is transaction mode with a few connections for all clients, in which none has
// one of its own for longer than a transaction. %s is the server's address.
const bouncerConfig = `[databases]
* = host=%s port=5432

[pgbouncer]
listen_addr = *
listen_port = 6432
unix_socket_dir =
auth_type = scram-sha-256
auth_file = ` + bouncerUsers + `
pool_mode = transaction
default_pool_size = 10
max_client_conn = 500
server_login_retry = 1
`

// PgBouncer starts a PgBouncer in transaction mode before a PostgreSQL that is owned. It finds
// the server again after Restart and Kill only if that gets its old address.
func (s *Server) PgBouncer(ctx context.Context) (*Server, error) {
	if s.kind != Postgres || !s.Owned() {
		return nil, errors.New("PgBouncer is started only before a PostgreSQL in a container of the test's own")
	}
	host, err := s.box.c.ContainerIP(ctx)
	if err == nil && host == "" {
		err = errors.New("it has none")
	}
	if err != nil {
		return nil, fmt.Errorf("the address of PostgreSQL in Docker's network: %w", err)
	}
	sp := PgBouncer.spec()
	sp.files = map[string]string{
		bouncerIni:   fmt.Sprintf(bouncerConfig, host),
		bouncerUsers: `"postgres" "` + password + `"` + "\n",
	}
	cli, err := docker(ctx)
	if err != nil {
		return nil, err
	}
	image, err := findImage(ctx, cli, sp)
	if err != nil {
		_ = cli.Close()
		return nil, err
	}
	b, err := start(ctx, PgBouncer, sp, cli, image)
	if err != nil {
		_ = cli.Close()
		return nil, err
	}
	return b, nil
}

// GetPgBouncer is PgBouncer for a test, at the end of which it ends. Where there can't be one
// the test is skipped, or fails if TASKS_TEST_REQUIRE names it.
func (s *Server) GetPgBouncer(tb testing.TB) *Server {
	tb.Helper()
	b, err := s.PgBouncer(tb.Context())
	switch {
	case err == nil:
	case Required(PgBouncer):
		tb.Fatalf("TASKS_TEST_REQUIRE has %s: %v", PgBouncer, err)
	default:
		tb.Skipf("NOT TESTED: %v", err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Errorf("ending PgBouncer: %v", err)
		}
	})
	return b
}
