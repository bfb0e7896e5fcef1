package database_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/conformance/containers"
	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// site is a worker in this process, with a user of its own who has the rights that the package asks
// for and no others.
type site struct {
	t     *testing.T
	admin *pgx.Conn // a superuser, in the same database
	user  string
	table string // the tasks, for SQL
	store *database.Backend
	app   *tasks.App
	task  *tasks.Task[int, string]
	gate  chan struct{} // handlers wait until it is closed
	open  func()        // closes it
	log   logged

	mu   sync.Mutex
	runs map[string]int
}

// newSite makes the tables in a database of the server and opens them.
func newSite(t *testing.T, s *containers.Server, db string) *site {
	t.Helper()
	w := &site{t: t, user: "worker_" + strings.ToLower(rand.Text()), gate: make(chan struct{}), runs: make(map[string]int)}
	w.open = sync.OnceFunc(func() { close(w.gate) })
	link := func(user string) string {
		u, err := url.Parse(s.Direct())
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			u.User = url.UserPassword(user, "secret")
		}
		u.Path = "/" + db
		return u.String()
	}
	// Read-only is for others.
	w.admin = connect(t, containers.WithParams(t, link(""), "default_transaction_read_only", "off"))
	owner, err := database.Open(t.Context(), database.Options{URL: link(""), Schema: w.user, Migrate: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.table = w.user + ".tasks"
	w.exec("CREATE ROLE " + w.user + " LOGIN PASSWORD 'secret'")
	w.exec("GRANT USAGE ON SCHEMA " + w.user + " TO " + w.user)
	w.exec("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA " + w.user + " TO " + w.user)
	t.Cleanup(func() {
		w.exec("DROP OWNED BY " + w.user)
		w.exec("DROP ROLE " + w.user)
		w.exec("SET client_min_messages = warning; DROP SCHEMA " + w.user + " CASCADE")
	})
	w.store, err = database.Open(t.Context(), database.Options{URL: containers.WithParams(t, link(w.user), "pool_max_conns", "8"), Schema: w.user})
	if err != nil {
		t.Fatal(err)
	}
	w.app = tasks.NewAppWith(tasks.AppOptions{Logger: slog.New(&w.log)})
	w.task = tasks.Define(w.app, "job", func(ctx context.Context, _ int) (string, error) {
		info, _ := tasks.FromContext(ctx)
		w.mu.Lock()
		w.runs[info.ID]++
		w.mu.Unlock()
		<-w.gate
		return noise(), nil
	})
	if err := w.app.Use(tasks.DefaultAlias, w.store); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.app.Close(ctx); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return w
}

func connect(t *testing.T, link string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), link)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func (w *site) exec(sql string) {
	w.t.Helper()
	if _, err := w.admin.Exec(context.Background(), sql); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

// renew ends all connections of the user, so that new ones have new settings.
func (w *site) renew() {
	w.t.Helper()
	since := time.Now()
	w.eventually("its old connections are gone", func() bool {
		w.terminate()
		var old int
		err := w.admin.QueryRow(context.Background(), "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND backend_start < $2", w.user, since).Scan(&old)
		if err != nil {
			w.t.Fatal(err)
		}
		return old == 0
	})
}

// terminate ends the user's connections.
func (w *site) terminate() {
	w.t.Helper()
	w.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '" + w.user + "'")
}

// work starts the worker, which stops at the end of the test at the latest.
func (w *site) work() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- worker.New(w.app, worker.Options{Concurrency: 20}).Run(ctx) }()
	stop = sync.OnceFunc(func() {
		w.open()
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the worker: %v", err)
		}
	})
	w.t.Cleanup(stop)
	return stop
}

// eventually polls until ok.
func (w *site) eventually(what string, ok func() bool) {
	w.t.Helper()
	const limit = time.Minute
	for from := time.Now(); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Since(from) > limit {
			w.t.Fatalf("after %v still not: %s; the log has %q", limit, what, w.log.all())
		}
	}
}

// started returns how many have been started.
func (w *site) started() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.runs)
}

// successful returns how many are, and how many records there are.
func (w *site) successful() (n, all int) {
	w.t.Helper()
	err := w.admin.QueryRow(context.Background(), "SELECT count(*) FILTER (WHERE status = 2), count(*) FROM "+w.table).Scan(&n, &all)
	if err != nil {
		w.t.Fatal(err)
	}
	return n, all
}

// wantAll wants n records, all SUCCESSFUL, each run once.
func (w *site) wantAll(n int) {
	w.t.Helper()
	w.eventually("all are SUCCESSFUL", func() bool { done, _ := w.successful(); return done >= n })
	if done, all := w.successful(); done != n || all != n {
		w.t.Errorf("%d of %d records are SUCCESSFUL, want %d of %d", done, all, n, n)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for id, n := range w.runs {
		if n != 1 {
			w.t.Errorf("record %s was run %d times", id, n)
		}
	}
	if len(w.runs) != n {
		w.t.Errorf("%d records were run, want %d", len(w.runs), n)
	}
}

// logged keeps the errors that are logged.
type logged struct {
	mu   sync.Mutex
	errs []string
}

func (l *logged) Enabled(context.Context, slog.Level) bool { return true }
func (l *logged) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logged) WithGroup(string) slog.Handler            { return l }

