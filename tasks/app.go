package tasks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sideman-go/sideman/internal/id"
)

// App is to tasks what http.ServeMux is to handlers: a value that holds the
// definitions and the opened backends. Make one with NewApp, usually one for a
// program, and one for each test. All its methods are safe for concurrent use.
type App struct {
	options AppOptions
	ids     id.Source
	async   pending

	using    sync.Mutex // held by UseWith, so that Bind is called without mu
	mu       sync.RWMutex
	tasks    map[string]*definition
	faults   []error
	slots    map[string]*slot
	hooks    []Hooks
	onWrite  []EnqueueMiddleware
	onRun    []RunMiddleware
	closed   bool
	closing  chan struct{} // closed when Close has started
	isClosed chan struct{} // closed when Close has ended
	closeErr error
}

// AppOptions are an App's settings. The zero value is what NewApp uses.
type AppOptions struct {
	// Logger gets what the App and its workers log; nil means slog.Default(). No
	// arguments, results or metadata are logged.
	Logger *slog.Logger
	// MaxArgs is the most bytes of encoded arguments or of an encoded return value;
	// 0 means 1 MiB, negative no limit.
	MaxArgs int
	// MaxMetadata is the most bytes of metadata, keys and values together; 0 means
	// 16 KiB, negative no limit.
	MaxMetadata int
	// MaxPending bounds the AEnqueue calls that aren't stored yet; at the bound the
	// next call waits. 0 means 10,000.
	MaxPending int
}

// The defaults of AppOptions.
const (
	DefaultMaxArgs     = 1 << 20
	DefaultMaxMetadata = 16 << 10
	DefaultMaxPending  = 10_000
)

// NewApp returns an App without tasks or backends.
func NewApp() *App { return NewAppWith(AppOptions{}) }

// NewAppWith returns an App with its own settings.
func NewAppWith(options AppOptions) *App {
	orDefault := func(n *int, d int) {
		if *n == 0 {
			*n = d
		}
	}
	orDefault(&options.MaxArgs, DefaultMaxArgs)
	orDefault(&options.MaxMetadata, DefaultMaxMetadata)
	if options.MaxPending <= 0 {
		options.MaxPending = DefaultMaxPending
	}
	a := &App{
		options:  options,
		tasks:    make(map[string]*definition),
		slots:    make(map[string]*slot),
		closing:  make(chan struct{}),
		isClosed: make(chan struct{}),
	}
	a.async.room = make(chan struct{}, options.MaxPending)
	return a
}

// slot is a backend in use under an alias.
type slot struct {
	alias   string
	backend Backend
	caps    Capability
	queues  []string // nil: any name
	async   AsyncEnqueuer
	waiter  ResultWaiter
	runtime *Runtime // of this slot
}

// UseOptions say how an App uses a backend.
type UseOptions struct {
	// Queues are the names that tasks may be enqueued to: nil means just "default",
	// and an empty slice that isn't nil turns the check off.
	Queues []string
}

// Use puts a backend to use under an alias, with the queue "default" only; UseWith
// allows others. The App closes it. An alias that is taken is an error.
func (a *App) Use(alias string, b Backend) error { return a.UseWith(alias, b, UseOptions{}) }

