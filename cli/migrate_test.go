package cli_test

import (
	"crypto/rand"
	"encoding/json"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/internal/testserver"
)

// emptySchema is a store in a schema that isn't there yet.
func emptySchema(t *testing.T) (store, schema string) {
	t.Helper()
	server := testserver.URL(t, testserver.Postgres)
	schema = "cli_" + strings.ToLower(rand.Text())
	testserver.DropSchema(t, server, schema)
	return withQuery(t, server, "schema", schema), schema
}

// migrations are those that a command has printed as JSON.
func migrations(t *testing.T, out string) (docs []cli.MigrationDoc) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), &docs); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return docs
}

// applied counts the migrations that a store has.
func applied(t *testing.T, store string) (n int) {
	t.Helper()
	for _, m := range migrations(t, ok(t, store, "migrate", "status", "-o", "json")) {
		if m.AppliedAt != "" {
			n++
		}
	}
	return n
}

func TestMigrate(t *testing.T) {
	store, _ := emptySchema(t)
	newest := len(database.Migrations())
	if got := migrations(t, ok(t, store, "migrate", "status", "-o", "json")); len(got) != newest || got[0].Version != 1 || got[0].Name != "tasks" || got[0].AppliedAt != "" {
		t.Fatalf("the status of a schema that isn't there: %+v", got)
	}
	for _, command := range [][]string{{"migrate"}, {"migrate", "up"}} {
		if got := migrations(t, ok(t, store, append(command, "--dry-run", "-o", "json")...)); len(got) != newest || applied(t, store) != 0 {
			t.Fatalf("dry run: %+v, and %d are applied", got, applied(t, store))
		}
	}
	if got := migrations(t, ok(t, store, "migrate", "up", "--to", "1", "-o", "json")); len(got) != 1 || got[0].AppliedAt == "" || applied(t, store) != 1 {
		t.Errorf("up to 1: %+v", got)
	}
	if r := run(t, store, "migrate"); r.code != 0 || !strings.Contains(r.err, "Applied") || !strings.Contains(r.out, "VERSION") || applied(t, store) != newest {
		t.Errorf("migrate: exit code %d: %s%s", r.code, r.out, r.err)
	}
	if r := run(t, store, "migrate"); r.code != 0 || r.out != "" || !strings.Contains(r.err, "nothing to apply") {
		t.Errorf("migrate again: exit code %d: %s%s", r.code, r.out, r.err)
	}
	if out := ok(t, store, "migrate", "up", "-o", "json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("up again as JSON: %s", out)
	}
	enqueue(t, store, "tick", []string{"null"})

	// Nobody can be asked here.
	fails(t, store, cli.ExitUsage, []string{"--yes", "version"}, "migrate", "down")
	fails(t, store, cli.ExitUsage, []string{"--yes", "all tasks"}, "migrate", "down", "--to", "0")
	if r := run(t, store, "migrate", "down", "--to", "0", "--dry-run", "-o", "json"); r.code != 0 || len(migrations(t, r.out)) != newest || !strings.Contains(r.err, "all tasks") {
		t.Errorf("down, dry run: exit code %d: %s%s", r.code, r.out, r.err)
	}
	if applied(t, store) != newest || len(listed(t, store)) != 1 {
		t.Fatal("something was taken back without a yes")
	}
	if got := migrations(t, ok(t, store, "migrate", "down", "--yes", "-o", "json")); len(got) != 1 || got[0].Version != newest || got[0].AppliedAt != "" || applied(t, store) != newest-1 {
		t.Errorf("down takes the newest back: %+v", got)
	}
	if got := migrations(t, ok(t, store, "migrate", "down", "--to", "0", "--yes", "-o", "json")); len(got) != newest-1 || applied(t, store) != 0 {
		t.Errorf("down to 0: %+v", got)
	}
	if r := run(t, store, "migrate", "down"); r.code != 0 || !strings.Contains(r.err, "nothing to take back") {
		t.Errorf("down again: exit code %d: %s", r.code, r.err)
	}
	for _, args := range [][]string{{"up", "--to", "99"}, {"up", "--to", "0"}, {"down", "--to", "99"}, {"down", "--to", "-2"}, {"up", "--to", "x"}, {"up", "1"}, {"sideways"}} {
		fails(t, store, cli.ExitUsage, nil, append([]string{"migrate"}, args...)...)
	}
}

// The option migrate of the configuration doesn't do what is only asked about.
func TestMigrateAsksOnly(t *testing.T) {
	store, schema := emptySchema(t)
	migrating := withQuery(t, store, "migrate", "true")
	inFolder(t, nil)
	file := `{"backends": {"default": {"backend": "database", "options": {"url": "` + withQuery(t, testserver.URL(t, testserver.Postgres), "application_name", "x") +
		`", "schema": "` + schema + `", "migrate": true}}}}`
	if err := os.WriteFile("sideman.json", []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"migrate", "status"}, {"migrate", "--dry-run"}, {"migrate", "down", "--dry-run"}, {"check"}, {"bench", "--yes"}, {"__complete", "tasks", "list", "--queue", ""}} {
		if args[0] == "__complete" {
			plainRun(t, append([]string{"__complete", "--url", migrating}, args[1:]...)...)
		} else {
			run(t, migrating, args...)
		}
		plainRun(t, args...)
		if n := applied(t, store); n != 0 {
			t.Fatalf("%q has applied %d migrations", args, n)
		}
	}
	if r := plainRun(t, "migrate"); r.code != 0 || applied(t, store) != len(database.Migrations()) {
		t.Errorf("migrate by the file: exit code %d: %s", r.code, r.err)
	}
}

