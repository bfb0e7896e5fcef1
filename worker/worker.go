package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sideman-go/sideman/internal/batch"
	"github.com/sideman-go/sideman/tasks"
)

// ErrInterrupted is matched by the error of a Run that cut handlers off: because
// of Abort, or because the grace was over.
var ErrInterrupted = errors.New("worker: tasks were interrupted")

// ErrUnsettled is matched by the error of a Run that ended before the store took
// every outcome. The store takes the records back when their leases run out.
var ErrUnsettled = errors.New("worker: outcomes were not stored")

var errUsed = errors.New("worker: Run was called before; make another worker")

// A settle has at most maxBatch bytes, of which an outcome counts at least
// minOutcome.
const (
	maxBatch   = 8 << 20
	minOutcome = 8 << 10
)

// Worker runs the tasks of an App from one backend. It works once: Run is called
// once. All its methods are safe for concurrent use.
type Worker struct {
	app   *tasks.App
	asked Options

	ran       atomic.Bool
	stopping  chan struct{} // closed by Stop
	aborting  chan struct{} // closed by Abort
	stopOnce  sync.Once
	abortOnce sync.Once

	// Set by Run before anything else starts.
	opts    Options
	rt      *tasks.Runtime
	store   tasks.Store
	notify  bool // the store's Wait needs no polling
	hooked  bool
	host    string
	started time.Time
	log     *slog.Logger
	outage  outage
	unknown unknownTasks
	count   counters
	kick    chan struct{} // tells the dispatcher that something has changed

	base       scope // the values of Run's context; never ends
	working    scope // ends at Stop
	claiming   scope // for claims: ends a little after Stop
	storing    scope // for settling: ends when the worker gives up
	upkeep     scope // for renewing and the like: ends when all is settled
	settles    *batch.Queue[*job]
	finishes   *batch.Queue[*tasks.Record] // records whose Finished hooks are due
	handlerEnd chan struct{}               // told, if the worker stops, when a handler ends

	claimTook time.Duration   // the last claim that gave something; the dispatcher's own
	outs      []tasks.Outcome // memory for the next settle; the settler's own

	mu          sync.Mutex
	jobs        []*job // every record that is held: buffered, running or unsettled
	buffer      fifo   // claimed, and waiting for a slot
	running     int
	unsettled   int
	left        int  // attempts that may still be begun; negative means no limit
	starting    bool // a goroutine is on its way that starts the next job
	halted      bool
	interrupted int
	unstored    int
	fatal       error
	turnover    turnover
	lowWater    int // a handler's end wakes the dispatcher if the buffer has no more
	deadlines   deadlines
	wakeIdle    context.CancelFunc // ends the dispatcher's wait, in batch mode
}

// New returns a worker for one of the App's backends. Run says what is wrong with
// the options, if anything is.
func New(app *tasks.App, options Options) *Worker {
	return &Worker{
		app:        app,
		asked:      options,
		stopping:   make(chan struct{}),
		aborting:   make(chan struct{}),
		kick:       make(chan struct{}, 1),
		handlerEnd: make(chan struct{}, 1),
	}
}

// Stop asks the worker to end gracefully, as the end of Run's context does, and
// returns at once: no handler is started any more. Running ones have Options.Grace to
// finish.
func (w *Worker) Stop() {
	w.stopOnce.Do(func() {
		w.mu.Lock()
		w.halted = true
		w.mu.Unlock()
		close(w.stopping)
	})
}

// Abort asks the worker to end now, and returns at once: the contexts of running
// handlers end with cause tasks.ErrWorkerStopping.
func (w *Worker) Abort() {
	w.abortOnce.Do(func() { close(w.aborting) })
	w.Stop()
}

