package database_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/internal/testserver"
	"github.com/sideman-go/sideman/tasks"
)

func migrator(t *testing.T, server, schema string) (*database.Migrator, *pgx.Conn) {
	t.Helper()
	conn := connect(t, server)
	m, err := database.NewMigrator(conn, schema)
	if err != nil {
		t.Fatal(err)
	}
	return m, conn
}

// applied returns how many versions a schema has.
func applied(t *testing.T, m *database.Migrator) (n int) {
	t.Helper()
	all, err := m.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if !s.AppliedAt.IsZero() {
			n++
		}
	}
	return n
}

func TestMigrateUpAndDown(t *testing.T) {
	server := serverURL(t)
	m, _ := migrator(t, server, newSchema(t, server))
	if n := applied(t, m); n != 0 {
		t.Fatalf("%d versions of a schema that isn't there", n)
	}
	all, err := m.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		took, err := m.Up(t.Context(), 0)
		if err != nil || len(took) != len(all) || applied(t, m) != len(all) {
			t.Fatalf("round %d: up took %v, %v", round, took, err)
		}
		if took, err := m.Up(t.Context(), 0); err != nil || len(took) != 0 {
			t.Errorf("up again took %v, %v", took, err)
		}
		took, err = m.Down(t.Context(), 0)
		if err != nil || len(took) != len(all) || applied(t, m) != 0 {
			t.Fatalf("round %d: down took %v, %v", round, took, err)
		}
		if took, err := m.Down(t.Context(), 0); err != nil || len(took) != 0 {
			t.Errorf("down again took %v, %v", took, err)
		}
	}
	if _, err := m.Up(t.Context(), len(all)+1); err == nil {
		t.Error("up to a version that there isn't: no error")
	}
	if _, err := m.Down(t.Context(), -1); err == nil {
		t.Error("down to a version that there isn't: no error")
	}
}

