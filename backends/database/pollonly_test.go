package database_test

import (
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// Every way of pgx to run statements works, with one connection and without LISTEN; and
// so does every kind of statement in it.
func TestExecModesOnOneConnection(t *testing.T) {
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			b := open(t, func(o *database.Options) {
				o.URL = addParam(addParam(o.URL, "default_query_exec_mode", mode), "pool_max_conns", "1")
				o.PollOnly, o.PollInterval = true, 20*time.Millisecond
			})
			if b.Capabilities().Has(tasks.CapNotify) {
				t.Error("CapNotify is declared")
			}
			hour := time.Hour
			full := rec(func(r *tasks.Record) {
				r.Args, r.Metadata, r.Priority, r.MaxAttempts = []byte("\"a\\u0000'\\\\\""), map[string]string{"k\xff": "v\x00"}, -7, 3
				r.RunAfter, r.ExpiresAt = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
				r.Timeout, r.Retain = time.Second, &hour
			})
			again := *full
			enqueue(t, b, full, rec(), rec(), rec(func(r *tasks.Record) { r.Delay = 50 * time.Millisecond }))
			enqueue(t, b, &again)
			if !again.Duplicate || again.Metadata["k\xff"] != "v\x00" || string(again.Args) != string(full.Args) || !again.RunAfter.Equal(full.RunAfter) {
				t.Errorf("the duplicate reads %+v, want %+v", again, *full)
			}
			var outs []tasks.Outcome
			kinds := []tasks.OutcomeKind{tasks.OutcomeSuccess, tasks.OutcomeFailure, tasks.OutcomeRelease, tasks.OutcomeRetry}
			for len(outs) < len(kinds) {
				if err := b.Wait(t.Context(), tasks.Selection{Queues: []string{"default"}}); err != nil {
					t.Fatal(err)
				}
				for _, c := range claim(t, b, 10, "default") {
					outs = append(outs, tasks.Outcome{
						Lease: c.Lease, Kind: kinds[len(outs)], Value: []byte(`"\\"`), Error: &tasks.AttemptError{Message: "m\x00\xff'"},
					})
				}
			}
			leases := make([]tasks.Lease, len(outs))
			for i := range outs {
				leases[i] = outs[i].Lease
			}
			states, err := b.Renew(t.Context(), leases, time.Minute)
			if err != nil || states[0].Lost || states[3].Lost {
				t.Errorf("Renew: %+v, %v", states, err)
			}
			verdicts, err := b.Settle(t.Context(), outs)
			for i, v := range verdicts {
				if v != nil {
					t.Errorf("Settle of %s: %v", outs[i].Kind, v)
				}
			}
			if err != nil {
				t.Errorf("Settle: %v", err)
			}
			if r, err := b.GetResult(t.Context(), leases[1].ID); err != nil || len(r.Errors) != 1 || r.Errors[0].Message != "m\x00\xff'" {
				t.Errorf("the failed one: %+v, %v", r, err)
			}
			for _, change := range []tasks.Change{{Kind: tasks.ChangeRetry}, {Kind: tasks.ChangeReschedule, Delay: time.Hour}, {Kind: tasks.ChangeCancel, Reason: "r"}} {
				if got, err := b.Alter(t.Context(), change, []string{leases[1].ID}); err != nil || got[0].Err != nil {
					t.Errorf("%s: %+v, %v", change.Kind, got, err)
				}
			}
			if _, err := b.Sweep(t.Context()); err != nil {
				t.Errorf("Sweep: %v", err)
			}
			if err := b.Pause(t.Context(), "default", true); err != nil {
				t.Errorf("Pause: %v", err)
			}
			if infos, err := b.Queues(t.Context()); err != nil || len(infos) != 1 || !infos[0].Paused {
				t.Errorf("Queues: %+v, %v", infos, err)
			}
			if err := b.Pause(t.Context(), "default", false); err != nil {
				t.Errorf("resume: %v", err)
			}
			if page, err := b.List(t.Context(), tasks.ListRequest{Filter: tasks.Filter{Worker: "w1", Since: time.Now().Add(-time.Hour)}, Newest: true}); err != nil || len(page.Records) < 3 {
				t.Errorf("List: %d records, %v", len(page.Records), err)
			}
			if err := b.Heartbeat(t.Context(), tasks.WorkerInfo{ID: "w1", Interval: time.Minute}); err != nil {
				t.Errorf("Heartbeat: %v", err)
			}
			if live, err := b.Workers(t.Context()); err != nil || len(live) != 1 {
				t.Errorf("Workers: %+v, %v", live, err)
			}
			if pruned, err := b.Prune(t.Context(), tasks.PruneRequest{Queues: []string{"default"}}); err != nil || pruned.Deleted < 2 {
				t.Errorf("Prune: %+v, %v", pruned, err)
			}
			wants(t, b)
		})
	}
}
