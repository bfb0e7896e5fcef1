package bolt_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
)

// childEnv makes the test binary a second process: it says what to do, and where.
const childEnv = "SIDEMAN_BOLT_CHILD"

func TestMain(m *testing.M) {
	if what, path, ok := strings.Cut(os.Getenv(childEnv), "="); ok {
		child(what, path)
		return
	}
	os.Exit(m.Run())
}

// child holds the file open until its standard input ends, or works on it until it
// is killed, writing down what it was told is stored.
func child(what, path string) {
	if what == "apart" {
		apart(path)
		return
	}
	ctx := context.Background()
	b, err := bolt.Open(ctx, bolt.Options{Path: path})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("open")
	if what == "hold" {
		_, _ = os.Stdin.Read(make([]byte, 1))
		return
	}
	for i := 0; ; i++ {
		r := &tasks.Record{ID: fmt.Sprintf("%d-%08d", os.Getpid(), i), Task: "t", Queue: "default", MaxAttempts: 5}
		if err := b.Enqueue(ctx, []*tasks.Record{r}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("enqueued", r.ID)
		if i%2 == 0 {
			continue
		}
		got, err := b.Claim(ctx, tasks.ClaimRequest{Worker: "child", Limit: 1, Lease: time.Hour})
		if err != nil || len(got) != 1 {
			fmt.Println("claim", len(got), err)
			os.Exit(1)
		}
		if i%4 == 1 {
			continue // left RUNNING
		}
		if _, err := b.Settle(ctx, []tasks.Outcome{success(got[0])}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("settled", got[0].Record.ID)
	}
}

// start runs this test binary as a child and waits until it has the file open.
func start(t *testing.T, what, path string) (*exec.Cmd, *lines) {
	t.Helper()
	return startAs(t, os.Args[0], what, path)
}

// startAs is start of the program by another name.
func startAs(t *testing.T, program, what, path string) (*exec.Cmd, *lines) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Env = append(os.Environ(), childEnv+"="+what+"="+path)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	l := newLines(out)
	if s, ok := l.next(); !ok || s != "open" {
		t.Fatalf("the child says %q", s)
	}
	return cmd, l
}

func TestOpenWhileAnotherProcessHasIt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	start(t, "hold", path)
	begin := time.Now()
	_, err := bolt.Open(t.Context(), bolt.Options{Path: path})
	if d := time.Since(begin); d > time.Second {
		t.Errorf("it took %v", d)
	}
	if !errors.Is(err, tasks.ErrUnavailable) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another process") {
		t.Errorf("%v", err)
	}
	if !strings.Contains(err.Error(), "PostgreSQL") {
		t.Errorf("the error doesn't say what to do instead: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin = time.Now()
	_, err = bolt.Open(ctx, bolt.Options{Path: path, LockTimeout: 10 * time.Second})
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) > 250*time.Millisecond {
		t.Errorf("after %v: %v", time.Since(begin), err)
	}
}

func TestOpenTwiceInOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tasks.db")
	first := openWith(t, bolt.Options{Path: path})
	if _, err := bolt.Open(t.Context(), bolt.Options{Path: path, LockTimeout: -1}); !errors.Is(err, tasks.ErrUnavailable) || !strings.Contains(err.Error(), "process") {
		t.Errorf("%v", err)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	openWith(t, bolt.Options{Path: path})
}

