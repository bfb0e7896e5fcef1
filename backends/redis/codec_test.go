package redis

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// head is that of a record, as a script completes it: with the time of the enqueue.
func head(tb testing.TB, r *tasks.Record, enqueued string) string {
	tb.Helper()
	b, err := appendHead(nil, r)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b[:headEnqueued]) + enqueued + string(b[headTail:])
}

func fullRecord() *tasks.Record {
	return &tasks.Record{
		Task: strings.Repeat("t", 4096), Queue: strings.Repeat("q", 255), Priority: tasks.MinPriority, MaxAttempts: math.MaxInt,
		RunAfter: time.UnixMicro(1), ExpiresAt: time.UnixMicro(-1), Retain: new(time.Duration),
	}
}

// What isn't set takes one byte, and what is comes back.
func TestHead(t *testing.T) {
	const at = "001795786286702014"
	want := fullRecord()
	s, err := decodeHead(head(t, want, at))
	if err != nil || s.token != "" || !s.till.IsZero() || s.more {
		t.Fatalf("got %+v: %v", s, err)
	}
	got := s.rec
	if got.Task != want.Task || got.Queue != want.Queue || got.Priority != want.Priority || got.MaxAttempts != want.MaxAttempts ||
		!got.RunAfter.Equal(want.RunAfter) || !got.ExpiresAt.Equal(want.ExpiresAt) || got.EnqueuedAt.UnixMicro() != 1795786286702014 ||
		got.Status != tasks.Ready || !got.StartedAt.IsZero() || !got.LastAttemptedAt.IsZero() || !got.FinishedAt.IsZero() {
		t.Errorf("got %+v", got)
	}
	plain := head(t, &tasks.Record{Task: "task", Queue: "q", MaxAttempts: 3}, at)
	if text := "3R10000" + at + "0008001qtask" + "........" + "0,3;;"; plain != text {
		t.Errorf("got  %q\nwant %q", plain, text)
	}
	running := "3W10011" + at + "0008001qtask" + "." + at + ".." + at + "=." + strings.Repeat("a", sizeToken) + "2,3+w;1000003w2000002;"
	s, err = decodeHead(running)
	got, till := s.rec, s.till
	if err != nil || s.token != strings.Repeat("a", sizeToken) || !s.more || !slices.Equal(got.WorkerIDs, []string{"w;1", "w2"}) || !till.Equal(got.EnqueuedAt) || !got.LastAttemptedAt.Equal(till) ||
		!got.StartedAt.Equal(till) || !got.CancelRequested || got.Status != tasks.Running || got.MaxAttempts != 3 {
		t.Errorf("got %+v: %v", s, err)
	}
	for n := range running {
		if _, err := decodeHead(running[:n]); err == nil {
			t.Errorf("cut after %d bytes it is taken for whole", n)
		}
	}
}

func FuzzDecode(f *testing.F) {
	full := fullRecord()
	full.Queue, full.Task, full.Args = "queue", "task", []byte(`{"n":1}`) // short, as what is found is made smaller
	f.Add(head(f, full, unset), string(appendEnvelope(nil, full, 7)), "", "v")
	f.Add(head(f, &tasks.Record{Task: "t", Queue: "q"}, unset), "\x01", strings.Repeat("0", 34)+"\x00\x00\x00", "")
	f.Fuzz(func(t *testing.T, h, e, x, v string) {
		stored := raw{head: h, envelope: e, value: v}
		if x != "" {
			stored.more = map[string]string{"x1": x}
		}
		s, err := decode("id", stored)
		if err != nil && !errors.Is(err, tasks.ErrDamaged) {
			t.Errorf("an error that doesn't say that the record is damaged: %v", err)
		}
		if err == nil && (s.rec.ID != "id" || s.rec.Status == "" || len(s.rec.Queue)+len(s.rec.Task) > len(h)) {
			t.Errorf("got %+v of %q", s.rec, h)
		}
		if _, err := decodeAppended("id", h+e); err != nil && !errors.Is(err, tasks.ErrDamaged) {
			t.Errorf("appended: %v", err)
		}
	})
}
