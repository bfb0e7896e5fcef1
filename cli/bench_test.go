package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends"
	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

// benched are the measurements that a command has printed.
func benched(t *testing.T, out string) (docs []cli.BenchDoc) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &docs); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return docs
}

// queuesOf are the queues that a store knows, and how many tasks it has.
func queuesOf(t *testing.T, store string) (names []string, records int) {
	t.Helper()
	withApp(t, store, func(app *tasks.App) {
		admin, err := app.Admin("default")
		if err != nil {
			t.Fatal(err)
		}
		queues, err := admin.Queues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range queues {
			names = append(names, q.Name)
		}
		for _, err := range admin.All(t.Context(), tasks.Filter{}) {
			if err != nil {
				t.Fatal(err)
			}
			records++
		}
	})
	return names, records
}

func TestBench(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		mine := enqueue(t, store, "greet", []string{`"1"`, `"2"`})
		const n = 120
		docs := benched(t, ok(t, store, "bench", "--yes", "--n", "120", "--concurrency", "7", "-o", "json"))
		var names []string
		for _, d := range docs {
			names = append(names, d.Scenario)
			if d.Seconds <= 0 || d.Operations < 1 || (d.Scenario == "drain") != (d.P50Ms == 0) || d.P99Ms < d.P50Ms || (d.Scenario == "pickup") != (d.TasksPerSecond == 0) {
				t.Errorf("%+v", d)
			}
			if d.Tasks != n && d.Scenario != "list" {
				t.Errorf("%s: %d tasks, want %d", d.Scenario, d.Tasks, n)
			}
		}
		if got, want := strings.Join(names, " "), "enqueue-1 enqueue-16 enqueue-batch drain pickup get list"; got != want {
			t.Errorf("scenarios %q, want %q", got, want)
		}
		if docs[1].Concurrency != 16 || docs[2].Operations != 1 || docs[3].Concurrency != 7 {
			t.Errorf("got %+v", docs[1:4])
		}
		// It leaves nothing, and what was there is as it was.
		if queues, records := queuesOf(t, store); len(queues) != 1 || queues[0] != "default" || records != 2 {
			t.Errorf("afterwards there are the queues %q and %d tasks", queues, records)
		}
		for _, d := range listed(t, store) {
			if d.Status != tasks.Ready || d.ID != mine[0] && d.ID != mine[1] {
				t.Errorf("afterwards there is %+v", d)
			}
		}
	})
}

func TestBenchFlags(t *testing.T) {
	store := boltStore(t)
	docs := benched(t, ok(t, store, "bench", "--yes", "--n", "5", "--only", "get,enqueue-1", "-o", "json"))
	if len(docs) != 2 || docs[0].Scenario != "enqueue-1" || docs[1].Scenario != "get" {
		t.Errorf("--only: %+v", docs)
	}
	docs = benched(t, ok(t, store, "bench", "--yes", "--n", "1000000", "--for", "20ms", "--only", "enqueue-1", "-o", "json"))
	if docs[0].Tasks == 0 || docs[0].Tasks == 1000000 {
		t.Errorf("--for: %+v", docs)
	}
	if out := ok(t, store, "bench", "--yes", "--n", "2", "--only", "enqueue-1"); !strings.HasPrefix(out, "SCENARIO") || !strings.Contains(out, "TASKS/S") {
		t.Errorf("as a table: %s", out)
	}
	for _, args := range []string{"--n 0", "--n x", "--for 0s", "--concurrency 0", "--only enqueue", "--only", "more"} {
		fails(t, store, cli.ExitUsage, nil, append([]string{"bench", "--yes"}, strings.Fields(args)...)...)
	}
	fails(t, store, cli.ExitUsage, []string{"--yes"}, "bench") // nobody can be asked here
	fails(t, "dummy:", cli.ExitUsage, []string{"keeps no tasks"}, "bench", "--yes")
	fails(t, "redis://127.0.0.1:1", cli.ExitUnreachable, nil, "bench", "--yes")
	fails(t, "bolt:"+t.TempDir()+"/none.db", cli.ExitNotFound, nil, "bench", "--yes")
}

// Workers of others that take from all queues aren't given tasks that they don't know.
func TestBenchBesideAWorker(t *testing.T) {
	for name, store := range map[string]func(testing.TB) string{"database": postgresStore, "redis": redisStore} { // bolt is one process's
		t.Run(name, func(t *testing.T) { benchBeside(t, store(t)) })
	}
}

