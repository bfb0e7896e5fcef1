package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/conformance/containers/internal/crew"
	"github.com/sideman-go/sideman/tasks"
)

// Tests in this file change the server under everybody, and change it back at their end.

// TestOutOfMemory fills the server. It takes nothing new, and says so; what runs is finished
// and stored; and when there is memory again everything goes on by itself.
func TestOutOfMemory(t *testing.T) {
	s, c := ours(t)
	b := open(t, s)
	l := crew.NewLocal(t, b)
	l.Work()
	finish := l.Shut()
	defer finish()
	running := l.Enqueue(0, 10)
	l.Started(0, 10)
	full := l.Enqueue(10, 30) // ten of them start now, and ten wait
	set(t, c, "maxmemory", "1")

	_, err := l.Task.Enqueue(t.Context(), 100)
	refused(t, "enqueue", err, "maxmemory")
	_, err = l.Task.AEnqueue(t.Context(), 101).Wait(t.Context())
	refused(t, "enqueue without waiting", err, "maxmemory")
	batch := make([]tasks.Call, 50)
	for i := range batch {
		batch[i] = l.Task.With(200 + i)
	}
	_, err = l.App.EnqueueMany(t.Context(), batch...)
	refused(t, "enqueue of a batch", err, "maxmemory")
	finds(t, b, "redis.W003")
	l.Agree() // nothing is stored by halves

	finish()
	l.Successful(append(running, full...))
	l.Agree()

	if err := c.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	l.Successful(l.Enqueue(300, 310))
	finds(t, b)
}

