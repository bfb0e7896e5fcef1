package database_test

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// Large claims that follow one another begin where the one before has ended: together they read
// each entry of the index about as often as one claim does, also while somebody has an
// old snapshot, for which the entries have to be kept.
func TestClaimsBeginAtMarks(t *testing.T) {
	const n, part = 6000, 500
	for name, queues := range map[string][]string{"all": nil, "some": {"a", "b"}} {
		t.Run(name, func(t *testing.T) {
			server := serverURL(t)
			b, err := database.Open(t.Context(), database.Options{URL: server, Schema: newSchema(t, server), Migrate: true})
			if err != nil {
				t.Fatal(err)
			}
			defer holdSnapshot(t, newPool(t, server))()
			recs := make([]*tasks.Record, n)
			for i := range recs {
				recs[i] = rec(func(r *tasks.Record) { r.Queue, r.Priority = []string{"a", "b"}[i%2], i*3/n })
			}
			enqueue(t, b, recs...)
			from := time.Now()
			for range n / part {
				if got := claim(t, b, part, queues...); len(got) != part {
					t.Fatalf("claimed %d, want %d", len(got), part)
				}
			}
			seconds := int(time.Since(from) / time.Second)
			read := readReady(t, b, n)
			// Each claim looks at both queues for what comes first, and takes that: three times its
			// records. A claim in each second begins at the beginning, and steps over what is claimed:
			// there are few such seconds, but on a slow machine.
			if read > int64(5+2*min(seconds, 3))*n {
				t.Errorf("the server has read %d entries of the index for %d records", read, n)
			}
		})
	}
}

// A claim that begins at marks returns what one that doesn't would: what comes first of
// several queues and priorities, whatever came or was put back in between.
func TestMarksKeepTheOrder(t *testing.T) {
	const part = 200
	b := open(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	ready := make(map[string]*tasks.Record)
	names := []string{"b", "d", "f"}
	add := func(n int, change func(*tasks.Record)) {
		recs := make([]*tasks.Record, n)
		for i := range recs {
			recs[i] = rec(change)
		}
		enqueue(t, b, recs...)
		for _, r := range recs {
			ready[r.ID] = r
		}
	}
	early := func(r *tasks.Record) { r.Queue, r.Priority = names[rnd.IntN(3)], 2*rnd.IntN(4)-4 }
	// In queues and priorities between and around those that have marks, too.
	late := func(r *tasks.Record) { r.Queue, r.Priority = string(rune('a'+rnd.IntN(7))), rnd.IntN(12)-5 }
	add(2000, early)
	for step := range 60 {
		var queues []string // all
		if n := rnd.IntN(4); n > 0 {
			queues = names[:n]
		}
		got := claim(t, b, part, queues...)
		var want []*tasks.Record
		for _, r := range ready {
			if queues == nil || slices.Contains(queues, r.Queue) {
				want = append(want, r)
			}
		}
		slices.SortFunc(want, func(x, y *tasks.Record) int {
			return cmp.Or(cmp.Compare(y.Priority, x.Priority), x.DueAt().Compare(y.DueAt()), strings.Compare(x.ID, y.ID))
		})
		want = want[:min(part, len(want))]
		if len(got) != len(want) {
			t.Fatalf("step %d: claimed %d of %v, want %d", step, len(got), queues, len(want))
		}
		var outs []tasks.Outcome
		for i, c := range got {
			if c.Record.ID != want[i].ID {
				t.Fatalf("step %d: %d. of %v is %s of %s %d, want %s of %s %d", step, i+1, queues,
					c.Record.ID, c.Record.Queue, c.Record.Priority, want[i].ID, want[i].Queue, want[i].Priority)
			}
			if step%5 == 4 && i < 10 {
				outs = append(outs, tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeRelease})
				continue
			}
			delete(ready, c.Record.ID)
		}
		if _, err := b.Settle(t.Context(), outs); err != nil {
			t.Fatal(err)
		}
		if step%3 == 2 {
			add(2*part+rnd.IntN(2*part), late)
		}
	}
}

// What another process puts back before a mark is found as soon as a claim would return
// less than it was asked for, and else within about a second.
func TestWhatIsPutBackBeforeMarksIsFound(t *testing.T) {
	const part = 200
	for name, tt := range map[string]struct{ n, extra int }{"at the end": {part + 50, 0}, "in a backlog": {30_000, part}} {
		t.Run(name, func(t *testing.T) {
			b := open(t)
			other, err := database.Open(t.Context(), database.Options{URL: serverURL(t), Schema: b.Schema()})
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close(context.Background())
			recs := make([]*tasks.Record, tt.n)
			for i := range recs {
				recs[i] = rec(func(r *tasks.Record) { r.Task = strconv.Itoa(i) })
			}
			enqueue(t, b, recs...)
			first := claim(t, b, part)[0]
			if v, err := other.Settle(t.Context(), []tasks.Outcome{{Lease: first.Lease, Kind: tasks.OutcomeRelease}}); err != nil || v[0] != nil {
				t.Fatal(v, err)
			}
			left := tt.n - part + 1
			eventually(t, 5*time.Second, "what was put back is claimed again", func() bool {
				got := claim(t, b, part)
				if want := min(part, left); len(got) != want {
					t.Fatalf("claimed %d, want %d", len(got), want)
				}
				left -= len(got)
				return slices.ContainsFunc(got, func(c tasks.Claimed) bool { return c.Record.ID == first.Record.ID })
			})
			if left < tt.extra {
				t.Errorf("it came when only %d were left", left)
			}
		})
	}
}
