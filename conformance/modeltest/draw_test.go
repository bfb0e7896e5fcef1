package modeltest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/sideman-go/sideman/tasks"
)

// The values that operations take are few, so that they meet each other.

func oneOf[E any](t *rapid.T, label string, values ...E) E {
	return rapid.SampledFrom(values).Draw(t, label)
}

// queues have names of which one is the beginning of another.
func drawQueue(t *rapid.T) string { return oneOf(t, "queue", "a", "ab", "a/b") }

func drawTask(t *rapid.T) string { return oneOf(t, "task", "f", "g") }

// brief is no number of microseconds, which is how times are kept.
const brief = 1500 * time.Nanosecond

// drawFar draws a time out of reach of the rest, on either side of what is counted from.
func drawFar(t *rapid.T) time.Time {
	return oneOf(t, "far", time.Date(1, time.January, 2, 0, 0, 0, 0, time.UTC), time.Unix(-1, 5000), time.Date(9999, time.December, 31, 23, 59, 59, 999_999_999, time.UTC))
}

// drawRecord makes a record, of which only few have more than the usual.
func drawRecord(t *rapid.T, id string, now time.Time) *tasks.Record {
	rec := &tasks.Record{
		ID: id, Alias: tasks.DefaultAlias, Task: drawTask(t), Queue: drawQueue(t), Status: tasks.Ready,
		MaxAttempts: rapid.IntRange(1, 3).Draw(t, "max attempts"),
		Priority:    oneOf(t, "priority", 0, 0, tasks.MinPriority, -1, 1, tasks.MaxPriority),
		Args:        json.RawMessage(`[1]`),
	}
	switch oneOf(t, "due", "now", "now", "now", "delay", "later", "earlier", "at") {
	case "delay":
		rec.Delay = oneOf(t, "delay", brief, time.Millisecond, time.Second, time.Hour)
	case "later":
		rec.RunAfter = now.Add(oneOf(t, "later by", time.Nanosecond, time.Second, time.Hour))
	case "earlier":
		rec.RunAfter = now.Add(-time.Hour)
	case "at":
		rec.RunAfter = drawFar(t)
	}
	switch oneOf(t, "expiry", "none", "none", "none", "TTL", "soon", "over", "at") {
	case "TTL":
		rec.TTL = oneOf(t, "TTL", brief, time.Millisecond, time.Second, time.Hour)
	case "soon":
		rec.ExpiresAt = now.Add(time.Second)
	case "over":
		rec.ExpiresAt = now.Add(-time.Second)
	case "at":
		rec.ExpiresAt = drawFar(t)
	}
	switch oneOf(t, "retain", "default", "default", "not", "brief", "hour", "ever") {
	case "not":
		rec.Retain = new(time.Duration)
	case "brief": // of a part of a microsecond stores make one, or none
		rec.Retain = new(time.Microsecond)
	case "hour":
		rec.Retain = new(time.Hour)
	case "ever":
		rec.Retain = new(time.Duration(-1))
	}
	switch oneOf(t, "more", "none", "none", "metadata", "timeout", "large arguments") {
	case "metadata":
		rec.Metadata = map[string]string{"tenant": "t", "": "empty"}
	case "timeout":
		rec.Timeout = time.Minute
	case "large arguments": // which bolt keeps beside the record
		rec.Args = json.RawMessage(`"` + strings.Repeat("x", 2<<10) + `"`)
	}
	return rec
}

func drawSelection(t *rapid.T) (sel tasks.Selection) {
	switch oneOf(t, "selection", "all", "all", "none named", "some", "but one") {
	case "all":
		sel.Queues = []string{"*"}
	case "some":
		sel.Queues = rapid.SliceOfN(rapid.Custom(drawQueue), 1, 3).Draw(t, "queues")
	case "but one":
		sel.Exclude = []string{drawQueue(t)}
	}
	return sel
}

func drawOutcome(t *rapid.T) tasks.Outcome {
	out := tasks.Outcome{Kind: oneOf(t, "kind", tasks.OutcomeSuccess, tasks.OutcomeFailure, tasks.OutcomeRetry, tasks.OutcomeRetry,
		tasks.OutcomeSnooze, tasks.OutcomeRelease, tasks.OutcomeCancel, tasks.OutcomeKind("other"))}
	out.Delay = oneOf(t, "delay", 0, 0, -time.Second, brief, time.Second, time.Hour)
	switch out.Kind {
	case tasks.OutcomeSuccess:
		out.Value = oneOf(t, "value", nil, json.RawMessage(`"done"`), json.RawMessage(`"`+strings.Repeat("y", 2<<10)+`"`))
	case tasks.OutcomeFailure, tasks.OutcomeRetry, tasks.OutcomeCancel:
		if rapid.Bool().Draw(t, "with an error") {
			out.Error = &tasks.AttemptError{Type: "test", Message: "made to fail", Stack: "main.go:1", Attempt: 99, Worker: "another"}
		}
		out.Reason = oneOf(t, "reason", "", "enough")
	default:
	}
	return out
}

func drawChange(t *rapid.T, now time.Time) tasks.Change {
	c := tasks.Change{Kind: oneOf(t, "change", tasks.ChangeCancel, tasks.ChangeCancel, tasks.ChangeRetry, tasks.ChangeRetry, tasks.ChangeDelete, tasks.ChangeReschedule)}
	switch c.Kind {
	case tasks.ChangeCancel:
		c.Reason = oneOf(t, "reason", "", "not wanted", "not needed")
	case tasks.ChangeReschedule:
		if rapid.Bool().Draw(t, "at a time") {
			c.At = oneOf(t, "at", now.Add(-time.Hour), now, now.Add(time.Minute), drawFar(t))
		} else {
			c.Delay = oneOf(t, "by", -time.Hour, 0, brief, time.Minute)
		}
	default:
	}
	return c
}

func drawStatuses(t *rapid.T) []tasks.Status {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(tasks.Statuses()), 0, 2, rapid.ID).Draw(t, "statuses")
}

// drawFilter draws a filter; began is when the sequence started.
func drawFilter(t *rapid.T, began, now time.Time) (f tasks.Filter) {
	f.Statuses = drawStatuses(t)
	if rapid.Bool().Draw(t, "by queue") {
		f.Queues = []string{drawQueue(t)}
	}
	if rapid.Bool().Draw(t, "by task") {
		f.Tasks = []string{drawTask(t)}
	}
	f.Worker = oneOf(t, "worker", "", "", "", "w0", "w1")
	point := func(label string) time.Time {
		switch oneOf(t, label, "none", "none", "began", "now", "between") {
		case "began":
			return began
		case "now":
			return now
		case "between":
			return began.Add(now.Sub(began) / 2)
		}
		return time.Time{}
	}
	f.Since, f.Until, f.FinishedBefore = point("since"), point("until"), point("finished before")
	return f
}

// id returns one that sorts like the order of the calls, or not.
func drawID(t *rapid.T, n int) string {
	return oneOf(t, "id", fmt.Sprintf("m%04d", n), fmt.Sprintf("m%04d", n), fmt.Sprintf("k%04d", 9999-n))
}
