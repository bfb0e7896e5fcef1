package bolt

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// A claim whose caller has left while it was in flight is given back.
func TestClaimOfACallerThatLeft(t *testing.T) {
	ctx := t.Context()
	b, err := Open(ctx, Options{Path: filepath.Join(t.TempDir(), "tasks.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	if err := b.Enqueue(ctx, []*tasks.Record{{ID: "1", Task: "t", Queue: "q", MaxAttempts: 1}}); err != nil {
		t.Fatal(err)
	}
	o := b.claimOp(tasks.ClaimRequest{Worker: "w", Limit: 1, Lease: time.Hour}, new([]tasks.Claimed))
	o.finish = func(error) { t.Error("there is nobody to tell") }
	o.state.Store(opTaken)
	b.writing.Lock()
	tx, err := b.begin(true)
	if err != nil {
		t.Fatal(err)
	}
	if bad := b.apply(tx, []*op{o}); bad >= 0 {
		t.Fatal(o.err)
	}
	o.state.Store(opLeft)
	b.commit(tx, []*op{o})
	b.writing.Unlock()
	b.queue.Drain()
	if got, err := b.GetResult(ctx, "1"); err != nil || got.Status != tasks.Ready || got.Attempts() != 0 {
		t.Errorf("it is %+v, %v", got, err)
	}
}
