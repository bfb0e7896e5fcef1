package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/tasks"
)

func ExampleApp_AddHooks() {
	ctx := context.Background()
	app := tasks.NewApp()
	if err := app.Use("default", immediate.New()); err != nil {
		fmt.Println(err)
		return
	}
	app.AddHooks(tasks.Hooks{
		Enqueued: func(_ context.Context, rec *tasks.Record) error {
			fmt.Println("enqueued:", rec.Task, rec.Status)
			return nil
		},
		Started: func(_ context.Context, rec *tasks.Record) error {
			fmt.Println("started:", rec.Task, rec.Status)
			return nil
		},
		Finished: func(_ context.Context, rec *tasks.Record) error {
			fmt.Println("finished:", rec.Task, rec.Status)
			return nil
		},
	})
	hello := tasks.Define(app, "hello", func(context.Context, tasks.None) (tasks.None, error) {
		fmt.Println("hello")
		return tasks.None{}, nil
	})
	if _, err := hello.Enqueue(ctx, tasks.None{}); err != nil {
		fmt.Println(err)
	}
	// Output:
	// enqueued: hello READY
	// started: hello RUNNING
	// hello
	// finished: hello SUCCESSFUL
}

func ExampleApp_AroundEnqueue() {
	type tenantKey struct{}
	app := tasks.NewApp()
	if err := app.Use("default", dummy.New()); err != nil {
		fmt.Println(err)
		return
	}
	app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc {
		return func(ctx context.Context, alias string, recs []*tasks.Record) error {
			tenant, ok := ctx.Value(tenantKey{}).(string)
			if !ok {
				return errors.New("no tenant in the context")
			}
			for _, rec := range recs {
				rec.Metadata = map[string]string{"tenant": tenant}
			}
			return next(ctx, alias, recs)
		}
	})
	bill := tasks.Define(app, "bill", func(context.Context, int) (tasks.None, error) { return tasks.None{}, nil })

	res, err := bill.Enqueue(context.WithValue(context.Background(), tenantKey{}, "acme"), 100)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Metadata)
	_, err = bill.Using(tasks.ID("bill-2")).Enqueue(context.Background(), 200)
	fmt.Println(err)
	// Output:
	// map[tenant:acme]
	// enqueue task "bill" id "bill-2" on backend "default": enqueue middleware: no tenant in the context
}

func ExampleNoRetry() {
	ctx := context.Background()
	app := tasks.NewApp()
	if err := app.Use("default", immediate.New()); err != nil {
		fmt.Println(err)
		return
	}
	fetch := tasks.Define(app, "fetch", func(_ context.Context, url string) (string, error) {
		if !strings.HasPrefix(url, "https:") {
			return "", tasks.NoRetry(errors.New("not https")) // trying again won't help
		}
		return "", errors.New("timeout")
	}, tasks.MaxAttempts(3))

	for _, url := range []string{"ftp://example.com", "https://example.com"} {
		res, err := fetch.Enqueue(ctx, url)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(res.Status, "after", res.Attempts())
	}
	// Output:
	// FAILED after 1
	// FAILED after 3
}

func ExampleRetryIn() {
	app := tasks.NewApp()
	call := tasks.Define(app, "call", func(context.Context, string) (tasks.None, error) {
		// The server said when to come back: Retry-After: 120.
		return tasks.None{}, tasks.RetryIn(2*time.Minute, errors.New("429 Too Many Requests"))
	}, tasks.MaxAttempts(5), tasks.Backoff(tasks.Exponential(time.Second, time.Hour)))

	_, err := call.Call(context.Background(), "https://example.com") // as a worker would
	fmt.Println(err)
	// Output: 429 Too Many Requests
}

func ExampleParseConfig() {
	_, err := tasks.ParseConfig([]byte(`{
		"default": {"backend": "bolt", "queue": ["mail"]},
		"mail": {"queues": ["a", "a"]}
	}`))
	fmt.Println(err) // every fault, with its path
	// Output:
	// parse configuration: tasks: invalid configuration:
	// default.queue: unknown; known are backend, url, queues, options
	// mail: needs "backend" or "url"
	// mail: queues[1]: "a" is listed twice
}

func ExampleApp_Open() {
	ctx := context.Background()
	cfg, err := tasks.ConfigFromURL("immediate:") // from the environment, usually
	if err != nil {
		fmt.Println(err)
		return
	}
	app := tasks.NewApp()
	add := tasks.Define(app, "add", func(_ context.Context, n [2]int) (int, error) { return n[0] + n[1], nil })
	if err := app.Open(ctx, cfg, tasks.Drivers{immediate.Driver(), dummy.Driver()}); err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = app.Close(ctx) }()
	res, err := add.Enqueue(ctx, [2]int{20, 22})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.ReturnValue())
	// Output: 42 <nil>
}
