package database_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

func benchRecords(n int) []*tasks.Record {
	recs := make([]*tasks.Record, n)
	for i := range recs {
		recs[i] = &tasks.Record{
			ID: ids.New(), Task: "noop", Queue: "default", Alias: "default", MaxAttempts: 1, Args: []byte(`{"num":1}`),
		}
	}
	return recs
}

// BenchmarkEnqueue measures tasks stored, each durable when the call returns; beside
// it what a plain INSERT of as many bytes costs, one at a time.
func BenchmarkEnqueue(b *testing.B) {
	b.Run("raw", func(b *testing.B) {
		store := open(b)
		name := table(store, "raw")
		if _, err := store.Pool().Exec(b.Context(), "CREATE TABLE "+name+" (id text PRIMARY KEY, args bytea)"); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := store.Pool().Exec(b.Context(), "INSERT INTO "+name+" VALUES ($1, $2)", ids.New(), []byte(`{"num":1}`)); err != nil {
				b.Fatal(err)
			}
		}
		perSecond(b, b.N)
	})
	for _, callers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			store := open(b)
			b.ResetTimer()
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for range share(b.N, callers, c) {
						if err := store.Enqueue(b.Context(), benchRecords(1)); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			perSecond(b, b.N)
		})
	}
	for _, size := range []int{100, 5000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			store := open(b)
			b.ResetTimer()
			for range b.N {
				if err := store.Enqueue(b.Context(), benchRecords(size)); err != nil {
					b.Fatal(err)
				}
			}
			perSecond(b, b.N*size)
		})
	}
}

// BenchmarkDrain measures tasks claimed and settled, by batches, one after the other
// and with claims and settles overlapping as in a worker.
func BenchmarkDrain(b *testing.B) {
	for _, size := range []int{1, 50, 500} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) { drain(b, open(b), size, 1) })
	}
	b.Run("batch=500/lanes=4", func(b *testing.B) { drain(b, open(b), 500, 4) })
	b.Run("batch=500/lanes=4/async", func(b *testing.B) {
		drain(b, open(b, func(o *database.Options) { o.AsyncClaims = true }), 500, 4)
	})
}

func drain(b *testing.B, store *database.Backend, size, lanes int) {
	b.Helper()
	ctx := b.Context()
	enqueued := preload(b, store.Pool(), store, b.N)
	before := wal(b, store.Pool())
	b.ResetTimer()
	var wg sync.WaitGroup
	for range lanes {
		wg.Go(func() {
			for {
				got, err := store.Claim(ctx, tasks.ClaimRequest{Worker: "w", Limit: size, Lease: time.Minute})
				if err != nil {
					b.Error(err)
					return
				}
				if len(got) == 0 {
					return
				}
				outs := make([]tasks.Outcome, len(got))
				for i, c := range got {
					outs[i] = tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeSuccess, Value: []byte(`"done"`)}
				}
				if _, err := store.Settle(ctx, outs); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	perSecond(b, b.N)
	b.ReportMetric(float64(wal(b, store.Pool())-before)/float64(b.N), "walB/run")
	b.ReportMetric(enqueued, "walB/enqueue")
}

func preload(b *testing.B, pool *pgxpool.Pool, store *database.Backend, n int) float64 {
	b.Helper()
	before := wal(b, pool)
	for left := n; left > 0; {
		size := min(left, 5000)
		if err := store.Enqueue(b.Context(), benchRecords(size)); err != nil {
			b.Fatal(err)
		}
		left -= size
	}
	return float64(wal(b, pool)-before) / float64(n)
}

// wal returns how many bytes of WAL the server has written.
func wal(b *testing.B, pool *pgxpool.Pool) (n int64) {
	b.Helper()
	if err := pool.QueryRow(context.Background(), "SELECT (pg_current_wal_insert_lsn() - '0/0')::int8").Scan(&n); err != nil {
		b.Fatal(err)
	}
	return n
}

func share(n, parts, part int) int { return n*(part+1)/parts - n*part/parts }

func perSecond(b *testing.B, n int) {
	b.Helper()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "tasks/s")
}
