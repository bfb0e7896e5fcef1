package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/tasks"
)

// BenchDoc is what one scenario of bench has measured. An operation is a call: one enqueue, one
// batch, one page; of drain it's a task. P50Ms and P99Ms are of the time of one operation, in
// milliseconds, and aren't there for drain.
type BenchDoc struct {
	Scenario    string `json:"scenario"`
	Concurrency int    `json:"concurrency"`
	Operations  int    `json:"operations"`
	// Tasks is how many were stored, run or read; Seconds is how long that took. Of pickup, which
	// waits between the tasks, there is no rate.
	Tasks          int     `json:"tasks"`
	Seconds        float64 `json:"seconds"`
	TasksPerSecond float64 `json:"tasks_per_second,omitempty"`
	P50Ms          float64 `json:"p50_ms,omitempty"`
	P99Ms          float64 `json:"p99_ms,omitempty"`
}

func (p *Program) benchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "bench", Short: "Measure the store that is configured", Args: cobra.NoArgs,
		Long: `Measure the store that is configured, from here: the network counts too.

It is safe where others work: it stores tasks of its own in queues of its own, with names that
nobody else has, and deletes them at the end and when it is interrupted. It does put load on
the store. Workers that take from all queues would take its tasks too, so drain and pickup
are left out while there are such, unless --only names them.

Scenarios, as the shared benchmarks of package conformance have them:
  enqueue-1      one task a call, one call at a time
  enqueue-16     one task a call, from 16 goroutines
  enqueue-batch  1,000 tasks a call
  drain          a worker runs tasks that do nothing
  pickup         from a task's enqueue until an idle worker has begun it
  get            the result of one task
  list           a page of the 100 newest tasks in the store`,
		Example: "  @ bench --yes\n  @ bench --only enqueue-1,drain --n 50000 --concurrency 200\n  @ bench --yes -o json > bench.json",
		RunE:    p.run(bench),
	}
	f := cmd.Flags()
	f.Int("n", 10_000, "the `NUMBER` of tasks in each scenario")
	f.Duration("for", 10*time.Second, "at most for this `TIME` in each scenario")
	f.StringSlice("only", nil, "only these `SCENARIOS`")
	f.Int("concurrency", 50, "the `NUMBER` of tasks that the worker of drain runs at a time")
	f.BoolP("yes", "y", false, "don't ask")
	_ = cmd.RegisterFlagCompletionFunc("only", listOf(fixed(scenarioNames()...))) // fails if there's no such flag
	return cmd
}

// benchmark is a run of scenarios.
type benchmark struct {
	app         *tasks.App // of its own, on the backend that is measured
	alias       string     // of that
	admin       *tasks.Admin
	task        *tasks.Task[benchArg, int]
	began       chan time.Time // gets when a task has begun, in the scenario that asks for it
	prefix      string         // of its queues
	queues      []string
	n           int
	most        time.Duration
	concurrency int
	progress    func(done int)
}

type benchArg struct {
	Num int `json:"num"`
	// Tell makes the task say that it has begun.
	Tell bool `json:"tell,omitempty"`
}

func bench(ctx context.Context, c *call, _ []string) error {
	chosen, err := c.scenarios()
	if err != nil {
		return err
	}
	for _, name := range []string{"n", "concurrency"} {
		if c.count(name) < 1 {
			return usage("--%s %d: there must be at least one", name, c.count(name))
		}
	}
	if c.span("for") <= 0 {
		return usage("--for %v: there must be some time", c.span("for"))
	}
	b, err := c.newBenchmark(ctx)
	if err != nil {
		return err
	}
	if chosen, err = c.besideWorkers(ctx, b, chosen); err != nil {
		return err
	}
	question := fmt.Sprintf("Store up to %s tasks at a time in queues named %s* on backend %q, and delete them again?",
		number(int64(max(b.n, benchStored))), b.prefix, c.g.backend)
	if err := c.confirm(ctx, question); err != nil {
		return err
	}
	c.say("Should this be killed, what it leaves is in queues named %s*.", b.prefix)
	err = printAll(c.out, benchView(), c.measured(ctx, b, chosen))
	return errors.Join(err, b.app.Close(context.WithoutCancel(ctx)))
}

