package e2e

import (
	"context"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sideman-go/sideman/tasks"
	"github.com/sideman-go/sideman/worker"
)

// TestHostile runs tasks that misbehave in every known way side by side with good
// ones, enqueued in the same write, and wants each to end as the contract says and
// the good ones to be unharmed.
func TestHostile(t *testing.T) {
	app, _ := newApp(t)
	ctx := t.Context()
	const hostile = "a\x00b\xff\xfec"
	type big struct{ N, M any }
	stuck := make(chan struct{})
	defer close(stuck)

	good := tasks.Define(app, "good", func(_ context.Context, n int) (int, error) { return n + 1, nil })
	echo := tasks.Define(app, "echo", func(_ context.Context, s string) (string, error) { return s, nil })
	echoInt := tasks.Define(app, "echo int", func(_ context.Context, n int64) (int64, error) { return n, nil })
	echoAny := tasks.Define(app, "echo any", func(_ context.Context, b big) (any, error) { return b.N, nil })
	badError := tasks.Define(app, "bad error", func(context.Context, tasks.None) (int, error) { return 0, errors.New(hostile) })
	badPanic := tasks.Define(app, "bad panic", func(context.Context, tasks.None) (int, error) { panic(hostile) })
	nilPanic := tasks.Define(app, "nil panic", func(context.Context, tasks.None) (int, error) { panic(nil) }) //nolint:govet // that is the point
	goexit := tasks.Define(app, "goexit", func(context.Context, tasks.None) (int, error) { runtime.Goexit(); return 0, nil })
	badResult := tasks.Define(app, "bad result", func(context.Context, tasks.None) (float64, error) { return math.NaN(), nil })
	hugeResult := tasks.Define(app, "huge result", func(context.Context, tasks.None) (string, error) { return strings.Repeat("x", 2<<20), nil })
	hugeError := tasks.Define(app, "huge error", func(context.Context, tasks.None) (int, error) {
		return 0, errors.New(strings.Repeat("é", 25<<20))
	})
	deaf := tasks.Define(app, "deaf", func(context.Context, tasks.None) (int, error) { <-stuck; return 0, nil },
		tasks.Timeout(50*time.Millisecond))

	large := strings.Repeat("y", 1<<20-2) // with its quotes exactly 1 MiB
	none := tasks.None{}
	calls := []tasks.Call{
		good.With(1), badError.With(none), good.With(2), badPanic.With(none), good.With(3), nilPanic.With(none), good.With(4),
		goexit.With(none), good.With(5), badResult.With(none), good.With(6), hugeResult.With(none), good.With(7), hugeError.With(none),
		good.With(8), deaf.With(none), good.With(9),
		echo.With("nul \x00 and \u2028"), echo.With(large), echoInt.With(math.MaxInt64), echoAny.With(big{N: int64(1)<<53 + 1}),
		good.Using(tasks.Metadata("emoji 🎷", "/.%*'\"")).With(10),
	}
	results, err := app.EnqueueMany(ctx, calls...)
	if err != nil {
		t.Fatal(err)
	}
	_, stop := work(t, app, worker.Options{Concurrency: 3, Grace: 100 * time.Millisecond})
	defer stop()

	wantType := map[string]string{
		"bad error": "*errors.errorString", "bad panic": "panic", "nil panic": "panic", "goexit": "goexit",
		"bad result": "*json.UnsupportedValueError", "huge result": "", "huge error": "*errors.errorString", "deaf": "timeout",
	}
	wantValue := map[string]string{"echo int": "9223372036854775807", "echo any": "9007199254740993"}
	next := 2
	for i, res := range results {
		limited, cancel := context.WithTimeout(ctx, 20*time.Second)
		value, err := res.Wait(limited)
		cancel()
		want, fails := wantType[res.Task]
		if !fails {
			if err != nil {
				t.Errorf("%d %s: %v", i, res.Task, err)
			} else if w := wantValue[res.Task]; w != "" && string(value) != w {
				t.Errorf("%d %s: value %s, want %s", i, res.Task, value, w)
			}
			if res.Task == "good" {
				if got, _ := good.Result(res); got != nil {
					if v, _ := got.ReturnValue(); v != next {
						t.Errorf("good: %d, want %d", v, next)
					}
				}
				next++
			}
			continue
		}
		last := res.LastError()
		if res.Status != tasks.Failed || last == nil || !errors.Is(err, tasks.ErrTaskFailed) {
			t.Errorf("%d %s: %s, error %v; want FAILED", i, res.Task, res.Status, err)
			continue
		}
		if want != "" && last.Type != want {
			t.Errorf("%s: error type %q, want %q", res.Task, last.Type, want)
		}
		if !utf8.ValidString(last.Message) || strings.Contains(last.Message, "\x00") || len(last.Message) > 9<<10 {
			t.Errorf("%s: the stored message isn't clean: %.100q… (%d bytes)", res.Task, last.Message, len(last.Message))
		}
	}
	if res := results[17]; string(res.Value) != `"nul \u0000 and \u2028"` {
		t.Errorf("NUL in an argument came back as %s", res.Value)
	}
	if res := results[18]; len(res.Value) != 1<<20 {
		t.Errorf("1 MiB came back as %d bytes", len(res.Value))
	}

	// What can't be stored is refused before anything is.
	before := counts(t, app)
	cyclic := map[string]any{}
	cyclic["self"] = cyclic
	anything := tasks.Define(app, "anything", func(_ context.Context, v any) (any, error) { return v, nil })
	for name, c := range map[string]struct {
		call tasks.Call
		want error
	}{
		"NaN":            {anything.With(math.NaN()), tasks.ErrNotSerializable},
		"channel":        {anything.With(make(chan int)), tasks.ErrNotSerializable},
		"cycle":          {anything.With(cyclic), tasks.ErrNotSerializable},
		"over 1 MiB":     {echo.With(large + "y"), tasks.ErrTooLarge},
		"NUL in queue":   {good.Using(tasks.Queue("a\x00b")).With(1), tasks.ErrInvalidTask},
		"bad UTF-8":      {good.Using(tasks.Queue("a\xffb")).With(1), tasks.ErrInvalidTask},
		"NUL in meta":    {good.Using(tasks.Metadata("k", "\x00")).With(1), tasks.ErrInvalidTask},
		"bad UTF-8 meta": {good.Using(tasks.Metadata("\xff", "")).With(1), tasks.ErrInvalidTask},
	} {
		if _, err := app.EnqueueMany(ctx, good.With(0), c.call, good.With(0)); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", name, err, c.want)
		}
	}
	if after := counts(t, app); after[tasks.Successful] != before[tasks.Successful] || after[tasks.Ready] != 0 {
		t.Errorf("refused calls left something behind: %v, before %v", after, before)
	}
}
