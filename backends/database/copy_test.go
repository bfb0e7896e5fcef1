package database_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// full are records with everything that a record can have when it is enqueued.
func full(n int) []*tasks.Record {
	hour, never, none := time.Hour, time.Duration(-1), time.Duration(0)
	recs := make([]*tasks.Record, n)
	for i := range recs {
		recs[i] = rec(func(r *tasks.Record) {
			r.Queue, r.Task, r.Priority = fmt.Sprintf("queue %d \"'\\", i%3), "tâche", i%201-100
			r.Args, r.MaxAttempts = json.RawMessage(`"a\\ \u0000"`), i+1
			switch i % 11 {
			case 1:
				r.Metadata, r.Timeout = map[string]string{"k\xff": "v\x00", "": ""}, time.Second+time.Nanosecond
			case 2:
				r.Delay, r.TTL = 10*time.Hour, 20*time.Hour
			case 3:
				r.RunAfter, r.ExpiresAt = time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)
			case 4:
				r.Retain = &hour
			case 5:
				r.Retain = &never
			case 6: // the ways to be due later, or to expire, one at a time
				r.Delay = time.Hour
			case 7:
				r.Delay = time.Nanosecond
			case 8:
				r.TTL = time.Hour
			case 9:
				r.ExpiresAt = time.Date(2999, 1, 1, 0, 0, 0, 0, time.UTC)
			case 10:
				r.Retain, r.RunAfter = &none, time.Date(1969, 12, 31, 23, 59, 59, 1500, time.FixedZone("", 3600))
			}
		})
	}
	return recs
}

// Records are stored the same, one by one, a few together, and by COPY.
func TestEveryRoadStoresTheSame(t *testing.T) {
	for _, n := range []int{1, 21, 140} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			b := open(t)
			all := full(140)
			for batch := range slices.Chunk(all, n) {
				given := make([]*tasks.Record, len(batch))
				for i, r := range batch {
					given[i] = r.Clone()
				}
				enqueue(t, b, batch...)
				for i, r := range batch {
					stored, err := b.GetResult(t.Context(), r.ID)
					if err != nil {
						t.Fatal(err)
					}
					if !reflect.DeepEqual(stored, r) {
						t.Errorf("stored is\n%+v, and Enqueue has said\n%+v", stored, r)
					}
					want := given[i]
					if want.Delay > 0 {
						want.RunAfter = stored.EnqueuedAt.Add(want.Delay)
					}
					if want.TTL > 0 {
						want.ExpiresAt = stored.EnqueuedAt.Add(want.TTL)
					}
					want.RunAfter, want.ExpiresAt = micro(want.RunAfter), micro(want.ExpiresAt)
					want.Status, want.Delay, want.TTL, want.EnqueuedAt = tasks.Ready, 0, 0, stored.EnqueuedAt
					if !reflect.DeepEqual(stored, want) {
						t.Errorf("stored is\n%+v, want\n%+v", stored, want)
					}
				}
			}
		})
	}
}

func micro(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC().Truncate(time.Microsecond)
}

// A large batch with ids that are there, and with one twice, stores the others, and tells of those.
func TestDuplicatesInALargeBatch(t *testing.T) {
	b := open(t)
	old := rec(func(r *tasks.Record) { r.Args = json.RawMessage(`"old"`) })
	enqueue(t, b, old)
	batch := full(200)
	batch[50].ID, batch[150].ID = old.ID, batch[149].ID
	enqueue(t, b, batch...)
	for i, r := range batch {
		if want := i == 50 || i == 150; r.Duplicate != want {
			t.Errorf("record %d is a duplicate: %v, want %v", i, r.Duplicate, want)
		}
	}
	if string(batch[50].Args) != `"old"` || batch[150].MaxAttempts != 150 {
		t.Errorf("the duplicates read %s and %d attempts, want what was stored before", batch[50].Args, batch[150].MaxAttempts)
	}
	infos, err := b.Queues(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := int64(0)
	for _, q := range infos {
		n += q.Counts[tasks.Ready]
	}
	if n != 199 {
		t.Errorf("%d records are stored, want 199", n)
	}
}

// What the server refuses of a large batch is refused with all of it, and leaves nothing.
func TestRefusedLargeBatch(t *testing.T) {
	b := open(t)
	if _, err := b.Pool().Exec(t.Context(), "ALTER TABLE "+table(b, "tasks")+" ADD CHECK (priority <> 42)"); err != nil {
		t.Fatal(err)
	}
	batch := full(200)
	batch[100].Priority = 42
	if err := b.Enqueue(t.Context(), batch); err == nil {
		t.Error("it is stored")
	}
	for i := range batch {
		if batch[i].Priority == 42 {
			batch[i].Priority = 0
		}
	}
	enqueue(t, b, batch...) // the connection can be used again
	for _, r := range batch {
		if r.Duplicate {
			t.Errorf("record %s had been stored", r.ID)
		}
	}
}
