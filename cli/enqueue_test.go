package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// enqueued runs enqueue and returns the task.
func enqueued(t *testing.T, store string, args ...string) (doc cli.TaskDoc) {
	t.Helper()
	out := ok(t, store, append([]string{"enqueue", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return doc
}

func TestEnqueueOptions(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		doc := enqueued(t, store, "greet", "--args", `"Ada"`, "--queue", "mail/é%*🙂", "--priority", "-7", "--in", "1d", "--expires-in", "2d",
			"--max-attempts", "4", "--task-timeout", "90s", "--retain", "forever", "--id", "id/é%*🙂", "--metadata", "a=1,2=3", "--metadata", "b=")
		now := time.Now()
		for what, at := range map[string]struct {
			text string
			in   time.Duration
		}{"run_after": {doc.RunAfter, 24 * time.Hour}, "expires_at": {doc.ExpiresAt, 48 * time.Hour}} {
			got, err := time.Parse(time.RFC3339, at.text)
			if d := got.Sub(now) - at.in; err != nil || d.Abs() > time.Minute {
				t.Errorf("%s is %q, want it in %v", what, at.text, at.in)
			}
		}
		doc.EnqueuedAt, doc.RunAfter, doc.ExpiresAt = "", "", ""
		got, _ := json.Marshal(doc)
		want := `{"id":"id/é%*🙂","task":"greet","status":"READY","queue":"mail/é%*🙂","priority":-7,"backend":"default","args":"Ada",` +
			`"metadata":{"a":"1,2=3","b":""},"attempts":0,"max_attempts":4,"timeout":"1m30s","retain":"-1ns"}`
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		if again := run(t, store, "enqueue", "greet", "--args", `"Eve"`, "--id", "id/é%*🙂"); again.code != cli.ExitOK || !strings.Contains(again.err, "stored already") {
			t.Errorf("the same id again: exit code %d: %s", again.code, again.err)
		}
		doc = enqueued(t, store, "tick", "--at", "2031-02-03T04:05:06Z", "--expires-at", "2032-02-03T04:05:06Z")
		if doc.RunAfter != "2031-02-03T04:05:06Z" || doc.ExpiresAt != "2032-02-03T04:05:06Z" || string(doc.Args) != "null" {
			t.Errorf("--at and --expires-at gave %+v", doc)
		}
	})
}

func TestEnqueueArguments(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		file := filepath.Join(t.TempDir(), "args.json")
		if err := os.WriteFile(file, []byte("\n \"from a file\" \n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			in, want string
			args     []string
		}{
			{"", `"Ada"`, []string{"--args", `"Ada"`}},
			{"", `"from a file"`, []string{"--args-file", file}},
			{"\"from stdin\"\n", `"from stdin"`, []string{"--args-file", "-"}},
		} {
			r := runWith(t, &cli.Program{App: newApp(), Name: "app"}, tt.in, append([]string{"enqueue", "greet", "--url", store, "-o", "name"}, tt.args...)...)
			id, _ := strings.CutSuffix(r.out, "\n")
			if r.code != cli.ExitOK || id == "" || strings.ContainsAny(id, " \n") {
				t.Fatalf("%q: exit code %d, printed %q: %s", tt.args, r.code, r.out, r.err)
			}
			var doc cli.TaskDoc
			if err := json.Unmarshal([]byte(ok(t, store, "result", id, "-o", "json")), &doc); err != nil || string(doc.Args) != tt.want {
				t.Errorf("%q: stored %s, %v, want %s", tt.args, doc.Args, err, tt.want)
			}
		}
	})
}

