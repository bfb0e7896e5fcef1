package crew

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// childEnv tells a process that it is a worker, and which.
const childEnv = "SIDEMAN_TEST_CREW"

// Place is where the records are.
type Place struct {
	Kind containers.Kind
	URL  string
	Name string // the schema or namespace
	// PollInterval is that of the database; 0 is its default.
	PollInterval time.Duration
	// PoolSize is how many connections there are for calls; 0 is the default.
	PoolSize int
}

// open connects to the place.
func (p Place) open(ctx context.Context) (tasks.Backend, error) {
	if p.Kind == containers.Redis {
		return redis.Open(ctx, redis.Options{URL: p.URL, Namespace: p.Name, PoolSize: p.PoolSize})
	}
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil, errors.New("the server's URL isn't one")
	}
	if p.PoolSize > 0 {
		q := u.Query()
		q.Set("pool_max_conns", strconv.Itoa(p.PoolSize))
		u.RawQuery = q.Encode()
	}
	return database.Open(ctx, database.Options{URL: u.String(), Schema: p.Name, Migrate: true, PollInterval: p.PollInterval})
}

// order is what a worker process is told.
type order struct {
	Place       Place
	Dir         string // of the journal
	Concurrency int
	Lease       time.Duration
	Sweep       time.Duration
	// Task is the name under which it knows the one task; "" is job.
	Task string
	// UnknownDelay is for how long it puts back what it doesn't know; 0 is the default.
	UnknownDelay time.Duration
}

// waiting is how many tests run together, whatever the number of processors: they mostly wait.
const waiting = "12"

// Main never returns in a worker process. In another it has more tests run together, unless the
// command line has -parallel.
func Main() {
	text := os.Getenv(childEnv)
	if text == "" {
		if err := flag.Set("test.parallel", waiting); err != nil {
			panic(err)
		}
		return
	}
	var o order
	err := json.Unmarshal([]byte(text), &o)
	if err == nil {
		err = o.work()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// work works until it is told to stop by a signal.
func (o *order) work() error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	j, err := openJournal(o.Dir)
	if err != nil {
		return err
	}
	d, err := newApp(context.Background(), o.Place, o.Task, j, logger)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	err = worker.New(d.app, worker.Options{
		Concurrency: o.Concurrency, Lease: o.Lease, SweepInterval: o.Sweep, UnknownDelay: o.UnknownDelay,
	}).RunUntilSignal(context.Background())
	return errors.Join(err, d.app.Close(context.Background()))
}

// process is a worker process.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr bytes.Buffer
	over   bool
}

// hire starts a worker process and returns when it is about to work.
func hire(t *testing.T, o order) *process {
	t.Helper()
	text, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, cmd: exec.CommandContext(context.Background(), os.Args[0])} //nolint:gosec // this binary
	// The race detector sleeps for a second before each exit, unless it's told not to.
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text), strings.TrimSpace("GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")))
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "ready\n" {
		p.kill()
		t.Fatalf("a worker process said %q (%v) and %q, want ready", line, err, p.stderr.String())
	}
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
	return p
}

// freeze stops it as it stands, and thaw lets it go on.
func (p *process) freeze() { p.signal(syscall.SIGSTOP) }
func (p *process) thaw()   { p.signal(syscall.SIGCONT) }

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// quiet wants an ended process to have logged nothing of the level WARN or above.
func (p *process) quiet() {
	p.t.Helper()
	if p.stderr.Len() > 0 {
		p.t.Errorf("a worker process logged:\n%s", p.stderr.String())
	}
}

// kill ends it with kill -9.
func (p *process) kill() {
	if p.over {
		return
	}
	p.over = true
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// stop ends it in good order.
func (p *process) stop() {
	p.t.Helper()
	if p.over {
		return
	}
	p.over = true
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.AfterFunc(time.Minute, func() { _ = p.cmd.Process.Kill() })
	defer late.Stop()
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("a worker process that was told to stop ended with %v:\n%s", err, p.stderr.String())
	}
}

func journalFile(dir string) string { return filepath.Join(dir, "journal") }