// TestFullServerCalls makes each other call on a full server: none needs more memory.
func TestFullServerCalls(t *testing.T) {
	s, c := ours(t)
	b := open(t, s)
	ctx := t.Context()
	recs := []*tasks.Record{record("a"), record("b"), record("c")}
	if err := b.Enqueue(ctx, recs); err != nil {
		t.Fatal(err)
	}
	set(t, c, "maxmemory", "1")
	claim := func(n int) []tasks.Claimed {
		t.Helper()
		got, err := b.Claim(ctx, tasks.ClaimRequest{Worker: "w", Limit: n, Lease: time.Minute})
		if err != nil || len(got) != n {
			t.Fatalf("claimed %d records (%v), want %d", len(got), err, n)
		}
		return got
	}
	got := claim(3)
	if _, err := b.Renew(ctx, []tasks.Lease{got[2].Lease}, time.Minute); err != nil {
		t.Errorf("renew: %v", err)
	}
	if err := b.Heartbeat(ctx, tasks.WorkerInfo{ID: "w", Interval: time.Minute}); err != nil {
		t.Errorf("heartbeat: %v", err)
	}
	for _, paused := range []bool{true, false} {
		if err := b.Pause(ctx, tasks.DefaultQueue, paused); err != nil {
			t.Errorf("pause(%v): %v", paused, err)
		}
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := b.Wait(short, tasks.Selection{}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("wait: %v", err)
	}
	verdicts, err := b.Settle(ctx, []tasks.Outcome{
		{Lease: got[0].Lease, Kind: tasks.OutcomeSuccess, Value: []byte(`"ok"`)},
		{Lease: got[1].Lease, Kind: tasks.OutcomeRetry, Error: &tasks.AttemptError{Message: "x"}, Delay: time.Hour},
		{Lease: got[2].Lease, Kind: tasks.OutcomeRelease},
	})
	if err := errors.Join(append(verdicts, err)...); err != nil {
		t.Errorf("settle: %v", err)
	}
	if id := claim(1)[0].Record.ID; id != "c" {
		t.Errorf("claimed %s after its release, want c", id)
	}
	altered, err := b.Alter(ctx, tasks.Change{Kind: tasks.ChangeCancel, Reason: "full"}, []string{"c"})
	if err != nil || altered[0].Err != nil {
		t.Errorf("cancel: %v, %v", altered, err)
	}
	if p, err := b.Prune(ctx, tasks.PruneRequest{}); err != nil || p.Deleted == 0 {
		t.Errorf("prune: %+v, %v", p, err)
	}
	if _, err := b.Sweep(ctx); err != nil {
		t.Errorf("sweep: %v", err)
	}
}

// TestDiskCannotBeWritten takes the server's right to its folder away. From its next snapshot
// on it refuses every write: tasks that end then are kept by the worker until they can be stored.
func TestDiskCannotBeWritten(t *testing.T) {
	s, c := ours(t)
	ctx := t.Context()
	b := open(t, s)
	l := crew.NewLocal(t, b)
	l.Work()
	finish := l.Shut()
	defer finish()
	running := l.Enqueue(0, 10)
	l.Started(0, 10)

	set(t, c, "save", "3600 1") // without snapshots it wouldn't care
	save := func(mode string) {
		t.Helper()
		if err := s.Exec(ctx, "chmod", mode, "/data"); err != nil {
			t.Fatal(err)
		}
		crew.Eventually(t, "the server begins a snapshot", func() bool { return c.BgSave(ctx).Err() == nil })
		crew.Eventually(t, "the snapshot has ended", func() bool {
			return strings.Contains(c.Info(ctx, "persistence").Val(), "rdb_bgsave_in_progress:0")
		})
	}
	t.Cleanup(func() { _ = s.Exec(context.Background(), "chmod", "755", "/data") })
	save("555")
	finds(t, b, "redis.E007")
	_, err := l.Task.Enqueue(ctx, 100)
	refused(t, "enqueue", err, "can't write its files")
	if queues, err := b.Queues(ctx); err != nil || len(queues) == 0 { // nothing waits to be indexed
		t.Errorf("counts on a server that takes no writes: %v (%v)", queues, err)
	}
	finish()
	time.Sleep(200 * time.Millisecond) // in which the worker tries to settle
	for _, r := range running {
		if err := r.Refresh(ctx); err != nil || r.Status != tasks.Running {
			t.Fatalf("a record is %s (%v) on a server that can't be written, want RUNNING", r.Status, err)
		}
	}
	save("755")
	l.Successful(append(running, l.Enqueue(200, 210)...))
	l.Agree()
	finds(t, b)
}

// TestReadOnly makes the server a replica, as a fail-over does that the program hasn't heard
// of: it can be read and not written. When it's the master again, everything goes on.
func TestReadOnly(t *testing.T) {
	s, c := ours(t)
	ctx := t.Context()
	b := open(t, s)
	l := crew.NewLocal(t, b)
	l.Work()
	finish := l.Shut()
	defer finish()
	running := l.Enqueue(0, 10)
	l.Started(0, 10)
	follow := func(host, port string) {
		t.Helper()
		if err := c.Do(context.WithoutCancel(ctx), "replicaof", host, port).Err(); err != nil {
			t.Fatal(err)
		}
	}
	follow("127.0.0.1", "1") // where nobody is, so that it keeps what it has
	defer follow("no", "one")

	start := time.Now()
	_, err := l.Task.Enqueue(ctx, 100)
	refused(t, "enqueue on a replica", err, "READONLY")
	t.Logf("enqueue gave up after %v", time.Since(start).Round(time.Millisecond))
	finds(t, b, "redis.E006")
	finish()
	if err := running[0].Refresh(ctx); err != nil || running[0].Status != tasks.Running {
		t.Errorf("read from a replica: %s, %v; want RUNNING", running[0].Status, err)
	}
	follow("no", "one")
	l.Successful(append(running, l.Enqueue(200, 210)...))
	l.Agree()
	finds(t, b)
}

// TestFlushed deletes everything under a worker. What ran has nothing to be stored in, which
// stops nobody; what is enqueued afterwards is run, by a worker that waits, within its next look.
func TestFlushed(t *testing.T) {
	s, c := ours(t)
	b := open(t, s)
	l := crew.NewLocal(t, b)
	l.Work()
	finish := l.Shut()
	defer finish()
	gone := l.Enqueue(0, 10)
	l.Started(0, 10)
	if err := c.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	fresh := l.Enqueue(100, 110)
	finish()
	l.Successful(fresh)
	took := time.Since(start)
	t.Logf("run %v after the flush", took.Round(time.Millisecond))
	if took > 8*time.Second { // Wait looks every five seconds, whatever it hears
		t.Errorf("run %v after the flush", took)
	}
	if err := gone[0].Refresh(t.Context()); !errors.Is(err, tasks.ErrResultNotFound) {
		t.Errorf("a record that was flushed: %v", err)
	}
	l.Agree()
	finds(t, b)
}

// TestScriptsFlushed makes the server forget its scripts again and again.
func TestScriptsFlushed(t *testing.T) {
	s, c := ours(t)
	l := crew.NewLocal(t, open(t, s))
	l.Work()
	stop, stopped := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				stopped <- n
				return
			default:
			}
			if err := c.ScriptFlush(context.Background()).Err(); err != nil {
				t.Errorf("script flush: %v", err)
			}
			time.Sleep(time.Millisecond)
		}
	}()
	l.Successful(l.Enqueue(0, 300))
	close(stop)
	if n := <-stopped; n < 20 {
		t.Errorf("the scripts were flushed %d times only", n)
	}
	l.Agree()
}
