package lifecycle_test

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/tasks/lifecycle"
)

var (
	epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	never time.Time
)

func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

// record is one of most attempts, enqueued at 0 and claimed n times: at 1, 2 and so on.
func record(n, most int) *tasks.Record {
	rec := &tasks.Record{ID: "id", MaxAttempts: most}
	lifecycle.Enqueue(rec, at(0))
	for i := range n {
		lifecycle.Claim(rec, fmt.Sprintf("w%d", i+1), at(i+1))
	}
	return rec
}

// state says all about a record that its life changes, in seconds.
func state(r *tasks.Record) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s workers=%v", r.Status, r.WorkerIDs)
	for _, t := range []struct {
		name string
		at   time.Time
	}{{"run_after", r.RunAfter}, {"started", r.StartedAt}, {"last", r.LastAttemptedAt}, {"finished", r.FinishedAt}, {"expires", r.ExpiresAt}} {
		if !t.at.IsZero() {
			fmt.Fprintf(&b, " %s=%v", t.name, t.at.Sub(epoch).Seconds())
		}
	}
	for _, e := range r.Errors {
		fmt.Fprintf(&b, " error=%d/%s/%s/%s/%v", e.Attempt, e.Worker, e.Type, e.Message, e.At.Sub(epoch).Seconds())
	}
	if r.Value != nil {
		fmt.Fprintf(&b, " value=%s", r.Value)
	}
	if r.CancelRequested {
		b.WriteString(" requested")
	}
	if r.CancelReason != "" {
		b.WriteString(" reason=" + r.CancelReason)
	}
	return b.String()
}

func check(t *testing.T, what string, rec *tasks.Record, want string) {
	t.Helper()
	if got := state(rec); got != want {
		t.Errorf("%s:\n got %s\nwant %s", what, got, want)
	}
}

func TestEnqueue(t *testing.T) {
	local := time.FixedZone("CET", 3600)
	rec := &tasks.Record{
		RunAfter: at(5).In(local).Add(999), ExpiresAt: at(9).In(local), Status: tasks.Failed, StartedAt: at(1), LastAttemptedAt: at(1), FinishedAt: at(1),
		WorkerIDs: []string{"w"}, Errors: make([]tasks.AttemptError, 1), Value: []byte("1"), CancelRequested: true, CancelReason: "r", Duplicate: true,
	}
	lifecycle.Enqueue(rec, at(0).In(local).Add(1999))
	check(t, "what only later events set is cleared", rec, "READY workers=[] run_after=5 expires=9")
	if want := at(0).Add(time.Microsecond); rec.EnqueuedAt != want || rec.Duplicate {
		t.Errorf("EnqueuedAt, Duplicate: got %v, %v, want %v, false", rec.EnqueuedAt, rec.Duplicate, want)
	}
	rec = &tasks.Record{Delay: time.Minute, TTL: time.Hour}
	lifecycle.Enqueue(rec, at(0))
	check(t, "Delay and TTL", rec, "READY workers=[] run_after=60 expires=3600")
	if rec.Delay != 0 || rec.TTL != 0 {
		t.Errorf("Delay, TTL: got %v, %v, want 0", rec.Delay, rec.TTL)
	}
}

func TestW2_Due(t *testing.T) {
	rec := &tasks.Record{RunAfter: at(5)}
	lifecycle.Enqueue(rec, at(0))
	for now, want := range map[time.Time]bool{at(5).Add(-1): false, at(5): true, at(6): true} {
		if got := lifecycle.Due(rec, now); got != want {
			t.Errorf("Due at %v: got %v, want %v", now, got, want)
		}
	}
	lifecycle.Claim(rec, "w", at(5))
	if lifecycle.Due(rec, at(9)) {
		t.Error("Due of a RUNNING record: got true")
	}
}