func (l *logged) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "error" {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.errs = append(l.errs, r.Message+": "+a.Value.String())
		}
		return true
	})
	return nil
}

func (l *logged) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.errs...)
}

// has reports whether an error with a text was logged.
func (l *logged) has(text string) bool {
	for _, e := range l.all() {
		if strings.Contains(e, text) {
			return true
		}
	}
	return false
}

// TestTrouble has a server that answers, but doesn't do what it's asked for: callers get an error
// that says why and what to do, workers wait, and when it's over all goes on by itself, with
// nothing lost and nothing run twice.
func TestTrouble(t *testing.T) {
	s := server.Get(t)
	for name, tt := range map[string]struct {
		// begin brings the trouble about, and returns what ends it.
		begin func(w *site) (end func())
		db    func(t *testing.T) string
		// says is what errors have in them; sentinel, if not ErrUnavailable, what they wrap.
		says     []string
		sentinel error
		finding  string
	}{
		"DiskFull": {
			db: func(t *testing.T) string { return smallDatabase(t, s) },
			begin: func(w *site) func() {
				w.fill()
				return func() { w.exec("DROP TABLE junk") }
			},
			says: []string{"53100", "disk is full"},
		},
		"ReadOnly": {
			begin: func(w *site) func() {
				set := func(sql string) {
					w.exec(sql)
					w.exec("SELECT pg_reload_conf()")
				}
				end := sync.OnceFunc(func() { set("ALTER SYSTEM RESET default_transaction_read_only") })
				w.t.Cleanup(end)
				set("ALTER SYSTEM SET default_transaction_read_only = on")
				return end
			},
			says: []string{"25006", "takes no writes"}, finding: "database.E006",
		},
		"TooManyConnections": {
			begin: func(w *site) func() {
				w.exec("ALTER ROLE " + w.user + " CONNECTION LIMIT 0")
				w.renew()
				return func() { w.exec("ALTER ROLE " + w.user + " CONNECTION LIMIT -1") }
			},
			says: []string{"53300", "pool_max_conns"}, finding: "database.E002",
		},
		"StatementTimeout": {begin: func(w *site) func() { return w.lock(s, "statement_timeout") }, says: []string{"57014", "statement_timeout"}},
		"LockTimeout":      {begin: func(w *site) func() { return w.lock(s, "lock_timeout") }, says: []string{"55P03"}},
		"PoolExhausted": {
			begin: func(w *site) func() {
				var held []*pgxpool.Conn
				for range w.store.Pool().Config().MaxConns {
					c, err := w.store.Pool().Acquire(w.t.Context())
					if err != nil {
						w.t.Fatal(err)
					}
					held = append(held, c)
				}
				return func() {
					for _, c := range held {
						c.Release()
					}
				}
			},
			sentinel: context.DeadlineExceeded,
		},
	} {
		t.Run(name, func(t *testing.T) {
			if !s.Owned() && (name == "DiskFull" || name == "ReadOnly") {
				t.Skip("NOT TESTED: the server isn't ours to fill or to configure")
			}
			db := "postgres"
			if tt.db != nil {
				db = tt.db(t)
			}
			w := newSite(t, s, db)
			const n = 100
			calls := make([]tasks.Call, n)
			for i := range calls {
				calls[i] = w.task.With(i)
			}
			if _, err := w.app.EnqueueMany(t.Context(), calls...); err != nil {
				t.Fatal(err)
			}
			stop := w.work()
			w.eventually("20 have been started", func() bool { return w.started() >= 20 })
			end := tt.begin(w)
			refused, stored := w.wantRefused(tt.says, tt.sentinel)
			if tt.finding != "" {
				w.wantFinding(tt.finding)
			}
			w.open() // they end, and can't be settled
			if len(tt.says) > 0 {
				// It says so once for each outage, and what it says is what came first.
				w.eventually("the worker says why it waits", func() bool { return w.log.has(tt.says[0]) || w.log.has("57P01") })
			}
			end()
			w.eventually("what was refused is taken", func() bool {
				_, err := w.task.Using(tasks.ID(refused)).Enqueue(t.Context(), n)
				return err == nil
			})
			w.wantAll(n + stored + 1)
			stop()
		})
	}
	t.Run("BackendsTerminated", func(t *testing.T) { backendsTerminated(t, s) })
}

