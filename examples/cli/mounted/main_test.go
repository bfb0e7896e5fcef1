package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/cli"
)

// shop runs a command and returns what it has printed, and its exit code.
func shop(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	cmd := command()
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	code := run(cmd)
	return out.String(), code
}

func TestMounted(t *testing.T) {
	url := "bolt:" + filepath.Join(t.TempDir(), "tasks.db")
	t.Setenv("SIDEMAN_URL", url)
	if out, code := shop(t, "orders"); code != 0 || !strings.Contains(out, "ada@example.com") {
		t.Errorf("the shop's own command: exit code %d, %q", code, out)
	}
	id, code := shop(t, "jobs", "enqueue", "send_receipt", "--args", `{"number": 7, "email": "ada@example.com"}`, "-o", "name")
	if code != 0 {
		t.Fatalf("enqueue: exit code %d", code)
	}
	if _, code := shop(t, "jobs", "worker", "--batch", "--quiet"); code != 0 {
		t.Fatalf("worker: exit code %d", code)
	}
	out, code := shop(t, "jobs", "result", strings.TrimSpace(id), "-o", "json")
	if code != 0 || !strings.Contains(out, `"receipt 7 sent to ada@example.com"`) {
		t.Errorf("result: exit code %d, %s", code, out)
	}
	if _, code := shop(t, "jobs", "result", "0197c0de"); code != cli.ExitNotFound {
		t.Errorf("result of an unknown id: exit code %d, want %d", code, cli.ExitNotFound)
	}
	if _, code := shop(t, "jobs", "enqueue", "send_receipt", "--args", `{"nummer": 7}`); code != cli.ExitUsage {
		t.Errorf("a misspelt field: exit code %d, want %d", code, cli.ExitUsage)
	}
	if _, code := shop(t, "jobs", "nothing"); code == 0 {
		t.Error("an unknown command: exit code 0")
	}
}
