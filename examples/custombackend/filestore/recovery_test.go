package filestore

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/tasks"
)

// What is here the suite can't see: it knows no files, and can't kill the process that it is in.

func TestJournalIsDoneAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d, err := openDisk(dir, true)
	if err != nil {
		t.Fatal(err)
	}
	batch := map[string][]byte{}
	for _, id := range []string{"a", "b"} {
		batch[recordName(id)], err = encode(&tasks.Record{ID: id, Task: "t", Queue: "default", Status: tasks.Ready, MaxAttempts: 1})
		if err != nil {
			t.Fatal(err)
		}
	}
	journal, err := json.Marshal(batch)
	if err != nil {
		t.Fatal(err)
	}
	// The crash is between the journal and the first record.
	if err := d.apply(map[string][]byte{journalName: journal, recordName("c") + tempSuffix: []byte("{")}); err != nil {
		t.Fatal(err)
	}
	d.close()

	s := reopen(t, dir)
	page, err := s.List(t.Context(), tasks.ListRequest{})
	if err != nil || len(page.Records) != 2 {
		t.Errorf("listed %d records after the crash, %v, want the 2 of the journal", len(page.Records), err)
	}
	for _, name := range []string{journalName, recordName("c") + tempSuffix} {
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s after Open: %v, want it gone", name, err)
		}
	}
}

func TestDamagedRecordIsReportedAndInNobodysWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, recordName("broken")), []byte(`{"id": "bro`), 0o600); err != nil {
		t.Fatal(err)
	}
	s := reopen(t, dir)
	if _, err := s.GetResult(t.Context(), "broken"); !errors.Is(err, tasks.ErrDamaged) {
		t.Errorf("GetResult gave %v, want ErrDamaged", err)
	}
	if err := s.Enqueue(t.Context(), []*tasks.Record{{ID: "broken"}}); !errors.Is(err, tasks.ErrDamaged) {
		t.Errorf("Enqueue under its id gave %v, want ErrDamaged", err)
	}
	if found := s.Check(t.Context()); len(found) != 1 || found[0].ID != "filestore.E002" {
		t.Errorf("Check found %v, want filestore.E002", found)
	}
	if err := s.Enqueue(t.Context(), []*tasks.Record{{ID: "whole", Queue: "default", MaxAttempts: 1}}); err != nil {
		t.Fatal(err)
	}
	claimed, err := s.Claim(t.Context(), tasks.ClaimRequest{Worker: "w", Limit: 2, Lease: 1})
	if err != nil || len(claimed) != 1 {
		t.Errorf("claimed %d records, %v, want the one that is whole", len(claimed), err)
	}
}

// TestKill enqueues in a process of its own, kills it with kill -9 amid that, and looks
// whether what Enqueue had returned for is there.
func TestKill(t *testing.T) {
	const env = "FILESTORE_TEST_DIR"
	if dir := os.Getenv(env); dir != "" {
		enqueueForEver(t, dir)
	}
	t.Parallel()
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKill$")
	child.Env = append(os.Environ(), env+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var stored []string
	for lines := bufio.NewScanner(out); lines.Scan(); {
		stored = append(stored, strings.Fields(lines.Text())...)
		if len(stored) == 60 {
			if err := child.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = child.Wait() // it was killed
	if len(stored) < 60 {
		t.Fatalf("the other process stored %d records and ended", len(stored))
	}
	s := reopen(t, dir)
	for _, id := range stored {
		if _, err := s.GetResult(t.Context(), id); err != nil {
			t.Errorf("record %s was enqueued before the kill: %v", id, err)
		}
	}
	page, err := s.List(t.Context(), tasks.ListRequest{Limit: 999})
	if err != nil || len(page.Records)%3 != 0 {
		t.Errorf("%d records, %v: a batch of 3 was stored in part", len(page.Records), err)
	}
}

// enqueueForEver prints the ids of each batch once it is stored, and doesn't return.
func enqueueForEver(t *testing.T, dir string) {
	t.Helper()
	s := reopen(t, dir)
	for n := 0; ; n++ {
		ids := []string{fmt.Sprintf("%d-a", n), fmt.Sprintf("%d-b", n), fmt.Sprintf("%d-c", n)}
		recs := make([]*tasks.Record, len(ids))
		for i, id := range ids {
			recs[i] = &tasks.Record{ID: id, Queue: "default", MaxAttempts: 1}
		}
		if err := s.Enqueue(t.Context(), recs); err != nil {
			t.Fatal(err)
		}
		fmt.Println(strings.Join(ids, " "))
	}
}

func reopen(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return s
}
