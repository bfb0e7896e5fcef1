// Quickstart is the main job from end to end on the embedded default: it opens a
// bolt file, enqueues tasks as Django's guide does, runs a worker and reads the
// results. It needs no server and no set-up:
//
//	go run ./examples/quickstart
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sideman-go/sideman/backends"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

// A task is a name, a function and its defaults. An App holds them.
var (
	app = tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: shortLines}))})

	greetUser = tasks.Define(app, "greet_user", func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "! Task completed successfully.", nil
	})

	divide = tasks.Define(app, "divide", func(_ context.Context, by int) (int, error) {
		return 42 / by, nil
	})

	flaky = tasks.Define(app, "flaky", func(ctx context.Context, _ tasks.None) (string, error) {
		info, _ := tasks.FromContext(ctx)
		if info.Attempt < 3 {
			return "", fmt.Errorf("attempt %d: the service is away", info.Attempt)
		}
		return fmt.Sprintf("worked on attempt %d", info.Attempt), nil
	}, tasks.MaxAttempts(5), tasks.Backoff(tasks.Exponential(50*time.Millisecond, time.Second)))
)

func run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "sideman-quickstart-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)

	// The backend is configuration: with another one here, nothing below changes.
	cfg, err := tasks.ParseConfig(fmt.Appendf(nil,
		`{"default": {"backend": "bolt", "options": {"path": %q}}}`, filepath.Join(dir, "tasks.db")))
	if err != nil {
		return err
	}
	if err := app.Open(ctx, cfg, backends.All()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Close(context.WithoutCancel(ctx))) }()

	heading("Enqueue: the task is stored, and nothing runs it yet")
	greeting, err := greetUser.Enqueue(ctx, "michael")
	if err != nil {
		return err
	}
	fmt.Println("status:", greeting.Status)
	fmt.Println("id:    ", greeting.ID)

	heading("A task of higher priority, enqueued later, overtakes")
	low, err := greetUser.Using(tasks.Priority(-10)).Enqueue(ctx, "low")
	if err != nil {
		return err
	}
	high, err := greetUser.Using(tasks.Priority(50)).Enqueue(ctx, "high")
	if err != nil {
		return err
	}
	fmt.Println("enqueued low, then high:", low.ID, high.ID)

	heading("Start a worker: one task at a time, so that the order shows")
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	working, stop := context.WithCancel(ctx)
	defer stop()
	stopped := make(chan error, 1)
	go func() { stopped <- worker.New(app, worker.Options{Concurrency: 1}).Run(working) }()
	if _, err := low.Wait(ctx); err != nil { // the last of the three to run
		return err
	}

	heading("Refresh the results")
	if err := errors.Join(greeting.Refresh(ctx), high.Refresh(ctx)); err != nil {
		return err
	}
	value, err := greeting.ReturnValue()
	if err != nil {
		return err
	}
	fmt.Println("status:      ", greeting.Status)
	fmt.Println("return value:", value)
	fmt.Println("high ran before low:", high.StartedAt.Before(low.StartedAt))

	heading("A task that fails: the error and the stack are kept")
	failing, err := divide.Enqueue(ctx, 0)
	if err != nil {
		return err
	}
	_, err = failing.Wait(ctx)
	fmt.Println("status:", failing.Status)
	fmt.Println("failed:", errors.Is(err, tasks.ErrTaskFailed))
	fmt.Println("error: ", failing.LastError())
	fmt.Println("stack: ", firstLine(failing.LastError().Stack, "main.go"))

	heading("A task that fails twice: retries with backoff, success on attempt 3")
	retried, err := flaky.Enqueue(ctx, tasks.None{})
	if err != nil {
		return err
	}
	text, err := retried.Wait(ctx)
	if err != nil {
		return err
	}
	fmt.Println("return value:", text)
	for _, e := range retried.Errors {
		fmt.Printf("attempt %d: %s\n", e.Attempt, e.Message)
	}

	heading("A deferred task: not before its time")
	deferred, err := greetUser.Using(tasks.RunIn(500*time.Millisecond)).Enqueue(ctx, "later")
	if err != nil {
		return err
	}
	if _, err := deferred.Wait(ctx); err != nil {
		return err
	}
	fmt.Println("started", deferred.StartedAt.Sub(deferred.EnqueuedAt).Round(time.Millisecond), "after it was enqueued")

	heading("Stop the worker: it finishes what runs")
	stop()
	return <-stopped
}

func heading(text string) { fmt.Printf("\n== %s\n", text) }

// firstLine returns the stack's first line that names a file, for a short print.
func firstLine(stack, file string) string {
	for line := range strings.Lines(stack) {
		if strings.Contains(line, file) {
			return strings.TrimSpace(line)
		}
	}
	return stack
}

// shortLines keeps the log readable here: the time of day, and no stack, which is
// printed from the result.
func shortLines(_ []string, a slog.Attr) slog.Attr {
	switch a.Key {
	case slog.TimeKey:
		return slog.String(a.Key, a.Value.Time().Format("15:04:05.000"))
	case "stack":
		return slog.Attr{}
	}
	return a
}