func TestT5_Expired(t *testing.T) {
	rec := &tasks.Record{TTL: 5 * time.Second, MaxAttempts: 2}
	lifecycle.Enqueue(rec, at(0))
	for now, want := range map[time.Time]bool{at(5).Add(-1): false, at(5): true} {
		if got := lifecycle.Expired(rec, now); got != want {
			t.Errorf("Expired at %v: got %v, want %v", now, got, want)
		}
	}
	started := rec.Clone()
	lifecycle.Expire(rec, at(6))
	check(t, "Expire", rec, "CANCELLED workers=[] finished=6 expires=5 reason=expired")
	lifecycle.Claim(started, "w", at(4))
	lifecycle.Settle(started, tasks.Outcome{Kind: tasks.OutcomeRetry}, at(4))
	if lifecycle.Expired(started, at(9)) {
		t.Error("Expired of a record that waits for its second attempt: got true")
	}
	if lifecycle.Expired(record(0, 1), at(9)) {
		t.Error("Expired of a record without ExpiresAt: got true")
	}
}

func TestR5R6_ClaimKeepsTheFirstStart(t *testing.T) {
	check(t, "first", record(1, 3), "RUNNING workers=[w1] started=1 last=1")
	check(t, "second", record(2, 3), "RUNNING workers=[w1 w2] started=1 last=2")
}

func TestW8_Settle(t *testing.T) {
	failure := &tasks.AttemptError{Type: "E", Message: "m", Attempt: 99, Worker: "liar"}
	for _, tt := range []struct {
		name      string
		n, most   int
		requested bool
		out       tasks.Outcome
		want      string // after the claims
	}{
		{"success", 1, 1, false, tasks.Outcome{Kind: tasks.OutcomeSuccess, Value: []byte(`"v"`)}, `SUCCESSFUL workers=[w1] started=1 last=1 finished=9 value="v"`},
		{"success without value", 1, 1, false, tasks.Outcome{Kind: tasks.OutcomeSuccess}, `SUCCESSFUL workers=[w1] started=1 last=1 finished=9 value=null`},
		{"success, cancel requested", 1, 1, true, tasks.Outcome{Kind: tasks.OutcomeSuccess}, `SUCCESSFUL workers=[w1] started=1 last=1 finished=9 value=null`},
		{"failure", 1, 3, false, tasks.Outcome{Kind: tasks.OutcomeFailure, Error: failure}, "FAILED workers=[w1] started=1 last=1 finished=9 error=1/w1/E/m/9"},
		{"failure without error", 1, 3, false, tasks.Outcome{Kind: tasks.OutcomeFailure}, "FAILED workers=[w1] started=1 last=1 finished=9 error=1/w1///9"},
		{"failure, cancel requested", 1, 3, true, tasks.Outcome{Kind: tasks.OutcomeFailure, Error: failure}, "CANCELLED workers=[w1] started=1 last=1 finished=9 error=1/w1/E/m/9 reason=why"},
		{"retry", 1, 2, false, tasks.Outcome{Kind: tasks.OutcomeRetry, Error: failure, Delay: 5 * time.Second}, "READY workers=[w1] run_after=14 started=1 last=1 error=1/w1/E/m/9"},
		{"retry below 0", 1, 2, false, tasks.Outcome{Kind: tasks.OutcomeRetry, Error: failure, Delay: -5 * time.Second}, "READY workers=[w1] run_after=9 started=1 last=1 error=1/w1/E/m/9"},
		{"retry, none left", 2, 2, false, tasks.Outcome{Kind: tasks.OutcomeRetry, Error: failure}, "FAILED workers=[w1 w2] started=1 last=2 finished=9 error=2/w2/E/m/9"},
		{"retry, cancel requested", 1, 2, true, tasks.Outcome{Kind: tasks.OutcomeRetry, Error: failure}, "CANCELLED workers=[w1] started=1 last=1 finished=9 error=1/w1/E/m/9 reason=why"},
		{"snooze", 1, 1, false, tasks.Outcome{Kind: tasks.OutcomeSnooze, Delay: 5 * time.Second}, "READY workers=[] run_after=14 started=1 last=1"},
		{"snooze below 0", 2, 2, false, tasks.Outcome{Kind: tasks.OutcomeSnooze, Delay: -1}, "READY workers=[w1] run_after=9 started=1 last=2"},
		{"snooze, cancel requested", 1, 1, true, tasks.Outcome{Kind: tasks.OutcomeSnooze}, "CANCELLED workers=[] started=1 last=1 finished=9 reason=why"},
		{"release", 1, 1, false, tasks.Outcome{Kind: tasks.OutcomeRelease}, "READY workers=[]"},
		{"release of a second attempt", 2, 2, false, tasks.Outcome{Kind: tasks.OutcomeRelease}, "READY workers=[w1] started=1 last=2"},
		{"release with a delay", 1, 1, false, tasks.Outcome{Kind: tasks.OutcomeRelease, Delay: time.Second}, "READY workers=[] run_after=10"},
		{"release, cancel requested", 1, 1, true, tasks.Outcome{Kind: tasks.OutcomeRelease}, "CANCELLED workers=[] finished=9 reason=why"},
		{"cancel", 1, 3, false, tasks.Outcome{Kind: tasks.OutcomeCancel, Reason: "own"}, "CANCELLED workers=[w1] started=1 last=1 finished=9 reason=own"},
		{"cancel with error", 1, 3, false, tasks.Outcome{Kind: tasks.OutcomeCancel, Error: failure}, "CANCELLED workers=[w1] started=1 last=1 finished=9 error=1/w1/E/m/9"},
		{"cancel as requested", 1, 3, true, tasks.Outcome{Kind: tasks.OutcomeCancel}, "CANCELLED workers=[w1] started=1 last=1 finished=9 reason=why"},
		{"cancel, own reason first", 1, 3, true, tasks.Outcome{Kind: tasks.OutcomeCancel, Reason: "own"}, "CANCELLED workers=[w1] started=1 last=1 finished=9 reason=own"},
	} {
		rec := record(tt.n, tt.most)
		if tt.requested {
			if _, err := lifecycle.Alter(rec, tasks.Change{Kind: tasks.ChangeCancel, Reason: "why"}, at(8)); err != nil {
				t.Fatalf("%s: request to cancel: %v", tt.name, err)
			}
		}
		lifecycle.Settle(rec, tt.out, at(9))
		check(t, tt.name, rec, tt.want)
	}
	if failure.Attempt != 99 || failure.Worker != "liar" {
		t.Errorf("the outcome's error: got %+v, want it unchanged", failure)
	}
}