// Run works until ctx ends, Stop or Abort is called, or there is nothing more to
// do (Options.Batch, Options.MaxTasks). It first looks at the options and at the
// App's definitions and returns all that is wrong with them, joined.
//
// It returns nil after a graceful end. Otherwise its error matches what happened:
// ErrInterrupted, ErrUnsettled, or tasks.ErrClosed if the backend was closed under
// the worker. It can be called once; a second call is an error.
func (w *Worker) Run(ctx context.Context) error {
	if !w.ran.CompareAndSwap(false, true) {
		return errUsed
	}
	if err := w.prepare(ctx); err != nil {
		return err
	}
	for _, s := range []*scope{&w.working, &w.claiming, &w.storing, &w.upkeep} {
		s.ctx, s.end = context.WithCancel(w.base.ctx)
		defer s.end()
	}
	if ctx.Err() != nil {
		w.Stop()
	}
	select {
	case <-w.stopping: // before it has begun
		w.working.end()
	default:
	}
	over := make(chan struct{}) // the dispatcher has ended
	var helpers sync.WaitGroup
	helpers.Go(func() {
		select {
		case <-ctx.Done():
			w.Stop()
		case <-w.stopping:
		case <-over:
		}
		w.working.end()
		w.releaseBuffer()
		// A claim in flight may have been granted, so it isn't cut off at once.
		t := time.NewTimer(stopClaim)
		defer t.Stop()
		select {
		case <-w.aborting:
		case <-t.C:
		case <-over:
		}
		w.claiming.end()
	})

	w.logStart()
	var loops sync.WaitGroup
	loops.Go(w.renewLoop)
	loops.Go(w.beatLoop)
	loops.Go(w.sweepLoop)
	loops.Go(w.tellStopping)
	if n, ok := tasks.As[tasks.CancelNotifier](w.store); ok {
		loops.Go(func() { w.notifyLoop(n) })
	}

	w.dispatch() //nolint:contextcheck // a scope is its context: the end of ctx is only a wish
	close(over)
	helpers.Wait()
	err := w.shutdown()
	w.upkeep.end()
	loops.Wait()
	w.stopDeadlines()
	w.lastBeat(w.base.ctx) //nolint:contextcheck // ctx has ended by now
	w.logStop(err)
	return err
}

// prepare finds out whether the worker can run, before anything happens.
func (w *Worker) prepare(ctx context.Context) error {
	alias := w.asked.Backend
	if alias == "" {
		alias = tasks.DefaultAlias
	}
	rt, err := w.app.Runtime(alias)
	if err != nil {
		_, also := w.asked.resolve(nil)
		return errors.Join(err, also, w.app.Validate())
	}
	store, err := rt.Store()
	opts, bad := w.asked.resolve(rt.Queues())
	if err := errors.Join(err, bad, rt.Validate()); err != nil {
		return err
	}
	opts.Backend = alias
	w.mu.Lock() // Stats and signal handlers may look already
	defer w.mu.Unlock()
	w.opts, w.rt, w.store = opts, rt, store
	w.notify = rt.Backend().Capabilities().Has(tasks.CapNotify)
	w.hooked = rt.Hooked()
	w.host, _ = os.Hostname()
	w.started = time.Now()
	w.log = opts.Logger
	if w.log == nil {
		w.log = rt.Logger()
	}
	w.outage.w = w
	w.base.ctx = context.WithoutCancel(ctx)
	w.left = -1
	if opts.MaxTasks > 0 {
		w.left = opts.MaxTasks
	}
	w.turnover.at = w.started
	w.settles = batch.New(maxBatch, func(j *job) int { return max(len(j.out.Value), minOutcome) }, w.settleAll)
	w.finishes = batch.New(maxBatch, nil, w.fireFinished)
	return nil
}

// logger is the worker's once Run has begun.
func (w *Worker) logger() *slog.Logger {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.log != nil:
		return w.log
	case w.asked.Logger != nil:
		return w.asked.Logger
	}
	return slog.Default()
}

// fail ends the worker for good, because the store can't be used any more.
func (w *Worker) fail(err error) {
	w.mu.Lock()
	if w.fatal == nil {
		w.fatal = fmt.Errorf("worker: backend %q: %w", w.opts.Backend, err)
	}
	w.mu.Unlock()
	w.Abort()
}

// poke wakes the dispatcher if it waits for a slot.
func (w *Worker) poke() {
	select {
	case w.kick <- struct{}{}:
	default:
	}
}
