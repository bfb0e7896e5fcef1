package cli_test

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// totals runs a command that must succeed and prints totals.
func totals(t *testing.T, store string, args ...string) cli.TotalsDoc {
	t.Helper()
	return decode[cli.TotalsDoc](t, ok(t, store, append([]string{"-o", "json"}, args...)...))
}

// numbers are so many arguments.
func numbers(n int) []string {
	args := make([]string, n)
	for i := range args {
		args[i] = strconv.Quote(strconv.Itoa(i))
	}
	return args
}

func TestChangesWhatMatches(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "fail", []string{`"refused"`, `"refused"`, `"other"`}, tasks.Queue(odd))
		enqueue(t, store, "fail", []string{`"refused"`}, tasks.Queue("mail"))
		enqueue(t, store, "greet", numbers(3), tasks.Queue(odd))
		work(t, store)
		enqueue(t, store, "greet", numbers(4), tasks.Queue(odd))

		all := []string{"tasks", "retry", "--all-matching", "--queue", odd, "--error", "REFUSED"}
		r := run(t, store, append(all, "--dry-run", "-o", "json")...)
		if got, want := decode[cli.TotalsDoc](t, r.out), (cli.TotalsDoc{Matched: 2, Changed: 2, DryRun: true}); got != want {
			t.Errorf("a dry run: got %+v, want %+v", got, want)
		}
		if !strings.Contains(r.err, "refused") || !strings.Contains(r.err, odd) || strings.Contains(r.err, "other") {
			t.Errorf("no sample, or of others: %s", r.err)
		}
		fails(t, store, cli.ExitUsage, []string{"--yes"}, all...)
		if got := listed(t, store, "--status", "failed"); len(got) != 4 {
			t.Errorf("%d are FAILED, want all 4: it was changed", len(got))
		}
		if got, want := totals(t, store, append(all, "--yes")...), (cli.TotalsDoc{Matched: 2, Changed: 2}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		for _, doc := range listed(t, store, "--task", "fail") {
			retried := doc.Queue == odd && doc.Errors[0].Message == "refused"
			if (doc.Status == tasks.Ready) != retried {
				t.Errorf("%+v: want it retried: %v", doc, retried)
			}
		}
		if out := ok(t, store, append(all, "--yes")...); out != "No task matches.\n" {
			t.Errorf("a second time: got %q", out)
		}

		// Those that were named and can't be changed are skipped and counted.
		for _, tt := range []struct {
			args []string
			want cli.TotalsDoc
		}{
			{[]string{"tasks", "cancel", "--status", "ready,successful", "--task", "greet", "--dry-run"}, cli.TotalsDoc{Matched: 7, Changed: 4, Skipped: 3, DryRun: true}},
			{[]string{"tasks", "cancel", "--status", "ready,successful", "--task", "greet", "--yes"}, cli.TotalsDoc{Matched: 7, Changed: 4, Skipped: 3}},
			{[]string{"tasks", "delete", "--status", "cancelled", "--yes"}, cli.TotalsDoc{Matched: 4, Changed: 4}},
			{[]string{"tasks", "delete", "--yes"}, cli.TotalsDoc{Matched: 7, Changed: 7}}, // no flag: all
		} {
			if got := totals(t, store, append(tt.args, "--all-matching")...); got != tt.want {
				t.Errorf("%q: got %+v, want %+v", tt.args, got, tt.want)
			}
		}
	})
}

func TestBulkSaysWhatItDid(t *testing.T) {
	store := boltStore(t)
	enqueue(t, store, "greet", numbers(1007))
	for _, tt := range []struct{ args, out, err string }{
		{"tasks cancel --all-matching --dry-run", "Would cancel 1,007 tasks.\n", "The oldest 5 of 1,007 tasks:\n"},
		{"tasks cancel --all-matching --dry-run -q", "Would cancel 1,007 tasks.\n", ""},
		{"tasks cancel --all-matching --yes", "Cancelled 1,007 tasks (running ones were asked to end).\n", ""},
		{"tasks delete --all-matching --yes --until 0s --status cancelled,running -o jsonl", `{"matched":1007,"changed":1007,"skipped":0,"dry_run":false}` + "\n", ""},
		{"tasks delete --all-matching --yes -o name", "", "No task matches.\n"},
	} {
		r := run(t, store, strings.Fields(tt.args)...)
		if head, _, _ := strings.Cut(r.err, "ID "); r.code != cli.ExitOK || r.out != tt.out || head != tt.err {
			t.Errorf("%s: exit code %d, got %q and %q, want %q and %q", tt.args, r.code, r.out, head, tt.out, tt.err)
		}
	}
}