func TestKilled(t *testing.T) { // F1, W6
	path := filepath.Join(t.TempDir(), "tasks.db")
	const rounds = 3
	enqueued, settled := map[string]bool{}, map[string]bool{}
	for range rounds {
		cmd, out := start(t, "work", path)
		for range 100 + rand.N(100) {
			s, ok := out.next()
			if !ok {
				t.Fatal("the child has ended")
			}
			note(s, enqueued, settled)
		}
		_ = cmd.Process.Kill()
		for s, ok := out.next(); ok; s, ok = out.next() {
			note(s, enqueued, settled)
		}
		_ = cmd.Wait()
	}
	b := openWith(t, bolt.Options{Path: path})
	if b.Recovered() == 0 {
		t.Error("nothing was left RUNNING and taken back")
	}
	for id := range enqueued {
		r := get(t, b, id)
		if settled[id] != (r.Status == tasks.Successful) && settled[id] {
			t.Errorf("%s was settled and is %s", id, r.Status)
		}
		if r.Status == tasks.Running {
			t.Errorf("%s is still RUNNING", id)
		}
	}
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
	_ = b.DB().View(func(tx *bbolt.Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	})
}

func note(s string, enqueued, settled map[string]bool) {
	switch verb, id, _ := strings.Cut(s, " "); verb {
	case "enqueued":
		enqueued[id] = true
	case "settled":
		settled[id] = true
	}
}

