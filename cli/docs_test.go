package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/database"
	"github.com/sideman-go/sideman/tasks"
)

// update rewrites the files of testdata: go test ./cli -run TestDocs -update. What changes there
// changes for programs that read it.
var update = flag.Bool("update", false, "write the golden files")

// documents are examples of every exported type of output, all that they can have and as little, by the
// name of a file in testdata.
func documents() map[string]any {
	at := time.Date(2026, 3, 29, 3, 30, 0, 123456000, time.FixedZone("", 7200))
	keep := 36 * time.Hour
	full := &tasks.Record{
		ID: "01980000-0000-7000-8000-000000000001", Alias: "default", Task: "mail/éà <b>.%*🙂", Queue: "mail", Priority: -7,
		Args: json.RawMessage(`{"n":12345678901234567890,"html":"<a&b>"}`), Metadata: map[string]string{"tenant": "7"},
		MaxAttempts: 3, Timeout: 90 * time.Second, Retain: &keep, ExpiresAt: at, Status: tasks.Cancelled,
		EnqueuedAt: at, RunAfter: at.Add(time.Minute), StartedAt: at.Add(2 * time.Minute), LastAttemptedAt: at.Add(3 * time.Minute),
		FinishedAt: at.Add(4 * time.Minute), WorkerIDs: []string{"w1", "w2"}, Value: json.RawMessage(`"done"`),
		Errors: []tasks.AttemptError{
			{Attempt: 1, Type: "*fs.PathError", Message: "open x: no such file", At: at.Add(2 * time.Minute), Worker: "w1"},
			{Attempt: 2, Type: "panic", Message: "oh\nno", Stack: "goroutine 1 [running]:", At: at.Add(3 * time.Minute), Worker: "w2"},
		},
		CancelRequested: true, CancelReason: "not wanted any more",
	}
	bare := &tasks.Record{ID: "x", Alias: "default", Task: "tick", Queue: "default", Status: tasks.Ready, MaxAttempts: 1}
	step := migrationView(at).doc
	return map[string]any{
		"task":              newTaskDoc(full),
		"task_bare":         newTaskDoc(bare),
		"version":           VersionDoc{"app", "v1.2.3", "go1.26.0"},
		"setting":           SettingDoc{"backends.default.url", "postgres://ann:xxxxx@db/app", "sideman.yaml:3"},
		"migration":         step(database.Migration{Version: 1, Name: "tasks", AppliedAt: at}),
		"migration_missing": step(database.Migration{Version: 2, Name: "leases_and_finals"}),
		"finding":           FindingDoc{"tasks.W001", tasks.LevelWarning, "default", "a message", "a hint"},
		"finding_bare":      FindingDoc{ID: "tasks.E001", Level: tasks.LevelError, Message: "a message"},
		"bench":             BenchDoc{"enqueue-16", 16, 10_000, 10_000, 0.654321, 15283.1, 0.987, 4.321},
		"totals":            TotalsDoc{Matched: 12, Changed: 10, Skipped: 2, DryRun: true},
		"change":            ChangeDoc{ID: "x", Status: tasks.Ready, Changed: true},
		"change_missing":    newChangeDoc("x", tasks.Altered{Err: tasks.ErrResultNotFound}),
		"queue": newQueueDoc(tasks.QueueInfo{
			Name: "mail/é.%*", Paused: true, Counts: map[tasks.Status]int64{tasks.Ready: 3, tasks.Failed: 1},
			OldestDue: 90 * time.Second, Waiting: map[string]int64{"send": 2, "greet": 1},
		}),
		"queue_bare": newQueueDoc(tasks.QueueInfo{Name: "q"}),
		"pause":      PauseDoc{"mail", true},
		"worker": newWorkerDoc(tasks.WorkerInfo{
			ID: "w1", Host: "h", PID: 7, Queues: []string{"*"}, Exclude: []string{"mail"}, Concurrency: 50, StartedAt: at, Interval: time.Second,
			Running: 2, RunningIDs: []string{"a", "b"}, Stopping: true, BeatAt: at.Add(time.Minute), Age: 1500 * time.Millisecond,
		}),
		"stats": StatsDoc{
			At:     stamp(at),
			Queues: []QueueStatsDoc{{Queue: "mail", Paused: true, Ready: 3, OldestSeconds: 1.5, Workers: 1, EnqueuedPerSecond: new(2.5), FinishedPerSecond: new(0.0), FailedPerSecond: new(0.0)}},
			Total:  &QueueStatsDoc{Ready: 3, OldestSeconds: 1.5, Workers: 1},
		},
		"stats_away":  StatsDoc{At: stamp(at), Error: "the store is away"},
		"bench_drain": BenchDoc{Scenario: "drain", Concurrency: 50, Operations: 10_000, Tasks: 10_000, Seconds: 0.5, TasksPerSecond: 20_000},
	}
}

// printed is a document in a form.
func printed(t *testing.T, doc any, form string) string {
	t.Helper()
	var b bytes.Buffer
	p := &printer{w: bufio.NewWriter(&b), form: form}
	if err := printOne(p, view[any]{doc: func(d any) any { return d }}, doc, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDocs(t *testing.T) {
	for name, doc := range documents() {
		path := filepath.Join("testdata", name+".json")
		got := printed(t, doc, asJSON)
		if *update {
			if err := os.MkdirAll("testdata", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%v; -update writes it", err)
			continue
		}
		if got != string(want) {
			t.Errorf("%s: got %s want %s", path, got, want)
		}
		if line := printed(t, doc, asJSONL); strings.Count(line, "\n") != 1 || !json.Valid([]byte(line)) {
			t.Errorf("%s as a line of JSON: %s", name, line)
		}
		// As YAML it says the same.
		again, err := parse(printed(t, doc, asYAML), ".yaml")
		if err != nil {
			t.Errorf("%s as YAML: %v", name, err)
			continue
		}
		if a, b := value(t, again.root.encode()), value(t, want); !reflect.DeepEqual(a, b) {
			t.Errorf("%s as YAML is %s, as JSON %s", name, again.root.encode(), want)
		}
	}
}

// Every type of output is in TestDocs, with JSON names in snake_case, or is part of one that is.
func TestDocsOfAllTypes(t *testing.T) {
	shown := make(map[string]bool)
	var look func(typ reflect.Type)
	look = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			look(typ.Elem())
		case reflect.Struct:
			if typ.PkgPath() != reflect.TypeFor[TaskDoc]().PkgPath() {
				return
			}
			shown[typ.Name()] = true
			for field := range typ.Fields() {
				if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); field.IsExported() && !field.Anonymous && (name == "" || name != strings.ToLower(name)) {
					t.Errorf("%s.%s has the JSON name %q", typ.Name(), field.Name, name)
				}
				look(field.Type)
			}
		default: // a plain value
		}
	}
	for _, doc := range documents() {
		look(reflect.TypeOf(doc))
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok && strings.HasSuffix(spec.Name.Name, "Doc") && spec.Name.IsExported() && !shown[spec.Name.Name] {
				t.Errorf("%s: there is no example of %s in documents", path, spec.Name.Name)
			}
			return true
		})
	}
}
