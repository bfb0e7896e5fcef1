package crew

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/conformance/containers/proxy"
	"github.com/sideman-go/sideman/tasks"
)

// limit is how long anything may take that must happen, on a machine that is busy.
const limit = 2 * time.Minute

// Test runs all tests on the server. newName returns the name of a new place for records.
func Test(t *testing.T, s *containers.Server, kind containers.Kind, newName func(t *testing.T) string) {
	t.Helper()
	anyone := func(story func(*crew)) func(*testing.T) {
		return func(t *testing.T) { story(newCrew(t, s, Place{Kind: kind, URL: s.URL(), Name: newName(t)})) }
	}
	owned := func(story func(*crew)) func(*testing.T) {
		if s.Owned() {
			return anyone(story)
		}
		return func(t *testing.T) { t.Skip("NOT TESTED: the server isn't ours to restart") }
	}
	t.Run("WorkerKilled", anyone((*crew).workerKilled))
	t.Run("WorkersReplaced", anyone((*crew).workersReplaced))
	t.Run("ServerRestarted", owned(func(c *crew) { c.serverFails(s.Restart) }))
	t.Run("ServerKilled", owned(func(c *crew) { c.serverFails(s.Kill) }))
	t.Run("CutAtSettle", anyone(func(c *crew) {
		c.outageAtSettle(func() (undo func()) { s.Proxy.Cut(); return s.Proxy.Restore })
	}))
	t.Run("SilenceAtSettle", anyone(func(c *crew) {
		c.outageAtSettle(func() (undo func()) { s.Proxy.Blackhole(proxy.Both); return s.Proxy.Restore })
	}))
	t.Run("RepliesLostAtSettle", anyone(func(c *crew) {
		c.outageAtSettle(func() (undo func()) {
			s.Proxy.Blackhole(proxy.ToClient)
			return func() {
				s.Proxy.Break()
				s.Proxy.Restore()
			}
		})
	}))
	t.Run("ListenerForgotten", anyone((*crew).listenerForgotten))
}

// crew is a test's worker processes and what they work on.
type crew struct {
	t     *testing.T
	s     *containers.Server
	order order
	app   *tasks.App // past the proxy
	task  *tasks.Task[job, int]
}

func newCrew(t *testing.T, s *containers.Server, p Place) *crew {
	t.Helper()
	dir := t.TempDir()
	direct := p
	direct.URL = s.Direct()
	app, task, err := newApp(t.Context(), direct, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = app.Close(ctx)
	})
	t.Cleanup(s.Proxy.Restore)
	return &crew{t: t, s: s, app: app, task: task, order: order{
		Place: p, Dir: dir, Concurrency: 20, Lease: 10 * time.Second, Sweep: time.Second,
	}}
}

// hire starts n worker processes.
func (c *crew) hire(n int) []*process {
	c.t.Helper()
	ps := make([]*process, n)
	for i := range ps {
		ps[i] = hire(c.t, c.order)
	}
	return ps
}

func stopAll(ps []*process) {
	for _, p := range ps {
		p.stop()
	}
}

// enqueue stores n jobs, a hundred at a time, from four goroutines, over whatever outages, and
// returns their ids.
func (c *crew) enqueue(n int, what job) []string {
	c.t.Helper()
	const batch = 100
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprintf("%s-%06d", c.order.Place.Kind, i)
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for from := g * batch; from < n; from += 4 * batch {
				c.enqueueBatch(ids[from:min(from+batch, n)], what)
			}
		})
	}
	wg.Wait()
	if c.t.Failed() {
		c.t.FailNow()
	}
	return ids
}

func (c *crew) enqueueBatch(ids []string, what job) {
	calls := make([]tasks.Call, len(ids))
	for i, id := range ids {
		calls[i] = c.task.Using(tasks.ID(id)).With(what)
	}
	give := time.Now().Add(limit)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, err := c.app.EnqueueMany(ctx, calls...)
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(give) {
			c.t.Errorf("enqueue: %v", err)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// eventually polls until ok.
func (c *crew) eventually(what string, ok func() bool) {
	c.t.Helper()
	if !poll(ok) {
		c.t.Fatalf("after %v still not: %s; counts are %v", limit, what, c.counts())
	}
}

// poll asks until ok, or until the limit.
func poll(ok func() bool) bool {
	start := time.Now()
	for !ok() {
		if time.Since(start) > limit {
			return false
		}
		time.Sleep(10 * time.Millisecond)
	}
	return true
}

// counts are the records by status; nil if the server is away.
func (c *crew) counts() map[tasks.Status]int64 {
	admin, err := c.app.Admin(tasks.DefaultAlias)
	if err != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	queues, err := admin.Queues(ctx)
	if err != nil {
		return nil
	}
	sum := make(map[tasks.Status]int64)
	for _, q := range queues {
		for status, n := range q.Counts {
			if n != 0 {
				sum[status] += n
			}
		}
	}
	return sum
}

// successful waits until that many records are SUCCESSFUL, and wants no others.
func (c *crew) successful(n int) {
	c.t.Helper()
	c.eventually("all are SUCCESSFUL", func() bool { return c.counts()[tasks.Successful] == int64(n) })
	if counts := c.counts(); len(counts) != 1 {
		c.t.Errorf("counts are %v, want %d SUCCESSFUL and nothing else", counts, n)
	}
}

// await waits for n events of the kind.
func (c *crew) await(kind string, n int) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("%d events %s", n, kind), func() bool { return events(c.t, c.order.Dir, kind) >= n })
}

// flag returns a file for job.Until, and what makes it.
func (c *crew) flag() (name string, raise func()) {
	name = filepath.Join(c.order.Dir, "go")
	return name, func() {
		c.t.Helper()
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}
