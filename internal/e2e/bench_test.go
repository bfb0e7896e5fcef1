package e2e

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// payload is what the benchmarks enqueue: {"num":1}.
type payload struct {
	Num int `json:"num"`
}

func noop(context.Context, payload) (tasks.None, error) { return tasks.None{}, nil }

// rawCommit returns a function that commits n keys of a record's size to a plain
// bbolt file: the limit that a task's enqueue is held against.
func rawCommit(b *testing.B) func(n int) {
	b.Helper()
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "raw.db"), 0o600,
		&bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	bucket := []byte("raw")
	if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bucket); return err }); err != nil {
		b.Fatal(err)
	}
	var key uint64
	value := make([]byte, 128)
	return func(n int) {
		err := db.Update(func(tx *bbolt.Tx) error {
			for range n {
				key++
				k := make([]byte, 36) // as long as an id
				binary.BigEndian.PutUint64(k, key)
				if err := tx.Bucket(bucket).Put(k, value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEnqueue enqueues through the App, on bolt, in the given number of
// goroutines or in batches, in turn with raw commits of as many keys: raw-ratio is
// the raw limit's time over ours, so 1 would be as fast as bbolt itself. With
// goroutines the raw limit is one commit for each task.
func BenchmarkEnqueue(b *testing.B) {
	for _, goroutines := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", goroutines), func(b *testing.B) {
			app, _ := newApp(b)
			task := tasks.Define(app, "noop", noop)
			raw := rawCommit(b)
			benchPaired(b, raw, 1, func(n int) {
				var wg sync.WaitGroup
				for g := range goroutines {
					share := n / goroutines
					if g < n%goroutines {
						share++
					}
					wg.Go(func() {
						for range share {
							if _, err := task.Enqueue(context.Background(), payload{1}); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		})
	}
	for _, size := range []int{100, 1000, 5000} {
		b.Run(fmt.Sprintf("batch=%d", size), func(b *testing.B) {
			app, _ := newApp(b)
			task := tasks.Define(app, "noop", noop)
			raw := rawCommit(b)
			calls := make([]tasks.Call, size)
			benchPaired(b, raw, size, func(n int) {
				for ; n > 0; n -= size {
					for i := range calls {
						calls[i] = task.With(payload{1})
					}
					if _, err := app.EnqueueMany(context.Background(), calls...); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// benchPaired times run over b.N tasks in slices, and between them the raw limit
// over as many keys in commits of per, so that a drift of the machine hits both.
func benchPaired(b *testing.B, raw func(int), per int, run func(n int)) {
	b.Helper()
	slice := max(b.N/10, 1) / per * per
	slice = max(slice, per)
	var ours, theirs time.Duration
	var done int
	b.ReportAllocs()
	b.ResetTimer()
	for done < b.N {
		start := time.Now()
		run(slice)
		ours += time.Since(start)
		b.StopTimer()
		start = time.Now()
		for n := slice; n > 0; n -= per {
			raw(per)
		}
		theirs += time.Since(start)
		b.StartTimer()
		done += slice
	}
	b.StopTimer()
	b.ReportMetric(float64(done)/ours.Seconds(), "tasks/s")
	b.ReportMetric(float64(done)/theirs.Seconds(), "raw/s")
	b.ReportMetric(theirs.Seconds()/ours.Seconds(), "raw-ratio")
}

// BenchmarkDrain enqueues b.N tasks in batches and then times one worker until
// every one is stored as SUCCESSFUL.
func BenchmarkDrain(b *testing.B) {
	for _, concurrency := range []int{0, 64, 1000} {
		name := fmt.Sprintf("concurrency=%d", concurrency)
		if concurrency == 0 {
			name = "defaults"
		}
		b.Run(name, func(b *testing.B) {
			app, _ := newApp(b)
			task := tasks.Define(app, "noop", noop)
			fill(b, app, task, b.N)
			b.ReportAllocs()
			b.ResetTimer()
			if err := worker.New(app, worker.Options{Concurrency: concurrency, Batch: true, Logger: quiet()}).Run(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if got := counts(b, app)[tasks.Successful]; got != int64(b.N) {
				b.Fatalf("%d are SUCCESSFUL, want %d", got, b.N)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
		})
	}
}

func fill(b *testing.B, app *tasks.App, task *tasks.Task[payload, tasks.None], n int) {
	b.Helper()
	for n > 0 {
		calls := make([]tasks.Call, min(n, 5000))
		for i := range calls {
			calls[i] = task.With(payload{1})
		}
		if _, err := app.EnqueueMany(context.Background(), calls...); err != nil {
			b.Fatal(err)
		}
		n -= len(calls)
	}
}

// BenchmarkPickup measures how long after Enqueue was called the handler of an
// idle worker starts, at default options, and beside it one raw commit.
func BenchmarkPickup(b *testing.B) {
	app, _ := newApp(b)
	started := make(chan time.Time, 1)
	task := tasks.Define(app, "noop", func(context.Context, payload) (tasks.None, error) {
		started <- time.Now()
		return tasks.None{}, nil
	})
	raw := rawCommit(b)
	_, stop := work(b, app, worker.Options{})
	defer stop()
	fromCall := make([]time.Duration, 0, b.N)
	fromStored := make([]time.Duration, 0, b.N)
	commits := make([]time.Duration, 0, b.N)
	for b.Loop() {
		<-time.After(time.Millisecond) // so that the worker is idle again
		called := time.Now()
		if _, err := task.Enqueue(context.Background(), payload{1}); err != nil {
			b.Fatal(err)
		}
		stored := time.Now()
		at := <-started
		fromCall = append(fromCall, at.Sub(called))
		fromStored = append(fromStored, at.Sub(stored))
		called = time.Now()
		raw(1)
		commits = append(commits, time.Since(called))
	}
	report := func(name string, d []time.Duration) {
		slices.Sort(d)
		b.ReportMetric(float64(d[len(d)/2].Microseconds()), name+"-p50-µs")
		b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), name+"-p99-µs")
	}
	report("call", fromCall)
	report("stored", fromStored)
	report("commit", commits)
}

// BenchmarkSoak runs a million tasks through one file while they are enqueued, and
// reports the file's size and the process's memory. Run it with -benchtime=1x.
func BenchmarkSoak(b *testing.B) {
	const total = 1_000_000
	for b.Loop() {
		app, path := newApp(b)
		var ran atomic.Int64
		task := tasks.Define(app, "noop", func(context.Context, payload) (tasks.None, error) {
			ran.Add(1)
			return tasks.None{}, nil
		})
		_, stop := work(b, app, worker.Options{Concurrency: 64})
		before := rss()
		var peak int64
		for n := 0; n < total; n += 5000 {
			fill(b, app, task, 5000)
			peak = max(peak, rss())
			// Keep the backlog at about 50,000, as a long soak would.
			eventually(b, time.Minute, "the backlog shrinks", func() bool { return int64(n)-ran.Load() < 50_000 })
		}
		eventually(b, 5*time.Minute, "all successful", func() bool { return counts(b, app)[tasks.Successful] == total })
		peak = max(peak, rss())
		stop()
		info, err := os.Stat(path)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(info.Size())/(1<<20), "file-MiB")
		b.ReportMetric(float64(before)/(1<<20), "rss-start-MiB")
		b.ReportMetric(float64(peak)/(1<<20), "rss-peak-MiB")
		b.ReportMetric(total/b.Elapsed().Seconds(), "tasks/s")
	}
}
