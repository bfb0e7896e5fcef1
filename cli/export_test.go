package cli_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// exported are the tasks in JSON lines.
func exported(t *testing.T, lines string) (docs []cli.TaskDoc) {
	t.Helper()
	for line := range strings.Lines(lines) {
		if !strings.HasSuffix(line, "\n") {
			t.Errorf("half a line: %q", line)
		}
		docs = append(docs, decode[cli.TaskDoc](t, line))
	}
	return docs
}

// only wants a folder to have nothing else in it.
func only(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if strings.Join(names, " ") != strings.Join(want, " ") {
		t.Errorf("the folder has %q, want %q", names, want)
	}
}

func TestExport(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		failed := enqueue(t, store, "fail", []string{`"line\nbreak 🙂 <&>"`})
		work(t, store)
		ids := enqueue(t, store, "greet", numbers(1300), tasks.Queue(odd))

		out := ok(t, store, "tasks", "export", "--queue", odd)
		docs := exported(t, out)
		if len(docs) != len(ids) || docs[0].ID != ids[0] || docs[1299].ID != ids[1299] || docs[0].Queue != odd {
			t.Errorf("%d tasks, want %d, the oldest first", len(docs), len(ids))
		}
		if list := ok(t, store, "tasks", "list", "--oldest", "--limit", "0", "--queue", odd, "-o", "jsonl"); list != out {
			t.Error("it isn't as list has it")
		}
		docs = exported(t, ok(t, store, "tasks", "export", "--status", "failed", "--since", "1h"))
		if len(docs) != 1 || docs[0].ID != failed[0] || docs[0].Errors[0].Message != "line\nbreak 🙂 <&>" {
			t.Errorf("got %+v", docs)
		}
		if out := ok(t, store, "tasks", "export", "--task", "none"); out != "" {
			t.Errorf("nothing matches: got %q", out)
		}

		dir := t.TempDir()
		file := filepath.Join(dir, "tasks 🙂%.jsonl")
		r := run(t, store, "tasks", "export", "--file", file)
		data, err := os.ReadFile(file)
		if r.code != cli.ExitOK || err != nil || len(exported(t, string(data))) != 1301 || !strings.Contains(r.err, "Exported 1,301 tasks to "+file) || r.out != "" {
			t.Errorf("exit code %d, %v: %s%s", r.code, err, r.out, r.err)
		}
		only(t, dir, filepath.Base(file))
	})
}

// A page is written before the next one is read: any number of tasks takes the memory of one.
func TestExportIsFlatInMemory(t *testing.T) {
	store := boltStore(t)
	enqueue(t, store, "greet", numbers(3500))
	var out bytes.Buffer
	pages, behind := 0, 0
	p := hookedProgram(func(_ context.Context, op string) error {
		if op == "list" {
			if written := bytes.Count(out.Bytes(), []byte("\n")); written < pages*tasks.MaxPage-100 { // less what is buffered
				behind++
			}
			pages++
		}
		return nil
	})
	code := p.Run(t.Context(), []string{"--url", store, "tasks", "export"}, cli.Streams{Out: &out, Err: &out})
	if code != cli.ExitOK || pages != 4 || behind > 0 {
		t.Errorf("exit code %d, %d pages, %d were read when the one before wasn't written", code, pages, behind)
	}
}

func TestExportLeavesNothingHalfWritten(t *testing.T) {
	store := boltStore(t)
	enqueue(t, store, "greet", numbers(1500))
	away := func() *cli.Program {
		return hookedProgram(nth("list", 2, func(context.Context) error { return tasks.ErrUnavailable }))
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "tasks.jsonl")

	r := runWith(t, away(), "", "--url", store, "tasks", "export", "--file", file)
	if r.code != cli.ExitUnreachable || !strings.Contains(r.err, file+" was not written") {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
	only(t, dir)

	if err := os.WriteFile(file, []byte("before"), 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	runWith(t, away(), "", "--url", store, "tasks", "export", "--file", file)
	if data, err := os.ReadFile(file); err != nil || string(data) != "before" {
		t.Errorf("the file that was there: %v, %d bytes", err, len(data))
	}
	only(t, dir, "link", "tasks.jsonl")
	ok(t, store, "tasks", "export", "--file", link)
	info, err := os.Lstat(file)
	if err != nil || info.Size() < 1500 || info.Mode() != 0o640 {
		t.Errorf("written through a link: %v, %v", info, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode().Type() != os.ModeSymlink {
		t.Errorf("the link is one no more: %v, %v", info, err)
	}
	only(t, dir, "link", "tasks.jsonl")

	// To standard output goes what there is, in whole lines, and the exit code tells.
	r = runWith(t, away(), "", "--url", store, "tasks", "export")
	if r.code != cli.ExitUnreachable || len(exported(t, r.out)) != 1000 || !strings.Contains(r.err, "stopped after 1,000 tasks") {
		t.Errorf("exit code %d, %d lines: %s", r.code, strings.Count(r.out, "\n"), r.err)
	}
}

func TestExportIsRefused(t *testing.T) {
	store := boltStore(t)
	dir := t.TempDir()
	t.Setenv("SIDEMAN_OUTPUT", "wide") // a habit is no mistake
	ok(t, store, "tasks", "export")
	fails(t, store, cli.ExitUsage, []string{"JSON lines", "--output yaml"}, "tasks", "export", "-o", "yaml")
	fails(t, store, cli.ExitUsage, []string{"plain file"}, "tasks", "export", "--file", dir)
	fails(t, store, cli.ExitFailure, []string{"was not written"}, "tasks", "export", "--file", filepath.Join(dir, "none", "f"))
	only(t, dir)
}