// Earlier errors stay, and a copy of the record that shares them isn't written to.
func TestR6_ErrorsGrowOldestFirst(t *testing.T) {
	rec := record(0, 9)
	for range 3 { // after which an append would have room for a fourth
		lifecycle.Claim(rec, "w", at(1))
		lifecycle.Settle(rec, tasks.Outcome{Kind: tasks.OutcomeRetry, Error: &tasks.AttemptError{Message: "first"}}, at(2))
	}
	shallow := *rec
	lifecycle.Claim(rec, "w2", at(3))
	lifecycle.Settle(rec, tasks.Outcome{Kind: tasks.OutcomeRetry, Error: &tasks.AttemptError{Message: "second"}}, at(4))
	lifecycle.Claim(&shallow, "x2", at(3))
	lifecycle.Settle(&shallow, tasks.Outcome{Kind: tasks.OutcomeRetry, Error: &tasks.AttemptError{Message: "other"}}, at(4))
	if len(rec.Errors) != 4 || rec.Errors[0].Message != "first" || rec.Errors[3].Message != "second" {
		t.Errorf("Errors: got %v, want first three times, then second", rec.Errors)
	}
}

func TestW6_Lose(t *testing.T) {
	lost := "error=%d/w%d/lost/" + lifecycle.LostMessage + "/9"
	rec := record(1, 2)
	lifecycle.Lose(rec, at(9))
	check(t, "attempts left", rec, "READY workers=[w1] run_after=9 started=1 last=1 "+fmt.Sprintf(lost, 1, 1))
	rec = record(2, 2)
	lifecycle.Lose(rec, at(9))
	check(t, "none left", rec, "FAILED workers=[w1 w2] started=1 last=2 finished=9 "+fmt.Sprintf(lost, 2, 2))
	rec = record(1, 2)
	rec.CancelRequested, rec.CancelReason = true, "why"
	lifecycle.Lose(rec, at(9))
	check(t, "cancel requested", rec, "CANCELLED workers=[w1] started=1 last=1 finished=9 "+fmt.Sprintf(lost, 1, 1)+" reason=why")
}