// scenarios returns those that are asked for, in their order.
func (c *call) scenarios() ([]scenario, error) {
	all := scenarios()
	only := c.list("only")
	for _, name := range only {
		if !slices.Contains(scenarioNames(), name) {
			return nil, usage("--only: there is no scenario %q; there are %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	if len(only) == 0 {
		return all, nil
	}
	return slices.DeleteFunc(all, func(s scenario) bool { return !slices.Contains(only, s.name) }), nil
}

// newBenchmark makes an App with a task that nobody else has, on the backend that is configured.
func (c *call) newBenchmark(ctx context.Context) (*benchmark, error) {
	outer, err := c.openLooking(ctx)
	if err != nil {
		return nil, err
	}
	backend, err := outer.Backend(c.g.backend)
	if err != nil {
		return nil, err
	}
	store, ok := tasks.As[tasks.Store](backend)
	if needs := tasks.CapWorker | tasks.CapResults | tasks.CapInspect | tasks.CapList; !ok || !backend.Capabilities().Has(needs) {
		return nil, fmt.Errorf("%w: backend %q keeps no tasks for workers, so there is nothing to measure", tasks.ErrUnsupported, c.g.backend)
	}
	name := "sideman-bench-" + strings.ToLower(rand.Text()[:10])
	b := &benchmark{
		app: tasks.NewAppWith(tasks.AppOptions{Logger: c.logger()}), began: make(chan time.Time, 1),
		alias: c.g.backend, prefix: name + "-", n: c.count("n"), most: c.span("for"), concurrency: c.count("concurrency"),
	}
	run := func(ctx context.Context, arg benchArg) (int, error) {
		if arg.Tell {
			select {
			case b.began <- time.Now():
			case <-ctx.Done():
			}
		}
		return arg.Num, nil
	}
	// What is left if even the deletion fails is deleted by the workers' upkeep, soon.
	b.task = tasks.Define(b.app, name, run, tasks.OnBackend(c.g.backend), tasks.Retain(time.Hour))
	if err := b.app.UseWith(c.g.backend, lentStore{store}, tasks.UseOptions{Queues: []string{}}); err != nil {
		return nil, err
	}
	b.admin, err = b.app.Admin(c.g.backend)
	return b, err
}

// lentStore is a store that stays open when the benchmark's App is closed. It does no upkeep:
// that is for workers whose configuration says for how long results are kept.
type lentStore struct{ tasks.Store }

// Unwrap gives access to what else the backend can do.
func (l lentStore) Unwrap() tasks.Backend { return l.Store }

// Close leaves the store open.
func (lentStore) Close(context.Context) error { return nil }

// Sweep does nothing.
func (lentStore) Sweep(context.Context) (tasks.Swept, error) { return tasks.Swept{}, nil }

// besideWorkers leaves out the scenarios that live workers would take part in, unless they were
// asked for by name.
func (c *call) besideWorkers(ctx context.Context, b *benchmark, chosen []scenario) ([]scenario, error) {
	workers, err := b.admin.Workers(ctx)
	if err != nil {
		return nil, err
	}
	n := 0
	for _, w := range workers {
		if (tasks.Selection{Queues: w.Queues, Exclude: w.Exclude}).Has(b.prefix) {
			n++
		}
	}
	works := func(s scenario) bool { return s.works }
	switch {
	case n == 0 || !slices.ContainsFunc(chosen, works):
	case len(c.list("only")) > 0:
		c.say("Warning: %s from all queues, and may take the tasks of drain and pickup: they put them back, for later.", takers(n))
	default:
		c.say("Without drain and pickup: %s from all queues, and would take part.", takers(n))
		chosen = slices.DeleteFunc(chosen, works)
	}
	return chosen, nil
}

func takers(n int) string {
	if n == 1 {
		return "1 worker takes"
	}
	return strconv.Itoa(n) + " workers take"
}

// measured runs the scenarios as their results are asked for, and deletes what each has stored.
func (c *call) measured(ctx context.Context, b *benchmark, chosen []scenario) iter.Seq2[BenchDoc, error] {
	return func(yield func(BenchDoc, error) bool) {
		for i, s := range chosen {
			bar := c.meter(fmt.Sprintf("%-13s (%d of %d)", s.name, i+1, len(chosen)), s.steps(b))
			b.progress = bar.at
			doc, err := s.run(ctx, b)
			bar.end()
			doc.Scenario = s.name
			if ctx.Err() != nil {
				c.say("Interrupted: deleting what was stored.")
			}
			if cleaned := b.clean(ctx); cleaned != nil {
				err = errors.Join(err, cleaned)
			}
			if !yield(doc, err) || err != nil {
				return
			}
		}
	}
}

// benchClean bounds how long it may take to delete what was stored.
const benchClean = 5 * time.Minute

// clean deletes what the scenario has stored, also after an interrupt.
func (b *benchmark) clean(ctx context.Context) error {
	clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), benchClean)
	defer cancel()
	for len(b.queues) > 0 {
		queue := b.queues[0]
		_, err := b.admin.AlterMatching(clean, tasks.Change{Kind: tasks.ChangeDelete}, tasks.Filter{Queues: []string{queue}}, tasks.Bulk{})
		if err == nil {
			err = b.admin.Resume(clean, queue)
		}
		if err != nil {
			return fmt.Errorf("what was stored isn't deleted; do it by hand, with tasks delete --queue %s --all-matching and queues resume %s: %w", queue, queue, err)
		}
		b.queues = b.queues[1:]
	}
	return nil
}

// queue names a queue of the benchmark's own, which clean empties. If it's closed, no worker takes from it.
func (b *benchmark) queue(ctx context.Context, name string, closed bool) (string, error) {
	queue := b.prefix + name
	b.queues = append(b.queues, queue)
	if closed {
		return queue, b.admin.Pause(ctx, queue)
	}
	return queue, nil
}

func benchView() view[BenchDoc] {
	ms := func(ms float64) string {
		if ms == 0 {
			return ""
		}
		return span(time.Duration(ms * float64(time.Millisecond)))
	}
	return view[BenchDoc]{
		doc:  func(d BenchDoc) any { return d },
		name: func(d BenchDoc) string { return d.Scenario },
		columns: []column[BenchDoc]{
			{head: "SCENARIO", cell: func(d BenchDoc) string { return d.Scenario }},
			{head: "CONCURRENCY", wide: true, right: true, cell: func(d BenchDoc) string { return strconv.Itoa(d.Concurrency) }},
			{head: "TASKS", right: true, cell: func(d BenchDoc) string { return number(int64(d.Tasks)) }},
			{head: "TOOK", right: true, cell: func(d BenchDoc) string { return span(time.Duration(d.Seconds * float64(time.Second))) }},
			{head: "TASKS/S", right: true, cell: func(d BenchDoc) string {
				if d.TasksPerSecond == 0 {
					return ""
				}
				return number(int64(d.TasksPerSecond))
			}},
			{head: "P50", right: true, cell: func(d BenchDoc) string { return ms(d.P50Ms) }},
			{head: "P99", right: true, cell: func(d BenchDoc) string { return ms(d.P99Ms) }},
		},
	}
}
