package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"time"

	"github.com/sideman-go/sideman/internal/id"
	"github.com/sideman-go/sideman/tasks"
)

// env is what a case works with: a T whose Fatalf ends the case, the store, and
// helpers that say what they waited for.
type env struct {
	T
	cfg    Config
	timing Timing
	plain  bool
	store  Store
	ctx    context.Context //nolint:containedctx // of one case, which this is: ends at the deadline, or by stop
	stop   context.CancelFunc
	ids    id.Source

	mu     sync.Mutex
	doing  string         // what a hang would be in the middle of
	claims int            // records claimed so far
	times  map[string]int // how often each was claimed
	leases map[string]tasks.Lease
	first  *handle // the handle that the post-condition looks through
	open   []*handle

	machine *machine // nil unless a case watches it
}

// runCase runs a case on a goroutine of its own and watches over it.
func runCase(t T, cfg Config, c Case) {
	t.Helper()
	timing := cfg.Timing
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), timing.Deadline)
	defer cancel()
	e := &env{T: t, cfg: cfg, timing: timing, plain: c.Plain, ctx: ctx, stop: cancel, leases: make(map[string]tasks.Lease), times: make(map[string]int)}
	e.doing = "opening the store"
	e.store = cfg.Open(t)

	done := make(chan struct{})
	go func() {
		defer close(done)
		defer e.survive() // what end does
		defer e.end()
		defer e.survive()
		c.run(e)
		if !t.Failed() {
			e.postcondition()
		}
	}()
	// The calls get a context that ends at the deadline. One that doesn't return
	// even then is a hang.
	guard := time.NewTimer(timing.Deadline + timing.Deadline/2)
	defer guard.Stop()
	select {
	case <-done:
	case <-guard.C:
		buf := make([]byte, 256<<10)
		t.Fatalf("hangs while %s; all goroutines:\n%s", e.step(""), buf[:runtime.Stack(buf, true)])
	}
	if t.Failed() {
		t.Logf("%s (clauses %v)", c.What, c.Clauses)
	}
}

// survive is deferred: a panic fails this case, and not the whole binary.
func (e *env) survive() {
	if p := recover(); p != nil {
		e.Errorf("panic while %s: %v\n%s", e.step(""), p, debug.Stack())
	}
}

// step notes what is being done, for the message about a hang, and returns what it
// was.
func (e *env) step(format string, args ...any) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	was := e.doing
	if format != "" {
		e.doing = fmt.Sprintf(format, args...)
	}
	return was
}

// Fatalf ends the case. It must be called on the case's own goroutine.
func (e *env) Fatalf(format string, args ...any) {
	e.Helper()
	e.Errorf(format, args...)
	runtime.Goexit()
}

// must ends the case if err isn't nil.
func (e *env) must(err error, what string, args ...any) {
	e.Helper()
	if err != nil {
		e.Fatalf("%s: %v", fmt.Sprintf(what, args...), err)
	}
}

// handle is an open backend and an App that uses it.
type handle struct {
	b    tasks.Backend
	s    tasks.Store // nil without CapWorker
	caps tasks.Capability
	app  *tasks.App
	log  *logBuffer
}

// connect opens the store once more. It is closed when the case ends.
func (e *env) connect() *handle {
	e.Helper()
	h, err := e.tryConnect()
	e.must(err, "connect")
	return h
}

func (e *env) tryConnect() (*handle, error) {
	return e.tryConnectWith(tasks.AppOptions{}, tasks.UseOptions{Queues: []string{}})
}

