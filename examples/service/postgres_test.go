package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/internal/testserver"
	"github.com/sideman-go/sideman/tasks"
)

// place is a schema of the test's own, in which processes of the service work.
type place struct {
	server, config, data string

	pool  *pgxpool.Pool
	table string // of the sign-ups
	tasks string // the table of the tasks
	store *database.Backend
}

func newPlace(t *testing.T) *place {
	t.Helper()
	p := &place{server: testserver.URL(t, testserver.Postgres), data: t.TempDir()}
	schema := "test_service_" + strings.ToLower(rand.Text())
	testserver.DropSchema(t, p.server, schema)
	p.table, p.tasks = pgx.Identifier{schema, "signups"}.Sanitize(), pgx.Identifier{schema, "tasks"}.Sanitize()

	// The file that is beside the program, but for the schema.
	shipped, err := os.ReadFile("postgres.json")
	if err != nil {
		t.Fatal(err)
	}
	p.config = filepath.Join(p.data, "postgres.json")
	if err := os.WriteFile(p.config, []byte(strings.ReplaceAll(string(shipped), "sideman_service", schema)), 0o600); err != nil {
		t.Fatal(err)
	}

	if p.pool, err = pgxpool.New(t.Context(), p.server); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.pool.Close)
	if p.store, err = database.New(p.pool, &database.Options{Schema: schema}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.store.Close(context.Background()) })
	return p
}

func (p *place) web(t *testing.T) *child {
	t.Helper()
	return launch(t, p.server, "-config", p.config, "-data", p.data, "-role", roleWeb)
}

// worker starts a worker whose tasks are others' a short time after it was killed.
func (p *place) worker(t *testing.T, slow time.Duration) *child {
	t.Helper()
	return launch(t, p.server, "-config", p.config, "-data", p.data, "-role", roleWorker, "-lease", "3s", "-slow", slow.String())
}

