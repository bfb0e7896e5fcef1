package database_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
)

// ownServer is a PostgreSQL of the test's own, which it may kill.
type ownServer struct {
	bin, data, url string
	as             *syscall.SysProcAttr // the server doesn't run as root
}

// startServer starts a server from the programs in TASKS_TEST_POSTGRES_BIN, such as
// /usr/lib/postgresql/17/bin.
func startServer(t *testing.T) *ownServer {
	t.Helper()
	bin := os.Getenv("TASKS_TEST_POSTGRES_BIN")
	if bin == "" {
		t.Skip("needs the programs of PostgreSQL: set TASKS_TEST_POSTGRES_BIN to their folder, such as /usr/lib/postgresql/17/bin")
	}
	dir, err := os.MkdirTemp("", "sideman-postgres") //nolint:usetesting // another user must be able to go there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &ownServer{bin: bin, data: filepath.Join(dir, "data")}
	if os.Geteuid() == 0 {
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Skipf("the server doesn't run as root, and there is no user postgres: %v", err)
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		s.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	_ = l.Close()
	s.url = fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres", port)
	s.run(t, "initdb", "-D", s.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "-N")
	conf := fmt.Sprintf("\nlisten_addresses = '127.0.0.1'\nport = %d\nunix_socket_directories = ''\n", port)
	f, err := os.OpenFile(filepath.Join(s.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(conf)
		_ = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.start(t)
	t.Cleanup(func() { s.stop(t, "immediate") })
	return s
}

func (s *ownServer) start(t cleaner) {
	s.run(t, "pg_ctl", "start", "-w", "-D", s.data, "-l", filepath.Join(filepath.Dir(s.data), "log"))
}

func (s *ownServer) stop(t cleaner, mode string) {
	s.run(t, "pg_ctl", "stop", "-w", "-D", s.data, "-m", mode)
}

// restart stops the server, "fast" in good order or "immediate" as a crash does, and
// starts it again at the same address.
func (s *ownServer) restart(t cleaner, mode string) {
	s.stop(t, mode)
	s.start(t)
}

func (s *ownServer) run(t cleaner, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), filepath.Join(s.bin, name), args...)
	cmd.Dir = filepath.Dir(s.data)
	cmd.SysProcAttr = s.as
	// Not a pipe: the server would inherit it, and Wait wouldn't return.
	out, err := os.CreateTemp("", "sideman-out")
	if err != nil {
		t.Fatalf("%v", err)
	}
	defer func() {
		_ = out.Close()
		_ = os.Remove(out.Name())
	}()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		t.Fatalf("%s: %v\n%s", name, err, said)
	}
}
