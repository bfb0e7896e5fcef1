package crew

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
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
}

// open connects to the place.
func (p Place) open(ctx context.Context) (tasks.Backend, error) {
	if p.Kind == containers.Redis {
		return redis.Open(ctx, redis.Options{URL: p.URL, Namespace: p.Name})
	}
	return database.Open(ctx, database.Options{URL: p.URL, Schema: p.Name, Migrate: true, PollInterval: p.PollInterval})
}

// order is what a worker process is told.
type order struct {
	Place       Place
	Dir         string // of the journal
	Concurrency int
	Lease       time.Duration
	Sweep       time.Duration
}

// Main never returns in a worker process, and does nothing in another.
func Main() {
	text := os.Getenv(childEnv)
	if text == "" {
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
	app, task, err := newApp(context.Background(), o.Place, j, logger)
	if err != nil {
		return err
	}
	if err := task.Err(); err != nil {
		return err
	}
	fmt.Println("ready")
	err = worker.New(app, worker.Options{
		Concurrency: o.Concurrency, Lease: o.Lease, SweepInterval: o.Sweep,
	}).RunUntilSignal(context.Background())
	return errors.Join(err, app.Close(context.Background()))
}

// job is what a task is to do.
type job struct {
	Sleep time.Duration `json:"sleep,omitempty"`
	// Until is a file that the task waits for.
	Until string `json:"until,omitempty"`
	// Hang makes the first attempt go on for ever.
	Hang bool `json:"hang,omitempty"`
}

// newApp defines the one task that there is.
func newApp(ctx context.Context, p Place, j *journal, logger *slog.Logger) (*tasks.App, *tasks.Task[job, int], error) {
	backend, err := p.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	app := tasks.NewAppWith(tasks.AppOptions{Logger: logger})
	if err := app.Use(tasks.DefaultAlias, backend); err != nil {
		return nil, nil, err
	}
	task := tasks.Define(app, "job", func(ctx context.Context, what job) (int, error) {
		info, _ := tasks.FromContext(ctx)
		j.write("S", info.ID, info.Attempt)
		if what.Hang && info.Attempt == 1 {
			select {}
		}
		for what.Until != "" {
			if _, err := os.Stat(what.Until); err == nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(what.Sleep)
		j.write("D", info.ID, info.Attempt)
		return info.Attempt, nil
	}, tasks.MaxAttempts(10), tasks.Backoff(tasks.Constant(0)))
	return app, task, nil
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
	p.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
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
