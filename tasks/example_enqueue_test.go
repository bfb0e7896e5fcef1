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

func Example() {
	ctx := context.Background()
	app := tasks.NewApp()
	greet := tasks.Define(app, "greet_user", func(_ context.Context, name string) (string, error) {
		return "Hello, " + name + "!", nil
	})
	if err := app.Use("default", immediate.New()); err != nil { // runs tasks at once; others leave it to a worker
		fmt.Println(err)
		return
	}
	defer func() { _ = app.Close(ctx) }()

	res, err := greet.Enqueue(ctx, "Michael")
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := res.ReturnValue()
	fmt.Println(res.Status, text, err)
	// Output: SUCCESSFUL Hello, Michael! <nil>
}

func ExampleTask_Using() {
	ctx := context.Background()
	app := tasks.NewApp()
	err := app.UseWith("default", dummy.New(), tasks.UseOptions{Queues: []string{"default", "slow"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	resize := tasks.Define(app, "resize", func(context.Context, string) (tasks.None, error) { return tasks.None{}, nil })

	res, err := resize.Using(tasks.Queue("slow"), tasks.Priority(10), tasks.RunIn(time.Hour)).Enqueue(ctx, "cat.png")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Queue, res.Priority, res.RunAfter.Sub(res.EnqueuedAt))
	fmt.Println(resize.Using(tasks.Priority(500)).Err())
	// Output:
	// slow 10 1h0m0s
	// using task "resize" on backend "default": tasks: invalid task: priority is 500, and must be from -100 to 100
}

func ExampleTask_AEnqueue() {
	ctx := context.Background()
	app := tasks.NewApp()
	if err := app.Use("default", dummy.New()); err != nil {
		fmt.Println(err)
		return
	}
	index := tasks.Define(app, "index", func(context.Context, int) (tasks.None, error) { return tasks.None{}, nil })

	var futures []*tasks.Future[tasks.None]
	for page := range 3 {
		futures = append(futures, index.AEnqueue(ctx, page)) // returns at once
	}
	for _, f := range futures {
		res, err := f.Wait(ctx)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(res.Status, string(res.Args))
	}
	// Output:
	// READY 0
	// READY 1
	// READY 2
}

func ExampleApp_EnqueueMany() {
	ctx := context.Background()
	app := tasks.NewApp()
	if err := app.Use("default", dummy.New()); err != nil {
		fmt.Println(err)
		return
	}
	mail := tasks.Define(app, "mail", func(context.Context, string) (tasks.None, error) { return tasks.None{}, nil })
	count := tasks.Define(app, "count", func(context.Context, int) (tasks.None, error) { return tasks.None{}, nil })

	results, err := app.EnqueueMany(ctx, mail.With("ann@example.com"), count.With(2)) // all or none
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, res := range results {
		fmt.Println(res.Task, string(res.Args))
	}
	// Output:
	// mail "ann@example.com"
	// count 2
}

func ExampleID() {
	ctx := context.Background()
	app := tasks.NewApp()
	if err := app.Use("default", dummy.New()); err != nil {
		fmt.Println(err)
		return
	}
	charge := tasks.Define(app, "charge", func(context.Context, int) (tasks.None, error) { return tasks.None{}, nil })

	for range 2 { // such as a request that is sent twice
		res, err := charge.Using(tasks.ID("order-17")).Enqueue(ctx, 990)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(res.ID, res.Duplicate)
	}
	// Output:
	// order-17 false
	// order-17 true
}

func ExampleFromContext() {
	ctx := context.Background()
	app := tasks.NewApp()
	if err := app.Use("default", immediate.New()); err != nil {
		fmt.Println(err)
		return
	}
	report := tasks.Define(app, "report", func(ctx context.Context, _ tasks.None) (string, error) {
		info, _ := tasks.FromContext(ctx)
		return fmt.Sprintf("attempt %d of %d on queue %s for %s", info.Attempt, info.MaxAttempts, info.Queue, info.Metadata["tenant"]), nil
	}, tasks.MaxAttempts(3))

	res, err := report.Using(tasks.Metadata("tenant", "acme")).Enqueue(ctx, tasks.None{})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.ReturnValue())
	// Output: attempt 1 of 3 on queue default for acme <nil>
}

func ExampleResult_ReturnValue() {
	ctx := context.Background()
	app := tasks.NewApp()
	if err := app.Use("default", immediate.New()); err != nil {
		fmt.Println(err)
		return
	}
	shout := tasks.Define(app, "shout", func(_ context.Context, s string) (string, error) {
		if s == "" {
			return "", errors.New("nothing to shout")
		}
		return strings.ToUpper(s), nil
	})

	for _, s := range []string{"hey", ""} {
		res, err := shout.Using(tasks.ID("id-"+s)).Enqueue(ctx, s)
		if err != nil {
			fmt.Println(err) // it wasn't stored; that it failed later is no error here
			return
		}
		text, err := res.ReturnValue()
		fmt.Printf("%q %v %v\n", text, errors.Is(err, tasks.ErrTaskFailed), err)
	}
	// Output:
	// "HEY" false <nil>
	// "" true read the return value task "shout" id "id-" on backend "default": tasks: task failed: *errors.errorString: nothing to shout
}
