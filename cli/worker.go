package cli

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

func (p *Program) workerCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "worker", Short: "Run tasks", Args: cobra.NoArgs,
		Long: `Run tasks until it is told to stop.

At the first SIGINT or SIGTERM, and when --timeout is over, it takes no more tasks and lets those
that run finish, for --grace at most; at the second it cuts them off. The exit code is 0, or 1 if
tasks were cut off: those are run again if they have attempts left.

It logs to standard error, a line for each task, as JSON with -o json. --quiet leaves warnings
and errors, --verbose adds the starts of tasks.`,
		Example: "  @ worker --queues mail,default --concurrency 20\n" +
			"  @ worker --queues high,low --order weighted --weights high=3\n" +
			"  @ worker --batch --max-tasks 1000",
		RunE: p.runAs(runWorker, false),
	}
	f := cmd.Flags()
	f.StringSlice("queues", nil, "work on the queues by these `NAMES`, or * for all; default: those of the configuration, else all")
	f.StringSlice("exclude", nil, "with all queues: but not on those by these `NAMES`")
	f.String("order", worker.OrderPriority, "the `ORDER` between queues: priority, as if they were one; strict, as they are listed; or weighted")
	f.StringToInt("weights", nil, "with --order weighted: `QUEUE=N`,…, how often each comes first; 1 if it isn't named")
	f.Lookup("weights").DefValue = "" // instead of []
	f.IntP("concurrency", "c", worker.DefaultConcurrency, "run at most so many tasks at a time")
	f.Int("look-ahead", 0, "claim at most so many tasks ahead; 0: 4 times the concurrency, 2000 at least; negative: none")
	f.Duration("lease", worker.DefaultLease, "for how long a task is this worker's if it dies; it renews leases while it lives")
	f.Duration("grace", worker.DefaultGrace, "how long running tasks have to finish when the worker stops; 0: no time")
	f.Duration("interval", worker.DefaultPollInterval, "how often to look for tasks where the store can't tell of new ones")
	f.Bool("batch", false, "end when nothing is due")
	f.Int("max-tasks", 0, "end when so many were run; 0: no limit")
	f.String("worker-id", "", "the worker's `ID`, unique in the store; default: host, process and a random part")
	f.Duration("sweep-interval", worker.DefaultSweepInterval, "how often to look after the store: lost leases, expired and old tasks")
	for _, status := range []string{"successful", "failed", "cancelled"} {
		addDays(f, "retain-"+status, "keep "+status+" tasks for this `TIME`, as 36h, 7d or forever; default: as the store is configured")
	}
	f.Duration("startup-delay", 0, "wait for this `TIME` before the start, so that many workers don't begin at once; default: a random time up to 1s")
	f.Bool("no-startup-delay", false, "don't")
	f.Bool("reload", false, "start again when the program was rebuilt")
	cmd.AddCommand(p.workerListCommand())
	return cmd
}

func runWorker(ctx context.Context, c *call, _ []string) error {
	if c.p.App == nil {
		return exit(ExitUsage, errNoTasks)
	}
	options, err := c.workerOptions()
	if err != nil {
		return err
	}
	delay, err := c.startupDelay(options.Batch)
	if err != nil {
		return err
	}
	name, err := c.storeName()
	if err != nil {
		return err
	}
	log := c.workerLog(name)
	options.Logger = log
	reload := c.bool("reload")
	if reload && options.Batch {
		log.Warn("--reload does nothing together with --batch")
		reload = false
	}
	app, err := c.begin(ctx, delay, log)
	if app == nil {
		return err
	}
	again := false
	w := worker.New(app, options)
	if reload {
		again, err = runReloading(ctx, w, log)
	} else {
		err = w.RunUntilSignal(ctx)
	}
	if err = c.ended(err); !again || ExitCode(err) == ExitUsage {
		return err
	}
	if err := c.close(ctx); err != nil {
		log.Warn("The store wasn't closed well", "error", err)
	}
	return restart(log)
}

