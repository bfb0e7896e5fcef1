package cli

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// workerLog returns what a worker logs to: lines for people on a terminal, else lines of
// names and values, or of JSON if that is the form of output. store goes into the first line.
func (c *call) workerLog(store string) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	switch {
	case c.g.verbose:
		options.Level = slog.LevelDebug
	case c.g.quiet:
		options.Level = slog.LevelWarn
	}
	var h slog.Handler
	switch {
	case c.out.form == asJSON, c.out.form == asJSONL:
		h = slog.NewJSONHandler(c.err, options)
	case isTerminal(c.err):
		screen, _ := newPrinter(c.err, asTable, c.g.noColor) // the form is one of them
		h = &screenLog{p: screen, level: options.Level.Level(), mu: new(sync.Mutex)}
	default:
		h = slog.NewTextHandler(c.err, options)
	}
	return slog.New(&taskLog{Handler: h, store: store, all: c.g.verbose})
}

// What the worker's log calls what is told apart here.
const (
	msgTask  = "Task"
	msgStart = "Starting worker"
	msgStop  = "Stopped worker"
)

// taskLog leaves one line for each task, that of how it ended, and adds the store to that of
// the start.
type taskLog struct {
	slog.Handler

	store string
	all   bool // the starts of tasks as well
}

// Handle is a slog.Handler's.
func (h *taskLog) Handle(ctx context.Context, r slog.Record) error {
	switch {
	case r.Message == msgTask && !h.all && attribute(r, "state").String() == string(tasks.Running):
		return nil
	case r.Message == msgStart && h.store != "":
		r = r.Clone()
		r.AddAttrs(slog.String("store", h.store))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is a slog.Handler's.
func (h *taskLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &taskLog{h.Handler.WithAttrs(attrs), h.store, h.all}
}

// WithGroup is a slog.Handler's.
func (h *taskLog) WithGroup(name string) slog.Handler {
	return &taskLog{h.Handler.WithGroup(name), h.store, h.all}
}

// attribute returns one of a line's own attributes by its name.
func attribute(r slog.Record, name string) (value slog.Value) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == name {
			value = a.Value.Resolve()
			return false
		}
		return true
	})
	return value
}

// screenLog writes for people.
type screenLog struct {
	p     *printer
	level slog.Level
	attrs []slog.Attr
	mu    *sync.Mutex // for p
}

// Enabled is a slog.Handler's.
func (h *screenLog) Enabled(_ context.Context, level slog.Level) bool { return level >= h.level }

// WithAttrs is a slog.Handler's.
func (h *screenLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.attrs = append(slices.Clone(h.attrs), attrs...)
	return &with
}

// WithGroup is a slog.Handler's. No group is made: there is no room for names of names.
func (h *screenLog) WithGroup(string) slog.Handler { return h }

// Handle is a slog.Handler's.
func (h *screenLog) Handle(_ context.Context, r slog.Record) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch r.Message {
	case msgTask:
		h.task(r)
	case msgStart:
		h.start(r)
	case msgStop:
		h.stop(r)
	default:
		h.other(r)
	}
	return h.p.flush()
}

func (h *screenLog) start(r slog.Record) {
	text := func(name string) string { return visible(attribute(r, name).String()) }
	queues := text("queues")
	if queues == "*" {
		queues = "all"
	}
	fields := []field{{name: "Worker", value: text("worker_id"), style: bold}, {name: "Queues", value: queues}}
	if attribute(r, "exclude").Kind() == slog.KindString {
		fields = append(fields, field{name: "Not on", value: text("exclude")})
	}
	fields = append(fields, field{name: "Backend", value: text("backend")})
	if attribute(r, "store").Kind() == slog.KindString {
		fields = append(fields, field{name: "Store", value: text("store")})
	}
	h.p.fields(append(fields, field{name: "At a time", value: text("concurrency")},
		field{name: "To stop", value: "Ctrl+C; again cuts running tasks off"}))
	h.p.line("")
}

// stop is the summary.
func (h *screenLog) stop(r slog.Record) {
	count := func(name string) int64 {
		if v := attribute(r, name); v.Kind() == slog.KindInt64 {
			return v.Int64()
		}
		return 0
	}
	ran := count("claimed") - count("released")
	parts := []string{
		"ran " + number(ran), number(count("succeeded")) + " succeeded",
		number(count("failed")) + " failed", number(count("retried")) + " retried",
	}
	for _, name := range []string{"snoozed", "cancelled", "released", "lost_leases", "abandoned", "settle_errors"} {
		if n := count(name); n > 0 {
			parts = append(parts, number(n)+" "+strings.ReplaceAll(name, "_", " "))
		}
	}
	s := green
	if r.Level > slog.LevelInfo {
		s = red
	}
	h.p.line("%s", h.p.paint(s, "Stopped after "+span(attribute(r, "after").Duration())+": "+strings.Join(parts, ", ")))
	if err := attribute(r, "error"); err.Kind() == slog.KindAny && err.Any() != nil {
		for line := range strings.Lines(err.String()) {
			h.p.line("%s", h.p.paint(red, visible(strings.TrimSuffix(line, "\n"))))
		}
	}
}

// task is the line of one: time, status, name, id, and how it went.
func (h *screenLog) task(r slog.Record) {
	text := func(name string) string { return attribute(r, name).String() }
	status := tasks.Status(text("state"))
	shown := string(status)
	var notes []string
	if took := attribute(r, "took"); took.Kind() == slog.KindDuration {
		notes = append(notes, span(took.Duration()))
	}
	if n := attribute(r, "attempt"); n.Kind() == slog.KindInt64 && n.Int64() > 1 {
		notes = append(notes, "attempt "+number(n.Int64()))
	}
	switch status {
	case tasks.Ready:
		shown = strings.ToUpper(text("outcome"))
		if d := attribute(r, "delay"); d.Kind() == slog.KindDuration && d.Duration() > 0 {
			notes = append(notes, "again in "+span(d.Duration()))
		}
	case tasks.Cancelled:
		notes = append(notes, text("reason"))
	case tasks.Running, tasks.Successful, tasks.Failed:
	}
	stack := ""
	if attribute(r, "error_type").Kind() == slog.KindString {
		notes = append(notes, h.p.paint(red, visible(text("error_type")+": "+text("error"))))
		if attribute(r, "stack").Kind() == slog.KindString {
			stack = text("stack")
		}
	}
	h.p.line("%s %s %s %s  %s", h.clock(r), h.p.paint(statusStyle(status), pad(visible(shown), len(tasks.Successful))),
		h.p.paint(bold, visible(text("path"))), h.p.paint(faint, visible(text("id"))), strings.Join(notes, "  "))
	for line := range strings.Lines(stack) {
		h.p.line("    %s", h.p.paint(faint, visible(strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "  "))))
	}
}

// other is any other line.
func (h *screenLog) other(r slog.Record) {
	parts := []string{h.clock(r)}
	switch {
	case r.Level >= slog.LevelError:
		parts = append(parts, h.p.paint(red, r.Level.String()))
	case r.Level >= slog.LevelWarn:
		parts = append(parts, h.p.paint(yellow, r.Level.String()))
	}
	parts = append(parts, visible(r.Message))
	add := func(a slog.Attr) bool {
		parts = append(parts, h.p.paint(faint, visible(a.Key)+"=")+visible(a.Value.Resolve().String()))
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	r.Attrs(add)
	h.p.line("%s", strings.Join(parts, " "))
}

func (h *screenLog) clock(r slog.Record) string {
	return h.p.paint(faint, r.Time.Format(time.TimeOnly))
}

// pad fills a text up to a width.
func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-len(s)))
}
