package bolt_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/backends/bolt"
	"github.com/sideman-go/sideman/tasks"
)

func openBench(b *testing.B) *bolt.Backend {
	b.Helper()
	s, err := bolt.Open(b.Context(), bolt.Options{Path: filepath.Join(b.TempDir(), "tasks.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

var benchSeq atomic.Uint64

// benchRecord is about what an App makes of a small call. Its id sorts by time, as
// the App's do.
func benchRecord() *tasks.Record {
	return &tasks.Record{
		ID:   fmt.Sprintf("0190a6d2-%012x-7000-8000", benchSeq.Add(1)),
		Task: "send_email", Queue: "default", Alias: "default", MaxAttempts: 1,
		Args: []byte(`{"to":"somebody@example.org","template":"welcome","n":12345}`),
	}
}

// BenchmarkRawCommit is what the disk and bbolt make possible: one key a commit.
func BenchmarkRawCommit(b *testing.B) {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "raw.db"), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	name := []byte("records")
	if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(name); return err }); err != nil {
		b.Fatal(err)
	}
	value := make([]byte, 200)
	key := make([]byte, 36)
	for i := 0; b.Loop(); i++ {
		binary.BigEndian.PutUint64(key, uint64(i))
		if err := db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(name).Put(key, value) }); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnqueue has one record a call, apart from the batch.
func BenchmarkEnqueue(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			s := openBench(b)
			ctx := b.Context()
			if n == 1 {
				for b.Loop() {
					if err := s.Enqueue(ctx, []*tasks.Record{benchRecord()}); err != nil {
						b.Fatal(err)
					}
				}
				return
			}
			work := make(chan struct{}, n)
			done := make(chan struct{})
			for range n {
				go func() {
					for range work {
						if err := s.Enqueue(ctx, []*tasks.Record{benchRecord()}); err != nil {
							b.Error(err)
						}
					}
					done <- struct{}{}
				}()
			}
			b.ResetTimer()
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			for range n {
				<-done
			}
		})
	}
	b.Run("batch=1000", func(b *testing.B) {
		s := openBench(b)
		recs := make([]*tasks.Record, 1000)
		n := 0
		for b.Loop() {
			for i := range recs {
				recs[i] = benchRecord()
			}
			if err := s.Enqueue(b.Context(), recs); err != nil {
				b.Fatal(err)
			}
			n += len(recs)
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
	})
	b.Run("async", func(b *testing.B) {
		s := openBench(b)
		done := make(chan error, 256)
		inFlight := 0
		for b.Loop() {
			if inFlight == cap(done) {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
				inFlight--
			}
			s.AEnqueue(b.Context(), []*tasks.Record{benchRecord()}, func(err error) { done <- err })
			inFlight++
		}
		for range inFlight {
			if err := <-done; err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkDrain claims and settles what is queued, in batches of 50.
func BenchmarkDrain(b *testing.B) {
	s := openBench(b)
	ctx := b.Context()
	for left := b.N; left > 0; left -= 1000 {
		recs := make([]*tasks.Record, min(left, 1000))
		for i := range recs {
			recs[i] = benchRecord()
		}
		if err := s.Enqueue(ctx, recs); err != nil {
			b.Fatal(err)
		}
	}
	b.ResetTimer()
	for n := 0; n < b.N; {
		got, err := s.Claim(ctx, tasks.ClaimRequest{Worker: "w1", Limit: 50, Lease: time.Minute})
		if err != nil || len(got) == 0 {
			b.Fatal(len(got), err)
		}
		outs := make([]tasks.Outcome, len(got))
		for i, c := range got {
			outs[i] = tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeSuccess, Value: []byte(`"ok"`)}
		}
		if _, err := s.Settle(ctx, outs); err != nil {
			b.Fatal(err)
		}
		n += len(got)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

// BenchmarkClaim shows that the length of the queue doesn't matter.
func BenchmarkClaim(b *testing.B) {
	for _, queued := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("queued=%d", queued), func(b *testing.B) {
			if queued > 1000 && testing.Short() {
				b.Skip("takes half a minute to fill")
			}
			s := openBench(b)
			ctx := b.Context()
			const batch = 20_000
			for left := queued; left > 0; left -= batch {
				recs := make([]*tasks.Record, min(left, batch))
				for i := range recs {
					recs[i] = benchRecord()
				}
				if err := s.Enqueue(ctx, recs); err != nil {
					b.Fatal(err)
				}
			}
			for b.Loop() {
				got, err := s.Claim(ctx, tasks.ClaimRequest{Worker: "w1", Limit: 1, Lease: time.Minute})
				if err != nil || len(got) != 1 {
					b.Fatal(len(got), err)
				}
				// Back to its place, so that the queue keeps its length.
				if _, err := s.Settle(ctx, []tasks.Outcome{{Lease: got[0].Lease, Kind: tasks.OutcomeRelease}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
