package cli_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// odd is a name of a queue with all that could go wrong with one.
const odd = "mail/éà .%*🙂"

// decode reads the JSON that a command has printed.
func decode[T any](t *testing.T, out string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return v
}

// statusOf returns a task as the store has it; the zero value if it's gone.
func statusOf(t *testing.T, store, id string) (doc cli.TaskDoc) {
	t.Helper()
	for _, doc := range listed(t, store, "--limit", "0") {
		if doc.ID == id {
			return doc
		}
	}
	return doc
}

// someOfEach stores a FAILED task, a SUCCESSFUL one and two that are READY.
func someOfEach(t *testing.T, store string) (failed, successful, ready, other string) {
	t.Helper()
	failed = enqueue(t, store, "fail", []string{`"why"`})[0]
	successful = enqueue(t, store, "greet", []string{`"ada"`})[0]
	work(t, store)
	waiting := enqueue(t, store, "greet", []string{`"eve"`, `"bob"`}, tasks.Queue(odd))
	return failed, successful, waiting[0], waiting[1]
}

func TestChangesByID(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		failed, successful, ready, other := someOfEach(t, store)
		const unknown = "no such/id %*🙂"
		for _, tt := range []struct {
			args []string
			code int
			want []cli.ChangeDoc
		}{
			{
				[]string{"retry", ready, failed, unknown, successful},
				cli.ExitNotFound,
				[]cli.ChangeDoc{{ID: ready, Status: tasks.Ready, Error: "is READY"}, {ID: failed, Status: tasks.Ready, Changed: true}, {ID: unknown, Error: "not found"}, {ID: successful, Status: tasks.Successful, Error: "is SUCCESSFUL"}},
			},
			{[]string{"retry", successful}, cli.ExitConflict, []cli.ChangeDoc{{ID: successful, Status: tasks.Successful, Error: "is SUCCESSFUL"}}},
			{[]string{"cancel", failed, "--reason", "no more %s 🙂"}, cli.ExitOK, []cli.ChangeDoc{{ID: failed, Status: tasks.Cancelled, Changed: true}}},
			{[]string{"retry", failed}, cli.ExitOK, []cli.ChangeDoc{{ID: failed, Status: tasks.Ready, Changed: true}}},
			{[]string{"delete", ready, ready}, cli.ExitNotFound, []cli.ChangeDoc{{ID: ready, Changed: true}, {ID: ready, Error: "not found"}}},
			{[]string{"reschedule", other, "--in", "1d"}, cli.ExitOK, []cli.ChangeDoc{{ID: other, Status: tasks.Ready, Changed: true}}},
			{[]string{"cancel", other, "--reason", "no more %s 🙂"}, cli.ExitOK, []cli.ChangeDoc{{ID: other, Status: tasks.Cancelled, Changed: true}}},
		} {
			r := run(t, store, append([]string{"tasks", "-o", "json"}, tt.args...)...)
			if got := decode[[]cli.ChangeDoc](t, r.out); r.code != tt.code || !slices.Equal(got, tt.want) {
				t.Errorf("%q: exit code %d, want %d; got %+v, want %+v; %s", tt.args, r.code, tt.code, got, tt.want, r.err)
			}
		}
		if got := statusOf(t, store, other); got.Status != tasks.Cancelled || got.CancelReason != "no more %s 🙂" {
			t.Errorf("cancelled: got %+v", got)
		}
		if got := statusOf(t, store, ready); got.ID != "" {
			t.Errorf("deleted: got %+v", got)
		}
		if got := statusOf(t, store, failed); got.Status != tasks.Ready || got.MaxAttempts != 2 {
			t.Errorf("retried: got %+v", got)
		}
		r := run(t, store, "tasks", "retry", unknown, successful)
		if !strings.Contains(r.out, unknown) || !strings.Contains(r.out, "  not found\n") || !strings.Contains(r.out, "  is SUCCESSFUL\n") ||
			!strings.Contains(r.err, "2 of 2 tasks were not retried: 1 not FAILED or CANCELLED, 1 not found") {
			t.Errorf("as a table: got %s%s", r.out, r.err)
		}
	})
}

func TestChangesIDsOfStandardInput(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		var args []string
		for range 1200 { // more than one batch
			args = append(args, `"bob"`)
		}
		ids := enqueue(t, store, "greet", args)
		p := &cli.Program{App: newApp(), Name: "app"}
		in := "\n " + strings.Join(ids[1:], "\r\n") + "\n\nnobody"
		r := runWith(t, p, in, "--url", store, "tasks", "cancel", ids[0], "-", "-o", "name")
		if r.code != cli.ExitNotFound || r.out != strings.Join(ids, "\n")+"\n" {
			t.Errorf("exit code %d, want %d, and %d lines, want those of the %d that were changed: %s", r.code, cli.ExitNotFound, strings.Count(r.out, "\n"), len(ids), r.err)
		}
		if got := listed(t, store, "--status", "cancelled", "--limit", "0"); len(got) != len(ids) {
			t.Errorf("cancelled: %d, want %d", len(got), len(ids))
		}
		r = runWith(t, p, "\n", "--url", store, "tasks", "cancel", "-")
		if r.code != cli.ExitOK || !strings.Contains(r.err, "no id") {
			t.Errorf("no ids: exit code %d: %s", r.code, r.err)
		}
		r = runWith(t, p, strings.Repeat("x", 1<<20), "--url", store, "tasks", "cancel", "-")
		if r.code != cli.ExitFailure || !strings.Contains(r.err, "standard input") {
			t.Errorf("a line without end: exit code %d: %s", r.code, r.err)
		}
	})
}

// listing is the output of a list that has the store open until it has all been read.
type listing struct {
	list func() string
	out  *strings.Reader
}

