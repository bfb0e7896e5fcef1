//go:build unix

package worker_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// Real signals reach the whole process, so this test isn't parallel and its time
// is real.
func TestSignals(t *testing.T) { //nolint:paralleltest // see above
	m := newMemory()
	e := newEnv(t, m, m)
	started, ended := make(chan struct{}), make(chan error, 1)
	task := tasks.Define(e.app, "t", func(ctx context.Context, _ int) (int, error) {
		close(started)
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return 0, ctx.Err()
	}, tasks.MaxAttempts(2))
	id := enqueue(t, task, 0)
	w := worker.New(e.app, worker.Options{Logger: slog.New(e.log)})
	done := make(chan error)
	go func() { done <- w.RunUntilSignal(t.Context()) }()
	<-started
	kill := func(s os.Signal, said string) {
		t.Helper()
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = p.Signal(s)
		}
		if err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(10 * time.Second); len(e.log.with(said)) == 0; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("nothing logged with %q", said)
			}
		}
	}
	kill(syscall.SIGTERM, "shutting down gracefully… (press Ctrl+C again to force)")
	select {
	case cause := <-ended:
		t.Fatalf("the first signal ended the handler: %v", cause)
	default:
	}
	kill(os.Interrupt, "terminating current tasks")
	if cause := <-ended; !errors.Is(cause, tasks.ErrWorkerStopping) {
		t.Fatalf("cause: got %v, want ErrWorkerStopping", cause)
	}
	if err := <-done; !errors.Is(err, worker.ErrInterrupted) {
		t.Fatalf("RunUntilSignal: got %v, want ErrInterrupted", err)
	}
	e.status(id, tasks.Ready)
}
