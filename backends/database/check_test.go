package database_test

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// found returns the ids of what Check finds.
func found(t *testing.T, b *database.Backend) (ids []string) {
	t.Helper()
	for _, f := range b.Check(t.Context()) {
		if f.Message == "" || f.Hint == "" {
			t.Errorf("%s has no message or hint: %+v", f.ID, f)
		}
		ids = append(ids, f.ID)
	}
	return ids
}

func wants(t *testing.T, b *database.Backend, want ...string) {
	t.Helper()
	got := found(t, b)
	if len(got) != len(want) {
		t.Errorf("Check found %v, want %v", got, want)
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("Check found %v, want %v", got, want)
		}
	}
}

func TestC1_Check(t *testing.T) {
	server := serverURL(t)
	schema := newSchema(t, server)
	b, err := database.Open(t.Context(), database.Options{URL: server, Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, b, "database.E003")
	if err := b.Enqueue(t.Context(), []*tasks.Record{rec()}); !errors.Is(err, tasks.ErrUnavailable) {
		t.Errorf("without a schema: got %v, want ErrUnavailable", err)
	}
	if _, err := b.Migrator().Up(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	wants(t, b)
	exec := func(sql string) {
		t.Helper()
		if _, err := b.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec("UPDATE " + table(b, "migrations") + " SET version = -version")
	wants(t, b, "database.E004")
	exec("UPDATE " + table(b, "migrations") + " SET version = 98 - version")
	wants(t, b, "database.W001")
	exec("UPDATE " + table(b, "migrations") + " SET version = version - 98")

	readOnly, err := database.New(newPool(t, server, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["default_transaction_read_only"] = "on"
		c.ConnConfig.RuntimeParams["synchronous_commit"] = "off"
	}), &database.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, readOnly, "database.E006", "database.W002")
	if err := readOnly.Enqueue(t.Context(), []*tasks.Record{rec()}); !errors.Is(err, tasks.ErrUnavailable) {
		t.Errorf("read-only: got %v, want ErrUnavailable", err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants(t, b, "database.E001")
	if err := readOnly.Close(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestC1_Unreachable(t *testing.T) {
	server := serverURL(t)
	p, via := newProxy(t, server)
	b, err := database.Open(t.Context(), database.Options{URL: via, Schema: newSchema(t, server), Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close(context.Background())
	p.setRefuse(true)
	p.cut()
	wants(t, b, "database.E002")
	if _, err := database.Open(t.Context(), database.Options{URL: via}); !errors.Is(err, tasks.ErrUnavailable) {
		t.Errorf("Open: got %v, want ErrUnavailable", err)
	}
}

// A record that can't be decoded keeps no other from running, is reported, and can be
// deleted.
func TestDamagedRecord(t *testing.T) {
	b := open(t)
	bad, good := rec(), rec()
	lost := rec(func(r *tasks.Record) { r.Queue = "other" })
	enqueue(t, b, bad, good, lost)
	claim(t, b, 1, "other")
	for _, sql := range []string{
		"UPDATE " + table(b, "tasks") + " SET errors = '\\x0000' WHERE id = $1",
		"UPDATE " + table(b, "tasks") + " SET workers = '\\x00ff' WHERE id = $1",
	} {
		for _, r := range []*tasks.Record{bad, lost} {
			if _, err := b.Pool().Exec(t.Context(), sql, r.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, sql := range []string{
		"UPDATE " + table(b, "tasks") + " SET until = now() - interval '1s' WHERE status = 1",
		"UPDATE " + table(b, "leases") + " SET until = now() - interval '1s'",
	} {
		if _, err := b.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if got := claim(t, b, 10); len(got) != 1 || got[0].Record.ID != good.ID {
		t.Errorf("claimed %v, want only the good one", got)
	}
	if s, err := b.Sweep(t.Context()); err != nil || s.Lost != 0 {
		t.Errorf("Sweep: %+v, %v", s, err)
	}
	if got := claim(t, b, 10); len(got) != 0 {
		t.Errorf("claimed %v again", got)
	}
	wants(t, b, "database.E008")
	for _, r := range []*tasks.Record{bad, lost} {
		if _, err := b.GetResult(t.Context(), r.ID); !errors.Is(err, tasks.ErrDamaged) {
			t.Errorf("GetResult: got %v, want ErrDamaged", err)
		}
		if got, err := b.Alter(t.Context(), tasks.Change{Kind: tasks.ChangeDelete}, []string{r.ID}); err != nil || got[0].Err != nil {
			t.Errorf("delete: %v, %v", got, err)
		}
	}
	wants(t, b)
}

// A schema that was made by an earlier version is said to be behind, and nothing else.
func TestCheckOfAnOldSchema(t *testing.T) {
	server := serverURL(t)
	schema := newSchema(t, server)
	m, _ := migrator(t, server, schema)
	if _, err := m.Up(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	b, err := database.New(newPool(t, server), &database.Options{Schema: schema})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, b, "database.E004")
}

// A user must have rights on every table, also on those that a migration has added.
func TestCheckOfRights(t *testing.T) {
	server := serverURL(t)
	b := open(t)
	role := "role_" + strings.ToLower(rand.Text())
	exec := func(sql string) {
		t.Helper()
		if _, err := b.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	schema := pgx.Identifier{b.Schema()}.Sanitize()
	exec("CREATE ROLE " + role)
	t.Cleanup(func() {
		conn, err := pgx.Connect(context.Background(), server)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		if _, err := conn.Exec(context.Background(), "DROP OWNED BY "+role+"; DROP ROLE "+role); err != nil {
			t.Error(err)
		}
	})
	exec("GRANT USAGE ON SCHEMA " + schema + " TO " + role)
	exec("GRANT ALL ON ALL TABLES IN SCHEMA " + schema + " TO " + role)
	user, err := database.New(newPool(t, server, func(c *pgxpool.Config) {
		c.ConnConfig.RuntimeParams["role"] = role
	}), &database.Options{Schema: b.Schema()})
	if err != nil {
		t.Fatal(err)
	}
	wants(t, user)
	for _, name := range []string{"leases", "finals"} {
		exec("REVOKE INSERT ON " + table(b, name) + " FROM " + role)
		wants(t, user, "database.E007")
		exec("GRANT INSERT ON " + table(b, name) + " TO " + role)
	}
}
