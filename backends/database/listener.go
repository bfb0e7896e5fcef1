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

// listener hears what is said on the channel, on a connection of its own outside of
// the pool, so that a pool of one connection is enough.
type listener struct {
	b   *Backend
	ctx context.Context // ends with the backend
	end context.CancelFunc
}

func newListener(b *Backend) *listener {
	l := &listener{b: b}
	l.ctx, l.end = context.WithCancel(context.Background())
	return l
}

// startListening starts the listener, if there is to be one, on the first call. A
// process that only enqueues has none.
func (b *Backend) startListening() {
	if b.opts.PollOnly {
		return
	}
	b.listen.Do(func() {
		// The caller is in flight, so this is before Close is done waiting.
		b.inflight.Add(1)
		go func() {
			defer b.inflight.Done()
			go func() {
				<-b.done
				b.ear.end()
			}()
			b.ear.run()
		}()
	})
}

// run keeps listening until the backend is closed.
func (l *listener) run() {
	wait := firstRetry
	for l.ctx.Err() == nil {
		from := time.Now()
		l.session()
		if time.Since(from) > lastRetry {
			wait = firstRetry
		}
		select {
		case <-time.After(wait/2 + rand.N(wait/2)):
		case <-l.ctx.Done():
		}
		wait = min(2*wait, lastRetry)
	}
}

// session listens on one connection until it fails.
func (l *listener) session() {
	conn, err := l.connect()
	if err != nil {
		return
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if err := l.exec(conn, "LISTEN "+quote(l.b.sql.channel)); err != nil {
		return
	}
	// From here on everything is heard. What was said before is there to be seen.
	l.b.hub.look()
	for {
		ctx, cancel := context.WithTimeout(l.ctx, pingAfter)
		n, err := conn.WaitForNotification(ctx)
		silent := ctx.Err() != nil && l.ctx.Err() == nil
		cancel()
		switch {
		case err == nil:
			l.b.hub.hear(n.Payload)
		case !silent || conn.IsClosed():
			return
		case l.exec(conn, "SELECT 1") != nil:
			return
		}
	}
}

// connect opens a connection as the pool would.
func (l *listener) connect() (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(l.ctx, connectTimeout)
	defer cancel()
	cfg := l.b.pool.Config()
	if cfg.BeforeConnect != nil {
		if err := cfg.BeforeConnect(ctx, cfg.ConnConfig); err != nil {
			return nil, err
		}
	}
	return pgx.ConnectConfig(ctx, cfg.ConnConfig)
}

// exec runs a statement without arguments, within pingTimeout.
func (l *listener) exec(conn *pgx.Conn, sql string) error {
	ctx, cancel := context.WithTimeout(l.ctx, pingTimeout)
	defer cancel()
	_, err := conn.Exec(ctx, sql, pgx.QueryExecModeSimpleProtocol)
	return err
}
