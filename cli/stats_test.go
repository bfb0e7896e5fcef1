package cli_test

import (
	"encoding/json"
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends"
	"github.com/sideman-go/sideman/cli"
	"github.com/sideman-go/sideman/tasks"
)

func TestStats(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "greet", []string{`"a"`, `"b"`})
		enqueue(t, store, "fail", []string{`"c"`})
		work(t, store)
		enqueue(t, store, "greet", []string{`"d"`, `"e"`, `"f"`}, tasks.Queue("mail/é%*🙂"))
		withApp(t, store, func(app *tasks.App) {
			admin, err := app.Admin(tasks.DefaultAlias)
			if err != nil {
				t.Fatal(err)
			}
			if err := admin.Pause(t.Context(), "mail/é%*🙂"); err != nil {
				t.Fatal(err)
			}
		})
		var doc cli.StatsDoc
		if err := json.Unmarshal([]byte(ok(t, store, "stats", "-o", "json")), &doc); err != nil || len(doc.Queues) != 2 {
			t.Fatalf("got %+v, %v, want 2 queues", doc, err)
		}
		if doc.At == "" || doc.Queues[1].OldestSeconds < 0 || doc.Queues[1].OldestSeconds > 60 || doc.Total.OldestSeconds != doc.Queues[1].OldestSeconds {
			t.Errorf("the times of %+v, %+v", doc, doc.Total)
		}
		doc.At, doc.Queues[1].OldestSeconds, doc.Total.OldestSeconds = "", 0, 0
		got, _ := json.Marshal(doc)
		want := `{"at":"","queues":[` +
			`{"queue":"default","ready":0,"running":0,"successful":2,"failed":1,"cancelled":0,"oldest_seconds":0,"workers":0},` +
			`{"queue":"mail/é%*🙂","paused":true,"ready":3,"running":0,"successful":0,"failed":0,"cancelled":0,"oldest_seconds":0,"workers":0}],` +
			`"total":{"ready":3,"running":0,"successful":2,"failed":1,"cancelled":0,"oldest_seconds":0,"workers":0}}`
		if string(got) != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		table := ok(t, store, "stats", "-o", "wide")
		for _, want := range []string{"QUEUE", "SUCCESSFUL", "mail/é%*🙂", "paused", "total"} {
			if !strings.Contains(table, want) {
				t.Errorf("the table has no %q:\n%s", want, table)
			}
		}
		if got := ok(t, store, "stats", "-o", "name"); got != "default\nmail/é%*🙂\n" {
			t.Errorf("names: %q", got)
		}
		if got := ok(t, store, "stats", "--watch", "--interval", "50ms", "--count", "3"); count(got, "QUEUE") != 3 || count(got, "DONE/S") != 3 {
			t.Errorf("three rounds:\n%s", got)
		}
		for _, args := range [][]string{{"--count", "3"}, {"--interval", "1s"}, {"--watch", "--interval", "1ms"}, {"--watch", "--count", "-1"}} {
			fails(t, store, cli.ExitUsage, []string{args[len(args)-2]}, append([]string{"stats"}, args...)...)
		}
		fails(t, "immediate:", cli.ExitUsage, []string{"not supported"}, "stats")
	})
}

// Workers count where they take tasks from.
func TestStatsWorkers(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "greet", []string{`"a"`}, tasks.Queue("a"))
		withApp(t, store, func(app *tasks.App) {
			b, _ := app.Backend(tasks.DefaultAlias)
			beating, _ := tasks.As[tasks.Store](b)
			for _, w := range []tasks.WorkerInfo{
				{ID: "1", Queues: []string{"*"}},
				{ID: "2", Queues: []string{"*"}, Exclude: []string{"a"}},
				{ID: "3", Queues: []string{"a", "idle"}},
				{ID: "4", Queues: []string{"a"}, Stopping: true},
			} {
				w.Interval, w.StartedAt = time.Minute, time.Now()
				if err := beating.Heartbeat(t.Context(), w); err != nil {
					t.Fatal(err)
				}
			}
			r := runWith(t, &cli.Program{App: app, Name: "app"}, "", "stats", "-o", "json")
			var doc cli.StatsDoc
			if err := json.Unmarshal([]byte(r.out), &doc); err != nil || len(doc.Queues) != 2 {
				t.Fatalf("got %s%s, want 2 queues", r.out, r.err)
			}
			if a, idle := doc.Queues[0], doc.Queues[1]; a.Workers != 2 || idle.Queue != "idle" || idle.Workers != 3 || doc.Total.Workers != 3 {
				t.Errorf("workers: %+v and %+v of %+v", a, idle, doc.Total)
			}
		})
	})
}

// hookedWriter calls a function before each write, which is one sample's.
type hookedWriter struct {
	io.Writer

	before func(n int)
	n      int
}

func (h *hookedWriter) Write(p []byte) (int, error) {
	h.before(h.n)
	h.n++
	return h.Writer.Write(p)
}