func TestReopen(t *testing.T) { // F1, F3
	path := filepath.Join(t.TempDir(), "tasks.db")
	b := openWith(t, bolt.Options{Path: path})
	small, large := rec(attempts(2)), rec(args(bytes.Repeat([]byte("1"), 5000)))
	enqueue(t, b, small, large)
	claimOne(t, b)
	for range 2 {
		if err := b.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Enqueue(t.Context(), []*tasks.Record{rec()}); !errors.Is(err, tasks.ErrClosed) {
		t.Errorf("Enqueue: %v", err)
	}
	if err := b.Enqueue(context.Background(), []*tasks.Record{rec()}); !errors.Is(err, tasks.ErrClosed) {
		t.Errorf("Enqueue: %v", err)
	}
	if _, err := b.Claim(t.Context(), tasks.ClaimRequest{Limit: 1, Lease: 1}); !errors.Is(err, tasks.ErrClosed) {
		t.Errorf("Claim: %v", err)
	}
	if _, err := b.GetResult(t.Context(), large.ID); !errors.Is(err, tasks.ErrClosed) {
		t.Errorf("GetResult: %v", err)
	}
	if f := b.Check(t.Context()); len(f) != 1 || f[0].ID != "bolt.E001" {
		t.Errorf("Check: %v", f)
	}
	b = openWith(t, bolt.Options{Path: path})
	if b.Recovered() != 1 {
		t.Errorf("%d taken back", b.Recovered())
	}
	got := claim(t, b, 10)
	if len(got) != 2 || got[0].Record.ID != large.ID || got[1].Lease.Attempt != 2 || len(got[0].Record.Args) != 5000 {
		t.Errorf("claimed %+v", got)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.db")
	b := openWith(t, bolt.Options{Path: good})
	for range 300 {
		enqueue(t, b, rec())
	}
	if _, err := b.Queues(t.Context()); err != nil { // so that what the log has is in the file, too
		t.Fatal(err)
	}
	dirty, err := os.ReadFile(good) // as after a crash: the free pages aren't listed
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	clean, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newer := write("newer.db", clean)
	db, err := bbolt.Open(newer, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("sideman")).Put([]byte("hformat"), binary.BigEndian.AppendUint32(nil, 99))
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = db.Close()

	for _, c := range []struct {
		name, path string
		want       error
		text       string
	}{
		{"no path", "", tasks.ErrInvalidConfig, "path"},
		{"directory", dir, tasks.ErrUnavailable, "is a directory"},
		{"no such directory", filepath.Join(dir, "no", "x.db"), tasks.ErrUnavailable, "no directory"},
		{"a file as directory", filepath.Join(good, "x.db"), tasks.ErrUnavailable, ""},
		{"newer", newer, tasks.ErrUnavailable, "format 99"},
		{"text", write("text.db", []byte("hello")), tasks.ErrDamaged, "not a bolt file"},
		{"noise", write("noise.db", bytes.Repeat([]byte("noise "), 10_000)), tasks.ErrDamaged, "not a bolt file"},
		// bbolt doubles a small file, so in the second half there may be nothing yet.
		{"truncated", write("cut.db", dirty[:len(dirty)/4]), tasks.ErrDamaged, "truncated"},
		{"truncated after a close", write("cut2.db", clean[:8192+100]), tasks.ErrDamaged, "truncated"},
	} {
		_, err := bolt.Open(t.Context(), bolt.Options{Path: c.path})
		if !errors.Is(err, c.want) || !strings.Contains(fmt.Sprint(err), c.text) || !strings.Contains(fmt.Sprint(err), c.path) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	// Whatever a page holds, there is an error or a working store; never a panic.
	page := os.Getpagesize()
	for i := range 30 {
		data := bytes.Clone(dirty)
		if i%2 == 0 {
			data = bytes.Clone(clean)
		}
		at := 2*page + rand.N(max(len(data)/2, 3*page)-2*page)
		for range 1 + rand.N(64) {
			data[(at+rand.N(200))%len(data)] = byte(rand.N(256))
		}
		path := write("hit.db", data)
		use(t, path)
	}
}

// use opens a damaged file and does everything with it.
func use(t *testing.T, path string) {
	t.Helper()
	ctx := t.Context()
	b, err := bolt.Open(ctx, bolt.Options{Path: path})
	if err != nil {
		// Where the format's number was hit, the file looks like one of a newer version.
		newer := errors.Is(err, tasks.ErrUnavailable) && strings.Contains(err.Error(), "has format")
		if !(errors.Is(err, tasks.ErrDamaged) || newer) || !strings.Contains(err.Error(), path) {
			t.Errorf("open: %v", err)
		}
		return
	}
	_ = b.Enqueue(ctx, []*tasks.Record{rec()})
	for range 10 {
		got, err := b.Claim(ctx, tasks.ClaimRequest{Worker: "w", Limit: 50, Lease: time.Minute})
		if err != nil && !errors.Is(err, tasks.ErrDamaged) {
			t.Errorf("claim: %v", err)
		}
		for _, c := range got {
			_, _ = b.Settle(ctx, []tasks.Outcome{success(c)})
		}
	}
	_, _ = b.List(ctx, tasks.ListRequest{Limit: 1000})
	_, _ = b.Queues(ctx)
	_, _ = b.Sweep(ctx)
	_ = b.Check(ctx)
	end, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := b.Close(end); err != nil && !errors.Is(err, tasks.ErrDamaged) {
		t.Errorf("close: %v", err)
	}
}

func TestOptionFaultsTogether(t *testing.T) {
	_, err := bolt.Open(t.Context(), bolt.Options{LockTimeout: time.Hour, MaxSize: -1})
	for _, want := range []string{"path", "lock_timeout", "max_size"} {
		if !errors.Is(err, tasks.ErrInvalidConfig) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("no %s in %v", want, err)
		}
	}
	if _, err := bolt.New(nil, nil); !errors.Is(err, tasks.ErrInvalidConfig) {
		t.Errorf("New(nil): %v", err)
	}
	if _, err := bolt.New(openDB(t, nil), &bolt.Options{Path: "x"}); !errors.Is(err, tasks.ErrInvalidConfig) {
		t.Errorf("New with a path: %v", err)
	}
}

func TestCheck(t *testing.T) { // C1, C2
	b := open(t)
	if f := b.Check(t.Context()); len(f) > 0 {
		t.Errorf("all is well, but %v", f)
	}
	path := b.DB().Path()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = b.Check(t.Context())
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("Check wrote: %v", err)
	}
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if f := b.Check(t.Context()); len(f) != 1 || f[0].ID != "bolt.E004" || f[0].Level != tasks.LevelError || f[0].Hint == "" {
		t.Errorf("moved away: %v", f)
	}
	db := openDB(t, &bbolt.Options{NoSync: true})
	if f := borrow(t, db).Check(t.Context()); len(f) != 1 || f[0].ID != "bolt.W002" {
		t.Errorf("without fsync: %v", f)
	}
}
