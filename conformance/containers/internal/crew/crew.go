package crew

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
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
//
// What puts load on the machine or takes the server away runs by itself. The other tests mostly
// wait, each behind a proxy of its own, and so run together.
func Test(t *testing.T, s *containers.Server, kind containers.Kind, newName func(t *testing.T) string) {
	t.Helper()
	run := func(name string, parallel bool, story func(*crew)) {
		t.Run(name, func(t *testing.T) {
			if parallel {
				t.Parallel()
			}
			story(newCrew(t, s, Place{Kind: kind, Name: newName(t)}))
		})
	}
	alone := func(name string, story func(*crew)) { run(name, false, story) }
	together := func(name string, story func(*crew)) { run(name, true, story) }
	owned := func(name string, story func(*crew)) {
		if s.Owned() {
			alone(name, story)
			return
		}
		t.Run(name, func(t *testing.T) { t.Skip("NOT TESTED: the server isn't ours to restart") })
	}
	owned("ServerRestarted", func(c *crew) { c.serverFails(s.Restart) })
	owned("ServerKilled", func(c *crew) { c.serverFails(s.Kill) })
	alone("WorkersReplaced", (*crew).workersReplaced)
	alone("WorkersAdded", (*crew).workersAdded)
	together("KilledIdle", (*crew).killedIdle)
	together("KilledInClaim", (*crew).killedInClaim)
	together("KilledHoldingClaims", (*crew).killedHoldingClaims)
	together("KilledRunning", (*crew).killedRunning)
	together("KilledBeforeSettle", (*crew).killedBeforeSettle)
	outages := outages()
	away := func(name, outage string) {
		together(name, func(c *crew) { c.outageAtClaimAndSettle(outages[outage]) })
	}
	away("CutAtClaimAndSettle", "Cut")
	away("SilenceAtClaimAndSettle", "Silence")
	away("RequestsLostAtClaimAndSettle", "RequestsLost")
	away("RepliesLostAtClaimAndSettle", "RepliesLost")
	together("CutWhileRunning", (*crew).cutWhileRunning)
	together("ListenerForgotten", (*crew).listenerForgotten)
	together("CancelUnheard", (*crew).cancelUnheard)
	together("Frozen", (*crew).frozen)
	together("StoppedHard", (*crew).stoppedHard)
	together("ServicesApart", (*crew).servicesApart)
	together("OneConnection", (*crew).oneConnection)
	together("BadOutcomes", (*crew).badOutcomes)
}

// crew is a test's worker processes and what they work on.
type crew struct {
	t        *testing.T
	proxy    *proxy.Proxy // what the workers' connections go through
	direct   string       // past it
	order    order
	*defined // past the proxies

	enqueued int       // that many ids are used
	hired    time.Time // when the newest workers were ready
}

func newCrew(t *testing.T, s *containers.Server, p Place) *crew {
	t.Helper()
	u, err := url.Parse(s.URL())
	if err != nil {
		t.Fatal("the server's URL isn't one")
	}
	own, err := proxy.New(u.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = own.Close() })
	direct := p
	direct.URL = s.Direct()
	d, err := newApp(t.Context(), direct, "", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = d.app.Close(ctx)
	})
	u.Host = own.Addr()
	p.URL = u.String()
	return &crew{t: t, proxy: own, direct: s.Direct(), defined: d, order: order{
		Place: p, Dir: t.TempDir(), Concurrency: 20, Sweep: time.Second,
		// Longer than any outage here, also on a machine that takes ten seconds to restart a server.
		Lease: time.Minute,
	}}
}

// hire starts n worker processes.
func (c *crew) hire(n int) []*process {
	c.t.Helper()
	ps := make([]*process, n)
	for i := range ps {
		ps[i] = hire(c.t, c.order)
	}
	c.hired = time.Now()
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
		ids[i] = fmt.Sprintf("%s-%06d", c.order.Place.Kind, c.enqueued+i)
	}
	c.enqueued += n
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
		calls[i] = c.job.Using(tasks.ID(id)).With(what)
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

// admin is the operator's view of the place.
func (c *crew) admin() *tasks.Admin {
	c.t.Helper()
	admin, err := c.app.Admin(tasks.DefaultAlias)
	if err != nil {
		c.t.Fatal(err)
	}
	return admin
}

// counts are the records by status; nil if the server is away.
func (c *crew) counts() map[tasks.Status]int64 {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	queues, err := c.admin().Queues(ctx)
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

// record returns what is stored of an id.
func (c *crew) record(id string) *tasks.Record {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	res, err := c.job.GetResult(ctx, id)
	if err != nil {
		c.t.Fatalf("record %s: %v", id, err)
	}
	return &res.Record
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

// flag returns a file for a job to wait for, and what makes it.
func (c *crew) flag(name string) (file string, raise func()) {
	file = filepath.Join(c.order.Dir, name)
	return file, func() {
		c.t.Helper()
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}
