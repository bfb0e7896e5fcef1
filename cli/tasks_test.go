package cli_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// listed are the tasks that a command lists.
func listed(t *testing.T, store string, args ...string) (docs []cli.TaskDoc) {
	t.Helper()
	out := ok(t, store, append([]string{"tasks", "list", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &docs); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return docs
}

func TestTasksList(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		failed := enqueue(t, store, "fail", []string{`"Connection refused"`, `"no such user"`})
		work(t, store)
		ready := enqueue(t, store, "greet", []string{`"ada"`, `"eve"`}, tasks.Queue("mail/éà .%*🙂"))

		all := listed(t, store)
		if len(all) != 4 || all[0].ID != ready[1] || all[3].ID != failed[0] {
			t.Errorf("newest first: got %+v", all)
		}
		for _, tt := range []struct {
			args []string
			want string
		}{
			{[]string{"--oldest"}, strings.Join(append(failed, ready...), " ")},
			{[]string{"--status", "failed"}, failed[1] + " " + failed[0]},
			{[]string{"--status", "failed,ready", "--error", "REFUSED"}, failed[0]},
			{[]string{"--queue", "mail/éà .%*🙂", "--limit", "1"}, ready[1]},
			{[]string{"--task", "greet", "--after", ready[1]}, ready[0]},
			{[]string{"--until", "1h"}, ""},
			{[]string{"--since", "1h", "--task", "greet", "--limit", "0"}, ready[1] + " " + ready[0]},
			{[]string{"--worker", "nobody"}, ""},
		} {
			var ids []string
			for _, d := range listed(t, store, tt.args...) {
				ids = append(ids, d.ID)
			}
			if got := strings.Join(ids, " "); got != tt.want {
				t.Errorf("%q: got %q, want %q", tt.args, got, tt.want)
			}
		}
		if r := run(t, store, "tasks", "list", "--limit", "3"); !strings.Contains(r.err, "--after "+failed[1]) {
			t.Errorf("no word of how to go on: %q", r.err)
		}
	})
}