// tryConnectWith connects with an App of other settings; its log is kept as ever.
func (e *env) tryConnectWith(options tasks.AppOptions, use tasks.UseOptions) (*handle, error) {
	e.Helper()
	e.step("connecting")
	b, err := e.store.Connect(e.ctx)
	if err != nil {
		return nil, err
	}
	if e.plain {
		b = hideOptional(b)
	}
	h := &handle{b: b, caps: b.Capabilities(), log: &logBuffer{}}
	options.Logger = slog.New(h.log)
	h.app = tasks.NewAppWith(options)
	if err := h.app.UseWith(tasks.DefaultAlias, b, use); err != nil {
		return nil, err
	}
	if h.caps.Has(tasks.CapWorker) {
		s, ok := tasks.As[tasks.Store](b)
		if !ok {
			return nil, fmt.Errorf("the backend declares %v but is no tasks.Store", tasks.CapWorker)
		}
		h.s = s
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.first == nil {
		e.first = h
	}
	e.open = append(e.open, h)
	return h, nil
}

// close closes a handle; cases that reopen the store do it themselves.
func (e *env) close(h *handle) {
	e.Helper()
	e.step("closing a handle")
	e.must(h.app.Close(e.ctx), "close")
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.first == h {
		e.first = nil
	}
}

// reopen closes a handle and connects again.
func (e *env) reopen(h *handle) *handle {
	e.Helper()
	e.close(h)
	return e.connect()
}

// end closes what the case left open.
func (e *env) end() {
	e.machine.end()
	e.mu.Lock()
	open := e.open
	e.mu.Unlock()
	for _, h := range open {
		e.step("closing the handles at the end")
		ctx, cancel := context.WithTimeout(context.WithoutCancel(e.ctx), 5*time.Second)
		if err := h.app.Close(ctx); err != nil {
			e.Errorf("close at the end of the case: %v", err)
		}
		cancel()
	}
}

// postcondition holds after every case on a store: what the case still has leased
// can be released, and then nothing is RUNNING and the counts agree with the list.
func (e *env) postcondition() {
	e.Helper()
	e.mu.Lock()
	h := e.first
	var outs []tasks.Outcome
	for _, l := range e.leases {
		outs = append(outs, tasks.Outcome{Lease: l, Kind: tasks.OutcomeRelease})
	}
	e.mu.Unlock()
	if h == nil || h.s == nil || !h.caps.Has(tasks.CapInspect) {
		return
	}
	e.step("checking the post-condition")
	if len(outs) > 0 {
		if _, err := h.s.Settle(e.ctx, outs); err != nil {
			e.Errorf("post-condition: release what is leased still: %v", err)
		}
	}
	listed := make(map[tasks.Status]int64)
	for _, rec := range e.list(h, tasks.Filter{}) {
		listed[rec.Status]++
		if rec.Status == tasks.Running {
			e.Errorf("post-condition: record %s (%s) is still RUNNING, and the case holds no lease of it", rec.ID, rec.Task)
		}
	}
	counted := e.counts(h)
	for _, s := range tasks.Statuses() {
		if counted[s] != listed[s] {
			e.Errorf("post-condition: Queues counts %d records %s, List has %d", counted[s], s, listed[s])
		}
	}
}

// record returns a READY record like the App's, changed by the options.
func (e *env) record(options ...func(*tasks.Record)) *tasks.Record {
	rec := &tasks.Record{
		ID: e.ids.New(), Alias: tasks.DefaultAlias, Task: "noop", Queue: tasks.DefaultQueue,
		Args: json.RawMessage(`{"num":1}`), MaxAttempts: 1, Status: tasks.Ready,
	}
	for _, o := range options {
		o(rec)
	}
	return rec
}

// records returns n of them.
func (e *env) records(n int, options ...func(*tasks.Record)) []*tasks.Record {
	recs := make([]*tasks.Record, n)
	for i := range recs {
		recs[i] = e.record(options...)
	}
	return recs
}

func inQueue(q string) func(*tasks.Record)  { return func(r *tasks.Record) { r.Queue = q } }
func priority(p int) func(*tasks.Record)    { return func(r *tasks.Record) { r.Priority = p } }
func attempts(n int) func(*tasks.Record)    { return func(r *tasks.Record) { r.MaxAttempts = n } }
func named(task string) func(*tasks.Record) { return func(r *tasks.Record) { r.Task = task } }

func delayed(d time.Duration) func(*tasks.Record) { return func(r *tasks.Record) { r.Delay = d } }

// enqueue stores records as they are, below the App.
func (e *env) enqueue(h *handle, recs ...*tasks.Record) {
	e.Helper()
	e.step("enqueuing %d records", len(recs))
	e.must(h.b.Enqueue(e.ctx, recs), "enqueue %d records", len(recs))
}

// get reads a record that must be there.
func (e *env) get(h *handle, id string) *tasks.Record {
	e.Helper()
	e.step("reading record %s", id)
	rec, err := h.b.GetResult(e.ctx, id)
	e.must(err, "get result %q", id)
	return rec
}

// all selects every queue.
var all = tasks.Selection{Queues: []string{"*"}} //nolint:gochecknoglobals // a constant in all but name

// claim claims up to n records of any queue, for a minute.
func (e *env) claim(h *handle, n int) []tasks.Claimed {
	e.Helper()
	return e.claimAs(h, tasks.ClaimRequest{Selection: all, Worker: "worker-1", Limit: n, Lease: time.Minute})
}

func (e *env) claimAs(h *handle, req tasks.ClaimRequest) []tasks.Claimed {
	e.Helper()
	e.step("claiming up to %d records from %v", req.Limit, req.Selection)
	got, err := h.s.Claim(e.ctx, req)
	e.must(err, "claim up to %d records from %v", req.Limit, req.Selection)
	if len(got) > max(req.Limit, 0) {
		e.Fatalf("claim of %d records gave %d", req.Limit, len(got))
	}
	e.hold(got)
	return got
}

// hold notes leases, so that the post-condition can release them. It ends the case
// of a store that gives out records without an end, for which no loop would stop.
func (e *env) hold(got []tasks.Claimed) {
	e.mu.Lock()
	defer e.mu.Unlock()
	most := 0
	for _, c := range got {
		e.leases[c.Lease.Token] = c.Lease
		e.times[c.Lease.ID]++
		most = max(most, e.times[c.Lease.ID])
	}
	e.claims += len(got)
	if (e.claims > mostRecords || most > mostClaims) && e.ctx.Err() == nil {
		e.Errorf("%d records were claimed, one of them %d times: it would never end", e.claims, most)
		e.stop()
	}
}

// mostClaims is more often than any case claims one record.
const mostClaims = 2000

// mostRecords is more than any case enqueues, also counting each as often as it may
// be claimed or listed.
const mostRecords = 50_000

// drop forgets a lease that is over.
func (e *env) drop(l tasks.Lease) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.leases, l.Token)
}

