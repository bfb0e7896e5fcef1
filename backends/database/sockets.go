package database

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// sockets are the connections of a pool that Open has made, so that they can be cut. When a path
// has died without a word, as it does in a firewall that has forgotten it, each call on it hangs
// until its time is over, and pgx then holds its place in the pool for another 15 s: meanwhile
// leases would run out. Cut, they all end at once, as if the server had said so.
type sockets struct {
	mu   sync.Mutex
	open map[*socket]struct{}
}

type socket struct {
	net.Conn
	all *sockets
	at  time.Time // it was opened
}

// Close implements net.Conn.
func (s *socket) Close() error {
	s.all.mu.Lock()
	delete(s.all.open, s)
	s.all.mu.Unlock()
	return s.Conn.Close()
}

// dialed returns dial, with each connection noted.
func (all *sockets) dialed(dial pgconn.DialFunc) pgconn.DialFunc {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		at := time.Now()
		c, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		s := &socket{Conn: c, all: all, at: at}
		all.mu.Lock()
		defer all.mu.Unlock()
		if all.open == nil {
			all.open = make(map[*socket]struct{})
		}
		all.open[s] = struct{}{}
		return s, nil
	}
}

// cut ends all connections that were opened before.
func (all *sockets) cut(before time.Time) {
	all.mu.Lock()
	defer all.mu.Unlock()
	for s := range all.open {
		if s.at.Before(before) {
			_ = s.Conn.Close() // its owner notices, and calls Close
		}
	}
}
