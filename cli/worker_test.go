package cli_test

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

func count(text, part string) int { return strings.Count(text, part) }

// One line a task, beside those of the start and the end.
func TestWorkerBatch(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "greet", []string{`"ada"`, `"eve"`})
		enqueue(t, store, "fail", []string{`"boo"`})
		r := run(t, store, "worker", "--batch", "--worker-id", "w1", "--no-startup-delay")
		if r.code != cli.ExitOK || r.out != "" {
			t.Fatalf("exit code %d, standard output %q: %s", r.code, r.out, r.err)
		}
		if got := count(r.err, "msg=Task "); got != 3 {
			t.Errorf("%d lines of tasks, want 3:\n%s", got, r.err)
		}
		for _, want := range []string{"Starting worker", "worker_id=w1", "queues=*", "store=", "state=SUCCESSFUL", "state=FAILED", "error=boo", "succeeded=2", "failed=1"} {
			if !strings.Contains(r.err, want) {
				t.Errorf("no %q:\n%s", want, r.err)
			}
		}
		for _, d := range listed(t, store) {
			if len(d.WorkerIDs) != 1 || d.WorkerIDs[0] != "w1" {
				t.Errorf("%s was run by %q, want w1", d.Task, d.WorkerIDs)
			}
		}
	})
}

func TestWorkerLogForms(t *testing.T) {
	t.Parallel()
	store := boltStore(t)
	work := func(args ...string) string {
		enqueue(t, store, "greet", []string{`"ada"`})
		return runAs(t, newApp(), store, append([]string{"worker", "--batch"}, args...)...).err
	}
	for line := range strings.Lines(work("-o", "json")) {
		var doc map[string]any
		if err := json.Unmarshal([]byte(line), &doc); err != nil || doc["msg"] == "" {
			t.Errorf("not JSON: %q: %v", line, err)
		}
	}
	if text := work("-v"); !strings.Contains(text, "state=RUNNING") {
		t.Errorf("--verbose has no start of a task:\n%s", text)
	}
	if text := work("--quiet"); text != "" {
		t.Errorf("--quiet said %q", text)
	}
	if text := work("--reload"); !strings.Contains(text, "--reload does nothing") {
		t.Errorf("no warning that --reload and --batch don't go together:\n%s", text)
	}
}

func TestWorkerFlags(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "greet", []string{`"a"`, `"b"`}, tasks.Queue("mail/é%*🙂"))
		enqueue(t, store, "greet", []string{`"c"`}, tasks.Queue("other"))
		ready := func(want int) {
			t.Helper()
			if got := len(listed(t, store, "--status", "ready")); got != want {
				t.Errorf("%d tasks are ready, want %d", got, want)
			}
		}
		ok(t, store, "worker", "--batch", "--exclude", "mail/é%*🙂,other")
		ready(3)
		ok(t, store, "worker", "--no-startup-delay", "--queues", " mail/é%*🙂 ,nothing", "--max-tasks", "1", "--concurrency", "1", "--look-ahead", "-1")
		ready(2)
		ok(t, store, "worker", "--batch", "--order", "weighted", "--weights", "mail/é%*🙂=2,nothing=1", "--lease", "1s", "--grace", "0", "--interval", "10ms")
		ready(1)
		ok(t, store, "worker", "--batch", "--queues", "*", "--exclude", "mail", "--sweep-interval", "1m", "--look-ahead", "5", "--order", "priority")
		ready(0)
	})
}

// What finishes is kept for as long as the flag says, whatever the URL says.
func TestWorkerRetention(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "greet", []string{`"a"`})
		enqueue(t, store, "fail", []string{`"b"`})
		ok(t, withQuery(t, store, "retain_successful", "3h"), "worker", "--batch", "--retain-successful", "1ms", "--retain-failed", "7d")
		withApp(t, store, func(app *tasks.App) {
			b, _ := app.Backend(tasks.DefaultAlias)
			sweeper, _ := tasks.As[tasks.Store](b)
			admin, err := app.Admin(tasks.DefaultAlias)
			if err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(10 * time.Second); ; {
				_, err := sweeper.Sweep(t.Context())
				page, also := admin.List(t.Context(), tasks.ListRequest{})
				switch {
				case err != nil || also != nil:
					t.Fatal(err, also)
				case len(page.Records) == 1 && page.Records[0].Task == "fail":
					return
				case len(page.Records) < 1 || time.Now().After(end):
					t.Fatalf("%d records are left, want the one that failed", len(page.Records))
				}
			}
		})
	})
}

func TestWorkerMistakes(t *testing.T) {
	store := boltStore(t)
	fails(t, store, cli.ExitUsage, []string{"--max-tasks must", "-3", "--exclude can", "--queues '*'", `--order "fast"`}[:4],
		"worker", "--max-tasks", "-3", "--exclude", "a", "--queues", "b")
	fails(t, store, cli.ExitUsage, []string{"--order must", "fast"}, "worker", "--batch", "--order", "fast")
	fails(t, store, cli.ExitUsage, []string{"--concurrency", "--interval", "--lease", "--worker-id is empty"},
		"worker", "--batch", "--concurrency", "0", "--interval", "0", "--lease", "0", "--worker-id", "")
	fails(t, store, cli.ExitUsage, []string{"--lease must be at least"}, "worker", "--batch", "--lease", "1ms")
	fails(t, store, cli.ExitUsage, []string{"--weights"}, "worker", "--batch", "--weights", "a=x")
	fails(t, store, cli.ExitUsage, []string{"--retain-failed must not be 0"}, "worker", "--batch", "--retain-failed", "0")
	fails(t, store, cli.ExitUsage, []string{"--startup-delay"}, "worker", "--startup-delay", "-1s")
	fails(t, store, cli.ExitUsage, []string{`unknown command "lst"`}, "worker", "lst")
	fails(t, "immediate:", cli.ExitUsage, []string{"not supported"}, "worker", "--no-startup-delay")
	t.Setenv("SIDEMAN_CONCURRENCY", "-5")
	fails(t, store, cli.ExitUsage, []string{"SIDEMAN_CONCURRENCY must"}, "worker", "--batch")
	none := runWith(t, &cli.Program{Name: "sideman"}, "", "worker", "--url", store)
	if none.code != cli.ExitUsage || !strings.Contains(none.err, "cli.Main(app)") {
		t.Errorf("without an App: exit code %d: %s", none.code, none.err)
	}
}

