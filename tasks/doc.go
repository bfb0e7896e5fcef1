// Package tasks is the core of Sideman: typed tasks, their results, and the
// contract that backends keep. It is Django 6's task framework in Go.
//
// An App holds definitions and opened backends, as an http.ServeMux holds
// handlers. Define adds a task, which is a name, a function and defaults; Enqueue
// stores a run of it on a backend and returns a Result; a worker (package worker),
// in this process or another, claims the run, calls the function and stores what
// came of it.
//
//	app := tasks.NewApp()
//	greet := tasks.Define(app, "greet_user", func(ctx context.Context, name string) (string, error) {
//		return "Hello, " + name + "!", nil
//	})
//	err := app.Use("default", backend)
//	res, err := greet.Enqueue(ctx, "michael") // res.Status is READY
//	text, err := res.Wait(ctx)                // after a worker ran it
//
// # What is promised
//
// At least once: a run that was enqueued is attempted until it is final, also
// when processes are killed. Never twice at the same time: a claim is a lease,
// renewed while the handler runs, and a worker that lost its lease can't settle
// the run any more. An attempt whose worker vanished counts, so that a task that
// kills its worker doesn't do so for ever. Hence handlers should bear being
// repeated, as everywhere, unless MaxAttempts is 1, the default: such a run is
// attempted once, and FAILED if that attempt was lost.
//
// Every backend behaves the same as far as it can, says as data what it can't
// (Capability), and refuses what it can't before anything is stored.
//
// # Errors
//
// Functions return an *Error that says what was being done, and that matches one
// of the package's sentinels through errors.Is. A mistake in a definition is no
// panic: App.Validate, App.Open and workers report all of them at start-up.
//
// # Writing a backend
//
// Backend and Store are the contract, clause by clause; package lifecycle has what
// happens to a record as pure functions.
package tasks
