package cli_test

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

var records = flag.Int("records", 100_000, "how many records BenchmarkMany fills each store with")

// BenchmarkMany times commands, each as a process of its own, in stores with many records:
//
//	go test ./cli -run '^$' -bench Many -records 1000000 -benchtime 3x
//
// It reports the most memory that a process had, too. There are three FAILED records among the
// others, in the middle. The others are READY at first, and then SUCCESSFUL.
func BenchmarkMany(b *testing.B) {
	program := filepath.Join(b.TempDir(), "sideman")
	build := exec.CommandContext(b.Context(), "go", "build", "-o", program, "../cmd/sideman")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	for _, kind := range []struct {
		name string
		open func(testing.TB) string
	}{{"bolt", boltStore}, {"database", postgresStore}, {"redis", redisStore}} {
		b.Run(kind.name, func(b *testing.B) {
			store := kind.open(b)
			fillStore(b, store, *records/2)
			enqueue(b, store, "fail", []string{`"one"`, `"two"`, `"three"`}, tasks.Queue("rare"), tasks.Priority(100))
			fillStore(b, store, *records/2)
			for _, phase := range []struct{ others, queue string }{{"ready", "rare"}, {"successful", "default"}} {
				withApp(b, store, func(app *tasks.App) {
					if err := worker.New(app, worker.Options{Batch: true, Queues: []string{phase.queue}}).Run(b.Context()); err != nil {
						b.Fatal(err)
					}
				})
				b.Run(phase.others, func(b *testing.B) { timeCommands(b, program, store) })
			}
		})
	}
}

func timeCommands(b *testing.B, program, store string) {
	b.Helper()
	for _, c := range []struct {
		name  string
		args  []string
		lines int
	}{
		{"list", []string{"tasks", "list"}, 51},
		{"list-oldest-1000", []string{"tasks", "list", "--oldest", "--limit", "1000"}, 1001},
		{"list-failed", []string{"tasks", "list", "--status", "failed"}, 4},
		{"list-rare", []string{"tasks", "list", "--queue", "rare"}, 4},
		{"list-unknown", []string{"tasks", "list", "--task", "unknown"}, 1},
		{"list-error", []string{"tasks", "list", "--error", "unheard of"}, 1},
		{"queues", []string{"queues", "list"}, 3},
		{"stats", []string{"stats"}, 0},
		{"export", []string{"tasks", "export", "--quiet"}, *records + 3},
	} {
		b.Run(c.name, func(b *testing.B) { timeProcess(b, program, store, c.args, c.lines) })
	}
}

// timeProcess runs a command as a process, again and again.
func timeProcess(b *testing.B, program, store string, args []string, lines int) {
	b.Helper()
	// Until it has its program, a process counts with what this one has had: on Linux this
	// forgets that.
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0)
	most := int64(0)
	for b.Loop() {
		out := &lineCounter{}
		cmd := exec.CommandContext(b.Context(), program, args...)
		cmd.Env = append(os.Environ(), "SIDEMAN_URL="+store)
		cmd.Stdout, cmd.Stderr = out, os.Stderr
		if err := cmd.Run(); err != nil {
			b.Fatalf("%q: %v", args, err)
		}
		if lines > 0 && out.n != lines {
			b.Fatalf("%q printed %d lines, want %d", args, out.n, lines)
		}
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			most = max(most, usage.Maxrss)
		}
	}
	b.ReportMetric(float64(most)/1000, "MB-max")
}

type lineCounter struct{ n int }

func (l *lineCounter) Write(p []byte) (int, error) {
	l.n += bytes.Count(p, []byte("\n"))
	return len(p), nil
}

func fillStore(b *testing.B, store string, n int) {
	b.Helper()
	args := make([]string, 5000)
	for i := range args {
		args[i] = strconv.Quote(strings.Repeat("x", i%50))
	}
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	withApp(b, store, func(app *tasks.App) {
		for n > 0 {
			calls := make([]tasks.Call, min(n, len(args)))
			for i := range calls {
				call, err := app.CallJSON("greet", []byte(args[i]))
				if err != nil {
					b.Fatal(err)
				}
				calls[i] = call
			}
			if _, err := app.EnqueueMany(ctx, calls...); err != nil {
				b.Fatal(err)
			}
			n -= len(calls)
		}
	})
}