func benchBeside(t *testing.T, store string) {
	t.Helper()
	withApp(t, store, func(app *tasks.App) {
		b, err := app.Backend("default")
		if err != nil {
			t.Fatal(err)
		}
		inspector, _ := tasks.As[tasks.Inspector](b)
		if err := inspector.Heartbeat(t.Context(), tasks.WorkerInfo{ID: "theirs", Queues: []string{"*"}, Interval: time.Minute}); err != nil {
			t.Fatal(err)
		}
	})
	r := run(t, store, "bench", "--yes", "--n", "3", "-o", "json")
	if r.code != 0 || !strings.Contains(r.err, "1 worker takes") {
		t.Errorf("exit code %d: %s", r.code, r.err)
	}
	for _, d := range benched(t, r.out) {
		if d.Scenario == "drain" || d.Scenario == "pickup" {
			t.Errorf("%s was measured beside a worker", d.Scenario)
		}
	}
	r = run(t, store, "bench", "--yes", "--n", "3", "--only", "drain", "-o", "json")
	if len(benched(t, r.out)) != 1 || !strings.Contains(r.err, "Warning") {
		t.Errorf("asked for by name: exit code %d: %s%s", r.code, r.out, r.err)
	}
}

// stumbling is a store that calls back before its n-th enqueue, and goes on or not, as that says.
type stumbling struct {
	tasks.Store

	left *atomic.Int64
	then func() error
	over *atomic.Bool // then has returned an error, so that nothing works any more
}

func (s stumbling) Unwrap() tasks.Backend { return s.Store }

func (s stumbling) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	if s.left.Add(-1) == 0 {
		if err := s.then(); err != nil {
			s.over.Store(true)
		}
	}
	if s.over.Load() {
		return tasks.ErrUnavailable
	}
	return s.Store.Enqueue(ctx, recs)
}

func (s stumbling) Alter(ctx context.Context, change tasks.Change, ids []string) ([]tasks.Altered, error) {
	if s.over.Load() {
		return nil, tasks.ErrUnavailable
	}
	return s.Store.Alter(ctx, change, ids)
}

// stumblingDrivers open stores that stumble.
func stumblingDrivers(after int64, then func() error) tasks.Drivers {
	drivers := backends.All()
	for i, d := range drivers {
		configure := d.Configure
		drivers[i].Configure = func(s tasks.Settings) (tasks.Opener, error) {
			open, err := configure(s)
			if err != nil {
				return nil, err
			}
			return func(ctx context.Context) (tasks.Backend, error) {
				b, err := open(ctx)
				if err != nil {
					return nil, err
				}
				left := &atomic.Int64{}
				left.Store(after)
				return stumbling{b.(tasks.Store), left, then, &atomic.Bool{}}, nil
			}, nil
		}
	}
	return drivers
}

// When it's interrupted it deletes what it has stored.
func TestBenchInterrupted(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		// The end of the context is an interrupt.
		p := &cli.Program{App: newApp(), Name: "app", Drivers: stumblingDrivers(50, func() error { cancel(); return nil })}
		var out, errs bytes.Buffer
		code := p.Run(ctx, []string{"--url", store, "bench", "--yes", "--n", "100000", "--for", "1m"}, cli.Streams{Out: &out, Err: &errs})
		if code != cli.ExitInterrupted || !strings.Contains(errs.String(), "Interrupted: deleting") {
			t.Errorf("exit code %d, want 130: %s%s", code, &out, &errs)
		}
		if queues, records := queuesOf(t, store); len(queues) != 0 || records != 0 {
			t.Errorf("afterwards there are the queues %q and %d tasks", queues, records)
		}
	})
}

// When the store goes away it says what is left there, and what it has measured before is printed.
func TestBenchWithoutAStore(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		const n = 50
		p := &cli.Program{App: newApp(), Name: "app", Drivers: stumblingDrivers(n+10, func() error { return tasks.ErrUnavailable })}
		r := runWith(t, p, "", "--url", store, "bench", "--yes", "--n", "50", "-o", "jsonl")
		if r.code != cli.ExitUnreachable || !strings.Contains(r.err, "by hand") || !strings.Contains(r.err, "-enqueue") {
			t.Errorf("exit code %d, want 5 and the queue: %s", r.code, r.err)
		}
		if !strings.Contains(r.out, "enqueue-1") || strings.Contains(r.out, "enqueue-16") {
			t.Errorf("the first scenario alone was measured: %s", r.out)
		}
		if queues, _ := queuesOf(t, store); len(queues) != 1 || !strings.Contains(r.err, queues[0]) {
			t.Errorf("the queues %q are left: %s", queues, r.err)
		}
	})
}
