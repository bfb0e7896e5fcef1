package redis_test

import (
	"context"
	"flag"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/sideman-go/sideman/backends/redis"
	"github.com/sideman-go/sideman/tasks"
)

func openBench(b *testing.B) *redis.Backend {
	b.Helper()
	url := serverURL(b)
	s, err := redis.Open(b.Context(), redis.Options{URL: url, Namespace: freshNamespace(b, url)})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

var benchSeq atomic.Uint64

// benchRecord is about what an App makes of a small call. Its id sorts by time, as the App's
// do.
func benchRecord() *tasks.Record {
	return &tasks.Record{
		ID:   fmt.Sprintf("0190a6d2-%012x-7000-8000", benchSeq.Add(1)),
		Task: "send_email", Queue: "default", Alias: "default", MaxAttempts: 1,
		Args: []byte(`{"to":"somebody@example.org","template":"welcome","n":12345}`),
	}
}

// BenchmarkRaw is what the server and the network make possible: one SET of 200 bytes a
// round trip, and a thousand in one.
func BenchmarkRaw(b *testing.B) {
	url := serverURL(b)
	c := rawClient(url)
	defer c.Close()
	namespace := freshNamespace(b, url)
	value := make([]byte, 200)
	key := func(i int) string { return fmt.Sprintf("{%s:0}:raw:%d", namespace, i%10_000) }
	b.Run("one", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			if err := c.Set(b.Context(), key(i), value, 0).Err(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("batch=1000", func(b *testing.B) {
		n := 0
		for b.Loop() {
			_, err := c.Pipelined(b.Context(), func(p goredis.Pipeliner) error {
				for i := range 1000 {
					p.Set(b.Context(), key(n+i), value, 0)
				}
				return nil
			})
			if err != nil {
				b.Fatal(err)
			}
			n += 1000
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "records/s")
	})
}

// BenchmarkEnqueue has one record a call, apart from the batch.
func BenchmarkEnqueue(b *testing.B) {
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			s := openBench(b)
			ctx := b.Context()
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
	for _, queued := range []int{1_000, 100_000} {
		b.Run(fmt.Sprintf("queued=%d", queued), func(b *testing.B) {
			s := openBench(b)
			ctx := b.Context()
			for range queued / 1000 {
				recs := make([]*tasks.Record, 1000)
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

var listRecords = flag.Int("list-records", 0, "how many records BenchmarkList has; it takes minutes to make a million")

// BenchmarkList goes through all pages of a list that 3 of many records match.
func BenchmarkList(b *testing.B) {
	if *listRecords == 0 {
		b.Skip("-list-records isn't set")
	}
	for _, status := range []tasks.Status{tasks.Ready, tasks.Successful} {
		url := serverURL(b)
		namespace := freshNamespace(b, url)
		s, err := redis.Open(b.Context(), redis.Options{URL: url, Namespace: namespace})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			unlinkAll(b, s, namespace)
			_ = s.Close(context.Background())
		})
		failed := fillList(b, s, status, *listRecords)
		for name, req := range map[string]tasks.ListRequest{
			"failed":       {Filter: tasks.Filter{Statuses: []tasks.Status{tasks.Failed}}},
			"failedNewest": {Filter: tasks.Filter{Statuses: []tasks.Status{tasks.Failed}}, Newest: true},
			"task":         {Filter: tasks.Filter{Tasks: []string{"fails"}}},
		} {
			b.Run(fmt.Sprintf("%s/%s", status, name), func(b *testing.B) {
				for b.Loop() {
					if n, _ := through(b, s, req, 0); n != failed {
						b.Fatal(n, "records")
					}
				}
			})
		}
		for name, filter := range map[string]tasks.Filter{"page": {}, "filteredPage": {Statuses: []tasks.Status{status}}} {
			b.Run(fmt.Sprintf("%s/%s", status, name), func(b *testing.B) {
				for b.Loop() {
					through(b, s, tasks.ListRequest{Filter: filter}, 1)
				}
			})
		}
	}
}

// unlinkAll deletes the keys of a namespace in large pieces, so that what cleans up afterwards
// is in time.
func unlinkAll(b *testing.B, s *redis.Backend, namespace string) {
	b.Helper()
	ctx := context.Background()
	for cursor := uint64(0); ; {
		keys, next, err := s.Client().Scan(ctx, cursor, "{"+namespace+":*", 10_000).Result()
		if err == nil && len(keys) > 0 {
			err = s.Client().Unlink(ctx, keys...).Err()
		}
		if err != nil {
			b.Fatal(err)
		}
		if cursor = next; cursor == 0 {
			return
		}
	}
}

// through reads so many pages of a list, or all.
func through(b *testing.B, s *redis.Backend, req tasks.ListRequest, most int) (records, pages int) {
	b.Helper()
	for {
		page, err := s.List(b.Context(), req)
		if err != nil {
			b.Fatal(err)
		}
		records += len(page.Records)
		pages++
		if req.After = page.Next; req.After == "" || pages == most {
			return records, pages
		}
	}
}

// fillList stores n records of a status with a few FAILED ones among them.
func fillList(b *testing.B, s *redis.Backend, status tasks.Status, n int) (failed int) {
	b.Helper()
	ctx := b.Context()
	store := func(n int, task string, kind tasks.OutcomeKind, finish bool) {
		recs := make([]*tasks.Record, n)
		for i := range recs {
			recs[i] = benchRecord()
			recs[i].Task = task
			if finish {
				recs[i].Priority = 50
			}
		}
		if err := s.Enqueue(ctx, recs); err != nil {
			b.Fatal(err)
		}
		for left := n; finish && left > 0; {
			got, err := s.Claim(ctx, tasks.ClaimRequest{Worker: "w1", Limit: min(left, 200), Lease: time.Minute})
			if err != nil || len(got) == 0 {
				b.Fatal(len(got), err)
			}
			outs := make([]tasks.Outcome, len(got))
			for i, c := range got {
				outs[i] = tasks.Outcome{Lease: c.Lease, Kind: kind, Value: []byte(`"ok"`)}
			}
			if _, err := s.Settle(ctx, outs); err != nil {
				b.Fatal(err)
			}
			left -= len(got)
		}
	}
	for done := 0; done < n; done += 1000 {
		store(min(1000, n-done), "send_email", tasks.OutcomeSuccess, status == tasks.Successful)
		if failed < 3 && done >= n/4*failed {
			store(1, "fails", tasks.OutcomeFailure, true)
			failed++
		}
	}
	return failed
}
