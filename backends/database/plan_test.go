package database_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

func TestZZPlan(t *testing.T) {
	if os.Getenv("PLAN") == "" {
		t.Skip()
	}
	server := serverURL(t)
	pool := newPool(t, server, func(c *pgxpool.Config) {
		c.MaxConns = 1
		c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
			_, err := conn.Exec(ctx, "LOAD 'auto_explain'; SET auto_explain.log_min_duration=0; SET auto_explain.log_analyze=on; SET auto_explain.log_buffers=on;SET auto_explain.log_level=log")
			return err
		}
	})
	schema := newSchema(t, server)
	b, _ := database.New(pool, &database.Options{Schema: schema, PollOnly: true})
	if _, err := b.Migrator().Up(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		_ = b.Enqueue(t.Context(), benchRecords(5000))
	}
	for range 5 {
		from := time.Now()
		got, err := b.Claim(t.Context(), tasks.ClaimRequest{Worker: "w", Limit: 1, Lease: time.Minute})
		t.Log(len(got), err, time.Since(from))
		from = time.Now()
		_, err = b.Settle(t.Context(), []tasks.Outcome{{Lease: got[0].Lease, Kind: tasks.OutcomeSuccess}})
		t.Log(err, time.Since(from))
	}
}
