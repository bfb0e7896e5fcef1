package cli

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/tasks"
)

// StatsDoc is how the queues stand, as programs get it. With --watch there is one each time,
// a line of JSON each; the first has no rates.
type StatsDoc struct {
	At string `json:"at"`
	// Error is why the store couldn't be asked this time; then there is nothing else.
	Error  string          `json:"error,omitempty"`
	Queues []QueueStatsDoc `json:"queues,omitempty"`
	// Total is of all queues; its Workers counts each worker once.
	Total *QueueStatsDoc `json:"total,omitempty"`
}

// QueueStatsDoc is how a queue stands.
type QueueStatsDoc struct {
	Queue  string `json:"queue,omitempty"`
	Paused bool   `json:"paused,omitempty"`
	// The tasks that are stored, by status.
	Ready      int64 `json:"ready"`
	Running    int64 `json:"running"`
	Successful int64 `json:"successful"`
	Failed     int64 `json:"failed"`
	Cancelled  int64 `json:"cancelled"`
	// OldestSeconds is for how long the task has been due that is due longest.
	OldestSeconds float64 `json:"oldest_seconds"`
	// Workers are those that take tasks from the queue.
	Workers int `json:"workers"`
	// What came and went since the time before. It is told from what is stored, so what is
	// deleted isn't counted.
	EnqueuedPerSecond *float64 `json:"enqueued_per_second,omitempty"`
	FinishedPerSecond *float64 `json:"finished_per_second,omitempty"`
	FailedPerSecond   *float64 `json:"failed_per_second,omitempty"`
}

func (p *Program) statsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "stats", Short: "Show how the queues stand", Args: cobra.NoArgs,
		Long: `Show how the queues stand: how many tasks are ready and running, for how long the oldest has
been due, how many have failed and are kept, and how many workers take from each queue.

With --watch it shows that again and again until it is interrupted, on a terminal in place, with
what is enqueued, finishes and fails in a second: of what the store keeps.`,
		Example: "  @ stats --watch\n  @ stats --watch --interval 10s -o jsonl",
		RunE:    p.run(showStats),
	}
	f := cmd.Flags()
	f.Bool("watch", false, "show it again and again")
	f.Duration("interval", 2*time.Second, "with --watch: how often")
	f.Int("count", 0, "with --watch: end after so many times; 0: don't")
	return cmd
}

func showStats(ctx context.Context, c *call, _ []string) error {
	interval, count := c.span("interval"), c.count("count")
	switch {
	case interval < 50*time.Millisecond:
		return usage("--interval %v is below 50ms", interval)
	case count < 0:
		return usage("--count %d is negative", count)
	case c.bool("watch"):
		return c.watchStats(ctx, interval, count)
	}
	for _, name := range []string{"interval", "count"} {
		if c.settings.origin(name).by == byFlag {
			return usage("--%s needs --watch", name)
		}
	}
	now, err := c.sample(ctx)
	if err != nil {
		return err
	}
	return c.printStats(newStatsDoc(now, nil))
}

// sample is how a store stood at a time.
type sample struct {
	at      time.Time
	queues  []tasks.QueueInfo
	workers []tasks.WorkerInfo
}

// sample asks a store, which is open or to be opened.
func (c *call) sample(ctx context.Context) (*sample, error) {
	admin, err := c.admin(ctx)
	if err != nil {
		return nil, err
	}
	queues, err := admin.Queues(ctx)
	if err != nil {
		return nil, err
	}
	at := time.Now()
	workers, err := admin.Workers(ctx)
	if err != nil {
		return nil, err
	}
	return &sample{at, queues, workers}, nil
}

// newStatsDoc has rates if there is a sample before.
func newStatsDoc(now, before *sample) StatsDoc {
	total := &QueueStatsDoc{}
	doc := StatsDoc{At: stamp(now.at), Total: total, Queues: []QueueStatsDoc{}}
	was := map[string]tasks.QueueInfo{}
	var seconds float64
	if before != nil {
		seconds = now.at.Sub(before.at).Seconds()
		for _, q := range before.queues {
			was[q.Name] = q
		}
	}
	for _, q := range withServed(now) {
		d := QueueStatsDoc{
			Queue: q.Name, Paused: q.Paused, Ready: q.Counts[tasks.Ready], Running: q.Counts[tasks.Running],
			Successful: q.Counts[tasks.Successful], Failed: q.Counts[tasks.Failed], Cancelled: q.Counts[tasks.Cancelled],
			OldestSeconds: q.OldestDue.Seconds(),
		}
		for _, w := range now.workers {
			if serves(w, q.Name) {
				d.Workers++
			}
		}
		if seconds > 0 {
			d.EnqueuedPerSecond = rate(stored(q)-stored(was[q.Name]), seconds)
			d.FinishedPerSecond = rate(finished(q)-finished(was[q.Name]), seconds)
			d.FailedPerSecond = rate(q.Counts[tasks.Failed]-was[q.Name].Counts[tasks.Failed], seconds)
		}
		total.add(d)
		doc.Queues = append(doc.Queues, d)
	}
	for _, w := range now.workers {
		if !w.Stopping {
			total.Workers++
		}
	}
	return doc
}

// add sums up all but the workers.
func (d *QueueStatsDoc) add(q QueueStatsDoc) {
	d.Ready += q.Ready
	d.Running += q.Running
	d.Successful += q.Successful
	d.Failed += q.Failed
	d.Cancelled += q.Cancelled
	d.OldestSeconds = max(d.OldestSeconds, q.OldestSeconds)
	for _, r := range []struct{ sum, one **float64 }{
		{&d.EnqueuedPerSecond, &q.EnqueuedPerSecond},
		{&d.FinishedPerSecond, &q.FinishedPerSecond},
		{&d.FailedPerSecond, &q.FailedPerSecond},
	} {
		if *r.one == nil {
			continue
		}
		if *r.sum == nil {
			*r.sum = new(float64)
		}
		**r.sum += **r.one
	}
}

// withServed are the queues, and those without a task that a worker names.
func withServed(s *sample) []tasks.QueueInfo {
	all := slices.Clone(s.queues)
	for _, w := range s.workers {
		for _, name := range w.Queues {
			if name != "*" && !slices.ContainsFunc(all, func(q tasks.QueueInfo) bool { return q.Name == name }) {
				all = append(all, tasks.QueueInfo{Name: name})
			}
		}
	}
	slices.SortFunc(all, func(a, b tasks.QueueInfo) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func serves(w tasks.WorkerInfo, queue string) bool {
	sel := tasks.Selection{Queues: w.Queues, Exclude: w.Exclude}
	return !w.Stopping && sel.Has(queue)
}

func stored(q tasks.QueueInfo) (n int64) {
	for _, count := range q.Counts {
		n += count
	}
	return n
}

func finished(q tasks.QueueInfo) (n int64) {
	for status, count := range q.Counts {
		if status.Final() {
			n += count
		}
	}
	return n
}

// rate is 0 where more was deleted than came.
func rate(n int64, seconds float64) *float64 { return new(max(float64(n)/seconds, 0)) }
