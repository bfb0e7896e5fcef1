package dummy_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/tasks"
)

func setup(t *testing.T) (*dummy.Backend, *tasks.Task[string, string]) {
	t.Helper()
	b := new(dummy.Backend) // the zero value is ready
	app := tasks.NewApp()
	if err := app.Use("default", b); err != nil {
		t.Fatalf("Use: %v", err)
	}
	return b, tasks.Define(app, "greet", func(_ context.Context, name string) (string, error) {
		t.Error("the task was run")
		return name, nil
	})
}

func enqueue(t *testing.T, task *tasks.Task[string, string], arg string) *tasks.Result[string] {
	t.Helper()
	res, err := task.Enqueue(t.Context(), arg)
	if err != nil {
		t.Fatalf("Enqueue: %v", err)
	}
	return res
}

func TestItKeepsAndRunsNothing(t *testing.T) {
	b, task := setup(t)
	enqueue(t, task, "a")
	enqueue(t, task.Using(tasks.Priority(9), tasks.RunIn(time.Hour), tasks.ExpiresIn(2*time.Hour)), "b")
	got := b.Results()
	if len(got) != 2 || string(got[0].Args) != `"a"` || string(got[1].Args) != `"b"` {
		t.Fatalf("Results: got %v, want a and b in this order", got)
	}
	for _, rec := range got {
		if rec.Status != tasks.Ready || rec.Attempts() != 0 || len(rec.Errors) != 0 {
			t.Errorf("record: got %+v, want it READY and untouched", rec)
		}
	}
	if got[1].RunAfter.Sub(got[1].EnqueuedAt) != time.Hour || got[1].ExpiresAt.Sub(got[1].EnqueuedAt) != 2*time.Hour || got[1].Delay != 0 {
		t.Errorf("record: got %+v, want RunAfter and ExpiresAt by the clock", got[1])
	}
	b.Clear()
	if left := b.Results(); len(left) != 0 {
		t.Errorf("Results after Clear: got %v, want none", left)
	}
	enqueue(t, task.Using(tasks.ID("again")), "c")
	b.Clear()
	if res := enqueue(t, task.Using(tasks.ID("again")), "d"); res.Duplicate {
		t.Error("Duplicate after Clear: got true")
	}
}

// R7, in both directions.
func TestItSharesNothing(t *testing.T) {
	b, task := setup(t)
	res := enqueue(t, task.Using(tasks.Metadata("k", "v")), "abc")
	read, err := b.GetResult(t.Context(), res.ID)
	if err != nil {
		t.Fatalf("GetResult: %v", err)
	}
	page, err := b.List(t.Context(), tasks.ListRequest{})
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	for _, rec := range []*tasks.Record{&res.Record, read, page.Records[0], b.Results()[0]} {
		rec.Args[1], rec.Metadata["k"], rec.Status = 'X', "X", tasks.Failed
	}
	if rec := b.Results()[0]; string(rec.Args) != `"abc"` || rec.Metadata["k"] != "v" || rec.Status != tasks.Ready {
		t.Errorf("stored: got %+v, want it unchanged", rec)
	}
}

func TestF3_AfterClose(t *testing.T) {
	b, task := setup(t)
	res := enqueue(t, task, "a")
	for range 2 {
		if err := b.Close(t.Context()); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := b.Enqueue(t.Context(), []*tasks.Record{{ID: "x"}}); !errors.Is(err, tasks.ErrClosed) {
		t.Errorf("Enqueue: got error %v, want ErrClosed", err)
	}
	if _, err := b.GetResult(t.Context(), res.ID); !errors.Is(err, tasks.ErrClosed) {
		t.Errorf("GetResult: got error %v, want ErrClosed", err)
	}
	if _, err := b.List(t.Context(), tasks.ListRequest{}); !errors.Is(err, tasks.ErrClosed) {
		t.Errorf("List: got error %v, want ErrClosed", err)
	}
	if found := b.Check(t.Context()); len(found) != 1 || found[0].ID != "dummy.E001" {
		t.Errorf("Check: got %v, want dummy.E001", found)
	}
	b.AssertCount(t, 1) // for a test that looks afterwards
}

func TestE4_ACtxThatIsOver(t *testing.T) {
	b, _ := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Enqueue(ctx, []*tasks.Record{{ID: "x"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Enqueue: got error %v, want context.Canceled", err)
	}
	b.AssertCount(t, 0)
}

func TestI1_ListByPages(t *testing.T) {
	b, task := setup(t)
	for i := range 10 {
		enqueue(t, task.Using(tasks.ID(fmt.Sprint("id-", (i*7)%10)), tasks.Priority(i%2)), "x") // not in the order of ids
	}
	for _, newest := range []bool{false, true} {
		for limit := 1; limit <= 11; limit++ {
			var ids []string
			req := tasks.ListRequest{Newest: newest, Limit: limit}
			for pages := 1; ; pages++ {
				page, err := b.List(t.Context(), req)
				if err != nil || len(page.Records) > limit {
					t.Fatalf("List: got %d records, %v, want at most %d", len(page.Records), err, limit)
				}
				for _, rec := range page.Records {
					ids = append(ids, rec.ID)
				}
				if req.After = page.Next; req.After == "" {
					if want := (10 + limit - 1) / limit; pages != want {
						t.Errorf("limit %d: got %d pages, want %d", limit, pages, want)
					}
					break
				}
			}
			if newest {
				slices.Reverse(ids)
			}
			if got := strings.Join(ids, " "); got != "id-0 id-1 id-2 id-3 id-4 id-5 id-6 id-7 id-8 id-9" {
				t.Errorf("limit %d, newest %v: got %s", limit, newest, got)
			}
		}
	}
	page, err := b.List(t.Context(), tasks.ListRequest{Filter: tasks.Filter{Statuses: []tasks.Status{tasks.Failed}}})
	if err != nil || len(page.Records) != 0 || page.Next != "" {
		t.Errorf("List of FAILED: got %v, %v, want nothing", page, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	b, task := setup(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				if _, err := task.Using(tasks.ID(strconv.Itoa(i))).Enqueue(t.Context(), "x"); err != nil {
					t.Errorf("Enqueue: %v", err)
				}
				_ = b.Results()
				_, _ = b.List(t.Context(), tasks.ListRequest{})
			}
		})
	}
	wg.Wait()
	b.AssertCount(t, 50)
}

// fakeT keeps what an assertion reports.
type fakeT struct{ errors []string }

func (*fakeT) Helper() {}
func (f *fakeT) Errorf(format string, args ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, args...))
}

