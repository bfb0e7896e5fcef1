package cli

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// TaskDoc is a task as programs get it, by -o json, jsonl or yaml. Times are RFC 3339 in UTC,
// durations are written as Go does ("1m30s"), and what isn't there is left out.
type TaskDoc struct {
	ID              string            `json:"id"`
	Task            string            `json:"task"`
	Status          tasks.Status      `json:"status"`
	Queue           string            `json:"queue"`
	Priority        int               `json:"priority"`
	Backend         string            `json:"backend"`
	Args            json.RawMessage   `json:"args,omitempty"`
	Metadata        map[string]string `json:"metadata,omitempty"`
	Attempts        int               `json:"attempts"`
	MaxAttempts     int               `json:"max_attempts"`
	Timeout         string            `json:"timeout,omitempty"`
	Retain          string            `json:"retain,omitempty"`
	EnqueuedAt      string            `json:"enqueued_at,omitempty"`
	RunAfter        string            `json:"run_after,omitempty"`
	ExpiresAt       string            `json:"expires_at,omitempty"`
	StartedAt       string            `json:"started_at,omitempty"`
	LastAttemptedAt string            `json:"last_attempted_at,omitempty"`
	FinishedAt      string            `json:"finished_at,omitempty"`
	WorkerIDs       []string          `json:"worker_ids,omitempty"`
	Value           json.RawMessage   `json:"value,omitempty"`
	Errors          []ErrorDoc        `json:"errors,omitempty"`
	CancelRequested bool              `json:"cancel_requested,omitempty"`
	CancelReason    string            `json:"cancel_reason,omitempty"`
}

// ErrorDoc is a failed attempt of a task.
type ErrorDoc struct {
	Attempt int    `json:"attempt"`
	Type    string `json:"type"`
	Message string `json:"message"`
	Stack   string `json:"stack,omitempty"`
	At      string `json:"at,omitempty"`
	Worker  string `json:"worker,omitempty"`
}

func newTaskDoc(r *tasks.Record) TaskDoc {
	d := TaskDoc{
		ID: r.ID, Task: r.Task, Status: r.Status, Queue: r.Queue, Priority: r.Priority, Backend: r.Alias,
		Args: r.Args, Metadata: r.Metadata, Attempts: r.Attempts(), MaxAttempts: r.MaxAttempts,
		EnqueuedAt: stamp(r.EnqueuedAt), RunAfter: stamp(r.RunAfter), ExpiresAt: stamp(r.ExpiresAt), StartedAt: stamp(r.StartedAt),
		LastAttemptedAt: stamp(r.LastAttemptedAt), FinishedAt: stamp(r.FinishedAt), WorkerIDs: r.WorkerIDs, Value: r.Value,
		CancelRequested: r.CancelRequested, CancelReason: r.CancelReason,
	}
	if r.Timeout > 0 {
		d.Timeout = r.Timeout.String()
	}
	if r.Retain != nil {
		d.Retain = r.Retain.String()
	}
	for _, e := range r.Errors {
		d.Errors = append(d.Errors, ErrorDoc{Attempt: e.Attempt, Type: e.Type, Message: e.Message, Stack: e.Stack, At: stamp(e.At), Worker: e.Worker})
	}
	return d
}

// statusStyle is a status's colour.
func statusStyle(s tasks.Status) style {
	switch s {
	case tasks.Successful:
		return green
	case tasks.Failed:
		return red
	case tasks.Running:
		return blue
	case tasks.Cancelled:
		return faint
	case tasks.Ready:
		return yellow
	}
	return plain
}

