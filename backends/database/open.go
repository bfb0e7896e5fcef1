package database

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/tasks"
)

// goodbye is how long the server may take to close a connection that is being closed here.
// pgx waits for fifteen seconds, in which one that is dead keeps its place in the pool, and keeps
// Close waiting.
const goodbye = time.Second

// connectTimeout bounds one attempt to connect, unless the URL says otherwise.
const connectTimeout = 10 * time.Second

// Open connects to the server that o.URL names, and owns the connections. With
// o.Migrate it brings the schema up to date. An error wraps tasks.ErrInvalidConfig,
// or tasks.ErrUnavailable if the server can't be reached.
func Open(ctx context.Context, o Options) (*Backend, error) {
	if err := o.check(true); err != nil {
		return nil, err
	}
	cfg, err := poolConfig(o.URL)
	if err != nil {
		return nil, err
	}
	opened := &sockets{}
	cfg.ConnConfig.DialFunc = opened.dialed(cfg.ConnConfig.DialFunc)
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: url: %w", tasks.ErrInvalidConfig, err)
	}
	b := newBackend(pool, opened, &o)
	if err := b.start(ctx, o.Migrate); err != nil {
		go pool.Close() // may wait for a server that doesn't answer
		return nil, err
	}
	return b, nil
}

func (b *Backend) start(ctx context.Context, migrate bool) error {
	if err := b.pool.Ping(ctx); err != nil {
		if ctx.Err() != nil {
			return errors.Join(ctx.Err(), unavailable(err))
		}
		return unavailable(err)
	}
	if migrate {
		_, err := b.Migrator().Up(ctx, 0)
		return err
	}
	return nil
}

// New uses a pool that is open, and leaves it open: close the backend first and then
// the pool. A nil o means the defaults. It does no I/O: the schema must be there, or
// Migrator().Up makes it.
//
// Unless o.PollOnly is set, a backend on which workers wait opens one connection more,
// by the pool's configuration, to LISTEN on.
func New(pool *pgxpool.Pool, o *Options) (*Backend, error) {
	if o == nil {
		o = &Options{}
	}
	if err := o.check(false); err != nil {
		return nil, err
	}
	if pool == nil {
		return nil, fmt.Errorf("%w: database.New needs a pool", tasks.ErrInvalidConfig)
	}
	return newBackend(pool, nil, o), nil
}

// poolConfig parses the URL. Its errors have the URL in them, in which pgx has made passwords
// unreadable.
func poolConfig(url string) (*pgxpool.Config, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("%w: url: %w", tasks.ErrInvalidConfig, err)
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
	if cfg.PingTimeout == 0 {
		cfg.PingTimeout = pingTimeout // for connections that were cut without a word while idle
	}
	cfg.BeforeClose = func(c *pgx.Conn) {
		conn := c.PgConn().Conn()
		time.AfterFunc(goodbye, func() { _ = conn.Close() })
	}
	if cfg.ConnConfig.RuntimeParams["application_name"] == "" {
		cfg.ConnConfig.RuntimeParams["application_name"] = "sideman"
	}
	return cfg, nil
}
