package tasks_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func TestE5_AEnqueueReturnsAtOnceWhileTheBackendBlocks(t *testing.T) {
	for _, r := range roads() {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, block, release, calls := r.make()
				block()
				app := r.app(t, b, tasks.AppOptions{})
				ctx, cancel := context.WithCancel(t.Context())
				arg := []string{"x"}
				future := tasks.Define(app, "t", nopOf[[]string]).AEnqueue(ctx, arg)
				arg[0] = "changed" // V6: encoded before it returned
				cancel()           // the write doesn't depend on it any more
				synctest.Wait()
				select {
				case <-future.Done():
					t.Fatal("Done: closed while the backend blocks")
				default:
				}
				short, stop := context.WithTimeout(t.Context(), time.Second)
				defer stop()
				_, err := future.Wait(short)
				wantErr(t, "Wait with a ctx that ends", err, context.DeadlineExceeded, "wait for enqueue")
				release()
				<-future.Done()
				res, err := future.Wait(ctx) // done wins over a ctx that is over
				wantNil(t, "Wait", err)
				equal(t, "Args", string(res.Args), `["x"]`)
				equal(t, "Status", res.Status, tasks.Ready)
				if got := calls(); len(got) != 1 {
					t.Errorf("calls of the backend: got %v, want one", got)
				}
			})
		})
	}
}

func TestE5_TheNativeRoadIsTakenWithoutMiddleware(t *testing.T) {
	b := &asyncSpy{spy: newSpy(allCaps), now: true}
	app, _ := newApp(t, wrapper{b})
	task := tasks.Define(app, "t", echo)
	_, err := task.AEnqueue(t.Context(), "x").Wait(t.Context())
	wantNil(t, "AEnqueue", err)
	equalSlices(t, "calls", b.Calls(), []string{"async"})
	app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc { return next })
	_, err = task.AEnqueue(t.Context(), "x").Wait(t.Context())
	wantNil(t, "AEnqueue", err)
	equalSlices(t, "calls with middleware", b.Calls(), []string{"enqueue"})
}

// At the bound AEnqueue waits: for room, for its ctx, or for the end of the App.
func TestE5_PendingWritesAreBounded(t *testing.T) {
	for _, r := range roads() {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, block, release, _ := r.make()
				block()
				app := r.app(t, b, tasks.AppOptions{MaxPending: 2})
				task := tasks.Define(app, "t", echo)
				first, second := task.AEnqueue(t.Context(), "1"), task.AEnqueue(t.Context(), "2")

				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				start := time.Now()
				_, err := task.AEnqueue(ctx, "over").Wait(t.Context())
				wantErr(t, "AEnqueue at the bound", err, context.DeadlineExceeded, `enqueue task "t" id`)
				equal(t, "waited", time.Since(start), time.Minute)

				third := make(chan *tasks.Future[string])
				go func() { third <- task.AEnqueue(t.Context(), "3") }()
				synctest.Wait()
				select {
				case <-third:
					t.Fatal("AEnqueue at the bound: returned, want it to wait for room")
				default:
				}
				release()
				last := <-third
				if a, ok := b.(*asyncSpy); ok {
					a.end() // the third's own
				}
				for _, f := range []*tasks.Future[string]{first, second, last} {
					_, err := f.Wait(t.Context())
					wantNil(t, "Wait", err)
				}
			})
		})
	}
}

func TestE5_CloseSettlesEveryFuture(t *testing.T) {
	for _, r := range roads() {
		t.Run(r.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, block, release, _ := r.make()
				block()
				app := r.app(t, b, tasks.AppOptions{MaxPending: 3})
				task := tasks.Define(app, "t", echo)
				var futures []*tasks.Future[string]
				for range 3 {
					futures = append(futures, task.AEnqueue(t.Context(), "x"))
				}
				waiting := make(chan *tasks.Future[string])
				go func() { waiting <- task.AEnqueue(t.Context(), "at the bound") }()
				synctest.Wait()

				closed := make(chan error)
				go func() { closed <- app.Close(context.WithoutCancel(t.Context())) }()
				synctest.Wait()
				_, err := (<-waiting).Wait(t.Context())
				wantErr(t, "AEnqueue that waited for room", err, tasks.ErrClosed)
				_, err = task.AEnqueue(t.Context(), "late").Wait(t.Context())
				wantErr(t, "AEnqueue after Close", err, tasks.ErrClosed)
				_, err = task.Enqueue(t.Context(), "late")
				wantErr(t, "Enqueue after Close", err, tasks.ErrClosed)
				select {
				case err := <-closed:
					t.Fatalf("Close: returned %v while writes are pending", err)
				default:
				}
				release()
				wantNil(t, "Close", <-closed)
				for _, f := range futures {
					select {
					case <-f.Done():
						_, err := f.Wait(t.Context())
						wantNil(t, "Wait", err)
					default:
						t.Error("Done: open after Close, want every future settled")
					}
				}
			})
		})
	}
}