// begin opens the store and waits. Without an App and an error a signal came while there was
// nothing to stop yet.
func (c *call) begin(ctx context.Context, delay time.Duration, log *slog.Logger) (*tasks.App, error) {
	tune, err := c.retention()
	if err != nil {
		return nil, err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	app, err := c.openTasks(ctx, tune...)
	if err != nil {
		if errors.Is(context.Cause(ctx), errInterrupted) {
			err = exit(ExitInterrupted, errors.Join(errInterrupted, err))
		}
		return nil, err
	}
	if delay > 0 {
		log.Debug("Waiting before the start", "delay", delay)
	}
	if pause(ctx, delay) != nil {
		log.Info("Told to stop before the start")
		return nil, nil //nolint:nilnil // as the comment says
	}
	return app, nil
}

// pause waits, and returns why it was cut short if it was.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// workerOptions are the flags. What the worker itself finds wrong with them is named by ended.
func (c *call) workerOptions() (worker.Options, error) {
	o := worker.Options{
		Backend: c.g.backend, Queues: c.list("queues"), Exclude: c.list("exclude"), Order: c.text("order"),
		Concurrency: c.count("concurrency"), LookAhead: c.count("look-ahead"), Lease: c.span("lease"),
		PollInterval: c.span("interval"), Batch: c.bool("batch"), MaxTasks: c.count("max-tasks"),
		WorkerID: c.text("worker-id"), Grace: c.span("grace"), SweepInterval: c.span("sweep-interval"),
	}
	o.Weights, _ = c.flags.GetStringToInt("weights")
	if o.Grace == 0 {
		o.Grace = time.Nanosecond // 0 would be the default
	}
	var faults []error
	for name, zero := range map[string]bool{
		"concurrency": o.Concurrency == 0, "lease": o.Lease == 0, "interval": o.PollInterval == 0, "sweep-interval": o.SweepInterval == 0,
	} {
		if zero {
			faults = append(faults, usage("%s must be more than 0", c.given(name)))
		}
	}
	if o.WorkerID == "" && c.settings.origin("worker-id").by != byDefault {
		faults = append(faults, usage("%s is empty", c.given("worker-id")))
	}
	return o, errors.Join(faults...)
}

// given is what to call a flag in a fault: as it was given.
func (c *call) given(flag string) string {
	from := c.settings.origin(flag)
	switch from.by {
	case byEnv:
		return from.text
	case byFile:
		return from.text + ": " + strings.ReplaceAll(flag, "-", "_")
	}
	return "--" + flag
}

// optionName begins what a worker says is wrong with its options.
var optionName = regexp.MustCompile(`(?m)^worker: (concurrency|max_tasks|lease|poll_interval|grace|sweep_interval|worker_id|queues|exclude|order|weights)\b`)

// ended makes an exit of what a worker has returned: what is wrong with its options by the
// names of the flags; or nothing more to print where its log has said it.
func (c *call) ended(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, worker.ErrInterrupted), errors.Is(err, worker.ErrUnsettled), errors.Is(err, tasks.ErrClosed):
		return exit(ExitFailure, &reworded{"", err})
	}
	text := optionName.ReplaceAllStringFunc(err.Error(), func(at string) string {
		name := strings.ReplaceAll(strings.TrimPrefix(at, "worker: "), "_", "-")
		if name == "poll-interval" {
			name = "interval"
		}
		return c.given(name)
	})
	text = strings.NewReplacer("queues=*", "--queues '*'", "order=weighted", "--order weighted").Replace(text)
	return exit(ExitUsage, &reworded{text, err})
}

// startupDelay is how long to wait first.
func (c *call) startupDelay(batch bool) (time.Duration, error) {
	d, from := c.span("startup-delay"), c.settings.origin("startup-delay").by
	switch {
	case d < 0:
		return 0, usage("%s must not be negative", c.given("startup-delay"))
	case batch || c.bool("no-startup-delay"):
		return 0, nil
	case from == byDefault:
		return rand.N(time.Second), nil
	}
	return d, nil
}

// storeName says which store it is, without secrets; "" if the program has opened it itself.
func (c *call) storeName() (string, error) {
	if len(c.p.App.Aliases()) > 0 {
		return "", nil
	}
	s, err := c.store()
	if err != nil {
		return "", err
	}
	if b := s.config[c.g.backend]; b.URL != "" {
		return redactURL(b.URL), nil
	} else if path := boltPath(b); path != "" {
		return "bolt:" + path, nil
	} else {
		return b.Backend, nil
	}
}

// retention returns what sets the backend's options of those names.
func (c *call) retention() (tune []func(*tasks.BackendConfig), err error) {
	for _, name := range []string{"retain-successful", "retain-failed", "retain-cancelled"} {
		d, set := c.days(name)
		switch {
		case !set:
			continue
		case d == 0:
			return nil, usage("%s must not be 0: 1ms is soon, and forever is never", c.given(name))
		case len(c.p.App.Aliases()) > 0:
			return nil, usage("%s has no effect: this program has opened its store itself", c.given(name))
		}
		tune = append(tune, func(b *tasks.BackendConfig) { setOption(b, strings.ReplaceAll(name, "-", "_"), d.String()) })
	}
	return tune, nil
}

// setOption sets an option of a backend, also if its URL has it. Options that aren't an object
// are left for the driver to find fault with.
func setOption(b *tasks.BackendConfig, name, value string) {
	if u, err := url.Parse(b.URL); err == nil && u.Query().Has(name) {
		q := u.Query()
		q.Del(name)
		u.RawQuery = q.Encode()
		b.URL = u.String()
	}
	options := map[string]json.RawMessage{}
	if jsonUnmarshal(b.Options, &options) != nil || options == nil {
		return
	}
	options[name], _ = json.Marshal(value)
	b.Options, _ = json.Marshal(options)
}

// noteSignals returns a function that tells whether a signal has come, and ends the looking.
func noteSignals(ctx context.Context) (came func() bool) {
	ctx, stop := interruptible(context.WithoutCancel(ctx))
	return func() bool {
		defer stop()
		return ctx.Err() != nil
	}
}

// runReloading runs a worker until it's told to stop, or until the program was rebuilt: then it
// is to run again.
func runReloading(ctx context.Context, w *worker.Worker, log *slog.Logger) (again bool, err error) {
	program, err := newRebuild()
	if err != nil {
		return false, exit(ExitFailure, err)
	}
	came := noteSignals(ctx)
	watching, end := context.WithCancel(ctx)
	rebuilt := make(chan bool, 1)
	go func() {
		yes := program.wait(watching)
		if yes {
			w.Stop() // first, so that nothing begins after the message
			log.Info("The program was rebuilt, starting it again when the running tasks have ended")
		}
		rebuilt <- yes
	}()
	err = w.RunUntilSignal(ctx)
	end()
	yes := <-rebuilt
	return yes && !came() && ctx.Err() == nil, err
}
