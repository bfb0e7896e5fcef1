// Swap is one program on three backends. Which one is up to the configuration file, and
// what it prints is the same, line by line:
//
//	go run ./examples/swap                                        # bolt: no server
//	go run ./examples/swap -config examples/swap/postgres.json
//	go run ./examples/swap -config examples/swap/redis.json
//
// The files name servers on this machine at their usual ports. For others, and for
// passwords, there is the flag -url or, better, the variable SWAP_URL; what PostgreSQL's
// URL leaves out is taken from PGPASSWORD and the like.
//
// Each run has a queue of its own, so what an earlier one has left, or another one does at
// the same time, changes nothing, and deletes its tasks at the end.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sideman-go/sideman/examples/configfile"
	"github.com/sideman-go/sideman/tasks"
)

//go:embed bolt.json
var boltJSON []byte

func main() {
	flags := configfile.Define(flag.CommandLine, "examples/swap/postgres.json", "SWAP_URL")
	verbose := flag.Bool("v", false, "log to standard error what the worker does")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Nothing here takes long: a story that has got stuck ends by itself, and says so.
	ctx, cancel := context.WithTimeoutCause(ctx, time.Minute, errors.New("not done after a minute; -v shows what the worker does"))
	defer cancel()
	log := io.Discard
	if *verbose {
		log = os.Stderr
	}
	if err := run(ctx, flags, slog.New(slog.NewTextHandler(log, nil))); err != nil {
		fmt.Fprintln(os.Stderr, "swap:", err)
		os.Exit(1) //nolint:gocritic // what is deferred here ends with the process
	}
}

// run is the same for every backend: the only thing that it knows of it is that the
// flags open it.
func run(ctx context.Context, flags *configfile.Flags, log *slog.Logger) (err error) {
	app := tasks.NewAppWith(tasks.AppOptions{Logger: log})
	s := newStory(app)

	bolt, err := tasks.ParseConfig(boltJSON)
	if err != nil {
		return err
	}
	if err := flags.Open(ctx, app, bolt); err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		err = errors.Join(err, app.Close(ctx))
	}()
	return s.tell(ctx)
}
