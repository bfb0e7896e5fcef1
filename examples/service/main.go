// Service is a small HTTP service with an embedded worker: one process, one bolt
// file, nothing to set up.
//
//	go run ./examples/service -data ./data -addr 127.0.0.1:8080
//
//	curl --data-binary @photo.jpg  http://127.0.0.1:8080/files      → 202, a task id
//	curl http://127.0.0.1:8080/tasks/{id}                           → status and result
//	curl -d '{"email":"ada@example.com"}' http://127.0.0.1:8080/signups
//
// It shows two habits. Tasks get big data by reference: an upload is stored first,
// and the task is given its key, not its bytes. And what belongs together is
// written together: a sign-up and the task that welcomes the person go into one
// transaction, so that neither can be without the other.
//
// Kill it at any time, start it again, and every task it had accepted finishes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	data := flag.String("data", "service-data", "folder for the uploads and the bolt file")
	slow := flag.Duration("slow", 0, "make each analysis take at least so long, to try kills")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *addr, *data, *slow); err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, addr, data string, slow time.Duration) (err error) {
	s, err := open(ctx, data, slow)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()

	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	slog.Info("Listening", "address", listener.Addr().String())

	// The worker and the web server end together, when ctx does or either fails.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	worked := make(chan error, 1)
	go func() {
		defer cancel()
		worked <- s.work(ctx)
	}()
	served := make(chan error, 1)
	go func() {
		defer cancel()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			served <- err
			return
		}
		served <- nil
	}()
	<-ctx.Done()
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	return errors.Join(server.Shutdown(grace), <-served, <-worked)
}