// taskView shows tasks as they are now.
func taskView(now time.Time) view[*tasks.Record] {
	return view[*tasks.Record]{
		doc:  func(r *tasks.Record) any { return newTaskDoc(r) },
		name: func(r *tasks.Record) string { return r.ID },
		columns: []column[*tasks.Record]{
			{head: "ID", cell: func(r *tasks.Record) string { return r.ID }},
			{head: "TASK", cell: func(r *tasks.Record) string { return short(r.Task, 40) }},
			{head: "QUEUE", cell: func(r *tasks.Record) string { return short(r.Queue, 24) }},
			{
				head: "STATUS", cell: func(r *tasks.Record) string { return string(r.Status) },
				paint: func(r *tasks.Record) style { return statusStyle(r.Status) },
			},
			{head: "PRIORITY", wide: true, right: true, cell: func(r *tasks.Record) string { return strconv.Itoa(r.Priority) }},
			{head: "ATTEMPTS", right: true, cell: func(r *tasks.Record) string {
				return strconv.Itoa(r.Attempts()) + "/" + strconv.Itoa(r.MaxAttempts)
			}},
			{head: "ENQUEUED", cell: func(r *tasks.Record) string { return ago(r.EnqueuedAt, now) }},
			{head: "RUN AFTER", wide: true, cell: func(r *tasks.Record) string { return ago(r.RunAfter, now) }},
			{head: "TOOK", wide: true, right: true, cell: took},
			{head: "WORKER", wide: true, cell: func(r *tasks.Record) string {
				if len(r.WorkerIDs) == 0 {
					return ""
				}
				return r.WorkerIDs[len(r.WorkerIDs)-1]
			}},
			{head: "ARGS", wide: true, cell: func(r *tasks.Record) string { return short(string(r.Args), 40) }},
			{head: "NOTE", cell: note},
		},
	}
}

// took is for how long the newest attempt ran.
func took(r *tasks.Record) string {
	if r.FinishedAt.IsZero() || r.LastAttemptedAt.IsZero() {
		return ""
	}
	return span(r.FinishedAt.Sub(r.LastAttemptedAt))
}

// note is what is most worth knowing beside the status.
func note(r *tasks.Record) string {
	switch {
	case r.Status == tasks.Cancelled:
		return short(r.CancelReason, 50)
	case r.CancelRequested:
		return "cancel requested"
	case r.Status != tasks.Successful && r.LastError() != nil:
		e := r.LastError()
		return short(e.Type+": "+strings.ReplaceAll(e.Message, "\n", " "), 50)
	}
	return ""
}

// taskFields are all of a task, for people.
func taskFields(r *tasks.Record, now time.Time) []field {
	fields := []field{
		{name: "ID", value: r.ID},
		{name: "Task", value: r.Task},
		{name: "Status", value: string(r.Status), style: statusStyle(r.Status)},
		{name: "Queue", value: r.Queue},
		{name: "Priority", value: strconv.Itoa(r.Priority)},
		{name: "Backend", value: r.Alias},
		{name: "Arguments", value: string(r.Args)},
		{name: "Attempts", value: strconv.Itoa(r.Attempts()) + " of " + strconv.Itoa(r.MaxAttempts)},
		{name: "Enqueued", value: clock(r.EnqueuedAt, now)},
		{name: "Run after", value: clock(r.RunAfter, now)},
		{name: "Expires", value: clock(r.ExpiresAt, now)},
		{name: "Started", value: clock(r.StartedAt, now)},
		{name: "Last attempt", value: clock(r.LastAttemptedAt, now)},
		{name: "Finished", value: clock(r.FinishedAt, now)},
		{name: "Took", value: took(r)},
		{name: "Workers", value: strings.Join(r.WorkerIDs, ", ")},
		{name: "Return value", value: string(r.Value)},
	}
	if r.Timeout > 0 {
		fields = append(fields, field{name: "Timeout", value: r.Timeout.String()})
	}
	if r.CancelRequested && !r.Status.Final() {
		fields = append(fields, field{name: "Cancel requested", value: "yes"})
	}
	fields = append(fields, field{name: "Cancel reason", value: r.CancelReason})
	for _, e := range r.Errors {
		text := e.Type + ": " + e.Message
		if e.Stack != "" {
			text += "\n" + e.Stack
		}
		fields = append(fields, field{name: "Error " + strconv.Itoa(e.Attempt), value: text, style: red})
	}
	for _, k := range sortedKeys(r.Metadata) {
		fields = append(fields, field{name: "Metadata " + k, value: r.Metadata[k]})
	}
	return fields
}