func TestAssertions(t *testing.T) {
	b, task := setup(t)
	app := tasks.NewApp()
	if err := app.Use("default", b); err != nil {
		t.Fatalf("Use: %v", err)
	}
	numbers := tasks.Define(app, "numbers", func(context.Context, map[string]any) (string, error) { return "", nil })
	for _, tt := range []struct {
		name   string
		assert func(dummy.T)
		want   string // "" means that it holds
	}{
		{"count of none", func(f dummy.T) { b.AssertCount(f, 0) }, ""},
		{"nothing enqueued", func(f dummy.T) { b.AssertEnqueued(f, "greet", "michael") }, `dummy: task "greet" was not enqueued; enqueued: nothing`},
		{"", func(dummy.T) {
			enqueue(t, task, "<michael>")
			if _, err := numbers.Enqueue(t.Context(), map[string]any{"n": int64(1<<53 + 1), "a": []int{}}); err != nil {
				t.Fatalf("Enqueue: %v", err)
			}
		}, ""},
		{"enqueued", func(f dummy.T) {
			if rec := b.AssertEnqueued(f, "greet", "<michael>"); rec == nil || rec.Task != "greet" {
				t.Errorf("AssertEnqueued: got %v, want the record", rec)
			}
		}, ""},
		{"keys in another order, as a struct", func(f dummy.T) {
			b.AssertEnqueued(f, "numbers", struct {
				N int64 `json:"n"`
				A []int `json:"a"`
			}{1<<53 + 1, []int{}})
		}, ""},
		{"a number that float64 would confuse", func(f dummy.T) {
			b.AssertEnqueued(f, "numbers", map[string]any{"n": int64(1 << 53), "a": []int{}})
		}, `dummy: task "numbers" was not enqueued with {"a":[],"n":9007199254740992}, only with: {"a":[],"n":9007199254740993}`},
		{"other argument", func(f dummy.T) { b.AssertEnqueued(f, "greet", "eve") }, `dummy: task "greet" was not enqueued with "eve", only with: "<michael>"`},
		{"other task", func(f dummy.T) { b.AssertEnqueued(f, "leave", nil) }, `dummy: task "leave" was not enqueued; enqueued: greet("<michael>"), numbers(`},
		{"unserializable", func(f dummy.T) { b.AssertEnqueued(f, "greet", make(chan int)) }, `dummy: the wanted argument of "greet": json`},
		{"not enqueued", func(f dummy.T) { b.AssertNotEnqueued(f, "leave") }, ""},
		{"enqueued after all", func(f dummy.T) { b.AssertNotEnqueued(f, "greet") }, `dummy: task "greet" was enqueued, with "<michael>"`},
		{"count", func(f dummy.T) { b.AssertCount(f, 2) }, ""},
		{"wrong count", func(f dummy.T) { b.AssertCount(f, 3) }, `dummy: 2 tasks were enqueued, want 3: greet("<michael>"), numbers(`},
	} {
		f := &fakeT{}
		tt.assert(f)
		switch {
		case tt.want == "" && len(f.errors) > 0:
			t.Errorf("%s: got %q, want no error", tt.name, f.errors)
		case tt.want != "" && (len(f.errors) != 1 || !strings.HasPrefix(f.errors[0], tt.want)):
			t.Errorf("%s:\n got %q\nwant %q", tt.name, f.errors, tt.want)
		}
	}
}
