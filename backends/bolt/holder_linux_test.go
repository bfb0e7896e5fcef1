package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
)

// locked returns the error of opening a file that is held.
func locked(t *testing.T, path string) string {
	t.Helper()
	_, err := bolt.Open(t.Context(), bolt.Options{Path: path, LockTimeout: -1})
	if !errors.Is(err, tasks.ErrUnavailable) {
		t.Fatalf("opening a file that is held: %v", err)
	}
	return err.Error()
}

func TestLockNamesTheProcess(t *testing.T) {
	if _, err := os.Stat("/proc/locks"); err != nil {
		t.Skip("NOT TESTED: ", err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "tasks.db")
	// Others, with locks of their own, aren't meant.
	start(t, "hold", filepath.Join(dir, "other.db"))
	cmd, _ := start(t, "hold", path)
	want := fmt.Sprintf("(pid %d, %s)", cmd.Process.Pid, filepath.Base(os.Args[0]))
	if got := locked(t, path); !strings.Contains(got, want) {
		t.Errorf("the error has no %q: %s", want, got)
	}
	// By another name it is the same file.
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if got := locked(t, link); !strings.Contains(got, want) {
		t.Errorf("through a link the error has no %q: %s", want, got)
	}
}

// A program's name may be longer than the 15 bytes that the kernel keeps, and may have what a
// terminal obeys.
func TestLockNamesTheWholeProgram(t *testing.T) {
	if _, err := os.Stat("/proc/locks"); err != nil {
		t.Skip("NOT TESTED: ", err)
	}
	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"a-program-with-a-long-name": "a-program-with-a-long-name",
		"red\x1b[31m":                "red?[31m",
	} {
		program := filepath.Join(dir, name)
		if err := os.Symlink(self, program); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "tasks.db")
		cmd, _ := startAs(t, program, "hold", path)
		want = fmt.Sprintf("(pid %d, %s)", cmd.Process.Pid, want)
		if got := locked(t, path); !strings.Contains(got, want) {
			t.Errorf("the error has no %q: %q", want, got)
		}
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

func TestLockOfThisProcess(t *testing.T) {
	if _, err := os.Stat("/proc/locks"); err != nil {
		t.Skip("NOT TESTED: ", err)
	}
	path := filepath.Join(t.TempDir(), "tasks.db")
	openWith(t, bolt.Options{Path: path})
	if got := locked(t, path); !strings.Contains(got, "this process") {
		t.Errorf("the error doesn't say that it is this process: %s", got)
	}
}

// A process of another pid namespace isn't named, and nor is the one that has its number here.
func TestLockOfAnotherNamespace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	start(t, "hold", path)
	// A namespace of processes of its own, with a /proc that shows those: there, the child has
	// the number 1. It takes rights that not every user has.
	var out bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=apart="+path)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}},
	}
	if err := cmd.Run(); err != nil {
		t.Skipf("NOT TESTED: no namespaces here: %v %s", err, &out)
	}
	got := out.String()
	if !strings.Contains(got, "another process has it open") || strings.Contains(got, "pid") {
		t.Errorf("from another namespace: %s", got)
	}
}

// apart opens a file in namespaces of its own, and prints why it can't.
func apart(path string) {
	err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	if err == nil {
		err = syscall.Mount("proc", "/proc", "proc", 0, "")
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	_, err = bolt.Open(context.Background(), bolt.Options{Path: path, LockTimeout: -1})
	fmt.Println(err)
}