// Rates are those of what happened between two samples.
func TestStatsRates(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "tick", []string{""})
		out := &strings.Builder{}
		h := &hookedWriter{Writer: out, before: func(n int) {
			if n == 0 {
				enqueue(t, store, "greet", []string{`"a"`, `"b"`})
				enqueue(t, store, "fail", []string{`"c"`})
				work(t, store)
			}
		}}
		began := time.Now()
		code := (&cli.Program{App: newApp(), Name: "app"}).Run(t.Context(),
			[]string{"--url", store, "stats", "--watch", "--interval", "1s", "--count", "2", "-o", "jsonl"},
			cli.Streams{In: strings.NewReader(""), Out: h, Err: io.Discard})
		took := time.Since(began).Seconds()
		var docs []cli.StatsDoc
		for line := range strings.Lines(out.String()) {
			var doc cli.StatsDoc
			if err := json.Unmarshal([]byte(line), &doc); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			docs = append(docs, doc)
		}
		if code != cli.ExitOK || len(docs) != 2 || docs[0].Total.FinishedPerSecond != nil {
			t.Fatalf("exit code %d, %s", code, out)
		}
		first, _ := time.Parse(time.RFC3339Nano, docs[0].At)
		second, _ := time.Parse(time.RFC3339Nano, docs[1].At)
		seconds := second.Sub(first).Seconds()
		if seconds <= 0 || seconds > took {
			t.Fatalf("the samples are %v s apart", seconds)
		}
		for what, tt := range map[string]struct {
			got  *float64
			want float64
		}{
			"enqueued": {docs[1].Total.EnqueuedPerSecond, 3}, "finished": {docs[1].Queues[0].FinishedPerSecond, 4}, "failed": {docs[1].Total.FailedPerSecond, 1},
		} {
			if tt.got == nil {
				t.Errorf("%s: there is no rate", what)
			} else if n := *tt.got * seconds; n < tt.want*0.9 || n > tt.want*1.1 {
				t.Errorf("%s: %v in all, want %v", what, n, tt.want)
			}
		}
	})
}

// relay stands before a server, and can be away.
type relay struct {
	t    *testing.T
	to   string
	at   string
	mu   sync.Mutex
	l    net.Listener
	open []net.Conn
}

func (r *relay) up() {
	r.t.Helper()
	var config net.ListenConfig
	l, err := config.Listen(r.t.Context(), "tcp", r.at)
	if err != nil {
		r.t.Fatal(err)
	}
	r.mu.Lock()
	r.l, r.at = l, l.Addr().String()
	r.mu.Unlock()
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := (&net.Dialer{}).DialContext(r.t.Context(), "tcp", r.to)
			if err != nil {
				in.Close()
				continue
			}
			r.mu.Lock()
			r.open = append(r.open, in, out)
			r.mu.Unlock()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
			go func() { _, _ = io.Copy(out, in); out.Close() }()
		}
	}()
}

func (r *relay) down() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.l.Close()
	for _, c := range r.open {
		c.Close()
	}
	r.open = nil
}

// breakable returns a store's URL behind which it can go away and come back. A bolt file is
// away while this process has it.
func breakable(t *testing.T, store string) (through string, down, up func()) {
	t.Helper()
	u, err := url.Parse(store)
	if err != nil {
		t.Fatal(err)
	}
	if u.Scheme == "bolt" {
		var app *tasks.App
		return store, func() {
				cfg, err := tasks.ConfigFromURL(store)
				if err != nil {
					t.Fatal(err)
				}
				app = newApp()
				if err := app.Open(t.Context(), cfg, backends.All()); err != nil {
					t.Fatal(err)
				}
			}, func() {
				if err := app.Close(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
	}
	r := &relay{t: t, to: u.Host, at: "127.0.0.1:0"}
	r.up()
	t.Cleanup(r.down)
	u.Host = r.at
	return u.String(), r.down, r.up
}

// An outage is shown, and over when it's over.
func TestStatsOutage(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		enqueue(t, store, "tick", []string{""})
		through, down, up := breakable(t, store)
		w := begin(t, through, "stats", "--watch", "--interval", "50ms", "-o", "jsonl")
		w.out.await(t, `"ready":1`)
		down()
		w.out.await(t, `"error":"`)
		up()
		w.out.await(t, `"ready":1`)
		w.cancel()
		w.ends(cli.ExitOK)

		w = begin(t, through, "stats", "--watch", "--interval", "50ms")
		w.out.await(t, "default")
		down()
		w.errs.await(t, "Trying again until the store is back")
		up()
		w.out.await(t, "default")
		w.cancel()
		if got := w.ends(cli.ExitOK); count(got.err, "Trying again") != 1 {
			t.Errorf("it was said more than once: %s", got.err)
		}
	})
}

// So it is while a result is waited for.
func TestResultOutage(t *testing.T) {
	onEach(t, func(t *testing.T, store string) {
		through, down, up := breakable(t, store)
		w := begin(t, through, "enqueue", "greet", "--args", `"ada"`, "--wait")
		w.errs.await(t, "Enqueued")
		down()
		w.errs.await(t, "Trying again until it can be read")
		up()
		work(t, store)
		if got := w.ends(cli.ExitOK); !strings.Contains(got.out, "Hello, ada!") {
			t.Errorf("printed %s", got.out)
		}
	})
}
