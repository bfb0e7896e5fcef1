package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestMain has this program be the processes that tests start of it.
func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	if err := childMain(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// onFileStore is a Sideman on an empty file.
func onFileStore(t *testing.T) *sideman {
	t.Helper()
	s := newSideman(boltPlace(t.TempDir(), "sideman"))
	if err := s.reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A worker process gets through the queue, and its memory, its processor time and what it
// allocates are seen.
func TestWorkerProcess(t *testing.T) {
	t.Parallel()
	s := onFileStore(t)
	var seen samples
	took, used, err := drainByProcesses(t.Context(), s, 1, 500, seen.watch)
	if err != nil {
		t.Fatal(err)
	}
	if took.tasks < 1 || took.tasks > 500 || took.took <= 0 || used.CPU <= 0 || used.Allocs < 500 || used.Bytes < 500 {
		t.Errorf("of 500 tasks, %d took %v, and all %+v", took.tasks, took.took, used)
	}
	if most, _ := seen.most(func(r resident) float64 { return r.all }); most < 5 || most > 2000 {
		t.Errorf("the process had %v MB", most)
	}
}

// Processes that enqueue store as many tasks as they're told.
func TestEnqueueProcess(t *testing.T) {
	t.Parallel()
	s := onFileStore(t)
	for i, do := range []errand{enqueueSingly, enqueueInBatches} {
		if _, err := enqueueByProcess(t.Context(), s, 100, do, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := drain(t.Context(), &filled{sideman: s, had: 100 * i}, tuned, 100); err != nil {
			t.Errorf("%s: %v", do, err)
		}
	}
}

// A process that can't do what it should says why, and nobody waits for it.
func TestProcessFails(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, url, do, want string }{
		{"no store", "bolt:" + t.TempDir() + "/not/there.db", "work", "not/there.db"},
		{"no errand", "bolt:" + t.TempDir() + "/a.db", "nothing", `"nothing"`},
	} {
		crew, err := startCrew(t.Context(), 1, job{URL: c.url, Do: errand(c.do)})
		if err == nil {
			_, err = crew.run(1)
			err = errors.Join(err, crew.kill())
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something with %s", c.name, err, c.want)
		}
	}
}

// The backend alone drains and stores the same tasks.
func TestBackendAlone(t *testing.T) {
	t.Parallel()
	r := &rawSideman{sideman: onFileStore(t)}
	if err := r.reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.enqueue(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := fill(t.Context(), r, 3*rawClaim); err != nil {
		t.Fatal(err)
	}
	if _, err := drain(t.Context(), r, tuned, 3*rawClaim+1); err != nil {
		t.Error(err)
	}
}

// A full store keeps its records over resets and counts those that have come since.
func TestFilled(t *testing.T) {
	t.Parallel()
	f := &filled{sideman: onFileStore(t), fill: finishMany, n: 300}
	for round := range 2 {
		if err := f.reset(t.Context()); err != nil {
			t.Fatal(err)
		}
		if done, err := f.completed(t.Context()); err != nil || done != 0 {
			t.Errorf("round %d: %d are finished since the reset (%v)", round, done, err)
		}
		if err := fill(t.Context(), f, 50); err != nil {
			t.Fatal(err)
		}
		if _, err := drain(t.Context(), f, tuned, 50); err != nil {
			t.Fatal(err)
		}
		if all, err := f.sideman.completed(t.Context()); err != nil || all != 350+50*round {
			t.Errorf("round %d: %d are finished (%v), want %d", round, all, err, 350+50*round)
		}
	}
}
