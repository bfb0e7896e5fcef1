package database_test

import (
	"context"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// A large claim waits while another takes its turn, but not for one that hangs; and a small one
// doesn't wait.
func TestLargeClaimsTakeTurns(t *testing.T) {
	b := open(t, func(o *database.Options) { o.URL = addParam(o.URL, "pool_max_conns", "1") })
	// The first LOCK of a connection looks the table up, and keeps the snapshot that it did it by.
	if got := claim(t, b, 200); len(got) != 0 {
		t.Fatalf("claimed %d, want 0", len(got))
	}
	conn, onlooker := connect(t, serverURL(t)), connect(t, serverURL(t))
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "LOCK TABLE "+table(b, "turns")+" IN EXCLUSIVE MODE")
	}
	if err != nil {
		t.Fatal(err)
	}
	recs := make([]*tasks.Record, 5)
	for i := range recs {
		recs[i] = rec()
	}
	enqueue(t, b, recs...)
	if got := claim(t, b, 1); len(got) != 1 { // would take two seconds, and then pause the turns
		t.Fatalf("claimed %d, want 1", len(got))
	}
	// One that held a snapshot while it waits would have a backend_xmin.
	waiting := func() (n int) {
		err := onlooker.QueryRow(t.Context(), `SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE l.relation = $1::text::regclass AND NOT l.granted AND a.backend_xmin IS NULL`, table(b, "turns")).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	done, began := make(chan int, 1), time.Now()
	go func() {
		got, err := b.Claim(context.Background(), tasks.ClaimRequest{Worker: "w", Limit: 200, Lease: time.Minute})
		if err != nil {
			t.Error(err)
		}
		done <- len(got)
	}()
	eventually(t, 900*time.Millisecond, "the claim waits for its turn", func() bool { return waiting() == 1 })
	if got := <-done; got != 4 {
		t.Errorf("claimed %d while another hangs, want 4", got)
	}
	// It waits once, two seconds. In a crowd it would wait four times.
	if took := time.Since(began); took > 6*time.Second {
		t.Errorf("a claim waited %v for one that hangs", took)
	}
	// Now there are no turns for a while.
	enqueue(t, b, rec())
	from := time.Now()
	if got := claim(t, b, 200); len(got) != 1 {
		t.Errorf("claimed %d, want 1", len(got))
	}
	if took := time.Since(from); took > 900*time.Millisecond {
		t.Errorf("the next claim took %v: it has waited for a turn again", took)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A claim that has waited in vain because there were many others waits again: without
// turns all would be slower for a while.
func TestTurnsGoOnInACrowd(t *testing.T) {
	b := open(t)
	recs := make([]*tasks.Record, 5)
	for i := range recs {
		recs[i] = rec()
	}
	enqueue(t, b, recs...)
	conn := connect(t, serverURL(t))
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "LOCK TABLE "+table(b, "turns")+" IN EXCLUSIVE MODE")
	}
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		got, err := b.Claim(context.Background(), tasks.ClaimRequest{Worker: "w", Limit: 200, Lease: time.Minute})
		if err != nil || len(got) != len(recs) {
			t.Errorf("claimed %d, %v; want %d", len(got), err, len(recs))
		}
	}()
	// The same transaction keeps the turn, but each of its statements looks like the claim of another.
	for from := time.Now(); time.Since(from) < 3*time.Second; {
		select {
		case <-done:
			t.Fatal("the claim didn't wait for its turn again")
		default:
		}
		if _, err := tx.Exec(t.Context(), "SELECT pg_sleep(0.1)"); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-done
}
