package rediscluster_test

import (
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/conformance/containers/internal/crew"
	"github.com/sideman-go/sideman/tasks"
)

// TestSentinelFailover kills the master under a worker that runs tasks and waits for more.
// Sentinel promotes the replica, and everything goes on there: what runs is settled, and not
// run again; new tasks are stored, and heard of.
func TestSentinelFailover(t *testing.T) {
	t.Parallel()
	s := containers.StartSentinel(t)
	b := open(t, redis.Options{Addrs: s.Addrs(), Master: s.Name(), Namespace: newNamespace()})
	l := crew.NewLocal(t, b)
	if all := b.Check(t.Context()); len(all) > 0 {
		t.Errorf("Check before: %v", all)
	}
	l.Work()
	const n = 15 // fewer than run at once, so that the worker waits for more
	finish := l.Shut()
	defer finish()
	running := l.Enqueue(0, n)
	l.Started(0, n)
	inStep(t, s.Master)

	if err := s.Master.Kill(t.Context()); err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	finish()
	fresh := l.Insist(n)
	t.Logf("stored %v after the master was killed", time.Since(killed).Round(time.Millisecond))
	l.Successful(append(running, fresh))
	l.Agree()
	if role := s.Replica.Client().Do(t.Context(), "role").String(); len(b.Check(t.Context())) > 0 {
		t.Errorf("Check afterwards: %v; the replica that was is now %s", b.Check(t.Context()), role)
	}
	heard(t, l, n+1)
}

// heard wants an idle worker to start what is enqueued soon, as it does when it is told, and
// not at its next look.
func heard(t *testing.T, l *crew.Local, from int) {
	t.Helper()
	const soon = time.Second
	var took []time.Duration
	crew.Eventually(t, "an idle worker hears of new work at once", func() bool {
		time.Sleep(100 * time.Millisecond) // until it is idle
		start := time.Now()
		l.Successful([]*tasks.Result[int]{l.Insist(from)})
		took = append(took, l.StartedAt(from).Sub(start))
		from++
		return took[len(took)-1] < soon
	})
	t.Logf("heard of new work within %v", took)
}

// inStep waits until the replica has what the master has now. The server doesn't: what the
// replica hasn't got when the master is killed is lost, as the package says.
func inStep(t *testing.T, master *containers.Node) {
	t.Helper()
	conn := master.Client().Conn() // WAIT is for what was written on its connection, and before
	defer conn.Close()
	if err := conn.Set(t.Context(), "in step", "1", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Wait(t.Context(), 1, 10*time.Second).Result(); err != nil || n != 1 {
		t.Fatalf("%d replicas are in step (%v), want 1", n, err)
	}
}