// claimOne claims exactly one record.
func (e *env) claimOne(h *handle) tasks.Claimed {
	e.Helper()
	got := e.claim(h, 1)
	if len(got) != 1 {
		e.Fatalf("claim gave %d records, want 1", len(got))
	}
	return got[0]
}

// settle settles one outcome, which the store must take.
func (e *env) settle(h *handle, c tasks.Claimed, out tasks.Outcome) {
	e.Helper()
	out.Lease = c.Lease
	errs := e.settleAll(h, out)
	e.must(errs[0], "settle %s of record %s", out.Kind, c.Record.ID)
}

// settleAll settles outcomes and returns the store's verdicts.
func (e *env) settleAll(h *handle, outs ...tasks.Outcome) []error {
	e.Helper()
	e.step("settling %d outcomes", len(outs))
	errs, err := h.s.Settle(e.ctx, outs)
	e.must(err, "settle %d outcomes", len(outs))
	if len(errs) != len(outs) {
		e.Fatalf("settle of %d outcomes gave %d verdicts", len(outs), len(errs))
	}
	for i, out := range outs {
		if errs[i] == nil {
			e.drop(out.Lease)
		}
	}
	return errs
}

func success(value string) tasks.Outcome {
	return tasks.Outcome{Kind: tasks.OutcomeSuccess, Value: json.RawMessage(value)}
}