// final makes a record of that status, settled at 5.
func final(s tasks.Status) *tasks.Record {
	rec := record(1, 1)
	switch s {
	case tasks.Ready:
		return record(0, 1)
	case tasks.Successful:
		lifecycle.Settle(rec, tasks.Outcome{Kind: tasks.OutcomeSuccess}, at(5))
	case tasks.Failed:
		lifecycle.Settle(rec, tasks.Outcome{Kind: tasks.OutcomeFailure}, at(5))
	case tasks.Cancelled:
		lifecycle.Settle(rec, tasks.Outcome{Kind: tasks.OutcomeCancel, Reason: "own"}, at(5))
	case tasks.Running:
	}
	return rec
}

func TestI3T4_Alter(t *testing.T) {
	for _, tt := range []struct {
		change tasks.Change
		want   map[tasks.Status]string // absent: ErrNoChange
	}{
		{tasks.Change{Kind: tasks.ChangeCancel, Reason: "why"}, map[tasks.Status]string{
			tasks.Ready:   "CANCELLED workers=[] finished=9 reason=why",
			tasks.Running: "RUNNING workers=[w1] started=1 last=1 requested reason=why",
		}},
		{tasks.Change{Kind: tasks.ChangeRetry}, map[tasks.Status]string{
			tasks.Failed:    "READY workers=[w1] run_after=9 started=1 last=1 error=1/w1///5",
			tasks.Cancelled: "READY workers=[w1] run_after=9 started=1 last=1",
		}},
		{tasks.Change{Kind: tasks.ChangeReschedule, At: at(77)}, map[tasks.Status]string{tasks.Ready: "READY workers=[] run_after=77"}},
		{tasks.Change{Kind: tasks.ChangeReschedule, Delay: time.Minute}, map[tasks.Status]string{tasks.Ready: "READY workers=[] run_after=69"}},
		{tasks.Change{Kind: tasks.ChangeReschedule, Delay: -time.Minute}, map[tasks.Status]string{tasks.Ready: "READY workers=[] run_after=9"}},
		{tasks.Change{Kind: tasks.ChangeDelete}, map[tasks.Status]string{tasks.Ready: "gone", tasks.Successful: "gone", tasks.Failed: "gone", tasks.Cancelled: "gone"}},
		{tasks.Change{Kind: "colour"}, nil},
	} {
		for _, s := range tasks.Statuses() {
			rec := final(s)
			before := state(rec)
			gone, err := lifecycle.Alter(rec, tt.change, at(9))
			what := fmt.Sprintf("%s of %s", tt.change.Kind, s)
			want := tt.want[s]
			switch {
			case want == "":
				if gone || !errors.Is(err, tasks.ErrNoChange) {
					t.Errorf("%s: got %v, %v, want false, ErrNoChange", what, gone, err)
				}
				check(t, what, rec, before)
			case err != nil || gone != (want == "gone"):
				t.Errorf("%s: got %v, %v, want %s", what, gone, err, want)
			case !gone:
				check(t, what, rec, want)
			}
		}
	}
}

func TestI3_RetryAllowsOneMoreAttempt(t *testing.T) {
	rec := final(tasks.Failed)
	rec.ExpiresAt = at(7)
	if _, err := lifecycle.Alter(rec, tasks.Change{Kind: tasks.ChangeRetry}, at(9)); err != nil {
		t.Fatalf("Alter: %v", err)
	}
	if rec.MaxAttempts != 2 || !rec.ExpiresAt.IsZero() {
		t.Errorf("MaxAttempts, ExpiresAt: got %d, %v, want 2 and none, since it has passed", rec.MaxAttempts, rec.ExpiresAt)
	}
	rec = record(0, 5)
	rec.ExpiresAt = at(70)
	_, _ = lifecycle.Alter(rec, tasks.Change{Kind: tasks.ChangeCancel}, at(2))
	_, _ = lifecycle.Alter(rec, tasks.Change{Kind: tasks.ChangeRetry}, at(9))
	if rec.MaxAttempts != 5 || rec.ExpiresAt != at(70) {
		t.Errorf("MaxAttempts, ExpiresAt: got %d, %v, want them as they were", rec.MaxAttempts, rec.ExpiresAt)
	}
}

func TestT4_TheFirstReasonStays(t *testing.T) {
	rec := record(1, 1)
	for _, reason := range []string{"first", "second"} {
		if _, err := lifecycle.Alter(rec, tasks.Change{Kind: tasks.ChangeCancel, Reason: reason}, at(2)); err != nil {
			t.Fatalf("Alter: %v", err)
		}
	}
	check(t, "after two requests", rec, "RUNNING workers=[w1] started=1 last=1 requested reason=first")
}

