package conformance

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// connectWith is connect with an App of other settings.
func (e *env) connectWith(options tasks.AppOptions, use tasks.UseOptions) *handle {
	e.Helper()
	h, err := e.tryConnectWith(options, use)
	e.must(err, "connect")
	return h
}

// together calls fn on n goroutines, which start at about the same time, and waits
// for them. fn may use Errorf but not Fatalf, nor helpers that do.
func (e *env) together(n int, fn func(i int)) {
	e.step("running %d goroutines", n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			defer e.survive()
			<-start
			fn(i)
		})
	}
	close(start)
	all.Wait()
}

// wantErr fails unless err is target.
func (e *env) wantErr(err, target error, what string, args ...any) {
	e.Helper()
	if !errors.Is(err, target) {
		e.Errorf("%s: got error %v, want %v", fmt.Sprintf(what, args...), err, target)
	}
}

// absent fails if any of the ids is stored, as far as the backend lets see.
func (e *env) absent(h *handle, ids ...string) {
	e.Helper()
	e.step("looking whether %d ids are absent", len(ids))
	if h.caps.Has(tasks.CapResults) {
		for _, id := range ids {
			if rec, err := h.b.GetResult(e.ctx, id); !errors.Is(err, tasks.ErrResultNotFound) {
				e.Errorf("get result %q: got %s, error %v; want ErrResultNotFound", id, brief(rec), err)
			}
		}
	}
	if h.caps.Has(tasks.CapList) {
		for _, rec := range e.list(h, tasks.Filter{}) {
			if slices.Contains(ids, rec.ID) {
				e.Errorf("record %q is listed (%s), and must not be stored", rec.ID, brief(rec))
			}
		}
	}
}

// empty fails if anything is stored, as far as the backend lets see.
func (e *env) empty(h *handle, after string) {
	e.Helper()
	if !h.caps.Has(tasks.CapList) {
		return
	}
	for _, rec := range e.list(h, tasks.Filter{}) {
		e.Errorf("after %s: record %q is stored (%s), want none", after, rec.ID, brief(rec))
	}
}

// count returns how many of the ids are stored.
func (e *env) count(h *handle, recs []*tasks.Record) int {
	e.Helper()
	e.step("counting which of %d records are stored", len(recs))
	n := 0
	for _, rec := range recs {
		switch _, err := h.b.GetResult(e.ctx, rec.ID); {
		case err == nil:
			n++
		case !errors.Is(err, tasks.ErrResultNotFound):
			e.Fatalf("get result %q: %v", rec.ID, err)
		}
	}
	return n
}

// quiet lets writes of unknown outcome end, so that they don't come between what is
// read afterwards.
func (e *env) quiet(h *handle) {
	e.Helper()
	e.enqueue(h, e.record())
	e.pause(50 * time.Millisecond)
}

// brief shows a record in a message.
func brief(rec *tasks.Record) string {
	if rec == nil {
		return "no record"
	}
	return fmt.Sprintf("%s, task %q, queue %q, args %.60s", rec.Status, rec.Task, rec.Queue, rec.Args)
}

// same fails for each field in which two records differ, at microseconds.
func (e *env) same(what string, got, want *tasks.Record) {
	e.Helper()
	for _, d := range differences(got, want) {
		e.Errorf("%s: record %q: %s", what, want.ID, d)
	}
}

// differences goes through all fields, so that a new one is compared without being
// named here. Empty and absent are the same, as are times in one microsecond.
func differences(got, want *tasks.Record) []string {
	var found []string
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := range g.NumField() {
		if x, y := g.Field(i).Interface(), w.Field(i).Interface(); !alike(x, y) {
			found = append(found, fmt.Sprintf("%s: got %s, want %s", g.Type().Field(i).Name, show(x), show(y)))
		}
	}
	return found
}

func alike(x, y any) bool {
	switch x := x.(type) {
	case time.Time:
		return sameTime(x, y.(time.Time))
	case json.RawMessage:
		return bytes.Equal(x, y.(json.RawMessage))
	case map[string]string:
		return maps.Equal(x, y.(map[string]string))
	case []string:
		return slices.Equal(x, y.([]string))
	case *time.Duration:
		y := y.(*time.Duration)
		return (x == nil) == (y == nil) && (x == nil || *x == *y)
	case []tasks.AttemptError:
		return slices.EqualFunc(x, y.([]tasks.AttemptError), func(a, b tasks.AttemptError) bool {
			at := sameTime(a.At, b.At)
			a.At = b.At
			return at && a == b
		})
	}
	return x == y
}

func sameTime(x, y time.Time) bool {
	return x.Truncate(time.Microsecond).Equal(y.Truncate(time.Microsecond))
}

func show(v any) string {
	switch v := v.(type) {
	case json.RawMessage:
		return fmt.Sprintf("%.100q (%d bytes)", []byte(v), len(v))
	case *time.Duration:
		if v == nil {
			return "nil"
		}
		return v.String()
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case string, map[string]string, []string:
		return fmt.Sprintf("%.300q", v)
	}
	return fmt.Sprintf("%+v", v)
}

// runAll claims and runs, through the App, what there is to run, and stores how it
// ended: a worker in its simplest form. A backend that runs tasks itself, or none,
// has nothing to be claimed.
func (e *env) runAll(h *handle) {
	e.Helper()
	if h.s == nil {
		return
	}
	rt, err := h.app.Runtime(tasks.DefaultAlias)
	e.must(err, "runtime")
	for {
		got := e.claim(h, 10)
		if len(got) == 0 {
			return
		}
		for _, c := range got {
			e.step("running record %s", c.Record.ID)
			ended := make(chan tasks.Outcome, 1)
			go rt.Execute(e.ctx, c.Record.Clone(), func(out tasks.Outcome) { ended <- out })
			select {
			case out := <-ended:
				e.settle(h, c, out)
			case <-e.ctx.Done():
				e.Fatalf("the handler of record %s (%s) didn't end", c.Record.ID, c.Record.Task)
			}
		}
	}
}

// echo defines a task that returns its argument.
func echo[A any](h *handle, name string, options ...tasks.Option) *tasks.Task[A, A] {
	return tasks.Define(h.app, name, func(_ context.Context, arg A) (A, error) { return arg, nil }, options...)
}