func (p *place) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := p.pool.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// rows returns the state of each sign-up.
func (p *place) rows(t *testing.T) map[string]string {
	t.Helper()
	rows, err := p.pool.Query(t.Context(), "SELECT email, state FROM "+p.table)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	var email, state string
	if _, err := pgx.ForEachRow(rows, []any{&email, &state}, func() error {
		states[email] = state
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return states
}

func (p *place) list(t *testing.T, filter tasks.Filter) []*tasks.Record {
	t.Helper()
	page, err := p.store.List(t.Context(), tasks.ListRequest{Filter: filter, Limit: tasks.MaxPage})
	if err != nil {
		t.Fatal(err)
	}
	if page.Next != "" {
		t.Fatal("there are more records than the test looks at")
	}
	return page.Records
}

// consistent fails unless each sign-up has one task and each task its sign-up, and returns
// the ids of the tasks.
func (p *place) consistent(t *testing.T) (ids []string) {
	t.Helper()
	// One statement, so one moment: a commit may be on its way whose process was killed. A row
	// of the result is an address of which there isn't one of each.
	rows, err := p.pool.Query(t.Context(), `
		SELECT email, count(s.state) AS signups, count(t.id) AS tasks
		FROM `+p.table+` s FULL JOIN (
			SELECT id, convert_from(args, 'UTF8')::json #>> '{}' AS email FROM `+p.tasks+` WHERE task = 'welcome'
		) t USING (email)
		GROUP BY email HAVING count(s.state) <> 1 OR count(t.id) <> 1`)
	if err != nil {
		t.Fatal(err)
	}
	var email string
	var signups, calls int
	if _, err := pgx.ForEachRow(rows, []any{&email, &signups, &calls}, func() error {
		t.Errorf("%s has %d rows and %d tasks, want one of each", email, signups, calls)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for _, r := range p.list(t, tasks.Filter{Tasks: []string{"welcome"}}) {
		ids = append(ids, r.ID)
	}
	return ids
}

func signup(email string) []byte { return fmt.Appendf(nil, `{"email": %q}`, email) }

// A worker is killed while it runs tasks: the other one runs them again.
func TestPostgresWorkerKilled(t *testing.T) {
	p := newPlace(t)
	web := p.web(t)
	var ids []string
	upload := func(n int) {
		for range n {
			text := fmt.Appendf(nil, "upload %d", len(ids))
			ids = append(ids, web.do(t, http.MethodPost, "/files", text, http.StatusAccepted).ID)
		}
	}

	// What this worker has claimed it runs until it is killed.
	victim := p.worker(t, time.Hour)
	running := tasks.Filter{Statuses: []tasks.Status{tasks.Running}, Worker: victim.id}
	upload(10)
	var held []*tasks.Record
	for deadline := time.Now().Add(30 * time.Second); len(held) < 4; held = p.list(t, running) {
		if time.Now().After(deadline) {
			t.Fatalf("the worker runs %d tasks, want the 4 that it has slots for", len(held))
		}
		<-time.After(10 * time.Millisecond)
	}

	other := p.worker(t, 0)
	upload(10)
	for i := range 5 {
		ids = append(ids, web.do(t, http.MethodPost, "/signups", signup(fmt.Sprintf("user-%d@example.com", i)), http.StatusAccepted).ID)
	}
	if a := web.finished(t, ids[len(ids)-1]); a.Status != tasks.Successful { // while the first one still holds its own
		t.Errorf("the last sign-up's task is %s: %s", a.Status, a.Error)
	}
	held = p.list(t, running)
	victim.kill()
	if len(held) == 0 {
		t.Error("nothing was running when the worker was killed")
	}

	for _, id := range ids {
		if a := web.finished(t, id); a.Status != tasks.Successful {
			t.Errorf("task %s is %s after %d attempts: %s", id, a.Status, a.Attempts, a.Error)
		}
	}
	for _, r := range held {
		r, err := p.store.GetResult(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(r.WorkerIDs, []string{victim.id, other.id}) || len(r.Errors) != 1 || r.Errors[0].Type != tasks.ErrorTypeLost {
			t.Errorf("task %s was run by %q, with the errors %v; want by the killed worker and then by the other", r.ID, r.WorkerIDs, r.Errors)
		}
	}
	p.consistent(t)
	for email, state := range p.rows(t) {
		if state != "welcomed" {
			t.Errorf("%s is %s, and its task has finished", email, state)
		}
	}
}

// What is rolled back leaves neither a row nor a task, whichever of the two was refused.
func TestPostgresRollback(t *testing.T) {
	p := newPlace(t)
	web := p.web(t)
	schema := pgx.Identifier{p.store.Schema()}.Sanitize()
	p.exec(t, "CREATE FUNCTION "+schema+".refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'refused'; END $$")
	// Of the first address the commit fails, when both are written; of the second the task.
	p.exec(t, "CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON "+p.table+
		" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.email = 'commit@example.com') EXECUTE FUNCTION "+schema+".refuse()")
	p.exec(t, "CREATE TRIGGER refuse BEFORE INSERT ON "+p.tasks+
		" FOR EACH ROW WHEN (convert_from(NEW.args, 'UTF8') = '\"task@example.com\"') EXECUTE FUNCTION "+schema+".refuse()")

	for _, email := range []string{"commit@example.com", "task@example.com"} {
		web.do(t, http.MethodPost, "/signups", signup(email), http.StatusInternalServerError)
	}
	web.do(t, http.MethodPost, "/signups", signup("ada@example.com"), http.StatusAccepted)
	web.do(t, http.MethodPost, "/signups", signup("ada@example.com"), http.StatusConflict)
	if ids := p.consistent(t); len(ids) != 1 {
		t.Errorf("there are %d tasks, want that of the one sign-up that was accepted", len(ids))
	}
	if rows := p.rows(t); len(rows) != 1 || rows["ada@example.com"] != "new" {
		t.Errorf("there are the rows %v, want the one that was accepted", rows)
	}
}

// The web process is killed while it takes sign-ups: of each there are both or neither, and
// both of each that was accepted.
func TestPostgresWebKilled(t *testing.T) {
	p := newPlace(t)
	web := p.web(t)
	const clients, before = 8, 100
	var accepted sync.Map
	var count atomic.Int64
	enough := make(chan struct{})
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := 0; ; i++ {
				email := fmt.Sprintf("user-%d-%d@example.com", c, i)
				_, code, err := web.ask(t.Context(), http.MethodPost, "/signups", signup(email))
				if err != nil {
					return // it was killed
				}
				if code != http.StatusAccepted {
					t.Errorf("%s: status %d", email, code)
					return
				}
				accepted.Store(email, nil)
				if count.Add(1) == before {
					close(enough)
				}
			}
		})
	}
	select {
	case <-enough:
	case <-time.After(60 * time.Second):
		t.Error("too few sign-ups in a minute")
	}
	web.kill()
	wg.Wait()

	web = p.web(t)
	p.worker(t, 0)
	for _, id := range p.consistent(t) {
		if a := web.finished(t, id); a.Status != tasks.Successful {
			t.Errorf("task %s is %s: %s", id, a.Status, a.Error)
		}
	}
	rows := p.rows(t)
	accepted.Range(func(email, _ any) bool {
		if rows[email.(string)] != "welcomed" {
			t.Errorf("%s was accepted, and its row is %q", email, rows[email.(string)])
		}
		return true
	})
}
