package conformance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/conformance/internal/memstore"
	"github.com/sideman-go/sideman/tasks"
)

// TestFaultCases runs the cases that pause, cut off, restart or kill the server on
// a pretended one: they pass, and on one that misbehaves the right ones fail.
func TestFaultCases(t *testing.T) {
	t.Parallel()
	caught := map[badServer][]string{
		"":             nil,
		ignoresContext: {"Fault/PauseObeys", "Fault/PauseEnqueue"},
		saysNotStored:  {"Fault/PauseEnqueue", "Fault/PauseSettle"},
		deadListener:   {"Fault/CutIdle", "Fault/RestartIdle"},
		neverRecovers:  {"Fault/CutObeys", "Fault/CutEnqueue", "Fault/CutSettle", "Fault/CutClaim", "Fault/CutCheck", "Fault/CutConnect"},
		losesWrites:    {"Fault/Kill", "Fault/KillUnderLoad"},
	}
	for bad, must := range caught {
		t.Run(string(bad), func(t *testing.T) {
			t.Parallel()
			ran := 0
			for _, c := range allCases() {
				if c.Fault == "" || bad != "" && !slices.Contains(must, c.Name) {
					continue
				}
				ran++
				if failed, lines := runRecorded(t, fakeServer(bad), c); failed != (bad != "") {
					t.Errorf("%s fails: %v, want %v\n%s", c.Name, failed, bad != "", strings.Join(lines, "\n"))
				}
			}
			if ran < max(len(must), 1) {
				t.Errorf("%d cases ran, want %d", ran, len(must))
			}
		})
	}
}

func fakeServer(bad badServer) Config {
	cut := func(s Store) (restore func()) {
		g := s.(*fakePlace).gate
		g.mu.Lock()
		defer g.mu.Unlock()
		g.cut = true
		close(g.broken)
		g.broken = make(chan struct{})
		return func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.cut = bad == neverRecovers
		}
	}
	return Config{
		Virtual: true,
		Timing:  Timing{}.withDefaults(),
		Open: func(T) Store {
			place := memstore.NewPlace(memstore.Options{Shared: true, Durable: true})
			return &fakePlace{gate: &gate{bad: bad, broken: make(chan struct{})}, inner: place}
		},
		Faults: Faults{
			Pause: func(_ T, s Store) (resume func()) {
				g := s.(*fakePlace).gate
				g.mu.Lock()
				defer g.mu.Unlock()
				ch := make(chan struct{})
				g.paused = ch
				return func() {
					g.mu.Lock()
					defer g.mu.Unlock()
					g.paused = nil
					close(ch)
				}
			},
			Cut:     func(_ T, s Store) func() { return cut(s) },
			Restart: func(_ T, s Store) { cut(s)() },
			Kill: func(t T, s Store) {
				cut(s)()
				if bad == losesWrites {
					forget(t, s.(*fakePlace).inner)
				}
			},
		},
	}
}

// forget deletes the newest record that had been acknowledged.
func forget(t T, place *memstore.Place) {
	ctx := context.Background()
	b, err := place.Connect(ctx)
	if err != nil {
		t.Fatalf("connect: %v", err)
	}
	store := b.(tasks.Store)
	page, err := store.List(ctx, tasks.ListRequest{
		Filter: tasks.Filter{Statuses: []tasks.Status{tasks.Ready, tasks.Successful}}, Newest: true, Limit: 1,
	})
	if err == nil && len(page.Records) > 0 {
		_, err = store.Alter(ctx, tasks.Change{Kind: tasks.ChangeDelete}, []string{page.Records[0].ID})
	}
	if err := errors.Join(err, b.Close(ctx)); err != nil {
		t.Errorf("forget: %v", err)
	}
}

// gate is the network before a server that is really the reference store. bad
// makes it, or the backend in front of it, misbehave in one way.
type gate struct {
	mu     sync.Mutex
	paused chan struct{} // closed when the server goes on
	broken chan struct{} // closed at a cut
	cut    bool
	bad    badServer
}

type badServer string

const (
	ignoresContext badServer = "ignores ctx"
	saysNotStored  badServer = "says not stored of what is stored later"
	deadListener   badServer = "a listener that was cut off stays deaf"
	neverRecovers  badServer = "never recovers from a cut"
	losesWrites    badServer = "loses a write when killed"
)

// fakePlace is a place on that server.
type fakePlace struct {
	*gate
	inner *memstore.Place
}

func (p *fakePlace) Connect(ctx context.Context) (tasks.Backend, error) {
	b, err := do(ctx, p.gate, false, func(ctx context.Context) (tasks.Backend, error) { return p.inner.Connect(ctx) })
	if err != nil {
		return nil, err
	}
	return &fake{Store: b.(tasks.Store), g: p.gate, done: make(chan struct{})}, nil
}

