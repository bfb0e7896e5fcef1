package cli_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

func queues(t *testing.T, store string) map[string]cli.QueueDoc {
	t.Helper()
	byName := make(map[string]cli.QueueDoc)
	for _, doc := range decode[[]cli.QueueDoc](t, ok(t, store, "queues", "list", "-o", "json")) {
		byName[doc.Name] = doc
	}
	return byName
}

func TestQueues(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		if out := ok(t, store, "queues", "list", "-o", "json"); out != "[]\n" {
			t.Errorf("an empty store: got %q", out)
		}
		enqueue(t, store, "fail", []string{`"why"`}, tasks.Queue(odd))
		enqueue(t, store, "greet", numbers(2), tasks.Queue(odd))
		work(t, store)
		enqueue(t, store, "greet", numbers(2), tasks.Queue(odd))
		id := enqueue(t, store, "tick", []string{"null"}, tasks.Queue(odd))[0]
		enqueue(t, store, "tick", []string{"null"}, tasks.Queue("later"), tasks.RunIn(time.Hour))
		ok(t, store, "tasks", "cancel", enqueue(t, store, "tick", []string{"null"}, tasks.Queue(odd))[0])

		r := run(t, store, "queues", "pause", odd, "new*")
		if r.code != cli.ExitOK || !strings.Contains(r.out, odd+"  paused") || !strings.Contains(r.err, `"new*" has no tasks`) || strings.Contains(r.err, odd) {
			t.Errorf("exit code %d: %s%s", r.code, r.out, r.err)
		}
		got := queues(t, store)
		if got[odd].OldestSeconds <= 0 || got["later"].OldestSeconds != 0 {
			t.Errorf("oldest: got %v and %v seconds, want the first only", got[odd].OldestSeconds, got["later"].OldestSeconds)
		}
		doc := got[odd]
		doc.OldestSeconds = 0
		if want := (cli.QueueDoc{Name: odd, Paused: true, Ready: 3, Successful: 2, Failed: 1, Cancelled: 1, Waiting: map[string]int64{"greet": 2, "tick": 1}}); !reflect.DeepEqual(doc, want) {
			t.Errorf("got %+v, want %+v", doc, want)
		}
		if !got["new*"].Paused || got["later"].Paused {
			t.Errorf("got %+v", got)
		}
		if out := ok(t, store, "queues", "list", "-o", "wide"); !strings.Contains(out, "greet 2, tick 1") {
			t.Errorf("wide: got %s", out)
		}
		if out := ok(t, store, "queues", "list", "-o", "name"); out != "later\n"+odd+"\nnew*\n" {
			t.Errorf("names: got %q", out)
		}

		work(t, store)
		if got := statusOf(t, store, id); got.Status != tasks.Ready {
			t.Errorf("paused: %s is %s, want READY", id, got.Status)
		}
		if out := ok(t, store, "queues", "resume", odd, "new*", "-o", "jsonl"); out != `{"name":"`+odd+`","paused":false}`+"\n"+`{"name":"new*","paused":false}`+"\n" {
			t.Errorf("resume: got %s", out)
		}
		work(t, store)
		if got := statusOf(t, store, id); got.Status != tasks.Successful {
			t.Errorf("resumed: %s is %s, want SUCCESSFUL", id, got.Status)
		}
	})
}

func TestPurge(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "fail", []string{`"why"`}, tasks.Queue(odd))
		work(t, store)
		enqueue(t, store, "greet", numbers(2), tasks.Queue(odd))
		enqueue(t, store, "greet", numbers(3), tasks.Queue("a,b"), tasks.RunIn(time.Hour))
		enqueue(t, store, "greet", numbers(1), tasks.Queue("mail"))

		fails(t, store, cli.ExitUsage, []string{"--yes"}, "queues", "purge", odd)
		r := run(t, store, "queues", "purge", odd, "a,b", "--dry-run")
		if r.code != cli.ExitOK || r.out != "Would delete 5 tasks.\n" || !strings.Contains(r.err, odd) {
			t.Errorf("a dry run: exit code %d: %s%s", r.code, r.out, r.err)
		}
		if got := totals(t, store, "queues", "purge", odd, "--all", "--dry-run"); got != (cli.TotalsDoc{Matched: 3, Changed: 3, DryRun: true}) {
			t.Errorf("a dry run for all: got %+v", got)
		}
		if got := len(listed(t, store)); got != 7 {
			t.Errorf("%d tasks are left, want all 7", got)
		}
		if got := totals(t, store, "queues", "purge", odd, "a,b", "--yes"); got != (cli.TotalsDoc{Matched: 5, Changed: 5}) {
			t.Errorf("got %+v", got)
		}
		if got := queues(t, store); got[odd].Failed != 1 || got[odd].Ready != 0 || got["mail"].Ready != 1 {
			t.Errorf("left: %+v", got)
		}
		if out := ok(t, store, "queues", "purge", odd, "--all", "--yes"); out != "Deleted 1 task.\n" {
			t.Errorf("all: got %q", out)
		}
		if out := ok(t, store, "queues", "purge", "m*", "--all", "--yes"); out != "No task matches.\n" {
			t.Errorf("a star is a name like others: got %q", out)
		}
	})
}

// What runs is left alone, and its worker doesn't notice.
func TestPurgeLeavesWhatRuns(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "greet", numbers(3))
		withApp(t, store, func(app *tasks.App) {
			b, err := app.Backend(tasks.DefaultAlias)
			if err != nil {
				t.Fatal(err)
			}
			got, err := b.(tasks.Store).Claim(t.Context(), tasks.ClaimRequest{Worker: "w", Limit: 1, Lease: time.Hour})
			if err != nil || len(got) != 1 {
				t.Fatal(got, err)
			}
			// Of an App that is open, as bolt's file can't be opened twice.
			p := &cli.Program{App: app, Name: "app"}
			r := runWith(t, p, "", "queues", "purge", "default", "--all", "--yes")
			if r.code != cli.ExitOK || r.out != "Deleted 2 tasks.\n" {
				t.Errorf("purge: exit code %d: %s%s", r.code, r.out, r.err)
			}
			r = runWith(t, p, "", "tasks", "delete", got[0].Record.ID)
			if r.code != cli.ExitConflict || !strings.Contains(r.out, "is RUNNING") {
				t.Errorf("delete: exit code %d: %s%s", r.code, r.out, r.err)
			}
			r = runWith(t, p, "", "tasks", "cancel", got[0].Record.ID)
			if r.code != cli.ExitOK || !strings.Contains(r.out, "asked to end") {
				t.Errorf("cancel: exit code %d: %s%s", r.code, r.out, r.err)
			}
		})
	})
}

func TestQueuesAreRefused(t *testing.T) {
	store := boltStore(t)
	for _, args := range [][]string{
		{"queues", "pause"},
		{"queues", "pause", ""},
		{"queues", "pause", "a\x00"},
		{"queues", "resume", strings.Repeat("x", 200)},
		{"queues", "purge", "--yes"},
		{"queues", "purge", "", "--yes"},
		{"queues", "list", "mail"},
		{"queues", "list", "-o", "csv"},
	} {
		fails(t, store, cli.ExitUsage, nil, args...)
	}
	fails(t, "redis://127.0.0.1:1", cli.ExitUnreachable, nil, "queues", "list")
}
