package bolt_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	app := tasks.NewApp()
	defer app.Close(ctx)
	greet := tasks.Define(app, "greet", func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "!", nil
	})
	store, err := bolt.Open(ctx, bolt.Options{Path: filepath.Join(dir, "tasks.db")})
	if err != nil {
		log.Fatal(err)
	}
	if err := app.Use("default", store); err != nil {
		log.Fatal(err)
	}
	res, err := greet.Enqueue(ctx, "michael")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Status)
	// Output: READY
}

// An order and the task that sends its confirmation are stored together, or
// neither is.
func ExampleEnqueueTx() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	db, err := bbolt.Open(filepath.Join(dir, "shop.db"), 0o600, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	store, err := bolt.New(db, nil)
	if err != nil {
		log.Fatal(err)
	}
	app := tasks.NewApp()
	defer app.Close(ctx)
	if err := app.Use("default", store); err != nil {
		log.Fatal(err)
	}
	confirm := tasks.Define(app, "confirm", func(context.Context, int) (tasks.None, error) { return tasks.None{}, nil })

	err = db.Update(func(tx *bbolt.Tx) error {
		orders, err := tx.CreateBucketIfNotExists([]byte("orders"))
		if err != nil {
			return err
		}
		if err := orders.Put([]byte("17"), []byte("2 guitars")); err != nil {
			return err
		}
		_, err = bolt.EnqueueTx(ctx, tx, confirm.With(17))
		return err
	})
	fmt.Println(err)
	// Output: <nil>
}
