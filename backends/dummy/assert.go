package dummy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sideman-go/sideman/tasks"
)

// T is what the assertions need of a *testing.T.
type T interface {
	Helper()
	Errorf(format string, args ...any)
}

// AssertEnqueued reports an error unless the task was enqueued with that argument,
// which is compared as JSON, and returns the first such record (nil if none).
func (b *Backend) AssertEnqueued(t T, task string, arg any) *tasks.Record {
	t.Helper()
	want, err := json.Marshal(arg)
	if err != nil {
		t.Errorf("dummy: the wanted argument of %q: %v", task, err)
		return nil
	}
	var others []string
	for _, rec := range b.Results() {
		if rec.Task != task {
			continue
		}
		if sameJSON(rec.Args, want) {
			return rec
		}
		others = append(others, string(rec.Args))
	}
	if len(others) == 0 {
		t.Errorf("dummy: task %q was not enqueued; enqueued: %s", task, b.summary())
	} else {
		t.Errorf("dummy: task %q was not enqueued with %s, only with: %s", task, want, strings.Join(others, ", "))
	}
	return nil
}

// AssertNotEnqueued reports an error if the task was enqueued at all.
func (b *Backend) AssertNotEnqueued(t T, task string) {
	t.Helper()
	for _, rec := range b.Results() {
		if rec.Task == task {
			t.Errorf("dummy: task %q was enqueued, with %s", task, rec.Args)
			return
		}
	}
}

// AssertCount reports an error unless that many runs of all tasks were enqueued.
func (b *Backend) AssertCount(t T, want int) {
	t.Helper()
	if got := len(b.Results()); got != want {
		t.Errorf("dummy: %d tasks were enqueued, want %d: %s", got, want, b.summary())
	}
}

func (b *Backend) summary() string {
	recs := b.Results()
	if len(recs) == 0 {
		return "nothing"
	}
	lines := make([]string, len(recs))
	for i, rec := range recs {
		lines[i] = fmt.Sprintf("%s(%s)", rec.Task, rec.Args)
	}
	return strings.Join(lines, ", ")
}

// sameJSON compares two JSON texts by value, with numbers as they are written.
func sameJSON(x, y []byte) bool {
	return bytes.Equal(canonical(x), canonical(y))
}

func canonical(text []byte) []byte {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return text
	}
	again, err := json.Marshal(v) // sorts the keys
	if err != nil {
		return text
	}
	return again
}