func TestEnqueueMistakes(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		for _, tt := range []struct {
			code  int
			parts []string
			args  []string
		}{
			{cli.ExitUsage, []string{"the name of a task is missing"}, nil},
			{cli.ExitUsage, []string{"more than"}, []string{"greet", "x"}},
			{cli.ExitNotFound, []string{`no task "gret"`, `is it "greet"?`}, []string{"gret"}},
			{cli.ExitNotFound, []string{`no task "/.%*🙂"`, `"fail", "greet", "tick"`}, []string{"/.%*🙂"}},
			{cli.ExitUsage, []string{"--args: not JSON, in line 2 at byte 6", "'x'"}, []string{"greet", "--args", "{\n\"a\": x}"}},
			{cli.ExitUsage, []string{"--args: not JSON", `a text needs quotes`}, []string{"greet", "--args", "Ada"}},
			{cli.ExitUsage, []string{"--args: not JSON"}, []string{"greet", "--args", `"a" "b"`}},
			{cli.ExitUsage, []string{"--args: there is no JSON"}, []string{"greet", "--args", " "}},
			{cli.ExitUsage, []string{"takes a string"}, []string{"greet"}},
			{cli.ExitUsage, []string{"cannot unmarshal number"}, []string{"greet", "--args", "3"}},
			{cli.ExitUsage, []string{"exclude each other"}, []string{"greet", "--args", "3", "--args-file", "-"}},
			{cli.ExitUsage, []string{"standard input: there is no JSON"}, []string{"greet", "--args-file", "-"}},
			{cli.ExitUsage, []string{"--args-file", "nope.json"}, []string{"greet", "--args-file", "nope.json"}},
			{cli.ExitUsage, []string{"--in and --at"}, []string{"tick", "--in", "1h", "--at", "2030-01-01"}},
			{cli.ExitUsage, []string{"--expires-in and --expires-at"}, []string{"tick", "--expires-in", "1h", "--expires-at", "2030-01-01"}},
			{cli.ExitUsage, []string{"--in", "soon"}, []string{"tick", "--in", "soon"}},
			{cli.ExitUsage, []string{"--at", "soon"}, []string{"tick", "--at", "soon"}},
			{cli.ExitUsage, []string{"priority"}, []string{"tick", "--priority", "101"}},
			{cli.ExitUsage, []string{"attempts"}, []string{"tick", "--max-attempts", "0"}},
			{cli.ExitUsage, []string{"KEY=VALUE"}, []string{"tick", "--metadata", "k"}},
			{cli.ExitUsage, []string{"--retain 0"}, []string{"tick", "--wait", "--retain", "0"}},
		} {
			fails(t, store, tt.code, tt.parts, append([]string{"enqueue"}, tt.args...)...)
		}
		if left := listed(t, store); len(left) > 0 {
			t.Errorf("a mistake has stored %+v", left)
		}
	})
}

// A program without tasks enqueues any, and so a bolt file may not be there yet.
func TestEnqueueAnyName(t *testing.T) {
	any := func(t *testing.T, store string) {
		r := runWith(t, &cli.Program{Name: "sideman"}, "", "enqueue", "any/é%*🙂", "--url", store, "--args", `[1, 2]`, "-o", "json")
		var doc cli.TaskDoc
		if err := json.Unmarshal([]byte(r.out), &doc); err != nil || r.code != cli.ExitOK || doc.Task != "any/é%*🙂" {
			t.Errorf("exit code %d, %s%s", r.code, r.out, r.err)
		}
		r = runWith(t, &cli.Program{Name: "sideman"}, "", "enqueue", "x", "--url", store, "--args", `[1, 2`)
		if r.code != cli.ExitUsage || !strings.Contains(r.err, "not JSON") {
			t.Errorf("bad JSON: exit code %d, %s", r.code, r.err)
		}
	}
	onEach(t, any)
	t.Run("new", func(t *testing.T) { any(t, "bolt:"+filepath.Join(t.TempDir(), "new.db")) })
}

// What the backends do that keep nothing for workers.
func TestEnqueueWithoutWorkers(t *testing.T) {
	t.Parallel()
	if got := ok(t, "immediate:", "enqueue", "greet", "--args", `"Ada"`); !strings.Contains(got, "SUCCESSFUL") || !strings.Contains(got, "Hello, Ada!") {
		t.Errorf("immediate printed %s", got)
	}
	fails(t, "immediate:", cli.ExitFailure, []string{"is FAILED"}, "enqueue", "fail", "--args", `"why"`, "--wait")
	fails(t, "immediate:", cli.ExitUsage, []string{"not supported"}, "enqueue", "tick", "--in", "1h")
	if r := run(t, "dummy:", "enqueue", "tick"); r.code != cli.ExitOK || !strings.Contains(r.err, "dummy runs nothing") {
		t.Errorf("dummy: exit code %d: %s", r.code, r.err)
	}
	fails(t, "dummy:", cli.ExitUsage, []string{"dummy runs nothing"}, "enqueue", "tick", "--wait")
	r := runWith(t, &cli.Program{Name: "sideman"}, "", "enqueue", "x", "--url", "immediate:")
	if r.code != cli.ExitUsage || !strings.Contains(r.err, "cli.Main(app)") {
		t.Errorf("immediate without tasks: exit code %d: %s", r.code, r.err)
	}
}

