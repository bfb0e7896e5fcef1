// Custombackend runs tasks on a backend that isn't part of the framework: package
// filestore beside it, which the guide docs/writing-a-backend.md builds step by step.
//
//	go run ./examples/custombackend
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/sideman-go/sideman/backends"
	"github.com/sideman-go/sideman/examples/custombackend/filestore"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "custombackend:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	dir, err := os.MkdirTemp("", "sideman-custombackend-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	fmt.Println("== Enqueue, and end before a worker has run it")
	app, greet := program()
	if err := open(ctx, app, dir); err != nil {
		return err
	}
	res, err := greet.Enqueue(ctx, "michael")
	if err != nil {
		return err
	}
	fmt.Println("status:", res.Status)
	if err := app.Close(ctx); err != nil {
		return err
	}

	fmt.Println("\n== What is in the directory")
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return err
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Println(string(data))
	}

	fmt.Println("\n== Start again: the task is still there, and a worker runs it")
	app, greet = program()
	if err := open(ctx, app, dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Close(context.WithoutCancel(ctx))) }()
	working, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- worker.New(app, worker.Options{}).Run(working) }()

	if res, err = greet.GetResult(ctx, res.ID); err != nil {
		return err
	}
	text, err := res.Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Println("status:", res.Status)
	fmt.Println("return value:", text)
	stop()
	return <-stopped
}

// program is what a program has before it opens a backend: an App and its tasks.
func program() (*tasks.App, *tasks.Task[string, string]) {
	app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
	greet := tasks.Define(app, "greet_user", func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "! Task completed successfully.", nil
	})
	return app, greet
}

// guide:begin open

// open puts filestore to use by configuration, among the backends of the framework.
func open(ctx context.Context, app *tasks.App, dir string) error {
	cfg, err := tasks.ParseConfig(fmt.Appendf(nil,
		`{"default": {"backend": "filestore", "options": {"dir": %q, "retain_failed": "720h"}}}`, dir))
	if err != nil {
		return err
	}
	return app.Open(ctx, cfg, append(backends.All(), filestore.Driver()))
}

// guide:end open
