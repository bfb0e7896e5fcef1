package conformance

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sideman-go/sideman/internal/id"
	"github.com/sideman-go/sideman/tasks"
)

// The sizes of benchmarks.
const (
	benchBatch  = 1000 // records in one Enqueue
	benchClaims = 250  // records in one Claim and one Settle
	benchStored = 1000 // records that are there to be read
)

// RunBenchmarks measures the backend that cfg opens. All backends get the same
// benchmarks, as far as they declare what those need, so that they can be compared:
//
//	Enqueue/goroutines=1, 16, 64   one record a call, from so many goroutines
//	Enqueue/batch=1000             1,000 records a call, from one
//	Drain/claimers=1, 4            claim and settle in batches of 250, no handler
//	Pickup                         from Enqueue, while a worker is in Wait, to its Claim
//	GetResult, List                one record of 1,000; a page of 100 of them
//
// An operation is one record, but for List, where it is a page. Beside the time of
// one it reports tasks/s, and for Pickup just the median and the 99th percentile. What
// was enqueued or settled is counted in the store afterwards, where that can be
// asked, and it is an error if anything is missing: what is measured is stored.
//
// Of cfg only Open is used; Virtual would make time meaningless. The numbers are
// those of the machine, the disk and the server's settings: give them with these.
//
//	func BenchmarkConformance(b *testing.B) { conformance.RunBenchmarks(b, config) }
func RunBenchmarks(b *testing.B, cfg Config) {
	b.Helper()
	if err := cfg.check(); err != nil {
		b.Fatal(err)
	}
	caps := openBench(b, cfg).b.Capabilities()
	run := func(name string, needs tasks.Capability, fn func(*bench)) {
		if !caps.Has(needs) {
			return
		}
		b.Run(name, func(b *testing.B) { fn(openBench(b, cfg)) })
	}
	for _, n := range []int{1, 16, 64} {
		run("Enqueue/goroutines="+strconv.Itoa(n), 0, func(b *bench) { b.enqueue(n, 1) })
	}
	run("Enqueue/batch="+strconv.Itoa(benchBatch), 0, func(b *bench) { b.enqueue(1, benchBatch) })
	for _, n := range []int{1, 4} {
		run("Drain/claimers="+strconv.Itoa(n), tasks.CapWorker, func(b *bench) { b.drain(n) })
	}
	run("Pickup", tasks.CapWorker, (*bench).pickup)
	run("GetResult", tasks.CapResults, (*bench).getResult)
	run("List", tasks.CapList, (*bench).list)
}

// bench is one benchmark on an empty place.
type bench struct {
	*testing.B
	ctx   context.Context //nolint:containedctx // of one benchmark, which this is
	b     tasks.Backend
	store tasks.Store // nil without CapWorker
	ids   id.Source
}

func openBench(b *testing.B, cfg Config) *bench {
	b.Helper()
	ctx := b.Context()
	backend, err := cfg.Open(b).Connect(ctx)
	if err != nil {
		b.Fatalf("connect: %v", err)
	}
	// A backend that runs tasks itself needs an App with the task.
	app := tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(slog.DiscardHandler)})
	tasks.Define(app, "noop", func(context.Context, tasks.None) (tasks.None, error) { return tasks.None{}, nil })
	if err := app.UseWith(tasks.DefaultAlias, backend, tasks.UseOptions{}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := app.Close(context.WithoutCancel(ctx)); err != nil {
			b.Errorf("close: %v", err)
		}
	})
	s := &bench{B: b, ctx: ctx, b: backend}
	if backend.Capabilities().Has(tasks.CapWorker) {
		s.store, _ = tasks.As[tasks.Store](backend)
	}
	return s
}

// records makes what an App makes of a small call.
func (b *bench) records(n int) []*tasks.Record {
	recs := make([]*tasks.Record, n)
	for i := range recs {
		recs[i] = &tasks.Record{
			ID: b.ids.New(), Alias: tasks.DefaultAlias, Task: "noop", Queue: tasks.DefaultQueue,
			Args: []byte(`{"num":1}`), MaxAttempts: 1, Status: tasks.Ready,
		}
	}
	return recs
}