func TestI4_PruneAt(t *testing.T) {
	const day = 24 * time.Hour
	defaults := lifecycle.Retention{}.Default()
	own := lifecycle.Retention{Successful: time.Hour, Failed: -1, Cancelled: math.MaxInt64}.Default()
	for _, tt := range []struct {
		name      string
		retention lifecycle.Retention
		status    tasks.Status
		retain    *time.Duration
		want      time.Time
		atOnce    bool
	}{
		{"SUCCESSFUL", defaults, tasks.Successful, nil, at(5).Add(day), false},
		{"FAILED", defaults, tasks.Failed, nil, at(5).Add(7 * day), false},
		{"CANCELLED", defaults, tasks.Cancelled, nil, at(5).Add(day), false},
		{"configured", own, tasks.Successful, nil, at(5).Add(time.Hour), false},
		{"configured for ever", own, tasks.Failed, nil, lifecycle.Forever(), false},
		{"longest", own, tasks.Cancelled, nil, at(5).Add(math.MaxInt64), false},
		{"own", defaults, tasks.Failed, new(time.Minute), at(5).Add(time.Minute), false},
		{"own for ever", defaults, tasks.Failed, new(time.Duration(-1)), lifecycle.Forever(), false},
		{"own at once", defaults, tasks.Failed, new(time.Duration(0)), at(5), true},
	} {
		rec := final(tt.status)
		rec.Retain = tt.retain
		if got, atOnce := tt.retention.PruneAt(rec); !got.Equal(tt.want) || atOnce != tt.atOnce {
			t.Errorf("%s: got %v, %v, want %v, %v", tt.name, got, atOnce, tt.want, tt.atOnce)
		}
	}
	late := &tasks.Record{Status: tasks.Failed, FinishedAt: lifecycle.Forever().Add(-time.Hour)}
	if got, _ := defaults.PruneAt(late); got != lifecycle.Forever() {
		t.Errorf("beyond the year 9999: got %v, want %v", got, lifecycle.Forever())
	}
}

func TestTime(t *testing.T) {
	local := time.Date(2026, 3, 1, 13, 0, 0, 1999, time.FixedZone("CET", 3600))
	if got, want := lifecycle.Time(local), epoch.Add(time.Microsecond); got != want {
		t.Errorf("Time: got %v, want %v", got, want)
	}
	if got := lifecycle.Time(never.In(time.FixedZone("CET", 3600))); got != never {
		t.Errorf("Time of a zero time: got %#v, want the zero value", got)
	}
}

// R5: a clock that is set back between two events doesn't show in a record.
func TestClockSetBack(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 12, minute, 0, 0, time.UTC) }
	rec := &tasks.Record{MaxAttempts: 2}
	lifecycle.Enqueue(rec, at(30))
	lifecycle.Claim(rec, "w", at(10))
	lifecycle.Settle(rec, tasks.Outcome{Kind: tasks.OutcomeRetry}, at(5))
	lifecycle.Claim(rec, "w", at(1))
	lifecycle.Settle(rec, tasks.Outcome{Kind: tasks.OutcomeSuccess}, at(0))
	for what, end := range map[string]func(*tasks.Record){
		"cancelled": func(r *tasks.Record) { _, _ = lifecycle.Alter(r, tasks.Change{Kind: tasks.ChangeCancel}, at(1)) },
		"expired":   func(r *tasks.Record) { lifecycle.Expire(r, at(1)) },
	} {
		unstarted := &tasks.Record{}
		lifecycle.Enqueue(unstarted, at(30))
		if end(unstarted); !unstarted.FinishedAt.Equal(at(30)) {
			t.Errorf("%s unstarted: FinishedAt is %v, want %v", what, unstarted.FinishedAt, at(30))
		}
	}
	times := []time.Time{rec.EnqueuedAt, rec.StartedAt, rec.LastAttemptedAt, rec.FinishedAt}
	for i, tm := range times {
		if !tm.Equal(at(30)) {
			t.Errorf("time %d of EnqueuedAt, StartedAt, LastAttemptedAt, FinishedAt is %v, want %v", i, tm, at(30))
		}
	}
}
