package cli_test

import (
	"encoding/json"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// noServer returns an address on which nobody listens.
func noServer(t *testing.T) string {
	t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestResult(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		good := enqueue(t, store, "greet", []string{`"ada"`})[0]
		bad := enqueue(t, store, "fail", []string{`"boo\nhoo"`})[0]
		if got := ok(t, store, "result", good); !strings.Contains(got, "READY") || strings.Contains(got, "Return value") {
			t.Errorf("before: %s", got)
		}
		work(t, store)
		if got := ok(t, store, "result", good); !strings.Contains(got, "SUCCESSFUL") || !strings.Contains(got, `"Hello, ada!"`) {
			t.Errorf("the good one: %s", got)
		}
		if got := ok(t, store, "result", bad); !strings.Contains(got, "FAILED") || !strings.Contains(got, "boo") {
			t.Errorf("the bad one: %s", got)
		}
		for _, how := range []string{"--wait", "--watch"} {
			ok(t, store, "result", good, how)
			fails(t, store, cli.ExitFailure, []string{bad + " is FAILED"}, "result", bad, how)
		}
		for _, id := range []string{"/.%*🙂", "nope"} {
			fails(t, store, cli.ExitNotFound, []string{"result not found"}, "result", id, "--wait")
		}
		fails(t, store, cli.ExitUsage, []string{"the id of a task is missing"}, "result")
		later := enqueue(t, store, "tick", []string{""})[0]
		fails(t, store, cli.ExitTimeout, []string{later + " is still READY"}, "result", later, "--wait", "--timeout", "1s")
	})
}

// Each change is a line, and what it waits for can be run meanwhile.
func TestResultWatch(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		id := enqueue(t, store, "fail", []string{`"boo"`}, tasks.MaxAttempts(2))[0]
		w := begin(t, store, "result", id, "--watch", "-o", "jsonl")
		w.out.await(t, `"status":"READY"`)
		// Between two attempts there are the backoff's moments.
		for done := false; !done; {
			withApp(t, store, func(app *tasks.App) {
				res, err := app.GetResult(t.Context(), tasks.DefaultAlias, id)
				if err != nil {
					t.Fatal(err)
				}
				done = res.Status.Final()
			})
			work(t, store)
		}
		w.out.await(t, `"status":"FAILED"`)
		got := w.ends(cli.ExitFailure)
		for line := range strings.Lines(got.out) {
			var doc cli.TaskDoc
			if err := json.Unmarshal([]byte(line), &doc); err != nil || doc.ID != id {
				t.Errorf("not a line of JSON: %q: %v", line, err)
			}
		}

		id = enqueue(t, store, "greet", []string{`"ada"`})[0]
		w = begin(t, store, "result", id, "--watch")
		w.out.await(t, "READY")
		work(t, store)
		w.out.await(t, `SUCCESSFUL "Hello, ada!"`)
		w.ends(cli.ExitOK)
	})
}

// A task that is deleted while it is waited for isn't there any more.
func TestResultDeleted(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		id := enqueue(t, store, "tick", []string{""})[0]
		w := begin(t, store, "result", id, "--watch", "-o", "name")
		w.out.await(t, "READY")
		withApp(t, store, func(app *tasks.App) {
			admin, err := app.Admin(tasks.DefaultAlias)
			if err != nil {
				t.Fatal(err)
			}
			if err := admin.Delete(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		})
		if got := w.ends(cli.ExitNotFound); !strings.Contains(got.err, "it was there before") {
			t.Errorf("said %s", got.err)
		}
	})
}

// An interrupt ends the waiting and tells the id.
func TestWaitInterrupted(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		w := start(t, "", "enqueue", "tick", "--id", "mine", "--in", "1h", "--wait", "--url", store)
		w.await("Enqueued mine")
		w.signal(os.Interrupt)
		w.await("task mine is still READY")
		w.ends(cli.ExitInterrupted)
	})
}
