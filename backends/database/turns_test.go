package database_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sideman-go/sideman/tasks"
)

// A large claim waits while another takes its turn, but not for one that hangs; and a small one
// doesn't wait.
func TestLargeClaimsTakeTurns(t *testing.T) {
	b := open(t)
	conn, err := pgx.Connect(t.Context(), serverURL(t))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	sum := sha256.Sum256([]byte("sideman claims\x00" + b.Schema()))
	tx, err := conn.Begin(t.Context())
	if err == nil {
		_, err = tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock($1)", int64(binary.BigEndian.Uint64(sum[:])))
	}
	if err != nil {
		t.Fatal(err)
	}
	recs := make([]*tasks.Record, 5)
	for i := range recs {
		recs[i] = rec()
	}
	enqueue(t, b, recs...)
	if got := claim(t, b, 1); len(got) != 1 { // would take a second, and then pause the turns
		t.Fatalf("claimed %d, want 1", len(got))
	}
	waiting := func() (n int) {
		err := b.Pool().QueryRow(t.Context(), `SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE l.locktype = 'advisory' AND NOT l.granted AND a.datname = current_database() AND a.query LIKE '%xact_lock%'`).Scan(&n)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	done := make(chan int, 1)
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
