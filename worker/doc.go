// Package worker runs the tasks of an App: it claims records from a store, runs
// their handlers, keeps their leases and stores how they ended.
//
//	w := worker.New(app, worker.Options{Concurrency: 50})
//	os.Exit(worker.ExitCode(w.RunUntilSignal(ctx)))
//
// It works on any backend that is a tasks.Store, and does on each the same.
//
// # What it guarantees
//
// Every claimed record ends in exactly one way: settled by this worker, or taken
// back by the store when the lease has run out because the worker died or was
// cut off. A handler whose lease is lost sees its context end with cause
// tasks.ErrLeaseLost, and its outcome isn't stored. So a task runs at least once,
// and two attempts of one record overlap only when a handler goes on after its
// context has ended.
//
// A handler's context ends with a cause that says why, which context.Cause
// returns: tasks.ErrTimeout, tasks.ErrTaskCancelled (wrapped with the reason),
// tasks.ErrLeaseLost or tasks.ErrWorkerStopping. It carries the values of the
// context that Run was given, but not its end: a worker that is asked to stop
// lets handlers finish.
//
// A handler that ignores its context past its timeout keeps its slot for
// Options.Grace more. Then the attempt is settled as timed out, the slot is used
// again, the goroutine is left to itself, and Stats.Abandoned counts it. The same
// goes for one whose lease was lost, save that nothing is settled. One that ignores
// a cancellation keeps its slot until it returns or times out.
//
// # While the store is away
//
// The worker logs the outage once, tries again at growing intervals from 100 ms to
// 5 s, and goes on by itself when the store is back. Running handlers run on, and
// what they end with is kept in memory and stored then: a finished task isn't run
// again unless another worker took its record over meanwhile. What is kept is
// bounded, because nothing new is claimed while much isn't stored.
//
// # Stopping
//
// When the context of Run ends, or at Stop, the worker claims nothing more, gives
// back what hasn't started (that attempt doesn't count), lets running handlers
// finish within Options.Grace, stores their outcomes, and Run returns nil. At
// Abort, or when the grace is over, the contexts of the running handlers end
// with cause tasks.ErrWorkerStopping; what then hasn't succeeded is handed back for
// a retry (that attempt does count), and Run returns an error that matches
// ErrInterrupted.
//
// # How it works
//
// Work moves in batches. One dispatcher claims for all free slots, and a little
// ahead while tasks are quick; each handler has a goroutine of its own and
// nothing else; what ends while a settle is in flight is settled together by the
// next one. One loop renews the leases, and one timer serves all timeouts.
package worker