func TestE5_CloseThatIsCutShortStillClosesTheBackends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		b := newSpy(allCaps)
		b.enqueue = func(context.Context, []*tasks.Record) error { <-gate; return tasks.ErrClosed }
		app, _ := newApp(t, b)
		future := tasks.Define(app, "t", echo).AEnqueue(t.Context(), "x")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantErr(t, "Close", app.Close(ctx), context.DeadlineExceeded, "close")
		close(gate)
		_, err := future.Wait(t.Context())
		wantErr(t, "Wait", err, tasks.ErrClosed)
		if calls := b.Calls(); calls[len(calls)-1] != "close" {
			t.Errorf("calls of the backend: got %v, want close at the end", calls)
		}
	})
}

// Whatever the user's code does in the background, the future is settled, with
// what was stored.
func TestE5_FuturesSurviveHooksAndMiddleware(t *testing.T) {
	goexit := func() error { runtime.Goexit(); return nil }
	panicked := func() error { panic("boom") }
	for _, tt := range []struct {
		name          string
		hook          func() error
		before, after func() error // in middleware
		native        bool
		want          error
	}{
		{name: "hook panics", hook: panicked},
		{name: "hook calls Goexit", hook: goexit},
		{name: "hook of a native write calls Goexit", hook: goexit, native: true},
		{name: "hook of a native write panics", hook: panicked, native: true},
		{name: "middleware panics before", before: panicked, want: tasks.ErrPanicked},
		{name: "middleware calls Goexit before", before: goexit, want: tasks.ErrGoexit},
		{name: "middleware panics after", after: panicked},
		{name: "middleware calls Goexit after", after: goexit},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b tasks.Backend = newSpy(allCaps)
				if tt.native {
					b = &asyncSpy{spy: newSpy(allCaps), now: true}
				}
				app, _ := newApp(t, b)
				if tt.hook != nil {
					app.AddHooks(tasks.Hooks{Enqueued: func(context.Context, *tasks.Record) error { return tt.hook() }})
				}
				if tt.before != nil || tt.after != nil {
					app.AroundEnqueue(func(next tasks.EnqueueFunc) tasks.EnqueueFunc {
						return func(ctx context.Context, alias string, recs []*tasks.Record) error {
							if tt.before != nil {
								return tt.before()
							}
							err := next(ctx, alias, recs)
							return errors.Join(err, tt.after())
						}
					})
				}
				task := tasks.Define(app, "t", echo)
				future := task.AEnqueue(t.Context(), "x")
				synctest.Wait()
				select {
				case <-future.Done():
				default:
					t.Fatal("the future is never settled")
				}
				res, err := future.Wait(t.Context())
				if tt.want != nil {
					wantErr(t, "Wait", err, tt.want, `task "t"`)
				} else {
					wantNil(t, "Wait", err)
					equal(t, "Status", res.Status, tasks.Ready)
				}
				wantNil(t, "Close", app.Close(t.Context()))
			})
		})
	}
}

func TestE5_ConcurrentAEnqueues(t *testing.T) {
	b := newSpy(allCaps)
	app, _ := newAppWith(t, b, tasks.AppOptions{MaxPending: 10})
	task := tasks.Define(app, "t", echo)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				if _, err := task.AEnqueue(t.Context(), "x").Wait(t.Context()); err != nil {
					t.Errorf("AEnqueue: %v", err)
				}
			}
		})
	}
	wg.Wait()
	b.AssertCount(t, 800)
	wantNil(t, "Close", app.Close(t.Context()))
}
