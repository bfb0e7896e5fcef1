package dummy_test

import (
	"context"
	"fmt"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/tasks"
)

// printer stands for the *testing.T of a test.
type printer struct{}

func (printer) Helper()                           {}
func (printer) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }

func ExampleBackend_AssertEnqueued() {
	b := dummy.New()
	app := tasks.NewApp()
	if err := app.Use("default", b); err != nil {
		fmt.Println(err)
		return
	}
	welcome := tasks.Define(app, "welcome", func(context.Context, string) (tasks.None, error) { return tasks.None{}, nil })

	// What is tested: code that enqueues.
	if _, err := welcome.Enqueue(context.Background(), "ann@example.com"); err != nil {
		fmt.Println(err)
		return
	}

	var t printer
	b.AssertCount(t, 1)
	b.AssertEnqueued(t, "welcome", "ann@example.com")
	b.AssertEnqueued(t, "welcome", "bob@example.com")
	// Output: dummy: task "welcome" was not enqueued with "bob@example.com", only with: "ann@example.com"
}