// backendsTerminated ends the server's processes whenever the worker has got on a bit, also between
// a statement and its reply.
func backendsTerminated(t *testing.T, s *containers.Server) {
	t.Helper()
	w := newSite(t, s, "postgres")
	const n = 2000
	calls := make([]tasks.Call, n)
	for i := range calls {
		calls[i] = w.task.With(i)
	}
	if _, err := w.app.EnqueueMany(t.Context(), calls...); err != nil {
		t.Fatal(err)
	}
	w.open()
	stop := w.work()
	times := 0
	for done := 0; done < n*3/4; times++ {
		before := done
		w.eventually("it goes on", func() bool { done, _ = w.successful(); return done > before })
		w.terminate()
	}
	if times < 3 {
		t.Errorf("all was over after %d times, too soon to tell", times)
	}
	w.wantAll(n)
	stop()
	t.Logf("ended its connections %d times", times)
}

// wantRefused enqueues until that fails, which must be as it should. It returns what was
// refused, and how many were stored before.
func (w *site) wantRefused(says []string, sentinel error) (id string, stored int) {
	w.t.Helper()
	if sentinel == nil {
		sentinel = tasks.ErrUnavailable
	}
	var err error
	w.eventually("an enqueue fails", func() bool {
		ctx, cancel := context.WithTimeout(w.t.Context(), 2*time.Second)
		defer cancel()
		id = fmt.Sprintf("refused-%d", stored)
		_, err = w.task.Using(tasks.ID(id), tasks.Metadata("page", noise())).Enqueue(ctx, 0)
		if err == nil {
			stored++
		}
		// Unknown is what became of it if its connection was cut; the next have others.
		return err != nil && !errors.Is(err, tasks.ErrUnknownOutcome)
	})
	if !errors.Is(err, sentinel) {
		w.t.Errorf("enqueue: got %v, want %v", err, sentinel)
	}
	for _, text := range says {
		if !strings.Contains(err.Error(), text) {
			w.t.Errorf("enqueue: got %v, want it to say %q", err, text)
		}
	}
	return id, stored
}

// noise takes a page of its own.
func noise() string {
	text := make([]byte, 4000)
	_, _ = rand.Read(text)
	return hex.EncodeToString(text)
}

// wantFinding wants that Check finds it. A connection that was about to be made when the trouble
// began may have come through, and not have been there to be ended: so it's ended before the next try.
func (w *site) wantFinding(id string) {
	w.t.Helper()
	var found []tasks.Finding
	for range 10 {
		found = w.store.Check(w.t.Context())
		if slices.ContainsFunc(found, func(f tasks.Finding) bool { return f.ID == id }) {
			return
		}
		w.terminate()
	}
	w.t.Errorf("Check found %v, want %s", found, id)
}

// lock locks the table, as some changes of a table do, for a user whose statements the server
// bounds by a setting.
func (w *site) lock(s *containers.Server, setting string) (end func()) {
	w.t.Helper()
	w.exec("ALTER ROLE " + w.user + " SET " + setting + " = '100ms'")
	w.renew()
	conn := connect(w.t, s.Direct())
	tx, err := conn.Begin(w.t.Context())
	if err == nil {
		_, err = tx.Exec(w.t.Context(), "LOCK TABLE "+w.table+" IN ACCESS EXCLUSIVE MODE")
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return func() {
		if err := tx.Rollback(w.t.Context()); err != nil {
			w.t.Error(err)
		}
	}
}

// smallDatabase makes a database on the small disk and returns its name.
func smallDatabase(t *testing.T, s *containers.Server) string {
	t.Helper()
	name := "small_" + strings.ToLower(rand.Text())
	if err := s.Exec(t.Context(), "install", "-d", "-o", "postgres", "-g", "postgres", "-m", "700", containers.SmallDisk+"/"+name); err != nil {
		t.Fatal(err)
	}
	conn := connect(t, s.Direct())
	for _, sql := range []string{
		"CREATE TABLESPACE " + name + " LOCATION '" + containers.SmallDisk + "/" + name + "'",
		"CREATE DATABASE " + name + " TABLESPACE " + name,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	t.Cleanup(func() {
		for _, sql := range []string{"DROP DATABASE " + name + " WITH (FORCE)", "DROP TABLESPACE " + name} {
			if _, err := conn.Exec(context.Background(), sql); err != nil {
				t.Errorf("%s: %v", sql, err)
			}
		}
	})
	return name
}

// fill fills the disk to the last page.
func (w *site) fill() {
	w.t.Helper()
	w.exec("CREATE TABLE junk (page bytea); ALTER TABLE junk ALTER page SET STORAGE PLAIN")
	for _, pages := range []int{1000, 100, 10, 1} {
		for {
			_, err := w.admin.Exec(w.t.Context(), fmt.Sprintf("INSERT INTO junk SELECT decode(repeat('00', 7900), 'hex') FROM generate_series(1, %d)", pages))
			if err == nil {
				continue
			}
			if !strings.Contains(err.Error(), "53100") {
				w.t.Fatalf("filling the disk: %v", err)
			}
			break
		}
	}
}
