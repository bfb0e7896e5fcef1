package database_test

import (
	"context"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// A task is stored in the same transaction as the data that it is about.
func ExampleEnqueueTx() {
	ctx := context.Background()
	app := tasks.NewApp()
	welcome := tasks.Define(app, "welcome", func(_ context.Context, email string) (string, error) {
		return "written to " + email, nil
	})

	pool, err := pgxpool.New(ctx, "postgres://app@db/app")
	if err != nil {
		log.Fatal(err)
	}
	defer pool.Close()
	store, err := database.New(pool, nil)
	if err != nil {
		log.Fatal(err)
	}
	if err := app.Use("default", store); err != nil {
		log.Fatal(err)
	}

	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO users (email) VALUES ($1)", "ann@example.org"); err != nil {
			return err
		}
		res, err := database.EnqueueTx(ctx, tx, welcome.With("ann@example.org"))
		if err == nil {
			fmt.Println("when this is committed, a worker runs", res.ID)
		}
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
}

// The SQL of the schema, for those who let nobody but themselves change one.
func ExampleMigrator_SQL() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, "postgres://app@db/app")
	if err != nil {
		log.Fatal(err)
	}
	m, err := database.NewMigrator(conn, "sideman")
	if err != nil {
		log.Fatal(err)
	}
	all, err := m.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	script, err := m.SQL(0, len(all))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(script)
}
