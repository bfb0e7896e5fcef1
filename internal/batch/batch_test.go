package batch_test

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/internal/batch"
)

// flushes records batches; each waits for the gate unless that is nil.
type flushes struct {
	gate chan struct{}

	mu      sync.Mutex
	batches [][]int
	inside  int
	nested  bool
}

func (f *flushes) flush(items []int) {
	f.mu.Lock()
	f.inside++
	f.nested = f.nested || f.inside > 1
	f.mu.Unlock()
	if f.gate != nil {
		<-f.gate
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inside--
	f.batches = append(f.batches, slices.Clone(items))
}

func (f *flushes) check(t *testing.T, want ...[]int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if !slices.EqualFunc(f.batches, want, slices.Equal) {
		t.Errorf("batches: got %v, want %v", f.batches, want)
	}
}

// What is added while a flush is in flight goes together in the next.
func TestBatchesFormWhileAFlushIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flushes{gate: make(chan struct{})}
		q := batch.New(100, nil, f.flush)
		for i := range 6 {
			q.Add(i)
			if i == 0 {
				synctest.Wait() // 0 is on its way
			}
		}
		if got := q.Len(); got != 5 {
			t.Errorf("Len: got %d, want 5", got)
		}
		f.gate <- struct{}{}
		synctest.Wait()
		f.check(t, []int{0})
		q.Add(6) // the second batch is in flight
		close(f.gate)
		q.Drain()
		f.check(t, []int{0}, []int{1, 2, 3, 4, 5}, []int{6})
		if got := q.Len(); got != 0 {
			t.Errorf("Len after Drain: got %d, want 0", got)
		}
	})
}

func TestBatchesAreBounded(t *testing.T) {
	sizes := func(n int) int { return n }
	for name, tt := range map[string]struct {
		most  int
		size  func(int) int
		items []int
		want  [][]int
	}{
		"by number":            {2, nil, []int{1, 2, 3, 4, 5}, [][]int{{1, 2}, {3, 4}, {5}}},
		"of one":               {1, nil, []int{1, 2}, [][]int{{1}, {2}}},
		"of none means of one": {0, nil, []int{1, 2}, [][]int{{1}, {2}}},
		"by size, exactly":     {5, sizes, []int{2, 3, 4, 1, 5}, [][]int{{2, 3}, {4, 1}, {5}}},
		"larger than a batch":  {5, sizes, []int{9, 1, 9, 9, 2, 3}, [][]int{{9}, {1}, {9}, {9}, {2, 3}}},
		"sizes of 0":           {1, sizes, []int{0, 0, 0, 1, 0, 1}, [][]int{{0, 0, 0, 1, 0}, {1}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &flushes{gate: make(chan struct{})}
				q := batch.New(tt.most, tt.size, f.flush)
				q.Add(tt.items[0])
				synctest.Wait() // and so it goes alone
				for _, item := range tt.items {
					q.Add(item)
				}
				close(f.gate)
				q.Drain()
				f.check(t, append([][]int{tt.items[:1]}, tt.want...)...)
			})
		})
	}
}

func TestOrderIsKeptAndFlushesDontOverlap(t *testing.T) {
	const adders, each = 8, 2000
	f := &flushes{}
	q := batch.New(16, nil, f.flush)
	var wg sync.WaitGroup
	for a := range adders {
		wg.Go(func() {
			for i := range each {
				q.Add(a*each + i)
			}
		})
	}
	wg.Wait()
	q.Drain()
	last := make([]int, adders)
	n := 0
	for _, items := range f.batches {
		if len(items) > 16 {
			t.Errorf("batch of %d, want at most 16", len(items))
		}
		for _, item := range items {
			a := item / each
			if item%each != last[a] {
				t.Fatalf("adder %d: got item %d, want %d", a, item%each, last[a])
			}
			last[a]++
			n++
		}
	}
	if n != adders*each {
		t.Errorf("items: got %d, want %d", n, adders*each)
	}
	if f.nested {
		t.Error("two flushes ran at once")
	}
}

// Drain waits for what was added before it, not for what comes after.
func TestDrainReturnsWhileOthersGoOnAdding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flushes{gate: make(chan struct{})}
		q := batch.New(100, nil, f.flush)
		q.Drain() // of an empty queue
		q.Add(1)
		drained := make(chan struct{})
		go func() {
			q.Drain()
			close(drained)
		}()
		synctest.Wait()
		q.Add(2)
		select {
		case <-drained:
			t.Fatal("Drain returned before the flush")
		default:
		}
		f.gate <- struct{}{}
		synctest.Wait() // 2 is in flight, and stays
		select {
		case <-drained:
		default:
			t.Error("Drain: waits for an item that was added after it")
		}
		close(f.gate)
		q.Drain()
		f.check(t, []int{1}, []int{2})
	})
}

// The goroutine lives only while there are items: after Drain a bubble may end.
func TestNoGoroutineStaysBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flushes{}
		q := batch.New(1, nil, f.flush)
		for i := range 3 {
			q.Add(i)
			synctest.Wait() // it ended, and starts again
		}
		f.check(t, []int{0}, []int{1}, []int{2})
	})
}

// A caller that is alone flushes its item itself; what others add meanwhile goes together
// afterwards, and Drain waits for both.
func TestEnter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &flushes{gate: make(chan struct{})}
		q := batch.New(100, nil, f.flush)
		if !q.Enter() {
			t.Fatal("nobody can enter an idle queue")
		}
		if q.Enter() {
			t.Error("two have entered")
		}
		drained := make(chan struct{})
		go func() {
			q.Drain()
			close(drained)
		}()
		q.Add(1)
		q.Add(2)
		synctest.Wait()
		f.check(t) // nothing is flushed beside who has entered
		select {
		case <-drained:
			t.Error("Drain hasn't waited for who has entered")
		default:
		}
		q.Leave()
		synctest.Wait()
		if q.Enter() {
			t.Error("somebody has entered beside a flush")
		}
		close(f.gate)
		synctest.Wait()
		f.check(t, []int{1, 2})
		<-drained
		if !q.Enter() {
			t.Error("nobody can enter again")
		}
		q.Leave()
		q.Drain()
	})
}

// Those whom a flush releases come back into the next one, also in a bubble, where a flush
// takes time and yielding takes none.
func TestGathering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches [][]int
		told := make(map[int]chan struct{})
		q := batch.New(100, nil, func(items []int) {
			time.Sleep(time.Millisecond)
			batches = append(batches, slices.Clone(items))
			for _, i := range items {
				told[i] <- struct{}{}
			}
		})
		const callers, rounds = 8, 5
		for i := range callers {
			told[i] = make(chan struct{}, 1)
		}
		told[callers] = make(chan struct{}, 1)
		q.Add(callers) // the first crowd gathers behind it
		var wg sync.WaitGroup
		for i := range callers {
			wg.Go(func() {
				if i >= callers/2 {
					time.Sleep(3 * time.Millisecond / 2) // a second crowd, while the first is in flight
				}
				for range rounds {
					q.Add(i)
					<-told[i]
				}
			})
		}
		wg.Wait()
		sum := 0
		for _, b := range batches {
			sum += len(b)
		}
		if sum != callers*rounds+1 || len(batches) > rounds+3 {
			t.Errorf("%d items in %d batches, want %d in at most %d", sum, len(batches), callers*rounds+1, rounds+3)
		}
	})
}
