package tasks_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/tasks"
)

// checked is a store with findings of its own.
type checked struct {
	*store

	findings []tasks.Finding
}

func (c *checked) Check(context.Context) []tasks.Finding { return c.findings }

func ids(findings []tasks.Finding) string {
	var all []string
	for _, f := range findings {
		all = append(all, string(f.Level)+" "+f.ID+" "+f.Alias)
	}
	return strings.Join(all, ", ")
}

func TestC1_NothingIsFoundWhenAllIsWell(t *testing.T) {
	app, _ := newApp(t, newStore())
	tasks.Define(app, "t", echo)
	equal(t, "Check", ids(app.Check(t.Context())), "")
}

func TestC1_Findings(t *testing.T) {
	app, _ := newApp(t, dummy.New())
	b := &checked{store: newStore(), findings: []tasks.Finding{{ID: "x.W001", Level: tasks.LevelWarning, Message: "old version"}}}
	use(t, app, "main", b)
	tasks.Define(app, "known", echo)
	tasks.Define(app, "", echo)
	tasks.Define[int, int](app, "bad", nil)
	b.queues = []tasks.QueueInfo{
		{Name: "served", OldestDue: time.Hour, Waiting: map[string]int64{"known": 3}},
		{Name: "excluded", OldestDue: 1},
		{Name: "paused", OldestDue: time.Hour, Paused: true},
		{Name: "idle", Waiting: map[string]int64{"gone": 2, "none": 0}},
		{Name: "stopping", OldestDue: time.Hour, Waiting: map[string]int64{"gone": 5}},
	}
	b.workers = []tasks.WorkerInfo{
		{ID: "w1", Queues: []string{"served"}},
		{ID: "w2", Queues: []string{"*"}, Exclude: []string{"excluded", "paused", "stopping"}},
		{ID: "w3", Queues: []string{"stopping"}, Stopping: true},
	}
	b.Calls()
	found := app.Check(t.Context())
	equal(t, "Check", ids(found), "error tasks.E001 , error tasks.E001 , warning x.W001 main, warning tasks.W001 main, warning tasks.W001 main, warning tasks.W002 main")
	var lines []string
	for _, f := range found {
		lines = append(lines, f.String()+"\n")
	}
	text := strings.Join(lines, "")
	for _, want := range []string{
		"error tasks.E001: define: tasks: invalid task: name is empty (hint: correct the tasks.Define call",
		`error tasks.E001: define task "bad": tasks: invalid task: nil function`,
		"warning x.W001 (main): old version\n",
		`warning tasks.W001 (main): queue "excluded" has tasks that are due, and no live worker takes from it (hint: start a worker`,
		`queue "stopping" has tasks that are due`,
		`warning tasks.W002 (main): 7 waiting tasks are named "gone", which this App doesn't define`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("Check: got\n%swant it to have %s", text, want)
		}
	}
	for _, call := range b.Calls() { // C2
		if call != "queues" && call != "workers" {
			t.Errorf("Check called %s, want reads only", call)
		}
	}
}

func TestC1_AStoreThatIsAwayIsAFinding(t *testing.T) {
	b := &checked{store: newStore()}
	b.broken = tasks.ErrUnavailable
	app, _ := newApp(t, b)
	found := app.Check(t.Context())
	equal(t, "Check", ids(found), "error tasks.E002 default")
	// An error that the backend found says it already.
	b.findings = []tasks.Finding{{ID: "x.E001", Level: tasks.LevelError}}
	equal(t, "Check", ids(app.Check(t.Context())), "error x.E001 default")
	equal(t, "alias of the backend's own", b.findings[0].Alias, "") // they aren't the App's to change
	app, _ = newApp(t, dummy.New())
	wantNil(t, "Close", app.Close(t.Context()))
	equal(t, "Check of a closed App", ids(app.Check(t.Context())), "error dummy.E001 default")
}
