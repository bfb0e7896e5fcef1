package bolt

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func TestPendingSurvivesACrash(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		large := []*tasks.Record{
			{ID: "d", Task: "t", Queue: "q", MaxAttempts: 1, Args: bytes.Repeat([]byte("1"), 5000), TTL: time.Hour},
			{ID: "e", Task: "t", Queue: "q", MaxAttempts: 1, Delay: time.Hour},
		}
		if err := b.Enqueue(t.Context(), large); err != nil {
			t.Fatal(err)
		}
		path := crash(t, b)
		again := wantStored(t, path, "0 a b c d e")
		for _, b := range []*Backend{b, again} {
			for _, want := range large {
				got, err := b.GetResult(t.Context(), want.ID)
				if err != nil || !bytes.Equal(got.Args, want.Args) || !got.ExpiresAt.Equal(want.ExpiresAt) || !got.RunAfter.Equal(want.RunAfter) || !got.EnqueuedAt.Equal(want.EnqueuedAt) {
					t.Errorf("stored %+v, %v\nwas told %+v", got, err, want)
				}
			}
		}
		if b.journal.len() != 5 {
			t.Errorf("%d are pending", b.journal.len())
		}
		wantStored(t, crash(t, again), "0 a b c d e") // whose log isn't missing: it had none
		if err := again.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left, _ := filepath.Glob(path + "?*"); len(left) > 0 {
			t.Errorf("a Close leaves %q", left)
		}
	})
}

// The log is cut at any byte: what was acknowledged before that write is there.
func TestPowerCutWhileLogging(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		whole := crash(t, b)
		log, err := os.ReadFile(whole + logSuffix)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{logPage + 1, logPage + frameHeader, logPage + 60, 2*logPage - 1, 2 * logPage, 2*logPage + 50, 3 * logPage, 3*logPage + 30, 4 * logPage, len(log)} {
			path := filepath.Join(t.TempDir(), "tasks.db")
			copyFile(t, whole, path)
			if err := os.WriteFile(path+logSuffix, log[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			want := "0 a b c"[:min(1+2*((n-logPage+3900)/logPage), 7)]
			wantStored(t, path, want)
		}
	})
}

func TestLogIsReplayedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, b *Backend) {
		log := crash(t, b) + logSuffix
		if got := stored(t, b); got != "0 a b c" { // which has committed it
			t.Errorf("there are %q", got)
		}
		wantStored(t, crash(t, b), "0 a b c")
		for _, kind := range []tasks.ChangeKind{tasks.ChangeCancel, tasks.ChangeDelete} {
			if _, err := b.Alter(t.Context(), tasks.Change{Kind: kind}, []string{"b"}); err != nil {
				t.Fatal(err)
			}
		}
		path := crash(t, b)
		for range 2 {
			copyFile(t, log, path+logSuffix) // as if the removal had been undone, the second time
			if err := wantStored(t, path, "0 a c").Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Random work, and a power cut after each step.
func TestPowerCuts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openLogged(t, filepath.Join(t.TempDir(), "tasks.db"))
		for i := range 60 {
			switch rand.N(6) {
			case 0:
				got, err := b.Claim(t.Context(), tasks.ClaimRequest{Worker: "w", Limit: 2, Lease: time.Minute})
				if err != nil {
					t.Fatal(err)
				}
				for _, c := range got {
					if _, err := b.Settle(t.Context(), []tasks.Outcome{{Lease: c.Lease, Kind: tasks.OutcomeSuccess}}); err != nil {
						t.Fatal(err)
					}
				}
			default:
				put(t, b, fmt.Sprintf("%03d", i))
			}
			path := crash(t, b)
			want := stored(t, b)
			if err := wantStored(t, path, want).Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	})
}
