package e2e

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// The child of the crash test appends one line per event to a journal, by one
// write each, so that the journal tells what had happened when it was killed. A kill
// may cut a write short: so a line starts on a new one, and counts if it has its end.
//
//	E id limit    an enqueue returned nil; limit is its MaxAttempts
//	S id attempt  a handler starts
//	D id attempt  a handler returns
//	F id status   the final status was stored
type journal struct{ f *os.File }

func openJournal(dir string) *journal {
	f, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		panic(err)
	}
	return &journal{f}
}

func (j *journal) write(kind, id string, value any) {
	if _, err := fmt.Fprintf(j.f, "\n%s %s %v .\n", kind, id, value); err != nil {
		panic(err)
	}
}

// crashApp defines the same tasks in the child and, to finish the work, in the
// test.
func crashApp(tb testing.TB, dir string, j *journal) (app *tasks.App, many, once *tasks.Task[int, int]) {
	tb.Helper()
	app = openApp(tb, filepath.Join(dir, "tasks.db"))
	handler := func(ctx context.Context, n int) (int, error) {
		info, _ := tasks.FromContext(ctx)
		j.write("S", info.ID, info.Attempt)
		if n%8 == 0 { // some take a while, so that kills hit them running
			<-time.After(time.Millisecond)
		}
		j.write("D", info.ID, info.Attempt)
		if n%16 == 0 && info.Attempt == 1 && info.MaxAttempts > 1 {
			return 0, errors.New("fails once")
		}
		return n, nil
	}
	many = tasks.Define(app, "many", handler, tasks.MaxAttempts(1000), tasks.Backoff(tasks.Constant(0)))
	once = tasks.Define(app, "once", handler)
	app.AddHooks(tasks.Hooks{Finished: func(_ context.Context, rec *tasks.Record) error {
		j.write("F", rec.ID, rec.Status)
		return nil
	}})
	return app, many, once
}

// crashTB is the testing.TB of the child: it can only fail.
type crashTB struct{ testing.TB }

func (crashTB) Helper()           {}
func (crashTB) Fatal(args ...any) { fmt.Fprintln(os.Stderr, args...); os.Exit(3) }

// crashChild works and enqueues until it is killed.
func crashChild(dir string) {
	j := openJournal(dir)
	app, many, once := crashApp(crashTB{}, dir, j)
	var n atomic.Int64
	enqueue := func() {
		task, limit := many, 1000
		i := int(n.Add(1))
		if i%4 == 0 {
			task, limit = once, 1
		}
		res, err := task.Enqueue(context.Background(), i)
		if err != nil {
			crashTB{}.Fatal("enqueue:", err)
		}
		j.write("E", res.ID, limit)
	}
	// The first enqueue makes the log. On a slow disk that takes longer than most lives, so
	// most begin after it.
	if rand.IntN(4) > 0 {
		enqueue()
	}
	fmt.Println("ready")
	for range 4 {
		go func() {
			for {
				enqueue()
				<-time.After(time.Duration(rand.IntN(300)) * time.Microsecond)
			}
		}()
	}
	err := worker.New(app, worker.Options{Concurrency: 8, Logger: quiet()}).Run(context.Background())
	crashTB{}.Fatal("worker:", err)
}

