package database_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

const slowPoll = 20 * time.Second

// listening waits until a backend's listener listens, and returns its process ids.
func listening(t *testing.T, b *database.Backend) (pids []int) {
	t.Helper()
	eventually(t, 5*time.Second, "a connection that listens", func() bool {
		rows, err := b.Pool().Query(t.Context(), `SELECT pid FROM pg_stat_activity WHERE state = 'idle' AND query LIKE 'LISTEN%' AND query LIKE '%' || $1 || '%'`, b.Schema()[6:])
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		pids = nil
		for rows.Next() {
			var pid int
			if err := rows.Scan(&pid); err != nil {
				t.Fatal(err)
			}
			pids = append(pids, pid)
		}
		return len(pids) > 0
	})
	return pids
}

func TestW2_NotifyWakesAnIdleWorker(t *testing.T) {
	b := open(t, func(o *database.Options) { o.PollInterval = slowPoll })
	took := waits(t, b, slowPoll/2)
	listening(t, b)
	time.Sleep(50 * time.Millisecond)
	from := time.Now()
	enqueue(t, b, rec())
	<-took
	if d := time.Since(from); d > slowPoll/4 {
		t.Errorf("an idle worker was woken after %v", d)
	}
}

// The listener has a connection of its own.
func TestPoolOfOneConnection(t *testing.T) {
	server := serverURL(t)
	pool := newPool(t, server, func(c *pgxpool.Config) { c.MaxConns = 1 })
	b, err := database.New(pool, &database.Options{Schema: newSchema(t, server), PollInterval: slowPoll})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	if _, err := b.Migrator().Up(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	took := waits(t, b, slowPoll/2)
	listening(t, b)
	enqueue(t, b, rec(), rec())
	<-took
	got := claim(t, b, 10)
	verdicts, err := b.Settle(t.Context(), []tasks.Outcome{
		{Lease: got[0].Lease, Kind: tasks.OutcomeSuccess}, {Lease: got[1].Lease, Kind: tasks.OutcomeFailure},
	})
	if err != nil || verdicts[0] != nil || verdicts[1] != nil {
		t.Errorf("Settle: %v, %v", verdicts, err)
	}
}

func TestListenerComesBack(t *testing.T) {
	b := open(t, func(o *database.Options) { o.PollInterval = slowPoll })
	took := waits(t, b, slowPoll/2)
	for range 2 {
		old := listening(t, b)
		if _, err := b.Pool().Exec(t.Context(), "SELECT pg_terminate_backend($1)", old[0]); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Second, "another connection that listens", func() bool { return listening(t, b)[0] != old[0] })
	}
	enqueue(t, b, rec())
	if d, ok := <-took; ok && d > slowPoll/2 {
		t.Errorf("woken after %v", d)
	}
}

// What is enqueued while nobody listens is seen when somebody does again.
func TestListenerLooksAfterAGap(t *testing.T) {
	server := serverURL(t)
	p, via := newProxy(t, server)
	schema := newSchema(t, server)
	b, err := database.Open(t.Context(), database.Options{URL: via, Schema: schema, Migrate: true, PollInterval: slowPoll})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	direct, err := database.Open(t.Context(), database.Options{URL: server, Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close(context.Background())
	took := waits(t, b, slowPoll/2)
	listening(t, direct)
	time.Sleep(50 * time.Millisecond)
	p.setRefuse(true)
	p.cut()
	enqueue(t, direct, rec())
	time.Sleep(100 * time.Millisecond)
	p.setRefuse(false)
	<-took
}

// A connection that is cut without a word is noticed, and until then work is found by
// looking.
func TestListenerIsBlackholed(t *testing.T) {
	server := serverURL(t)
	p, via := newProxy(t, server)
	b, err := database.Open(t.Context(), database.Options{
		URL: via, Schema: newSchema(t, server), Migrate: true, PollInterval: 200 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	took := waits(t, b, slowPoll)
	old := listening(t, b)
	p.freeze()
	from := time.Now()
	enqueue(t, b, rec())
	if d, ok := <-took; !ok || time.Since(from) > 2*time.Second {
		t.Errorf("work was found by looking after %v (%v)", time.Since(from), d)
	}
	if testing.Short() {
		return
	}
	claim(t, b, 10)
	eventually(t, slowPoll, "another connection listens", func() bool {
		return slices.ContainsFunc(listening(t, b), func(pid int) bool { return pid != old[0] })
	})
}

// A connection that has fallen silent doesn't keep its place in the pool for as long as pgx would
// wait for the server's goodbye, which is fifteen seconds.
func TestDeadConnectionIsLetGo(t *testing.T) {
	server := serverURL(t)
	p, via := newProxy(t, server)
	b, err := database.Open(t.Context(), database.Options{URL: addParam(via, "pool_max_conns", "1"), Schema: newSchema(t, server), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	p.freezeAll()
	for _, tt := range []struct {
		limit time.Duration
		want  error
	}{{200 * time.Millisecond, context.DeadlineExceeded}, {8 * time.Second, tasks.ErrResultNotFound}} {
		ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
		_, err := b.GetResult(ctx, "nobody")
		cancel()
		if !errors.Is(err, tt.want) {
			t.Errorf("GetResult within %v: got %v, want %v", tt.limit, err, tt.want)
		}
	}
}

// A backend on which nobody waits has no connection that listens.
func TestNoListenerForProducers(t *testing.T) {
	b := open(t)
	enqueue(t, b, rec())
	var n int
	if err := b.Pool().QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND query LIKE '%' || $1 || '%'`, b.Schema()[6:]).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if n != 0 {
		t.Errorf("%d connections listen", n)
	}
}

func TestT4_CancelIsNotified(t *testing.T) {
	b := open(t)
	const most = 1000
	recs := make([]*tasks.Record, most)
	for i := range recs {
		recs[i] = rec()
	}
	enqueue(t, b, recs...)
	claimed := claim(t, b, most)
	type note struct{ id, reason string }
	heard := make(chan note, most)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = b.NotifyCancel(ctx, func(id, reason string) { heard <- note{id, reason} }) }()
	const reason = "any\x00\xff bytes"
	// It tells of what is requested once it has looked what there was, and nobody says when that is.
	asked := make(map[note]bool)
	eventually(t, 20*time.Second, "a cancellation that is heard of", func() bool {
		id := claimed[len(asked)%most].Record.ID
		if _, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeCancel, Reason: reason}, []string{id}); err != nil {
			t.Fatal(err)
		}
		asked[note{id, reason}] = true
		select {
		case n := <-heard:
			if !asked[n] {
				t.Errorf("heard %+v", n)
			}
			return true
		case <-time.After(20 * time.Millisecond):
			return false
		}
	})
}
