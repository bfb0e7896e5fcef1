package worker

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// RunUntilSignal is Run for a program that does nothing else: the first SIGINT or
// SIGTERM is a Stop, the second an Abort, and the third does what it does to any
// program. The signals are as they were before when it returns.
func (w *Worker) RunUntilSignal(ctx context.Context) error {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	over := make(chan struct{})
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		defer signal.Stop(signals)
		for _, act := range []func(os.Signal){w.firstSignal, w.secondSignal} {
			select {
			case s := <-signals:
				act(s)
			case <-over:
				return
			}
		}
	}()
	err := w.Run(ctx)
	close(over)
	<-watched
	return err
}

func (w *Worker) firstSignal(s os.Signal) {
	w.logger().Info("Received signal, shutting down gracefully… (press Ctrl+C again to force)", "signal", s.String())
	w.Stop()
}

func (w *Worker) secondSignal(s os.Signal) {
	w.logger().Warn("Received signal again, terminating current tasks", "signal", s.String())
	w.Abort()
}

// ExitCode returns the exit code of a program whose worker's Run returned err: 0 if
// it ended cleanly, 1 if work was cut off or the worker failed.
func ExitCode(err error) int {
	if err == nil {
		return 0
	}
	return 1
}
