package database

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// pingAfter is for how long the listener's connection is silent until it is asked
	// whether it is alive, and pingTimeout how long the answer may take. Until a dead
	// one is noticed, waiting workers find work by looking, each poll interval.
	pingAfter   = 5 * time.Second
	pingTimeout = 3 * time.Second
	// The intervals between attempts to connect.
	firstRetry = 50 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// The listener hears what is said on the channel, on a connection of its own outside of
// the pool, so that a pool of one connection is enough.

// startListening starts the listener, if there is to be one, on the first call. A
// process that only enqueues has none.
func (b *Backend) startListening() {
	if b.opts.PollOnly {
		return
	}
	b.listen.Do(func() {
		// The caller is in flight, so this is before Close is done waiting.
		b.inflight.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			go func() {
				<-b.done
				cancel()
			}()
			b.hearAll(ctx)
		})
	})
}

// hearAll keeps listening until the backend is closed, which ends ctx.
func (b *Backend) hearAll(ctx context.Context) {
	wait := firstRetry
	var silent time.Time
	for ctx.Err() == nil {
		from := time.Now()
		silent = b.hearSession(ctx, silent)
		if time.Since(from) > lastRetry {
			wait = firstRetry
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-ctx.Done():
		}
		wait = min(2*wait, lastRetry)
	}
}

// hearSession listens on one connection until it fails. It returns when the server was asked
// whether it is there, if it was silence that ended it, and zero otherwise.
//
// before is what the session before it returned. If the server can be reached on a new connection
// while the old one was silent, it's the path that has died, and with it those of the pool.
func (b *Backend) hearSession(ctx context.Context, before time.Time) (silent time.Time) {
	conn, err := b.connect(ctx)
	if err != nil {
		return before
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if err := ask(ctx, conn, "LISTEN "+quote(b.sql.channel)); err != nil {
		return before
	}
	if b.opened != nil && !before.IsZero() {
		b.opened.cut(before)
	}
	// From here on everything is heard. What was said before is there to be seen.
	b.hub.look()
	for {
		quiet, cancel := context.WithTimeout(ctx, pingAfter)
		n, err := conn.WaitForNotification(quiet)
		over := quiet.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil {
			b.hub.hear(n.Payload)
			continue
		}
		if !over || conn.IsClosed() {
			return time.Time{}
		}
		asked := time.Now()
		if ask(ctx, conn, "SELECT 1") == nil {
			continue
		}
		if time.Since(asked) < pingTimeout {
			return time.Time{}
		}
		return asked
	}
}

// connect opens a connection as the pool would.
func (b *Backend) connect(ctx context.Context) (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	cfg := b.pool.Config()
	if cfg.BeforeConnect != nil {
		if err := cfg.BeforeConnect(ctx, cfg.ConnConfig); err != nil {
			return nil, err
		}
	}
	return pgx.ConnectConfig(ctx, cfg.ConnConfig)
}

// ask runs a statement without arguments, within pingTimeout.
func ask(ctx context.Context, conn *pgx.Conn, sql string) error {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	_, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}
