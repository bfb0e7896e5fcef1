package cli_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sideman-go/sideman/cli"
)

// copyProgram puts a copy of the test binary to a path at once, with something behind it.
func copyProgram(t *testing.T, to, behind string) (size int) {
	t.Helper()
	data, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	data = append(data, behind...)
	if err := os.WriteFile(to+".new", data, 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	if err := os.Rename(to+".new", to); err != nil {
		t.Fatal(err)
	}
	return len(data)
}

// A rebuilt program takes the process over when what runs has ended.
func TestWorkerReload(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueueHold(t, store)
		next := enqueueHold(t, store)
		program := filepath.Join(t.TempDir(), "program")
		copyProgram(t, program, "")
		w := start(t, program, "worker", "--url", store, "--no-startup-delay", "--reload", "--concurrency", "1")
		w.await("held")
		size := copyProgram(t, program, "rebuilt")
		w.await("The program was rebuilt")
		w.release("one")
		w.await("state=SUCCESSFUL")
		w.await("Stopped worker")
		w.await("program of " + strconv.Itoa(size) + " bytes")
		w.await("held")
		w.release("two")
		w.await("state=SUCCESSFUL")
		w.signal(os.Interrupt) // to the same process
		w.ends(cli.ExitOK)
		if got := ok(t, store, "result", next); !strings.Contains(got, "two") {
			t.Errorf("the rebuilt program's task: %s", got)
		}
	})
}

// A signal while it stops for the rebuilt program ends it for good.
func TestWorkerReloadAndSignal(t *testing.T) {
	t.Parallel()
	store := boltStore(t)
	enqueueHold(t, store)
	program := filepath.Join(t.TempDir(), "program")
	copyProgram(t, program, "")
	w := start(t, program, "worker", "--url", store, "--no-startup-delay", "--reload")
	w.await("held")
	copyProgram(t, program, "rebuilt")
	w.await("The program was rebuilt")
	w.signal(os.Interrupt)
	w.await("shutting down gracefully")
	w.release("")
	w.ends(cli.ExitOK)
	if count(w.seen.String(), "Starting worker") != 1 {
		t.Errorf("it began again:\n%s", &w.seen)
	}
}