// do passes a call through the gate. A write that is held up there is carried out
// later, when its caller has long gone: a lost reply.
func do[T any](ctx context.Context, g *gate, write bool, fn func(ctx context.Context) (T, error)) (T, error) {
	var zero T
	if ctx.Err() != nil {
		return zero, ctx.Err()
	}
	g.mu.Lock()
	cut, ch, broken := g.cut, g.paused, g.broken
	g.mu.Unlock()
	if cut {
		return zero, fmt.Errorf("%w: cut", tasks.ErrUnavailable)
	}
	if ch != nil {
		if g.bad == ignoresContext {
			<-ch
			return fn(ctx)
		}
		select {
		case <-ch:
		case <-ctx.Done():
			if write {
				go func() {
					<-ch
					_, _ = fn(context.WithoutCancel(ctx))
				}()
				if g.bad == saysNotStored {
					return zero, ctx.Err()
				}
				return zero, fmt.Errorf("%w: %w", tasks.ErrUnknownOutcome, ctx.Err())
			}
			return zero, ctx.Err()
		}
	}
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		select {
		case <-broken:
			cancel(tasks.ErrUnavailable)
		case <-stop:
		}
	}()
	v, err := fn(inner)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.Canceled) {
		err = fmt.Errorf("%w: %w", tasks.ErrUnknownOutcome, err)
	}
	return v, err
}

// fake is the backend of such a server.
type fake struct {
	tasks.Store
	g    *gate
	once sync.Once
	done chan struct{}
}

func (f *fake) closed() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

func call[T any](ctx context.Context, f *fake, write bool, fn func(ctx context.Context) (T, error)) (T, error) {
	if f.closed() {
		var zero T
		return zero, tasks.ErrClosed
	}
	return do(ctx, f.g, write, fn)
}

func (f *fake) Enqueue(ctx context.Context, recs []*tasks.Record) error {
	own := make([]*tasks.Record, len(recs))
	for i, r := range recs {
		own[i] = r.Clone()
	}
	_, err := call(ctx, f, true, func(ctx context.Context) (struct{}, error) { return struct{}{}, f.Store.Enqueue(ctx, own) })
	if err == nil {
		for i, r := range recs {
			*r = *own[i]
		}
	}
	return err
}

func (f *fake) GetResult(ctx context.Context, id string) (*tasks.Record, error) {
	return call(ctx, f, false, func(ctx context.Context) (*tasks.Record, error) { return f.Store.GetResult(ctx, id) })
}

func (f *fake) Check(ctx context.Context) []tasks.Finding {
	v, err := call(ctx, f, false, func(ctx context.Context) ([]tasks.Finding, error) { return f.Store.Check(ctx), nil })
	if err != nil {
		return []tasks.Finding{{ID: "fake.E001", Level: tasks.LevelError, Message: err.Error()}}
	}
	return v
}

func (f *fake) Close(ctx context.Context) error {
	var err error
	f.once.Do(func() { close(f.done); err = f.Store.Close(ctx) })
	return err
}

func (f *fake) Claim(ctx context.Context, req tasks.ClaimRequest) ([]tasks.Claimed, error) {
	return call(ctx, f, true, func(ctx context.Context) ([]tasks.Claimed, error) { return f.Store.Claim(ctx, req) })
}

func (f *fake) Renew(ctx context.Context, l []tasks.Lease, d time.Duration) ([]tasks.LeaseState, error) {
	return call(ctx, f, true, func(ctx context.Context) ([]tasks.LeaseState, error) { return f.Store.Renew(ctx, l, d) })
}

func (f *fake) Settle(ctx context.Context, o []tasks.Outcome) ([]error, error) {
	return call(ctx, f, true, func(ctx context.Context) ([]error, error) { return f.Store.Settle(ctx, o) })
}

func (f *fake) Sweep(ctx context.Context) (tasks.Swept, error) {
	return call(ctx, f, true, func(ctx context.Context) (tasks.Swept, error) { return f.Store.Sweep(ctx) })
}

func (f *fake) Wait(ctx context.Context, s tasks.Selection) error {
	outer := ctx
	_, err := call(ctx, f, false, func(ctx context.Context) (struct{}, error) {
		err := f.Store.Wait(ctx, s)
		if f.g.bad == deadListener && err != nil {
			select {
			case <-f.done:
			case <-outer.Done():
			}
		}
		return struct{}{}, err
	})
	return err
}

func (f *fake) List(ctx context.Context, r tasks.ListRequest) (tasks.Page, error) {
	return call(ctx, f, false, func(ctx context.Context) (tasks.Page, error) { return f.Store.List(ctx, r) })
}

func (f *fake) Queues(ctx context.Context) ([]tasks.QueueInfo, error) {
	return call(ctx, f, false, func(ctx context.Context) ([]tasks.QueueInfo, error) { return f.Store.Queues(ctx) })
}

func (f *fake) Alter(ctx context.Context, c tasks.Change, ids []string) ([]tasks.Altered, error) {
	return call(ctx, f, true, func(ctx context.Context) ([]tasks.Altered, error) { return f.Store.Alter(ctx, c, ids) })
}

func (f *fake) Pause(ctx context.Context, q string, p bool) error {
	_, err := call(ctx, f, true, func(ctx context.Context) (struct{}, error) { return struct{}{}, f.Store.Pause(ctx, q, p) })
	return err
}

func (f *fake) Prune(ctx context.Context, r tasks.PruneRequest) (tasks.Pruned, error) {
	return call(ctx, f, true, func(ctx context.Context) (tasks.Pruned, error) { return f.Store.Prune(ctx, r) })
}

func (f *fake) Heartbeat(ctx context.Context, w tasks.WorkerInfo) error {
	_, err := call(ctx, f, true, func(ctx context.Context) (struct{}, error) { return struct{}{}, f.Store.Heartbeat(ctx, w) })
	return err
}

func (f *fake) Workers(ctx context.Context) ([]tasks.WorkerInfo, error) {
	return call(ctx, f, false, func(ctx context.Context) ([]tasks.WorkerInfo, error) { return f.Store.Workers(ctx) })
}