// Several processes that start at once migrate once.
func TestMigrateAtOnce(t *testing.T) {
	server := serverURL(t)
	schema := newSchema(t, server)
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range 8 {
		m, _ := migrator(t, server, schema)
		wg.Go(func() {
			took, err := m.Up(t.Context(), 0)
			if err != nil {
				t.Errorf("Up: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			total += len(took)
		})
	}
	wg.Wait()
	m, _ := migrator(t, server, schema)
	if n := applied(t, m); total != n {
		t.Errorf("%d steps were taken by eight at once, for %d versions", total, n)
	}
}

// The exported script does the same as the calls.
func TestMigrationSQL(t *testing.T) {
	server := serverURL(t)
	m, conn := migrator(t, server, newSchema(t, server))
	all, err := m.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ from, to int }{{0, len(all)}, {len(all), 0}, {0, len(all)}} {
		script, err := m.SQL(step.from, step.to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Exec(t.Context(), script); err != nil {
			t.Fatalf("running the script from %d to %d: %v\n%s", step.from, step.to, err, script)
		}
		if n := applied(t, m); n != step.to {
			t.Errorf("after the script from %d to %d the schema is at %d", step.from, step.to, n)
		}
	}
	if _, err := m.SQL(0, len(all)+1); err == nil {
		t.Error("a script to a version that there isn't: no error")
	}
}

func TestSchemaNames(t *testing.T) {
	server := serverURL(t)
	for _, name := range []string{
		`with "quotes" and spaces`, `'; DROP TABLE x; --`, `Ünïcødé 🙂`, "UPPER", "select", "a.b", "$1", "@.x", "<now>", "%s", strings.Repeat("n", 63),
	} {
		t.Run(name, func(t *testing.T) {
			drop := func() {
				conn, err := pgx.Connect(context.Background(), server)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close(context.Background())
				_, _ = conn.Exec(context.Background(), "SET client_min_messages = warning; DROP SCHEMA IF EXISTS "+pgx.Identifier{name}.Sanitize()+" CASCADE")
			}
			drop()
			t.Cleanup(drop)
			b, err := database.Open(t.Context(), database.Options{URL: server, Schema: name, Migrate: true, PollInterval: slowPoll})
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close(context.Background())
			took := waits(t, b, slowPoll/2)
			time.Sleep(50 * time.Millisecond)
			enqueue(t, b, rec())
			<-took
			got := claim(t, b, 1)
			if len(got) != 1 {
				t.Fatalf("claimed %d, want 1", len(got))
			}
			if _, err := b.Settle(t.Context(), []tasks.Outcome{{Lease: got[0].Lease, Kind: tasks.OutcomeSuccess}}); err != nil {
				t.Error(err)
			}
			if found := b.Check(t.Context()); len(found) > 0 {
				t.Errorf("Check: %v", found)
			}
		})
	}
	for _, name := range []string{strings.Repeat("n", 64), "a\x00b", "a\xff", "pg_tasks"} {
		if _, err := database.Open(t.Context(), database.Options{URL: server, Schema: name}); !errors.Is(err, tasks.ErrInvalidConfig) {
			t.Errorf("schema %q: got %v, want ErrInvalidConfig", name, err)
		}
	}
}

// What was RUNNING or final before version 2 is found by the sweeps after it.
func TestMigrationOfLeasesAndFinals(t *testing.T) {
	server := serverURL(t)
	schema := newSchema(t, server)
	m, conn := migrator(t, server, schema)
	if _, err := m.Up(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	_, err := conn.Exec(t.Context(), "INSERT INTO "+pgx.Identifier{schema}.Sanitize()+`.tasks
		(enqueued_at, due, max_attempts, priority, id, queue, task, alias, attempts, workers, status, finished_at, until)
		SELECT now(), now(), 1, 0, 'r' || n, 'default', 'task', 'default', 1, '\x0000000177'::bytea, 1, NULL::timestamptz, now() - interval '1 s' FROM generate_series(1, 1500) n
		UNION ALL
		SELECT now(), now(), 1, 0, 'f' || n, 'default', 'task', 'default', 0, NULL, 2, now(), now() + CASE WHEN n <= 1500 THEN '-1 s' ELSE '1 h' END::interval FROM generate_series(1, 2500) n`)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	b, err := database.New(newPool(t, server), &database.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	var all tasks.Swept
	for more := true; more; {
		s, err := b.Sweep(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all.Lost, all.Pruned, more = all.Lost+s.Lost, all.Pruned+s.Pruned, s.More
	}
	if all.Lost != 1500 || all.Pruned != 1500 {
		t.Errorf("the sweeps found %d lost and %d to prune, want 1500 of each", all.Lost, all.Pruned)
	}
	if _, err := m.Down(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Up(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
}

// shape describes the columns, indexes and storage of the table of tasks, whatever their order.
func shape(t *testing.T, conn *pgx.Conn, schema string) string {
	t.Helper()
	var s string
	err := conn.QueryRow(t.Context(), `SELECT string_agg(l, E'\n' ORDER BY l) FROM (
		SELECT concat_ws(' ', 'column', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated, pg_get_expr(d.adbin, d.adrelid)) AS l
		FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = $1::text::regclass AND a.attnum > 0 AND NOT a.attisdropped
		UNION ALL SELECT concat_ws(' ', pg_get_indexdef(i.indexrelid), c.reloptions)
		FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = $1::text::regclass
		UNION ALL SELECT concat_ws(' ', 'table', c.reloptions) FROM pg_class c WHERE c.oid = $1::text::regclass
	) x`, pgx.Identifier{schema, "tasks"}.Sanitize()).Scan(&s)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Version 4 keeps which indexes a record is in, and taking it back leaves the table as version 3 has it,
// with the place of what was changed meanwhile.
func TestMigrationOfStages(t *testing.T) {
	server := serverURL(t)
	schema := newSchema(t, server)
	m, conn := migrator(t, server, schema)
	if _, err := m.Up(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	before := shape(t, conn, schema)
	name := pgx.Identifier{schema, "tasks"}.Sanitize()
	exec := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	// Every status, never tried and tried.
	exec("INSERT INTO " + name + ` (enqueued_at, due, max_attempts, priority, id, queue, task, alias, status, attempts)
		SELECT now(), now(), 5, 0, s || '-' || a, 'default', 'task', 'default', s, a FROM unnest('{0, 1, 2, 3, 4, 9}'::int[]) s, generate_series(0, 1) a`)
	file := func() (node uint32) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), "SELECT pg_relation_filenode($1::text::regclass)", name).Scan(&node); err != nil {
			t.Fatal(err)
		}
		return node
	}
	old := file()
	if _, err := m.Up(t.Context(), 4); err != nil {
		t.Fatal(err)
	}
	if err := testserver.Stages(t.Context(), conn, schema); err != nil {
		t.Error(err)
	}
	if file() != old {
		t.Error("the table was written anew, under a lock")
	}
	exec("UPDATE " + name + " SET status = 2, stage = 2 WHERE id = '0-0'")
	if _, err := m.Down(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if after := shape(t, conn, schema); after != before {
		t.Errorf("taken back, the table is\n%s\nand version 3 has\n%s", after, before)
	}
	var place int
	if err := conn.QueryRow(t.Context(), "SELECT place FROM "+name+" WHERE id = '0-0'").Scan(&place); err != nil || place != 2 {
		t.Errorf("the place of what was settled meanwhile is %d (%v), want 2", place, err)
	}
	if _, err := m.Up(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := testserver.Stages(t.Context(), conn, schema); err != nil {
		t.Error(err)
	}
}