// running is a command on another goroutine.
type running struct {
	t      *testing.T
	errs   *lines
	out    *lines
	cancel context.CancelFunc
	code   chan int
}

// lines is what a command writes, to be read line by line while it runs.
type lines struct {
	*io.PipeWriter

	read chan string
	all  bytes.Buffer
}

func newLines() *lines {
	r, w := io.Pipe()
	l := &lines{PipeWriter: w, read: make(chan string, 1000)}
	go func() {
		defer close(l.read)
		var rest []byte
		for buf := make([]byte, 4096); ; {
			n, err := r.Read(buf)
			rest = append(rest, buf[:n]...)
			for i := bytes.IndexByte(rest, '\n'); i >= 0; i = bytes.IndexByte(rest, '\n') {
				l.read <- string(rest[:i])
				rest = rest[i+1:]
			}
			if err != nil {
				return
			}
		}
	}()
	return l
}

// begin runs a command beside the test.
func begin(t *testing.T, store string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	r := &running{t: t, errs: newLines(), out: newLines(), cancel: cancel, code: make(chan int, 1)}
	go func() {
		code := (&cli.Program{App: newApp(), Name: "app"}).Run(ctx, append([]string{"--url", store}, args...),
			cli.Streams{In: strings.NewReader(""), Out: r.out, Err: r.errs})
		r.out.Close()
		r.errs.Close()
		r.code <- code
	}()
	return r
}

// await returns the next line that has a text.
func (l *lines) await(t *testing.T, text string) string {
	t.Helper()
	for line := range l.read {
		l.all.WriteString(line + "\n")
		if strings.Contains(line, text) {
			return line
		}
	}
	t.Fatalf("there was no %q:\n%s", text, &l.all)
	return ""
}

// ends returns what was printed in all.
func (r *running) ends(code int) ran {
	r.t.Helper()
	for _, l := range []*lines{r.out, r.errs} {
		for line := range l.read {
			l.all.WriteString(line + "\n")
		}
	}
	got := ran{r.out.all.String(), r.errs.all.String(), <-r.code}
	if got.code != code {
		r.t.Errorf("exit code %d, want %d: %s", got.code, code, got.err)
	}
	return got
}

// The exit code says how it ended, also where the file must be let go for a worker to run it.
func TestEnqueueWait(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		w := begin(t, store, "enqueue", "greet", "--args", `"Ada"`, "--wait")
		w.errs.await(t, "Enqueued")
		work(t, store)
		if got := w.ends(cli.ExitOK); !strings.Contains(got.out, "SUCCESSFUL") || !strings.Contains(got.out, `"Hello, Ada!"`) {
			t.Errorf("printed %s", got.out)
		}

		w = begin(t, store, "enqueue", "fail", "--args", `"boo"`, "--wait", "-o", "json")
		w.errs.await(t, "Enqueued")
		work(t, store)
		if got := w.ends(cli.ExitFailure); !strings.Contains(got.out, `"message": "boo"`) || !strings.Contains(got.err, "is FAILED") {
			t.Errorf("printed %s%s", got.out, got.err)
		}

		w = begin(t, store, "enqueue", "tick", "--in", "1h", "--id", "c", "--wait")
		w.errs.await(t, "Enqueued")
		withApp(t, store, func(app *tasks.App) {
			admin, err := app.Admin(tasks.DefaultAlias)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := admin.Cancel(t.Context(), "c", "no need"); err != nil {
				t.Fatal(err)
			}
		})
		if got := w.ends(cli.ExitConflict); !strings.Contains(got.out, "no need") {
			t.Errorf("printed %s", got.out)
		}

		fails(t, store, cli.ExitTimeout, []string{"Enqueued late", "task late is still READY"}, "enqueue", "tick", "--id", "late", "--in", "1h", "--wait", "--timeout", "1s")
	})
}