// The SQL does what the command does, and takes no server to print.
func TestMigrateSQL(t *testing.T) {
	const away = "postgres://ann@127.0.0.1:1/app?connect_timeout=1"
	if out := ok(t, away, "migrate", "sql"); !strings.Contains(out, `CREATE SCHEMA IF NOT EXISTS "sideman"`) {
		t.Errorf("without a server: %s", out)
	}
	inFolder(t, map[string]string{"a.yaml": "backends: {default: {backend: database, options: {url: 'postgres://127.0.0.1:1/x', schema: jobs}}}\n"})
	if r := plainRun(t, "migrate", "sql", "--config", "a.yaml"); r.code != 0 || !strings.Contains(r.out, `SCHEMA IF NOT EXISTS "jobs"`) {
		t.Errorf("by the file: exit code %d: %s%s", r.code, r.out, r.err)
	}
	for _, args := range [][]string{{"--from", "1", "--to", "1"}, {"--to", "99"}, {"--from", "-1"}} {
		fails(t, away, cli.ExitUsage, nil, append([]string{"migrate", "sql"}, args...)...)
	}
	fails(t, away+"&schema=Bad%20Name%00", cli.ExitUsage, nil, "migrate", "sql")
	fails(t, away, cli.ExitUnreachable, []string{"127.0.0.1:1"}, "migrate", "status")

	store, _ := emptySchema(t)
	conn, err := pgx.Connect(t.Context(), testserver.URL(t, testserver.Postgres))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	newest := len(database.Migrations())
	exec := func(args ...string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), ok(t, store, append([]string{"migrate", "sql"}, args...)...)); err != nil {
			t.Fatalf("%q: %v", args, err)
		}
	}
	exec("--to", "1")
	if n := applied(t, store); n != 1 {
		t.Errorf("%d versions by SQL to 1", n)
	}
	exec("--from", "1")
	if n := applied(t, store); n != newest {
		t.Errorf("%d versions by SQL from 1", n)
	}
	enqueue(t, store, "tick", []string{"null"})
	exec("--from", strconv.Itoa(newest), "--to", "0")
	if n := applied(t, store); n != 0 {
		t.Errorf("%d versions by SQL down to 0", n)
	}
}

// Elsewhere there is nothing to migrate, which is no error; a deployment needn't know.
func TestNothingToMigrate(t *testing.T) {
	for name, store := range map[string]func(testing.TB) string{
		"bolt": boltStore, "redis": redisStore,
		"no file yet": func(t testing.TB) string { t.Helper(); return "bolt:" + t.TempDir() + "/none.db" },
	} {
		t.Run(name, func(t *testing.T) {
			url := store(t)
			for _, args := range [][]string{{}, {"up"}, {"down"}, {"status"}, {"sql"}} {
				r := run(t, url, append([]string{"migrate"}, args...)...)
				if r.code != 0 || r.out != "" || !strings.Contains(r.err, "nothing to migrate") {
					t.Errorf("%q: exit code %d: %s%s", args, r.code, r.out, r.err)
				}
			}
			if out := ok(t, url, "migrate", "status", "-o", "json"); strings.TrimSpace(out) != "[]" {
				t.Errorf("the list is %s", out)
			}
		})
	}
}

// An App whose backends are in use is migrated as it is.
func TestMigrateAnAppInUse(t *testing.T) {
	store, _ := emptySchema(t)
	backend, err := database.Open(t.Context(), database.Options{URL: testserver.URL(t, testserver.Postgres), Schema: schemaIn(t, store)})
	if err != nil {
		t.Fatal(err)
	}
	app := newApp()
	if err := app.Use("default", backend); err != nil {
		t.Fatal(err)
	}
	defer app.Close(t.Context())
	p := &cli.Program{App: app, Name: "app"}
	if r := runWith(t, p, "", "migrate", "sql"); r.code != 0 || !strings.Contains(r.out, schemaIn(t, store)) {
		t.Errorf("sql: exit code %d: %s%s", r.code, r.out, r.err)
	}
	if r := runWith(t, p, "", "migrate"); r.code != 0 || applied(t, store) == 0 {
		t.Errorf("migrate: exit code %d: %s%s", r.code, r.out, r.err)
	}
}

func schemaIn(t *testing.T, store string) string {
	t.Helper()
	u, err := url.Parse(store)
	if err != nil {
		t.Fatal(err)
	}
	return u.Query().Get("schema")
}
