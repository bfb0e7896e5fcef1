package worker_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// A worker in batch mode runs what is due and ends. Without Batch it goes on until
// its context ends or it is told to stop.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "worker")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	app := tasks.NewApp()
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
	defer func() { _ = app.Close(ctx) }()

	result, err := greet.Enqueue(ctx, "Django")
	if err != nil {
		log.Fatal(err)
	}
	if err := worker.New(app, worker.Options{Batch: true}).Run(ctx); err != nil {
		log.Fatal(err)
	}
	if err := result.Refresh(ctx); err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Status)
	fmt.Println(result.ReturnValue())
	// Output:
	// SUCCESSFUL
	// Hello, Django! <nil>
}
