package database_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sideman-go/sideman/internal/testserver"
	"github.com/sideman-go/sideman/tasks"
)

// Whatever happens to a record, its stage follows: what is READY can be claimed, and nothing else.
func TestStageFollowsStatus(t *testing.T) {
	b := open(t)
	exec := func(t *testing.T, sql, id string) {
		t.Helper()
		if _, err := b.Pool().Exec(t.Context(), sql, id); err != nil {
			t.Fatal(err)
		}
	}
	// What can happen to a record that is alone in the queue of its id.
	type step func(t *testing.T, id string)
	take := func(t *testing.T, id string) { t.Helper(); claim(t, b, 1, id) }
	settle := func(kind tasks.OutcomeKind) step {
		return func(t *testing.T, id string) { t.Helper(); settleAs(t, b, kind, claim(t, b, 1, id)...) }
	}
	alter := func(kind tasks.ChangeKind) step {
		return func(t *testing.T, id string) {
			t.Helper()
			if got, err := b.Alter(t.Context(), tasks.Change{Kind: kind}, []string{id}); err != nil || got[0].Err != nil {
				t.Fatalf("Alter: %+v, %v", got, err)
			}
		}
	}
	sweep := func(t *testing.T, _ string) {
		t.Helper()
		if _, err := b.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	overdue := func(t *testing.T, id string) {
		t.Helper()
		exec(t, "UPDATE "+table(b, "tasks")+" SET until = now() - interval '1 s' WHERE id = $1", id)
		exec(t, "UPDATE "+table(b, "leases")+" SET until = now() - interval '1 s' WHERE $1 = ANY (ids)", id)
	}
	damage := func(t *testing.T, id string) {
		t.Helper()
		exec(t, "UPDATE "+table(b, "tasks")+" SET errors = '\\x0000' WHERE id = $1", id)
	}
	again := settle(tasks.OutcomeRetry)

	deferred := func(r *tasks.Record) { r.Delay = time.Hour }
	expired := func(r *tasks.Record) { r.TTL = time.Nanosecond } // as soon as it is there
	once := func(r *tasks.Record) { r.MaxAttempts = 1 }
	type state struct{ status, attempts, stage int }
	for name, tt := range map[string]struct {
		change func(*tasks.Record)
		steps  []step
		want   state
	}{
		"enqueued":                    {nil, nil, state{0, 0, 0}},
		"enqueued, deferred":          {deferred, nil, state{0, 0, 0}},
		"claimed":                     {nil, []step{take}, state{1, 1, 2}},
		"claimed again":               {nil, []step{again, take}, state{1, 2, 2}},
		"success":                     {nil, []step{settle(tasks.OutcomeSuccess)}, state{2, 1, 2}},
		"failure":                     {nil, []step{settle(tasks.OutcomeFailure)}, state{3, 1, 2}},
		"cancelled by itself":         {nil, []step{settle(tasks.OutcomeCancel)}, state{4, 1, 2}},
		"retry":                       {nil, []step{again}, state{0, 1, 1}},
		"snooze":                      {nil, []step{settle(tasks.OutcomeSnooze)}, state{0, 0, 0}},
		"release":                     {nil, []step{settle(tasks.OutcomeRelease)}, state{0, 0, 0}},
		"release of the second":       {nil, []step{again, settle(tasks.OutcomeRelease)}, state{0, 1, 1}},
		"cancelled while READY":       {nil, []step{alter(tasks.ChangeCancel)}, state{4, 0, 2}},
		"cancelled while READY again": {nil, []step{again, alter(tasks.ChangeCancel)}, state{4, 1, 2}},
		"cancelled while RUNNING":     {nil, []step{take, alter(tasks.ChangeCancel)}, state{1, 1, 2}},
		"rescheduled":                 {nil, []step{alter(tasks.ChangeReschedule)}, state{0, 0, 0}},
		"rescheduled again":           {nil, []step{again, alter(tasks.ChangeReschedule)}, state{0, 1, 1}},
		"failed, requeued":            {nil, []step{settle(tasks.OutcomeFailure), alter(tasks.ChangeRetry)}, state{0, 1, 1}},
		"never tried, requeued":       {nil, []step{alter(tasks.ChangeCancel), alter(tasks.ChangeRetry)}, state{0, 0, 0}},
		"expired at a claim":          {expired, []step{take}, state{4, 0, 2}},
		"expired at a sweep":          {expired, []step{sweep}, state{4, 0, 2}},
		"lost":                        {nil, []step{take, overdue, sweep}, state{0, 1, 1}},
		"lost for good":               {once, []step{take, overdue, sweep}, state{3, 1, 2}},
		"damaged at a claim":          {nil, []step{damage, take}, state{9, 1, 9}},
		"damaged and lost":            {nil, []step{take, damage, overdue, sweep}, state{9, 1, 9}},
		"damaged and expired":         {expired, []step{damage, sweep}, state{9, 0, 9}},
	} {
		t.Run(name, func(t *testing.T) {
			r := rec()
			r.Queue, r.MaxAttempts = r.ID, 5
			if tt.change != nil {
				tt.change(r)
			}
			enqueue(t, b, r)
			for _, do := range tt.steps {
				do(t, r.ID)
			}
			var got state
			err := b.Pool().QueryRow(t.Context(), "SELECT status, attempts, stage FROM "+table(b, "tasks")+" WHERE id = $1", r.ID).
				Scan(&got.status, &got.attempts, &got.stage)
			if err != nil || got != tt.want {
				t.Errorf("got %+v (%v), want %+v", got, err, tt.want)
			}
		})
	}
	// The other ways in: a few at once, the same with one that is there, and by COPY; and some of each.
	few := full(21)
	enqueue(t, b, few...)
	enqueue(t, b, append(full(21), few[0].Clone())...)
	enqueue(t, b, full(140)...)
	settleAs(t, b, tasks.OutcomeSuccess, claim(t, b, 50)...)
	settleAs(t, b, tasks.OutcomeRetry, claim(t, b, 50)...)
	if err := testserver.Stages(t.Context(), b.Pool(), b.Schema()); err != nil {
		t.Error(err)
	}
}

// What an older version of the package reads and writes fails once the schema has stages, since it
// doesn't keep them. What it enqueues is right.
func TestOlderVersionsFailOnStages(t *testing.T) {
	b := open(t)
	enqueue(t, b, rec())
	for _, sql := range []string{
		"SELECT id FROM @ WHERE place < 2",
		"SELECT id, status, token FROM @",
		"UPDATE @ SET status = 4, token = NULL WHERE status = 0",
	} {
		_, err := b.Pool().Exec(t.Context(), strings.ReplaceAll(sql, "@", table(b, "tasks")))
		if e, ok := errors.AsType[*pgconn.PgError](err); !ok || e.Code != "42703" {
			t.Errorf("%s: got %v, want that there's no such column", sql, err)
		}
	}
	if got := claim(t, b, 1); len(got) != 1 {
		t.Errorf("claimed %d, want 1", len(got))
	}
}
