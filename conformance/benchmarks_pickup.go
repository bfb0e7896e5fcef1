package conformance

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// pickup measures one record at a time, from before its Enqueue until a worker that
// had nothing to do has claimed it.
func (b *bench) pickup() {
	ctx, cancel := context.WithCancel(b.ctx)
	claimed, failed := make(chan time.Time), make(chan error, 1)
	idle := make(chan struct{})
	var worker sync.WaitGroup
	worker.Go(func() {
		for {
			select {
			case idle <- struct{}{}:
			case <-ctx.Done():
				return
			}
			var got []tasks.Claimed
			var err error
			for len(got) == 0 && err == nil {
				if err = b.store.Wait(ctx, tasks.Selection{}); err == nil {
					got, err = b.store.Claim(ctx, tasks.ClaimRequest{Worker: "worker", Limit: 1, Lease: time.Minute})
				}
			}
			at := time.Now()
			if err == nil {
				_, err = b.store.Settle(ctx, []tasks.Outcome{{Lease: got[0].Lease, Kind: tasks.OutcomeSuccess}})
			}
			if err != nil {
				if ctx.Err() == nil {
					failed <- err
				}
				return
			}
			claimed <- at
		}
	})
	defer worker.Wait()
	defer cancel()
	took := make([]time.Duration, 0, b.N)
	recs := b.records(b.N)
	b.ResetTimer()
	for i := range recs {
		<-idle
		time.Sleep(time.Millisecond) // so that the worker is in its Wait
		start := time.Now()
		if err := b.b.Enqueue(ctx, recs[i:i+1]); err != nil {
			b.Errorf("enqueue: %v", err)
			return
		}
		select {
		case at := <-claimed:
			took = append(took, at.Sub(start))
		case err := <-failed:
			b.Errorf("the worker: %v", err)
			return
		}
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(0, "ns/op") // which would have the sleep in it
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.stored(b.N, tasks.Successful)
}