// fill stores n records in batches.
func (b *bench) fill(n int) []*tasks.Record {
	b.Helper()
	recs := b.records(n)
	for batch := range slices.Chunk(recs, benchBatch) {
		if err := b.b.Enqueue(b.ctx, batch); err != nil {
			b.Fatalf("enqueue %d records: %v", len(batch), err)
		}
	}
	return recs
}

// stored wants n records of a status in the store, if it can be asked.
func (b *bench) stored(n int, status tasks.Status) {
	b.Helper()
	if !b.b.Capabilities().Has(tasks.CapInspect) {
		return
	}
	inspector, ok := tasks.As[tasks.Inspector](b.b)
	if !ok {
		b.Fatalf("the backend declares %v but is no tasks.Inspector", tasks.CapInspect)
	}
	queues, err := inspector.Queues(b.ctx)
	if err != nil {
		b.Fatalf("queues: %v", err)
	}
	got := int64(0)
	for _, q := range queues {
		got += q.Counts[status]
	}
	if got != int64(n) {
		b.Errorf("%d records are %s afterwards, want %d", got, status, n)
	}
}

// rate ends the timing and reports how many tasks a second that was.
func (b *bench) rate() {
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}

func (b *bench) enqueue(goroutines, size int) {
	recs := b.records(b.N)
	var next atomic.Int64
	var all sync.WaitGroup
	b.ResetTimer()
	for range goroutines {
		all.Go(func() {
			for {
				end := int(next.Add(int64(size)))
				if end-size >= len(recs) {
					return
				}
				if err := b.b.Enqueue(b.ctx, recs[end-size:min(end, len(recs))]); err != nil {
					b.Errorf("enqueue: %v", err)
					return
				}
			}
		})
	}
	all.Wait()
	b.rate()
	b.stored(b.N, tasks.Ready)
}

func (b *bench) drain(claimers int) {
	b.fill(b.N)
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range claimers {
		all.Go(func() {
			worker := "worker-" + strconv.Itoa(i)
			for left.Load() > 0 {
				n, err := b.claimAndSettle(worker, benchClaims)
				if err != nil {
					b.Errorf("drain with %d records left: %v", left.Load(), err)
					return
				}
				if n == 0 { // the last ones are with the others
					return
				}
				left.Add(-int64(n))
			}
		})
	}
	all.Wait()
	b.rate()
	if n := left.Load(); n != 0 {
		b.Errorf("%d of %d records couldn't be claimed", n, b.N)
	}
	b.stored(b.N, tasks.Successful)
}

// claimAndSettle takes up to limit records to SUCCESSFUL and returns how many.
func (b *bench) claimAndSettle(worker string, limit int) (int, error) {
	claimed, err := b.store.Claim(b.ctx, tasks.ClaimRequest{Worker: worker, Limit: limit, Lease: time.Minute})
	if err != nil || len(claimed) == 0 {
		return 0, err
	}
	outs := make([]tasks.Outcome, len(claimed))
	for i, c := range claimed {
		outs[i] = tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeSuccess, Value: []byte("1")}
	}
	verdicts, err := b.store.Settle(b.ctx, outs)
	if err != nil {
		return 0, err
	}
	for _, v := range verdicts {
		if v != nil {
			return 0, v
		}
	}
	return len(claimed), nil
}

func (b *bench) getResult() {
	recs := b.fill(benchStored)
	for i := 0; b.Loop(); i++ {
		id := recs[i*7919%len(recs)].ID // a prime's steps, so that neighbours aren't read in turn
		if rec, err := b.b.GetResult(b.ctx, id); err != nil || rec.ID != id {
			b.Fatalf("get result %s: %v", id, err)
		}
	}
	b.rate()
}

func (b *bench) list() {
	b.fill(benchStored)
	lister, ok := tasks.As[tasks.Lister](b.b)
	if !ok {
		b.Fatalf("the backend declares %v but is no tasks.Lister", tasks.CapList)
	}
	var req tasks.ListRequest
	listed := 0
	for b.Loop() {
		page, err := lister.List(b.ctx, req)
		if err != nil {
			b.Fatalf("list: %v", err)
		}
		listed += len(page.Records)
		req.After = page.Next
	}
	b.StopTimer()
	if listed == 0 {
		b.Errorf("%d pages had no records", b.N)
	}
	b.ReportMetric(float64(listed)/b.Elapsed().Seconds(), "tasks/s")
}
