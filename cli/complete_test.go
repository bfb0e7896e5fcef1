package cli_test

import (
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// completed is what a shell is offered for the last of the arguments.
func completed(t *testing.T, p *cli.Program, args ...string) (values []string) {
	t.Helper()
	r := runWith(t, p, "", append([]string{"__completeNoDesc"}, args...)...)
	if r.code != 0 {
		t.Fatalf("%q: exit code %d: %s", args, r.code, r.err)
	}
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	if last := len(lines) - 1; !strings.HasPrefix(lines[last], ":") {
		t.Fatalf("%q: no directive: %s", args, r.out)
	}
	return lines[:len(lines)-1]
}

func TestComplete(t *testing.T) {
	inFolder(t, map[string]string{"sideman.yaml": "backends:\n  default: {url: 'bolt:none.db'}\n  mail: {url: 'redis://127.0.0.1:1'}\n"})
	p := &cli.Program{App: newApp(), Name: "app"}
	for _, tt := range []struct{ args, want string }{
		{"tasks list --output ", "table wide json jsonl yaml name"},
		{"tasks list -o ", "table wide json jsonl yaml name"},
		{"tasks list --status ", "ready running successful failed cancelled"},
		{"tasks list --status failed,", "failed,ready failed,running failed,successful failed,cancelled"},
		{"tasks list --task ", "fail greet tick"},
		{"tasks list --task greet,", "greet,fail greet,tick"},
		{"tasks list --backend ", "default mail"},
		{"-b ", "default mail"},
		{"check --fail-level ", "warning error never"},
		{"bench --only get,l", "get,enqueue-1 get,enqueue-16 get,enqueue-batch get,drain get,pickup get,list"},
		{"--config ", "json yaml yml"}, // the shell looks for such files
		{"migrate ", "down sql status up"},
		{"tasks list ", ""},
		{"tasks list --queue ", ""}, // there is no file
		{"-b mail tasks list --queue ", ""},
		{"tasks show ", ""},
	} {
		args := strings.Split(tt.args, " ")
		if got := strings.Join(completed(t, p, args...), " "); got != tt.want {
			t.Errorf("%q: got %q, want %q", args, got, tt.want)
		}
	}
	if got := completed(t, &cli.Program{Name: "app"}, "tasks", "list", "--task", ""); len(got) != 0 {
		t.Errorf("a program without tasks knows %q", got)
	}
	if got := completed(t, p, "--config", "none.yaml", "-b", ""); len(got) != 1 || got[0] != "default" {
		t.Errorf("without a configuration: %q", got)
	}
}

func TestCompleteFromTheStore(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		ids := enqueue(t, store, "greet", []string{`"1"`, `"2"`}, tasks.Queue("mail/éà .%*🙂"))
		ids = append(ids, enqueue(t, store, "tick", []string{`null`})...)
		enqueue(t, store, "tick", []string{`null`}, tasks.Queue("a,b"))
		p := &cli.Program{App: newApp(), Name: "app"}
		get := func(args ...string) []string {
			t.Helper()
			return completed(t, p, append([]string{"--url", store}, args...)...)
		}
		if got := get("tasks", "list", "--queue", ""); !slices.Equal(got, []string{"default", "mail/éà .%*🙂"}) {
			t.Errorf("queues for a list: %q", got) // the one with a comma would have to be quoted
		}
		if got := get("check", "--queue", "default,"); !slices.Equal(got, []string{"default,mail/éà .%*🙂"}) {
			t.Errorf("more queues for a list: %q", got)
		}
		if got := get("tasks", "show", ""); len(got) != 4 || got[3] != ids[0] {
			t.Errorf("ids: %q", got)
		}
		if got := get("tasks", "show", ids[0], ids[1], ""); len(got) != 2 || slices.Contains(got, ids[0]) || slices.Contains(got, ids[1]) {
			t.Errorf("more ids: %q", got)
		}
		r := runWith(t, p, "", "__complete", "--url", store, "tasks", "show", "")
		if !strings.Contains(r.out, ids[2]+"\ttick ready\n") {
			t.Errorf("with descriptions: %s", r.out)
		}
	})
}

// A server that doesn't answer doesn't keep the shell waiting.
func TestCompleteInTime(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, scheme := range []string{"postgres", "redis"} {
		begin := time.Now()
		got := completed(t, &cli.Program{App: newApp(), Name: "app"}, "--url", scheme+"://"+l.Addr().String()+"/0", "tasks", "list", "--queue", "")
		if took := time.Since(begin); took > 3*time.Second || len(got) != 0 {
			t.Errorf("%s: got %q after %v", scheme, got, took)
		}
	}
}