// UseWith is Use with options.
func (a *App) UseWith(alias string, b Backend, options UseOptions) error {
	fail := func(err error) error { return &Error{Op: "use", Alias: alias, Err: err} }
	if b == nil {
		return fail(fmt.Errorf("%w: nil backend", ErrInvalidConfig))
	}
	if err := checkName(alias); err != nil {
		return fail(fmt.Errorf("%w: alias %w", ErrInvalidConfig, err))
	}
	queues, err := checkQueues(options.Queues)
	if err != nil {
		return fail(fmt.Errorf("%w: %w", ErrInvalidConfig, err))
	}
	s := &slot{alias: alias, backend: b, caps: b.Capabilities(), queues: queues}
	s.runtime = &Runtime{app: a, alias: alias, slot: s}
	s.async, _ = As[AsyncEnqueuer](b)
	if s.caps.Has(CapResults) {
		s.waiter, _ = As[ResultWaiter](b)
	}

	a.using.Lock()
	defer a.using.Unlock()
	a.mu.RLock()
	closed, taken := a.closed, a.slots[alias] != nil
	a.mu.RUnlock()
	switch {
	case closed:
		return fail(ErrClosed)
	case taken:
		return fail(fmt.Errorf("%w: the alias is in use already", ErrInvalidConfig))
	}
	if binder, ok := As[Binder](b); ok {
		if err := binder.Bind(s.runtime); err != nil {
			return fail(err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return fail(ErrClosed)
	}
	a.slots[alias] = s
	return nil
}

// checkQueues resolves UseOptions.Queues into a slot's.
func checkQueues(queues []string) ([]string, error) {
	if queues == nil {
		return []string{DefaultQueue}, nil
	}
	var faults []error
	for i, q := range queues {
		if err := checkName(q); err != nil {
			faults = append(faults, fmt.Errorf("queues[%d]: %w", i, err))
		} else if slices.Contains(queues[:i], q) {
			faults = append(faults, fmt.Errorf("queues[%d]: %q is listed twice", i, q))
		}
	}
	if len(queues) == 0 {
		return nil, nil
	}
	return slices.Clone(queues), errors.Join(faults...)
}

// Aliases returns the aliases in use, sorted.
func (a *App) Aliases() []string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.Sorted(maps.Keys(a.slots))
}

// Backend returns the backend in use under an alias, or ErrUnknownBackend.
func (a *App) Backend(alias string) (Backend, error) {
	s, err := a.slot(alias)
	if err != nil {
		return nil, &Error{Op: "use", Alias: alias, Err: err}
	}
	return s.backend, nil
}

func (a *App) slot(alias string) (*slot, error) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if s := a.slots[alias]; s != nil {
		return s, nil
	}
	if a.closed {
		return nil, ErrClosed
	}
	if len(a.slots) == 0 {
		return nil, fmt.Errorf("%w %s: no backend is in use yet; call App.Open or App.Use first", ErrUnknownBackend, quote(alias))
	}
	return nil, fmt.Errorf("%w %s: the App has %s", ErrUnknownBackend, quote(alias), quoteAll(slices.Sorted(maps.Keys(a.slots))))
}

// TaskNames returns the names of the defined tasks, sorted.
func (a *App) TaskNames() []string {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return slices.Sorted(maps.Keys(a.tasks))
}

func (a *App) lookup(task string) *definition {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.tasks[task]
}

func (a *App) logger() *slog.Logger {
	if a.options.Logger != nil {
		return a.options.Logger
	}
	return slog.Default()
}

// Validate returns every fault of the definitions together: names that are empty
// or used twice, nil functions, options out of range and, for the backends in
// use, queues that aren't configured and capabilities that aren't there. Open and
// workers call it; a program that calls Use does well to call it afterwards.
func (a *App) Validate() error {
	a.mu.RLock()
	defer a.mu.RUnlock()
	faults := slices.Clone(a.faults)
	for _, name := range slices.Sorted(maps.Keys(a.tasks)) {
		d := a.tasks[name]
		if len(d.faults) > 0 {
			continue // reported already, with a.faults
		}
		if s := a.slots[d.settings.alias]; s != nil {
			if err := s.accepts(&d.settings); err != nil {
				faults = append(faults, &Error{Op: "define", Task: name, Alias: s.alias, Err: err})
			}
		} else if len(a.slots) > 0 {
			faults = append(faults, &Error{Op: "define", Task: name, Err: fmt.Errorf("%w %s", ErrUnknownBackend, quote(d.settings.alias))})
		}
	}
	return errors.Join(faults...)
}

// Close refuses new work, waits until every pending AEnqueue is stored or has its
// error, and closes the backends. If ctx ends first, Close goes on with closing
// them, and returns ctx's error too. Calls after the first wait for it and return
// the same. Stop workers first.
func (a *App) Close(ctx context.Context) error {
	a.mu.Lock()
	if a.closed {
		a.mu.Unlock()
		select {
		case <-a.isClosed:
			return a.closeErr
		case <-ctx.Done():
			return &Error{Op: "close", Err: context.Cause(ctx)}
		}
	}
	a.closed = true
	close(a.closing)
	slots := slices.SortedFunc(maps.Values(a.slots), func(x, y *slot) int { return strings.Compare(x.alias, y.alias) })
	a.mu.Unlock()

	var faults []error
	if err := a.async.drain(ctx); err != nil {
		faults = append(faults, &Error{Op: "close", Err: err})
	}
	for _, s := range slots {
		if err := s.backend.Close(ctx); err != nil {
			faults = append(faults, &Error{Op: "close", Alias: s.alias, Err: err})
		}
	}
	a.closeErr = errors.Join(faults...)
	close(a.isClosed)
	return a.closeErr
}