// stopsAndGoesOn retries FAILED tasks while something happens to the store at the third batch, and
// then again, and wants each changed once. It returns what the first command said.
func stopsAndGoesOn(t *testing.T, store, through string, hook func(context.Context) error, heal func()) ran {
	t.Helper()
	const all = 1600
	enqueue(t, store, "fail", numbers(all), tasks.Queue(odd))
	work(t, store)
	retry := []string{"--url", through, "tasks", "retry", "--all-matching", "--queue", odd, "--yes", "-o", "json"}
	r := runWith(t, hookedProgram(nth("alter", 3, hook)), "", retry...)
	first := decode[cli.TotalsDoc](t, r.out)
	if first.Changed != 1000 {
		t.Errorf("stopped: got %+v, want 1000 changed", first)
	}
	for _, part := range []string{"1,000 tasks were retried", "the same command goes on from there"} {
		if !strings.Contains(r.err, part) {
			t.Errorf("standard error has no %q: %s", part, r.err)
		}
	}
	heal()
	again := runWith(t, hookedProgram(func(context.Context, string) error { return nil }), "", retry...)
	if again.code != cli.ExitOK {
		t.Fatalf("again: exit code %d: %s", again.code, again.err)
	}
	// The batch that it broke in was changed whole, uncounted, or not at all.
	second := decode[cli.TotalsDoc](t, again.out)
	if second.Matched != second.Changed || (second.Changed != all-1000 && second.Changed != all-1500) {
		t.Errorf("again: got %+v, want %d or %d changed", second, all-1000, all-1500)
	}
	docs := listed(t, store, "--limit", "0", "--queue", odd)
	once := 0
	for _, doc := range docs {
		if doc.Status == tasks.Ready && doc.MaxAttempts == 2 && doc.Attempts == 1 {
			once++
		}
	}
	if len(docs) != all || once != all {
		t.Errorf("%d tasks, %d of them retried once, want %d", len(docs), once, all)
	}
	return r
}

func TestStoreGoesAwayInABulkRetry(t *testing.T) {
	for name, server := range map[string]struct {
		store func(testing.TB) string
		port  string
	}{
		"database": {postgresStore, "5432"},
		"redis":    {redisStore, "6379"},
	} {
		for what, cut := range map[string]func(*proxy){"before a batch": (*proxy).cut, "before its reply": (*proxy).loseReply} {
			t.Run(name+"/"+what, func(t *testing.T) {
				store := server.store(t)
				p, through := newProxy(t, store, server.port)
				r := stopsAndGoesOn(t, store, through, func(context.Context) error { cut(p); return nil }, p.heal)
				if r.code != cli.ExitUnreachable {
					t.Errorf("exit code %d, want %d: %s", r.code, cli.ExitUnreachable, r.err)
				}
			})
		}
	}
	t.Run("bolt", func(t *testing.T) {
		store := boltStore(t)
		r := stopsAndGoesOn(t, store, store, func(context.Context) error { return tasks.ErrUnavailable }, func() {})
		if r.code != cli.ExitUnreachable {
			t.Errorf("exit code %d, want %d", r.code, cli.ExitUnreachable)
		}
	})
}

func TestInterruptEndsABulkRetry(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("NOT TESTED: Windows has no signals to send")
	}
	onEach(t, func(t *testing.T, store string) {
		r := stopsAndGoesOn(t, store, store, func(ctx context.Context) error {
			self, err := os.FindProcess(os.Getpid())
			if err != nil {
				return err
			}
			if err := self.Signal(os.Interrupt); err != nil {
				return err
			}
			<-ctx.Done()
			return nil // the store looks at ctx itself
		}, func() {})
		if r.code != cli.ExitInterrupted || !strings.HasPrefix(r.err, "app: interrupted: stopped") {
			t.Errorf("exit code %d, want %d: %s", r.code, cli.ExitInterrupted, r.err)
		}
	})
}

func TestTimeoutEndsAChangeByIDs(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		ids := enqueue(t, store, "greet", numbers(700))
		hook := nth("alter", 2, func(context.Context) error { return context.DeadlineExceeded })
		r := runWith(t, hookedProgram(hook), strings.Join(ids, "\n"), "--url", store, "tasks", "cancel", "-", "-o", "name")
		if r.code != cli.ExitTimeout || !strings.Contains(r.err, "stopped after 500 tasks, 500 of them cancelled") || strings.Count(r.out, "\n") != 500 {
			t.Errorf("exit code %d, %d lines: %s", r.code, strings.Count(r.out, "\n"), r.err)
		}
	})
}

// Where there is no terminal a long run says how far it is every few seconds.
func TestProgressByLines(t *testing.T) {
	// What the runtime starts for the first one ever must not be in a bubble.
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	defer signal.Stop(signals)
	store := boltStore(t)
	enqueue(t, store, "greet", numbers(2200))
	for _, tt := range []struct {
		flag, want string
	}{
		{"--no-color", "Rescheduling: 1,000\nRescheduling: 2,000\n"},
		{"--quiet", ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			slow := func(_ context.Context, op string) error {
				if op == "alter" {
					time.Sleep(3 * time.Second) // of the bubble's time
				}
				return nil
			}
			var out, errs bytes.Buffer
			code := hookedProgram(slow).Run(t.Context(), []string{"--url", store, "tasks", "reschedule", "--in", "1h", "--all-matching", "--yes", tt.flag}, cli.Streams{Out: &out, Err: &errs})
			if code != cli.ExitOK || errs.String() != tt.want || out.String() != "Rescheduled 2,200 tasks.\n" {
				t.Errorf("%s: exit code %d, got %q and %q, want %q", tt.flag, code, out.String(), errs.String(), tt.want)
			}
		})
	}
}