func failure(message string) tasks.Outcome {
	return tasks.Outcome{Kind: tasks.OutcomeFailure, Error: &tasks.AttemptError{Type: "test", Message: message}}
}

func retry(message string, delay time.Duration) tasks.Outcome {
	return tasks.Outcome{Kind: tasks.OutcomeRetry, Delay: delay, Error: &tasks.AttemptError{Type: "test", Message: message}}
}

// list reads all pages.
func (e *env) list(h *handle, filter tasks.Filter) []*tasks.Record {
	e.Helper()
	e.step("listing records by %+v", filter)
	lister, ok := tasks.As[tasks.Lister](h.b)
	if !ok {
		e.Fatalf("the backend declares %v but is no tasks.Lister", tasks.CapList)
	}
	var recs []*tasks.Record
	req := tasks.ListRequest{Filter: filter, Limit: 50}
	for pages := 0; ; pages++ {
		page, err := lister.List(e.ctx, req)
		e.must(err, "list page %d by %+v", pages, filter)
		if recs = append(recs, page.Records...); page.Next == "" {
			return recs
		}
		if page.Next == req.After || len(recs) > mostRecords || pages > mostRecords {
			e.Fatalf("list page %d, after %q: Next is %q, with %d records so far: it would never end", pages, req.After, page.Next, len(recs))
		}
		req.After = page.Next
	}
}

// counts adds up the counts of all queues.
func (e *env) counts(h *handle) map[tasks.Status]int64 {
	e.Helper()
	sum := make(map[tasks.Status]int64)
	for _, q := range e.queues(h) {
		for s, n := range q.Counts {
			sum[s] += n
		}
	}
	return sum
}

func (e *env) queues(h *handle) map[string]tasks.QueueInfo {
	e.Helper()
	e.step("reading the queues")
	queues, err := h.s.Queues(e.ctx)
	e.must(err, "queues")
	byName := make(map[string]tasks.QueueInfo, len(queues))
	for _, q := range queues {
		if _, twice := byName[q.Name]; twice {
			e.Errorf("queue %q is there twice", q.Name)
		}
		byName[q.Name] = q
	}
	return byName
}

// eventually polls until ok, or fails with what it waited for.
func (e *env) eventually(within time.Duration, what string, ok func() bool) {
	e.Helper()
	e.step("waiting until %s", what)
	deadline := time.Now().Add(within)
	for !ok() {
		if time.Now().After(deadline) {
			e.Fatalf("after %v still not: %s", within, what)
		}
		e.pause(5 * time.Millisecond)
	}
}

// pause lets time go by: virtual time in a bubble, and otherwise real time, so
// cases use it only where time itself is the matter.
func (e *env) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-e.ctx.Done():
		e.Fatalf("the case's deadline passed while %s", e.step(""))
	}
}

// soon gives a context that ends after d.
func (e *env) soon(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(e.ctx, d)
}

// within fails unless fn returns in time.
func (e *env) within(limit time.Duration, what string, fn func()) {
	e.Helper()
	e.step("%s", what)
	start := time.Now()
	fn()
	if took := time.Since(start); took > limit {
		e.Errorf("%s took %v, over the %v allowed", what, took, limit)
	}
}

// logBuffer is a slog.Handler that keeps what is logged.
type logBuffer struct {
	mu    sync.Mutex
	lines []slog.Record
}

// Enabled keeps everything.
func (l *logBuffer) Enabled(context.Context, slog.Level) bool { return true }

// Handle keeps a line.
func (l *logBuffer) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, r)
	return nil
}

// WithAttrs returns the same buffer.
func (l *logBuffer) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup returns the same buffer.
func (l *logBuffer) WithGroup(string) slog.Handler { return l }
