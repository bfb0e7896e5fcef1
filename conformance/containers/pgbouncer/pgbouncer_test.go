package pgbouncer_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/conformance"
	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/tasks"
)

// TestConformance runs the suite through PgBouncer in transaction mode, with what that takes:
// polling, the simple protocol, and a pool of one connection, which is enough. What is cut off and
// killed is PgBouncer.
func TestConformance(t *testing.T) {
	s := server.Get(t)
	bouncer := s.GetPgBouncer(t)
	all := bouncer.Faults()
	conformance.Run(t, conformance.Config{
		Open: func(t conformance.T) conformance.Store {
			o := database.Options{
				URL:    containers.WithParams(t, bouncer.URL(), "default_query_exec_mode", "simple_protocol", "pool_max_conns", "1"),
				Schema: s.NewSchema(t), Migrate: true, PollOnly: true, PollInterval: 50 * time.Millisecond,
			}
			return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) {
				return conformance.Opened(database.Open(ctx, o))
			})
		},
		Faults: conformance.Faults{Cut: all.Cut, Kill: all.Kill}, // the rest is on the server itself
		// One connection quotes megabytes into statements: 5 s on a quiet machine, 30 on one with a load of 9.
		Timing: conformance.Timing{Late: 300 * time.Millisecond, Deadline: 2 * time.Minute},
	})
}

// TestForgotten has programs that don't know of PgBouncer. They must be told what to
// set, by errors and by Check, and none may hang.
func TestForgotten(t *testing.T) {
	s := server.Get(t)
	bouncer := s.GetPgBouncer(t)
	open := func(t *testing.T, o database.Options, params ...string) *database.Backend {
		t.Helper()
		o.URL = containers.WithParams(t, bouncer.URL(), params...)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		b, err := database.Open(ctx, o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := b.Close(context.Background()); err != nil {
				t.Errorf("close: %v", err)
			}
		})
		return b
	}
	finds := func(t *testing.T, b *database.Backend, want ...string) {
		t.Helper()
		from := time.Now()
		var got []string
		found := b.Check(t.Context())
		for _, f := range found {
			got = append(got, f.ID)
			if !strings.Contains(f.Hint, "poll_only") {
				t.Errorf("the hint of %s is %q, want it to say poll_only", f.ID, f.Hint)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("Check found %v, want %v", found, want)
		}
		if took := time.Since(from); took > 5*time.Second {
			t.Errorf("Check took %v", took)
		}
	}

	t.Run("Prepared", func(t *testing.T) {
		o := database.Options{Schema: s.NewSchema(t), PollOnly: true}
		migrate(t, s, o.Schema)
		clients := []*database.Backend{open(t, o), open(t, o)}
		var refused error
		for i := range 40 {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			err := clients[i%2].Enqueue(ctx, []*tasks.Record{record(i)})
			cancel()
			if err == nil {
				continue
			}
			refused = err
			if !errors.Is(err, tasks.ErrUnavailable) || !strings.Contains(err.Error(), "default_query_exec_mode=simple_protocol") {
				t.Errorf("got %v, want ErrUnavailable and what to set", err)
			}
		}
		if refused == nil {
			t.Log("this PgBouncer keeps prepared statements")
			finds(t, clients[0])
			return
		}
		finds(t, clients[0], "database.E009")
		finds(t, clients[1], "database.E009")
		if _, err := database.Open(t.Context(), database.Options{URL: bouncer.URL(), Schema: s.NewSchema(t), Migrate: true}); err != nil &&
			!strings.Contains(err.Error(), "default_query_exec_mode=simple_protocol") {
			t.Errorf("Open with migrate: got %v, want what to set", err)
		}
	})

	t.Run("Listen", func(t *testing.T) {
		o := database.Options{Schema: s.NewSchema(t), PollInterval: 200 * time.Millisecond}
		migrate(t, s, o.Schema)
		b := open(t, o, "default_query_exec_mode", "simple_protocol")
		finds(t, b, "database.W004")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- b.Wait(ctx, tasks.Selection{}) }()
		if err := b.Enqueue(ctx, []*tasks.Record{record(1)}); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Errorf("Wait: %v, want that it finds work by looking", err)
		}
		o.PollOnly = true
		finds(t, open(t, o, "default_query_exec_mode", "simple_protocol"))
	})
}

// migrate makes the tables, past everything.
func migrate(t *testing.T, s *containers.Server, schema string) {
	t.Helper()
	b, err := database.Open(t.Context(), database.Options{URL: s.Direct(), Schema: schema, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// record is one of a task that needs no App.
func record(i int) *tasks.Record {
	return &tasks.Record{ID: fmt.Sprintf("record-%06d", i), Task: "task", Queue: "default", Alias: "default", MaxAttempts: 1, Args: []byte("1")}
}
