package crew

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// jobName is the name of the task, unless a worker process is told another.
const jobName = "job"

// job is what a task is to do.
type job struct {
	Sleep time.Duration `json:"sleep,omitempty"`
	// Until is a file that the first attempt waits for, and Again one that the others do.
	Until string `json:"until,omitempty"`
	Again string `json:"again,omitempty"`
	// UntilCancelled makes it wait for the end of its context, and then fail with the cause.
	UntilCancelled bool `json:"until_cancelled,omitempty"`
}

// work is the handler. It returns the number of the attempt.
func (j *journal) work(ctx context.Context, what job) (int, error) {
	info, _ := tasks.FromContext(ctx)
	j.write("S", info.ID, info.Attempt)
	file := what.Until
	if info.Attempt > 1 {
		file = what.Again
	}
	for file != "" {
		if _, err := os.Stat(file); err == nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	time.Sleep(what.Sleep)
	if what.UntilCancelled {
		<-ctx.Done()
		j.write("D", info.ID, info.Attempt)
		return 0, context.Cause(ctx)
	}
	j.write("D", info.ID, info.Attempt)
	return info.Attempt, nil
}

// hostile is what neither a text column nor a line of JSON takes.
const hostile = "a\x00b\xff\xfec"

// misbehave is the handler of the task "bad", which does what its argument says.
func misbehave(ctx context.Context, what string) (any, error) {
	switch what {
	case "error":
		return nil, errors.New(hostile)
	case "panic":
		panic(hostile)
	case "goexit":
		runtime.Goexit()
	case "huge error":
		return nil, errors.New(strings.Repeat("é", 25<<20))
	case "huge result":
		return strings.Repeat("x", 2<<20), nil
	case "NaN":
		return math.NaN(), nil
	case "channel":
		return make(chan int), nil
	case "hostile result":
		return hostile, nil
	case "fails often":
		if info, _ := tasks.FromContext(ctx); info.Attempt <= manyFailures {
			return nil, errors.New("not yet")
		}
	}
	return what, nil
}

// manyFailures is more than 310, after which River's retries were due at once, for ever.
const manyFailures = 350

// worker processes and the test define the same tasks.
type defined struct {
	app        *tasks.App
	job        *tasks.Task[job, int]
	bad, often *tasks.Task[string, any]
}

func newApp(ctx context.Context, p Place, name string, j *journal, logger *slog.Logger) (*defined, error) {
	backend, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	app := tasks.NewAppWith(tasks.AppOptions{Logger: logger})
	if err := app.Use(tasks.DefaultAlias, backend); err != nil {
		return nil, err
	}
	if name == "" {
		name = jobName
	}
	return &defined{
		app:   app,
		job:   tasks.Define(app, name, j.work, tasks.MaxAttempts(10), tasks.Backoff(tasks.Constant(0))),
		bad:   tasks.Define(app, "bad", misbehave),
		often: tasks.Define(app, "often", misbehave, tasks.MaxAttempts(1000), tasks.Backoff(tasks.Exponential(time.Millisecond, 5*time.Millisecond))),
	}, app.Validate()
}