// TestKill9 kills a process that enqueues and works at random points, 200 times,
// and then wants: nothing enqueued is lost, nothing final comes back, attempts
// are counted, nothing runs twice at once, and what may be attempted once is. F1.
func TestKill9(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	dir := t.TempDir()
	done := 0
	// A disk may take a second or more for each round, and a fifth of them shows as much.
	for from := time.Now(); done < rounds && (done < rounds/5 || time.Since(from) < time.Minute); done++ {
		killOnce(t, dir, done)
	}

	// What is left is finished by a worker that nobody kills.
	j := openJournal(dir)
	app, _, _ := crashApp(t, dir, j)
	defer app.Close(context.Background())
	if err := worker.New(app, worker.Options{Concurrency: 8, Batch: true, Logger: quiet()}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	judge(t, app, dir, done)
}

func killOnce(t *testing.T, dir string, round int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "SIDEMAN_E2E_CHILD="+dir)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	if line == "ready\n" {
		<-time.After(time.Duration(rand.IntN(40_000)) * time.Microsecond)
		if rand.IntN(4) > 0 {
			journalGrows(t, dir, rand.IntN(20))
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if stderr.Len() > 0 || line != "ready\n" {
		t.Fatalf("round %d: the process said %q and %q", round, line, stderr.String())
	}
}

// journalGrows waits until about that many lines more are in the journal: on a slow disk little
// would have happened otherwise. On others there are as many before it has looked.
func journalGrows(t *testing.T, dir string, lines int) {
	t.Helper()
	const line = int64(len("\nS 01a21c30-5c7a-7000-898d-1f334ab3025a 1 .\n"))
	var want int64
	for from := time.Now(); time.Since(from) < 5*time.Second; <-time.After(time.Millisecond) {
		info, err := os.Stat(filepath.Join(dir, "journal"))
		if err != nil {
			t.Fatal(err)
		}
		if want == 0 {
			want = info.Size() + int64(lines)*line
		}
		if info.Size() >= want {
			return
		}
	}
}

type history struct {
	limit    int // 0: the enqueue hadn't returned
	starts   []int
	final    string
	problems []string
}

// judge holds the journal against the store.
func judge(t *testing.T, app *tasks.App, dir string, rounds int) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, "journal"))
	if err != nil {
		t.Fatal(err)
	}
	byID := make(map[string]*history)
	for line := range strings.Lines(string(text)) {
		var kind, id, value, end string
		if _, err := fmt.Sscan(line, &kind, &id, &value, &end); err != nil || end != "." {
			continue
		}
		h := byID[id]
		if h == nil {
			h = &history{}
			byID[id] = h
		}
		h.event(kind, value)
	}

	records := make(map[string]*tasks.Record)
	admin, err := app.Admin(tasks.DefaultAlias)
	if err != nil {
		t.Fatal(err)
	}
	for rec, err := range admin.All(t.Context(), tasks.Filter{}) {
		if err != nil {
			t.Fatal(err)
		}
		records[rec.ID] = rec
	}

	var enqueued, again, lost, failedOnce int
	for id, h := range byID {
		rec := records[id]
		if rec == nil {
			t.Errorf("%s was lost: it isn't in the store", id)
			continue
		}
		if h.limit > 0 {
			enqueued++
		}
		for _, p := range h.problems {
			t.Errorf("%s: %s", id, p)
		}
		if !rec.Status.Final() {
			t.Errorf("%s is %s at the end", id, rec.Status)
		}
		if h.final != "" && h.final != string(rec.Status) {
			t.Errorf("%s was finished as %s and is %s", id, h.final, rec.Status)
		}
		// A claim counts even if its handler never began.
		if len(h.starts) > rec.Attempts() {
			t.Errorf("%s started %d times but has %d attempts", id, len(h.starts), rec.Attempts())
		}
		if rec.Task == "many" && rec.Status != tasks.Successful {
			t.Errorf("%s is %s after %d attempts of 1000: %v", id, rec.Status, rec.Attempts(), rec.LastError())
		}
		if rec.MaxAttempts == 1 && (len(h.starts) > 1 || rec.Attempts() != 1) {
			t.Errorf("%s may be attempted once: started %d times, %d attempts", id, len(h.starts), rec.Attempts())
		}
		if rec.Task == "once" && rec.Status == tasks.Failed {
			failedOnce++
		}
		for _, e := range rec.Errors {
			if e.Type == tasks.ErrorTypeLost {
				lost++
			}
		}
		if len(h.starts) > 1 {
			again++
		}
	}
	t.Logf("%d rounds: %d records, %d acknowledged; %d lost attempts, %d records started again, %d single attempts lost",
		rounds, len(byID), enqueued, lost, again, failedOnce)
	if enqueued < rounds || lost < rounds/4 || again < rounds/8 {
		t.Error("too little happened for this to show anything")
	}
}

func (h *history) event(kind, value string) {
	problem := func(format string, args ...any) { h.problems = append(h.problems, fmt.Sprintf(format, args...)) }
	switch kind {
	case "E":
		h.limit, _ = strconv.Atoi(value)
	case "S":
		attempt, _ := strconv.Atoi(value)
		if h.final != "" {
			problem("started attempt %d after it was %s", attempt, h.final)
		}
		if n := len(h.starts); n > 0 && attempt <= h.starts[n-1] {
			// The process that ran the earlier one is dead, or it would be a run at once.
			problem("started attempt %d after attempt %d", attempt, h.starts[n-1])
		}
		h.starts = append(h.starts, attempt)
	case "F":
		if h.final != "" {
			problem("was finished twice: %s, then %s", h.final, value)
		}
		h.final = value
	}
}
