package worker_test

import (
	"context"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// While a claim is under way the handlers go on with what was claimed before, so that a store
// whose claims take some time keeps no slots empty.
func TestSlotsAreBusyDuringAClaim(t *testing.T) {
	bubble(t, func(t *testing.T, e *env) {
		const n, slots, each = 8000, 10, time.Millisecond
		task := tasks.Define(e.app, "t", func(context.Context, int) (int, error) { time.Sleep(each); return 0, nil })
		for range n {
			enqueue(t, task, 0)
		}
		e.store.set(func(m *memory) { m.slow = map[string]time.Duration{"claim": 40 * time.Millisecond} })
		from := time.Now()
		e.runBatch(worker.Options{Concurrency: slots})
		took, least := time.Since(from), n/slots*each
		// The first claims are small, until it has shown how quick the tasks are. With claims that wait until
		// the buffer is nearly empty it takes twenty times as long.
		if took > 4*least {
			t.Errorf("%d tasks took %v, and %d slots need %v for them", n, took, slots, least)
		}
		most := 0
		e.store.set(func(m *memory) {
			for _, req := range m.claims {
				most = max(most, req.Limit)
			}
		})
		// What 50 ms need, and a claim as long as that.
		if limit := 2*slots*int(50*time.Millisecond/each) + slots; most > limit {
			t.Errorf("a claim for %d, want at most %d", most, limit)
		}
	})
}
