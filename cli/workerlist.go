package cli

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/tasks"
)

// WorkerDoc is a live worker, as programs get it.
type WorkerDoc struct {
	ID          string   `json:"id"`
	Host        string   `json:"host"`
	PID         int      `json:"pid"`
	Queues      []string `json:"queues"` // ["*"] if it works on all
	Exclude     []string `json:"exclude,omitempty"`
	Concurrency int      `json:"concurrency"`
	// Running counts the tasks that it runs, and RunningIDs are some of them.
	Running    int      `json:"running"`
	RunningIDs []string `json:"running_ids,omitempty"`
	StartedAt  string   `json:"started_at"`
	// BeatAt is when it last said that it lives, and BeatAgeSeconds how long ago that was.
	BeatAt         string  `json:"beat_at,omitempty"`
	BeatAgeSeconds float64 `json:"beat_age_seconds"`
	Stopping       bool    `json:"stopping"`
}

func newWorkerDoc(w tasks.WorkerInfo) WorkerDoc {
	return WorkerDoc{
		ID: w.ID, Host: w.Host, PID: w.PID, Queues: w.Queues, Exclude: w.Exclude, Concurrency: w.Concurrency,
		Running: w.Running, RunningIDs: w.RunningIDs, StartedAt: stamp(w.StartedAt), BeatAt: stamp(w.BeatAt),
		BeatAgeSeconds: w.Age.Seconds(), Stopping: w.Stopping,
	}
}

func (p *Program) workerListCommand() *cobra.Command {
	return &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List the live workers", Args: cobra.NoArgs,
		RunE: p.run(listWorkers),
	}
}

func listWorkers(ctx context.Context, c *call, _ []string) error {
	admin, err := c.admin(ctx)
	if err != nil {
		return err
	}
	workers, err := admin.Workers(ctx)
	if err != nil {
		return err
	}
	err = printAll(c.out, workerView(), func(yield func(tasks.WorkerInfo, error) bool) {
		for _, w := range workers {
			if !yield(w, nil) {
				return
			}
		}
	})
	if len(workers) == 0 && c.out.people() {
		_ = c.out.flush()
		c.say("There is no worker.")
	}
	return err
}

func workerView() view[tasks.WorkerInfo] {
	return view[tasks.WorkerInfo]{
		doc:  func(w tasks.WorkerInfo) any { return newWorkerDoc(w) },
		name: func(w tasks.WorkerInfo) string { return w.ID },
		columns: []column[tasks.WorkerInfo]{
			{head: "ID", cell: func(w tasks.WorkerInfo) string { return w.ID }},
			{head: "HOST", wide: true, cell: func(w tasks.WorkerInfo) string { return w.Host }},
			{head: "PID", wide: true, right: true, cell: func(w tasks.WorkerInfo) string { return strconv.Itoa(w.PID) }},
			{head: "QUEUES", cell: workerQueues},
			{head: "RUNNING", right: true, cell: func(w tasks.WorkerInfo) string {
				return strconv.Itoa(w.Running) + "/" + strconv.Itoa(w.Concurrency)
			}},
			{head: "STARTED", cell: func(w tasks.WorkerInfo) string { return ago(w.StartedAt, w.BeatAt.Add(w.Age)) }},
			{head: "BEAT", cell: func(w tasks.WorkerInfo) string { return span(w.Age) + " ago" }},
			{
				head: "STATE",
				cell: func(w tasks.WorkerInfo) string {
					if w.Stopping {
						return "stopping"
					}
					return "running"
				},
				paint: func(w tasks.WorkerInfo) style {
					if w.Stopping {
						return yellow
					}
					return green
				},
			},
			{head: "RUNS", wide: true, cell: func(w tasks.WorkerInfo) string { return short(strings.Join(w.RunningIDs, " "), 80) }},
		},
	}
}

func workerQueues(w tasks.WorkerInfo) string {
	text := short(strings.Join(w.Queues, ", "), 40)
	if len(w.Exclude) > 0 {
		text += " but " + short(strings.Join(w.Exclude, ", "), 40)
	}
	return text
}
