package cli_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// finishedInAll has a SUCCESSFUL, a FAILED, a CANCELLED and a READY task in each of two queues.
func finishedInAll(t *testing.T, store string) {
	t.Helper()
	for _, queue := range []string{tasks.DefaultQueue, odd} {
		enqueue(t, store, "greet", numbers(1), tasks.Queue(queue))
		enqueue(t, store, "fail", numbers(1), tasks.Queue(queue))
	}
	work(t, store)
	for _, queue := range []string{tasks.DefaultQueue, odd} {
		ok(t, store, "tasks", "cancel", enqueue(t, store, "greet", numbers(1), tasks.Queue(queue))[0])
		enqueue(t, store, "greet", numbers(1), tasks.Queue(queue))
	}
}

func TestPrune(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		finishedInAll(t, store)
		for _, tt := range []struct {
			args string
			want int
		}{
			{"--dry-run", 0}, // nothing is 14 days old
			{"--min-age-days 0 --dry-run", 3},
			{"--min-age-days 0 --queue * --dry-run", 6},
			{"--min-age-days 0 --queue *,default --status failed,cancelled --dry-run", 4},
			{"--failed-min-age-days 0 --dry-run", 1},
			{"--failed-min-age-days 0 --status successful --dry-run", 0},
			{"--failed-min-age-days 0 --status failed --dry-run", 1},
			{"--failed-min-age-days 0 --older-than 0s --status failed --dry-run", 1},
			{"--failed-min-age-days 7 --older-than 0s --dry-run", 2},
			{"--older-than 1d12h --queue * --dry-run", 0},
			{"--older-than 0s --queue nobody's --dry-run", 0},
			{"", 0},
			{"--failed-min-age-days 7 --older-than 0s", 2},
			{"--failed-min-age-days 0 --queue default," + odd, 2},
			{"--min-age-days 0", 0},
			{"--older-than 0s --queue *", 2},
		} {
			args := []string{"prune"}
			for arg := range strings.FieldsSeq(strings.ReplaceAll(tt.args, odd, "ODD")) {
				args = append(args, strings.ReplaceAll(arg, "ODD", odd))
			}
			want := cli.TotalsDoc{Matched: tt.want, Changed: tt.want, DryRun: strings.Contains(tt.args, "--dry-run")}
			if got := totals(t, store, args...); got != want {
				t.Errorf("%q: got %+v, want %+v", tt.args, got, want)
			}
		}
		if got := listed(t, store); len(got) != 2 || got[0].Status != tasks.Ready || got[1].Status != tasks.Ready {
			t.Errorf("left: %+v, want the two that are READY", got)
		}
	})
}

func TestPruneSaysWhatItDid(t *testing.T) {
	store := boltStore(t)
	finishedInAll(t, store)
	for _, tt := range []struct{ args, out, err string }{
		{"prune", "Deleted 0 task results\n", "Only the queue \"default\" was looked at: --queue '*' is for all.\n"},
		{"prune --queue mail", "Deleted 0 task results\n", ""},
		{"prune --older-than 0s --dry-run", "Would delete 3 task results\n", ""},
		{"prune --older-than 0s --status failed", "Deleted 1 task result\n", ""},
		{"prune --older-than 0s -o name", "", "Deleted 2 task results\n"},
	} {
		if r := run(t, store, strings.Fields(tt.args)...); r.code != cli.ExitOK || r.out != tt.out || r.err != tt.err {
			t.Errorf("%s: exit code %d, got %q and %q, want %q and %q", tt.args, r.code, r.out, r.err, tt.out, tt.err)
		}
	}
}

func TestPruneGoesOn(t *testing.T) {
	store := boltStore(t)
	enqueue(t, store, "greet", numbers(1500))
	ok(t, store, "tasks", "cancel", "--all-matching", "--yes")
	p := hookedProgram(nth("prune", 2, func(context.Context) error { return tasks.ErrUnavailable }))
	r := runWith(t, p, "", "--url", store, "prune", "--older-than", "0s")
	if r.code != cli.ExitUnreachable || !strings.Contains(r.err, "stopped when 1,000 task results were deleted") {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
	if out := ok(t, store, "prune", "--older-than", "0s"); out != "Deleted 500 task results\n" {
		t.Errorf("again: got %q", out)
	}
}

func TestPruneIsRefused(t *testing.T) {
	store := boltStore(t)
	finishedInAll(t, store)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"--min-age-days", "-1"}, "--min-age-days -1"},
		{[]string{"--failed-min-age-days", "-1", "--status", "successful"}, "--failed-min-age-days -1"},
		{[]string{"--min-age-days", "1000000"}, "from 0 to 36500"},
		{[]string{"--min-age-days", "1.5"}, "min-age-days"},
		{[]string{"--older-than", "-1s"}, "--older-than"},
		{[]string{"--older-than", "old"}, "--older-than"},
		{[]string{"--older-than", "0s", "--min-age-days", "3"}, "exclude each other"},
		{[]string{"--older-than", "0s", "--queue", ""}, "--queue is empty"},
		{[]string{"--older-than", "0s", "--queue", "default,"}, "--queue is empty"},
		{[]string{"--older-than", "0s", "--status", "ready"}, "READY tasks have no results"},
		{[]string{"--older-than", "0s", "--status", "lost"}, "no status"},
	} {
		fails(t, store, cli.ExitUsage, []string{tt.want}, append([]string{"prune"}, tt.args...)...)
	}
	if got := len(listed(t, store)); got != 8 {
		t.Errorf("%d tasks are left, want all 8", got)
	}
	fails(t, "bolt:"+filepath.Join(t.TempDir(), "none.db"), cli.ExitNotFound, nil, "prune")
	fails(t, "redis://127.0.0.1:1", cli.ExitUnreachable, nil, "prune")
}
