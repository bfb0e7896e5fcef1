// Service is a small HTTP service with workers: by itself one process and one bolt file,
// nothing to set up.
//
//	go run ./examples/service -data ./data -addr 127.0.0.1:8080
//
//	curl --data-binary @photo.jpg  http://127.0.0.1:8080/files      → 202, a task id
//	curl http://127.0.0.1:8080/tasks/{id}                           → status and result
//	curl -d '{"email":"ada@example.com"}' http://127.0.0.1:8080/signups
//
// On PostgreSQL it can be several processes, which share the database and, for the uploads,
// the data folder: here one for the web and two workers.
//
//	go run ./examples/service -config examples/service/postgres.json -role web
//	go run ./examples/service -config examples/service/postgres.json -role worker
//	go run ./examples/service -config examples/service/postgres.json -role worker
//
// The file names a server on this machine. For another one, and for its password, there is
// the variable SERVICE_URL; what the URL leaves out is taken from PGPASSWORD and the like.
//
// It shows two habits. Tasks get big data by reference: an upload is stored first,
// and the task is given its key, not its bytes. And what belongs together is
// written together: a sign-up and the task that welcomes the person go into one
// transaction, so that neither can be without the other. That needs a store with
// transactions that the service can take part in, so bolt or PostgreSQL: Redis is refused.
//
// Kill any process at any time, start it again, and every task that was accepted
// finishes; with workers left it needn't even be started again.
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

	"github.com/sideman-go/sideman/examples/configfile"
	"github.com/sideman-go/sideman/worker"
)

const exampleConfig = "examples/service/postgres.json"

// What a process of the service does.
const (
	roleBoth   = "both"
	roleWeb    = "web"
	roleWorker = "worker"
)

type options struct {
	addr, data, role string
	slow, lease      time.Duration
}

func main() {
	var o options
	flags := configfile.Define(flag.CommandLine, exampleConfig, "SERVICE_URL")
	flag.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to listen on")
	flag.StringVar(&o.data, "data", "service-data", "`folder` for the uploads and, without -config, for the bolt file")
	flag.StringVar(&o.role, "role", roleBoth, "what this process is: web, worker or both")
	flag.DurationVar(&o.slow, "slow", 0, "make each analysis take at least so long, to try kills")
	flag.DurationVar(&o.lease, "lease", worker.DefaultLease, "how long the tasks of a worker that was killed wait for another")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flags, o); err != nil {
		fmt.Fprintln(os.Stderr, "service:", err)
		os.Exit(1) //nolint:gocritic // what is deferred here ends with the process
	}
}

func run(ctx context.Context, flags *configfile.Flags, o options) (err error) {
	switch o.role {
	case roleBoth, roleWeb, roleWorker:
	default:
		return fmt.Errorf("-role must be web, worker or both, and is %q", o.role)
	}
	s, err := open(ctx, flags, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close(ctx)) }()
	if o.role == roleWorker {
		return s.work(ctx)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", o.addr)
	if err != nil {
		return err
	}
	slog.Info("Listening", "address", listener.Addr().String())
	if o.role == roleWeb {
		return s.serve(ctx, listener)
	}

	// The worker and the web server end together, when ctx does or either fails.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	worked := make(chan error, 1)
	go func() {
		defer cancel()
		worked <- s.work(ctx)
	}()
	err = s.serve(ctx, listener)
	cancel()
	return errors.Join(err, <-worked)
}

// serve answers requests until ctx ends.
func (s *service) serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer done()
	err := server.Shutdown(grace)
	if e := <-served; !errors.Is(e, http.ErrServerClosed) {
		err = errors.Join(err, e)
	}
	return err
}
