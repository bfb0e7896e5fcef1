package redis_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

// What a claim and a success make of a record is worked out once for those that are the same but
// for the time of their enqueue. None may get what is another's: here one script claims, and one
// settles, records that differ in one thing each, with usual ones between them.
func TestBatchOfManyKinds(t *testing.T) {
	none, hour := time.Duration(0), time.Hour
	kinds := []struct {
		name    string
		change  func(*tasks.Record)
		cancels bool // while it runs
	}{
		{name: "of a priority", change: priority(7)},
		{name: "of another", change: priority(-7)},
		{name: "with more attempts", change: func(r *tasks.Record) { r.MaxAttempts = 5 }},
		{name: "that can expire", change: func(r *tasks.Record) { r.TTL = hour }},
		{name: "due before", change: func(r *tasks.Record) { r.RunAfter = time.Now().Add(-hour) }},
		{name: "of another queue", change: queue("other")},
		{name: "of another task", change: func(r *tasks.Record) { r.Task = "other" }},
		{name: "kept for an hour", change: func(r *tasks.Record) { r.Retain = &hour }},
		{name: "not kept", change: func(r *tasks.Record) { r.Retain = &none }},
		{name: "tried before", change: func(r *tasks.Record) { r.MaxAttempts = 3 }},
		{name: "to be cancelled", cancels: true},
	}
	b := open(t)
	names := make(map[string]string)
	var cancelled []string
	for range 3 {
		for _, k := range kinds {
			usual, r := rec(), rec()
			if k.change != nil {
				k.change(r)
			}
			enqueue(t, b, usual)
			enqueue(t, b, r)
			names[usual.ID], names[r.ID] = "usual", k.name
			if k.cancels {
				cancelled = append(cancelled, r.ID)
			}
		}
	}
	var back []tasks.Outcome
	for _, c := range claim(t, b, 1000) {
		o := tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeRelease}
		if names[c.Record.ID] == "tried before" {
			o = tasks.Outcome{Lease: c.Lease, Kind: tasks.OutcomeRetry, Error: &tasks.AttemptError{Type: "t", Message: "m"}}
		}
		back = append(back, o)
	}
	settle(t, b, back...)

	want := make(map[string]*tasks.Record)
	for id := range names {
		want[id] = get(t, b, id)
	}
	claimed := claim(t, b, 1000)
	if len(claimed) != len(names) {
		t.Fatalf("claimed %d of %d", len(claimed), len(names))
	}
	for _, c := range claimed {
		r := want[c.Record.ID]
		lifecycle.Claim(r, "w1", c.Record.LastAttemptedAt)
		wantSame(t, names[r.ID], c.Record, r)
	}
	if _, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeCancel, Reason: "late"}, cancelled); err != nil {
		t.Fatal(err)
	}
	var outs []tasks.Outcome
	for _, c := range claimed {
		outs = append(outs, success(c))
	}
	for i, err := range settle(t, b, outs...) {
		if err != nil {
			t.Errorf("%s: %v", names[outs[i].Lease.ID], err)
		}
	}
	for i, c := range claimed {
		r := want[c.Record.ID]
		got, err := b.GetResult(t.Context(), r.ID)
		if r.Retain != nil && *r.Retain == 0 {
			if !errors.Is(err, tasks.ErrResultNotFound) {
				t.Errorf("%s: there is %+v (%v)", names[r.ID], got, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		lifecycle.Settle(r, outs[i], got.FinishedAt)
		wantSame(t, names[r.ID], got, r)
	}
	for i, err := range settle(t, b, outs...) {
		if !errors.Is(err, tasks.ErrLeaseLost) {
			t.Errorf("settled again, %s: %v", names[outs[i].Lease.ID], err)
		}
	}
}

func wantSame(t *testing.T, kind string, got, want *tasks.Record) {
	t.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if string(g) != string(w) {
		t.Errorf("%s:\ngot  %s\nwant %s", kind, g, w)
	}
}
