package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// signups are the service's own rows. They are in the store of the tasks, so that a row and
// its task can be in one transaction. This file is all of the service that knows which store
// that is.
type signups interface {
	// add stores a row and enqueues the call, both or neither; errExists if the row is there.
	add(ctx context.Context, email string, welcome *tasks.Invocation[string]) (*tasks.Result[string], error)
	// welcomed marks a row, which may be marked already; errNoSignup if there is none.
	welcomed(ctx context.Context, email string) error
}

var (
	errExists   = errors.New("that e-mail address has signed up already")
	errNoSignup = errors.New("no such sign-up")
)

// openSignups opens the rows beside the backend's tasks.
func openSignups(ctx context.Context, backend tasks.Backend) (signups, error) {
	if b, ok := tasks.As[*bolt.Backend](backend); ok {
		return openBolt(b.DB())
	}
	if b, ok := tasks.As[*database.Backend](backend); ok {
		return openPostgres(ctx, b.Pool(), b.Schema())
	}
	return nil, fmt.Errorf("%w: a sign-up and its task are stored in one transaction, which this backend has none of; "+
		"take bolt or database (PostgreSQL), as in %s", tasks.ErrUnsupported, exampleConfig)
}

type boltSignups struct{ db *bbolt.DB }

// bucket has the state of each sign-up, by e-mail address.
var bucket = []byte("signups")

func openBolt(db *bbolt.DB) (signups, error) {
	return boltSignups{db}, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

func (s boltSignups) add(ctx context.Context, email string, welcome *tasks.Invocation[string]) (res *tasks.Result[string], err error) {
	err = s.db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucket).Get([]byte(email)) != nil {
			return errExists
		}
		if err := tx.Bucket(bucket).Put([]byte(email), []byte("new")); err != nil {
			return err
		}
		res, err = bolt.EnqueueTx(ctx, tx, welcome)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

func (s boltSignups) welcomed(_ context.Context, email string) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucket).Get([]byte(email)) == nil {
			return fmt.Errorf("%w: %s", errNoSignup, email)
		}
		return tx.Bucket(bucket).Put([]byte(email), []byte("welcomed"))
	})
}

type pgSignups struct {
	pool  *pgxpool.Pool
	table string
}

func openPostgres(ctx context.Context, pool *pgxpool.Pool, schema string) (signups, error) {
	// In the schema of the tasks, so that dropping one schema removes all of the example. A
	// service that has a schema already keeps its rows there: it need only be the same database.
	s := pgSignups{pool, pgx.Identifier{schema, "signups"}.Sanitize()}
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// $1 names the lock, which is held until the commit. All processes start at once, and
		// CREATE … IF NOT EXISTS by two of them at the same time is an error for one.
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", s.table); err != nil {
			return err
		}
		// Does nothing if the table is there. Under the lock nobody else creates it.
		_, err := tx.Exec(ctx, "CREATE TABLE IF NOT EXISTS "+s.table+" (email text PRIMARY KEY, state text NOT NULL)")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("making the table %s: %w", s.table, err)
	}
	return s, nil
}

func (s pgSignups) add(ctx context.Context, email string, welcome *tasks.Invocation[string]) (res *tasks.Result[string], err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// $1 is the address; no row is affected if it's there. Of two transactions with the same
		// one, the second waits until the first has ended, and then sees whether it committed.
		tag, err := tx.Exec(ctx, "INSERT INTO "+s.table+" (email, state) VALUES ($1, 'new') ON CONFLICT DO NOTHING", email)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return errExists
		}
		res, err = database.EnqueueTx(ctx, tx, welcome)
		return err
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

func (s pgSignups) welcomed(ctx context.Context, email string) error {
	// $1 is the address; no row is affected if it isn't there. The same whichever of two
	// workers is first, and however often.
	tag, err := s.pool.Exec(ctx, "UPDATE "+s.table+" SET state = 'welcomed' WHERE email = $1", email)
	if err == nil && tag.RowsAffected() == 0 {
		err = fmt.Errorf("%w: %s", errNoSignup, email)
	}
	return err
}