// --timeout is a graceful end.
func TestWorkerTimeout(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		r := run(t, store, "worker", "--no-startup-delay", "--timeout", "1s")
		if r.code != cli.ExitOK || !strings.Contains(r.err, "Stopped worker") {
			t.Errorf("exit code %d: %s", r.code, r.err)
		}
	})
}

func TestWorkerFirstSignalIsGraceful(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		id := enqueueHold(t, store)
		for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
			w := start(t, "", "worker", "--url", store, "--no-startup-delay")
			w.await("held")
			w.signal(s)
			w.await("shutting down gracefully")
			w.release(s.String())
			w.await("state=SUCCESSFUL")
			w.ends(cli.ExitOK)
			if got := ok(t, store, "result", id, "-o", "json"); !strings.Contains(got, `"value": "`+s.String()+`"`) {
				t.Errorf("the task didn't end well: %s", got)
			}
			id = enqueueHold(t, store)
		}
	})
}

func TestWorkerSecondSignalCutsOff(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		id := enqueueHold(t, store)
		w := start(t, "", "worker", "--url", store, "--no-startup-delay")
		w.await("held")
		w.signal(os.Interrupt)
		w.await("shutting down gracefully")
		w.signal(syscall.SIGTERM)
		w.await("again, terminating")
		w.ends(cli.ExitFailure)
		if text := w.seen.String(); count(text, "tasks were interrupted") != 1 {
			t.Errorf("why it ended isn't there once:\n%s", text)
		}
		if got := ok(t, store, "result", id); !strings.Contains(got, "FAILED") || !strings.Contains(got, "worker is stopping") {
			t.Errorf("the task that was cut off: %s", got)
		}
	})
}

func TestWorkerSignalBeforeTheStart(t *testing.T) {
	t.Parallel()
	w := start(t, "", "worker", "--url", "bolt:tasks.db", "--startup-delay", "1h", "-v")
	w.await("Waiting before the start")
	w.signal(os.Interrupt)
	w.ends(cli.ExitOK)
}

// The grace counts also for what a signal has ended.
func TestWorkerGrace(t *testing.T) {
	t.Parallel()
	store := boltStore(t)
	enqueueHold(t, store)
	w := start(t, "", "worker", "--url", store, "--no-startup-delay", "--grace", "0")
	w.await("held")
	w.signal(os.Interrupt)
	w.ends(cli.ExitFailure)
}

func TestWorkerList(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		if r := run(t, store, "worker", "list"); !strings.Contains(r.err, "There is no worker") {
			t.Errorf("no word of there being none: %q %q", r.out, r.err)
		}
		withApp(t, store, func(app *tasks.App) { listBeating(t, app) })
	})
}

// listBeating lists two workers of a store that is open in this process: bolt keeps none longer.
func listBeating(t *testing.T, app *tasks.App) {
	t.Helper()
	b, _ := app.Backend(tasks.DefaultAlias)
	beating, _ := tasks.As[tasks.Store](b)
	began := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	for _, w := range []tasks.WorkerInfo{
		{ID: "w1", Host: "h", PID: 7, Queues: []string{"*"}, Exclude: []string{"mail"}, Concurrency: 9, Running: 1, RunningIDs: []string{"r1"}},
		{ID: "w2 🙂", Host: "h", PID: 8, Queues: []string{"a", "b"}, Concurrency: 3, Stopping: true},
	} {
		w.StartedAt, w.Interval = began, time.Minute
		if err := beating.Heartbeat(t.Context(), w); err != nil {
			t.Fatal(err)
		}
	}
	list := func(args ...string) string {
		r := runWith(t, &cli.Program{App: app, Name: "app"}, "", append([]string{"worker", "list"}, args...)...)
		if r.code != cli.ExitOK {
			t.Fatalf("exit code %d: %s", r.code, r.err)
		}
		return r.out
	}
	var docs []cli.WorkerDoc
	if err := json.Unmarshal([]byte(list("-o", "json")), &docs); err != nil || len(docs) != 2 {
		t.Fatalf("got %+v, %v, want 2", docs, err)
	}
	one := docs[0]
	if one.BeatAt == "" || one.BeatAgeSeconds < 0 || one.BeatAgeSeconds > 60 {
		t.Errorf("the beat: %q, %v s ago", one.BeatAt, one.BeatAgeSeconds)
	}
	one.BeatAt, one.BeatAgeSeconds = "", 0
	got, _ := json.Marshal(one)
	want := `{"id":"w1","host":"h","pid":7,"queues":["*"],"exclude":["mail"],"concurrency":9,"running":1,"running_ids":["r1"],"started_at":"` +
		began.Format(time.RFC3339) + `","beat_age_seconds":0,"stopping":false}`
	if string(got) != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if got := list("-o", "name"); got != "w1\nw2 🙂\n" {
		t.Errorf("names: %q", got)
	}
	table := list("-o", "wide")
	for _, want := range []string{"* but mail", "1/9", "1h ago", "a, b", "stopping", "r1"} {
		if !strings.Contains(table, want) {
			t.Errorf("the table has no %q:\n%s", want, table)
		}
	}
}