func (l *listing) Read(p []byte) (int, error) {
	if l.out == nil {
		l.out = strings.NewReader(l.list())
	}
	return l.out.Read(p)
}

// tasks list -o name | tasks retry -: only one of them can have bolt's file open.
func TestChangesWhatAPipeLists(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		failed, _, _, _ := someOfEach(t, store)
		in := &listing{list: func() string { return ok(t, store, "tasks", "list", "--status", "failed", "-o", "name") }}
		var out, errs bytes.Buffer
		p := &cli.Program{App: newApp(), Name: "app"}
		code := p.Run(t.Context(), []string{"--url", store, "tasks", "retry", "-", "-o", "name"}, cli.Streams{In: in, Out: &out, Err: &errs})
		if code != cli.ExitOK || out.String() != failed+"\n" {
			t.Errorf("exit code %d, got %q, want %s: %s", code, out.String(), failed, errs.String())
		}
	})
}

func TestReschedule(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		id := enqueue(t, store, "greet", []string{`"ada"`})[0]
		ok(t, store, "tasks", "reschedule", id, "--at", "2123-04-05T06:07:08Z")
		if got := statusOf(t, store, id).RunAfter; got != "2123-04-05T06:07:08Z" {
			t.Errorf("--at a time: got %s", got)
		}
		for _, args := range [][]string{{"--at", "1d2h"}, {"--in", "1d2h"}} {
			before := time.Now()
			ok(t, store, append([]string{"tasks", "reschedule", id}, args...)...)
			got, err := time.Parse(time.RFC3339, statusOf(t, store, id).RunAfter)
			// The store's clock may be another one.
			if err != nil || got.Sub(before) < 25*time.Hour || got.Sub(before) > 27*time.Hour {
				t.Errorf("%q: got %v, want in 26h; %v", args, got.Sub(before), err)
			}
		}
		ok(t, store, "tasks", "reschedule", "--in", "0s", "--all-matching", "--yes", "--task", "greet")
		work(t, store)
		if got := statusOf(t, store, id).Status; got != tasks.Successful {
			t.Errorf("--in 0s: got %s, want it run", got)
		}
		fails(t, store, cli.ExitConflict, []string{"was not rescheduled: not READY"}, "tasks", "reschedule", id, "--in", "1h")
	})
}

func TestChangesAreForeseen(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		failed, successful, ready, _ := someOfEach(t, store)
		r := run(t, store, "tasks", "retry", failed, successful, "nobody", "--dry-run", "-o", "json")
		want := []cli.ChangeDoc{{ID: failed, Status: tasks.Failed, Changed: true}, {ID: successful, Status: tasks.Successful, Error: "is SUCCESSFUL"}, {ID: "nobody", Error: "not found"}}
		if got := decode[[]cli.ChangeDoc](t, r.out); r.code != cli.ExitNotFound || !slices.Equal(got, want) || !strings.Contains(r.err, "nothing was changed") {
			t.Errorf("exit code %d; got %+v, want %+v; %s", r.code, got, want, r.err)
		}
		if out := ok(t, store, "tasks", "delete", ready, "--dry-run"); !strings.Contains(out, "would be deleted") {
			t.Errorf("got %s", out)
		}
		for _, id := range []string{failed, ready} {
			if got := statusOf(t, store, id); got.MaxAttempts != 1 {
				t.Errorf("%s was changed: %+v", id, got)
			}
		}
	})
}

func TestChangesAreRefused(t *testing.T) {
	store := boltStore(t)
	t.Setenv("SIDEMAN_QUEUE", "mail") // a habit, that doesn't count beside ids
	id := enqueue(t, store, "greet", []string{`"ada"`})[0]
	ok(t, store, "tasks", "cancel", id)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"retry"}, "which tasks?"},
		{[]string{"retry", "--status", "failed", "--queue", "q"}, "add --all-matching to --status --queue"},
		{[]string{"retry", id, "--status", "failed"}, "exclude each other"},
		{[]string{"retry", id, "--all-matching"}, "exclude each other"},
		{[]string{"retry", "-", "-"}, "only once"},
		{[]string{"retry", "--all-matching", "--status", "ready,running", "--yes"}, "ready and running: only tasks that are FAILED or CANCELLED can be retried"},
		{[]string{"retry", "--all-matching", "--status", "lost", "--yes"}, "no status"},
		{[]string{"delete", "--all-matching", "--queue", "", "--yes"}, "--queue is empty"},
		{[]string{"delete", "--all-matching", "--task", "a,", "--yes"}, "--task is empty"},
		{[]string{"delete", "--all-matching", "--error", "", "--yes"}, "--error is empty"},
		{[]string{"delete", "--all-matching", "--since", "soon", "--yes"}, "neither a time"},
		{[]string{"reschedule", id}, "either --at or --in"},
		{[]string{"reschedule", id, "--at", "2h", "--in", "2h"}, "either --at or --in"},
		{[]string{"reschedule", id, "--at", "soon"}, "--at"},
		{[]string{"reschedule", id, "--at", "9999-12-31T23:59:59-12:00"}, "the new time"},
		{[]string{"reschedule", id, "--in", "-2h"}, "--in"},
		{[]string{"reschedule", id, "--in", "soon"}, "--in"},
	} {
		fails(t, store, cli.ExitUsage, []string{tt.want}, append([]string{"tasks"}, tt.args...)...)
	}
	fails(t, "redis://127.0.0.1:1", cli.ExitUnreachable, []string{"--url"}, "tasks", "retry", "x")
	t.Setenv("SIDEMAN_QUEUE", "")
	if got := statusOf(t, store, id); got.Status != tasks.Cancelled {
		t.Errorf("the task was changed: %+v", got)
	}
}
