package tasks_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/backends/immediate"
	"github.com/sideman-go/sideman/tasks"
)

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("no JSON today") }

type node struct {
	Next *node
	Any  any
}

// unserializable are values that JSON can't carry.
func unserializable() map[string]any {
	cycle := &node{}
	cycle.Next = cycle
	loop := map[string]any{}
	loop["self"] = loop
	return map[string]any{
		"NaN": math.NaN(), "Inf": math.Inf(-1), "chan": make(chan int), "func": func() {}, "complex": 1i,
		"cycle": cycle, "map cycle": loop, "nested": node{Any: []any{1, make(chan int)}},
		"bad key": map[any]int{1: 1}, "panicking MarshalJSON": panics{}, "bad RawMessage": json.RawMessage("{"),
	}
}

// V6 on every backend, so that what works on dummy works on a real one.
func TestV6_UnserializableArgumentsAreRefused(t *testing.T) {
	for name, value := range unserializable() {
		t.Run(name, func(t *testing.T) {
			for backend, b := range map[string]tasks.Backend{"dummy": dummy.New(), "immediate": immediate.New()} {
				app, _ := newApp(t, b)
				task := tasks.Define(app, "t", func(context.Context, any) (any, error) {
					t.Errorf("%s: the handler was called", backend)
					return nil, nil
				})
				_, err := task.Enqueue(t.Context(), value)
				wantErr(t, "Enqueue on "+backend, err, tasks.ErrNotSerializable, "arguments", `task "t"`)
				future := task.AEnqueue(t.Context(), value)
				select {
				case <-future.Done():
				default:
					t.Errorf("AEnqueue on %s: the future isn't done, want the error before it returns", backend)
				}
				_, err = future.Wait(t.Context())
				wantErr(t, "AEnqueue on "+backend, err, tasks.ErrNotSerializable)
				_, err = app.EnqueueMany(t.Context(), task.With(1), task.With(value))
				wantErr(t, "EnqueueMany on "+backend, err, tasks.ErrNotSerializable)
				if d, ok := b.(*dummy.Backend); ok {
					equal(t, "stored", len(d.Results()), 0)
				}
			}
		})
	}
}

func TestV6_UnserializableReturnValueFailsTheAttempt(t *testing.T) {
	for name, value := range unserializable() {
		t.Run(name, func(t *testing.T) {
			app, _ := newApp(t, immediate.New())
			res, err := tasks.Define(app, "t", func(context.Context, tasks.None) (any, error) { return value, nil }).Enqueue(t.Context(), tasks.None{})
			wantNil(t, "Enqueue", err)
			equal(t, "Status", res.Status, tasks.Failed)
			equal(t, "Value", string(res.Value), "")
			if last := res.LastError(); last == nil || !strings.Contains(last.Message, "not serializable as JSON: return value") {
				t.Errorf("LastError: got %v, want one that tells of the return value", last)
			}
		})
	}
}

func TestV6_SizeLimits(t *testing.T) {
	const limit = tasks.DefaultMaxArgs
	for _, tt := range []struct {
		name  string
		most  int
		bytes int // encoded, with the quotes
		ok    bool
	}{
		{"below", 0, limit - 1, true},
		{"exactly", 0, limit, true},
		{"over", 0, limit + 1, false},
		{"own limit", 10, 10, true},
		{"over own limit", 10, 11, false},
		{"no limit", -1, 3 * limit, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app, _ := newAppWith(t, immediate.New(), tasks.AppOptions{MaxArgs: tt.most})
			arg := strings.Repeat("x", tt.bytes-2)
			_, err := tasks.Define(app, "args", nopOf[string]).Enqueue(t.Context(), arg)
			res, err2 := tasks.Define(app, "value", func(context.Context, tasks.None) (string, error) { return arg, nil }).Enqueue(t.Context(), tasks.None{})
			wantNil(t, "Enqueue", err2)
			if tt.ok {
				wantNil(t, "Enqueue", err)
				equal(t, "Status", res.Status, tasks.Successful)
				return
			}
			wantErr(t, "Enqueue", err, tasks.ErrTooLarge, fmt.Sprintf("arguments of %d bytes", tt.bytes))
			equal(t, "Status", res.Status, tasks.Failed)
			if last := res.LastError(); last == nil || !strings.Contains(last.Message, "too large: return value") {
				t.Errorf("LastError: got %v, want one that tells of the return value", last)
			}
		})
	}
}

func nopOf[A any](context.Context, A) (tasks.None, error) { return tasks.None{}, nil }

func TestV6_IntegersStayExact(t *testing.T) {
	const big = math.MaxInt64 // 2^63-1, beyond float64's 2^53
	app, _ := newApp(t, immediate.New())
	typed, err := tasks.Define(app, "typed", func(_ context.Context, n int64) (int64, error) { return n, nil }).Enqueue(t.Context(), big)
	wantNil(t, "Enqueue", err)
	n, err := typed.ReturnValue()
	wantNil(t, "ReturnValue", err)
	equal(t, "typed", n, big)

	res, err := tasks.Define(app, "any", func(_ context.Context, v any) (any, error) {
		if got := fmt.Sprintf("%T %v", v.(map[string]any)["n"], v.(map[string]any)["n"]); got != "json.Number 9223372036854775807" {
			t.Errorf("in the handler: got %s, want an exact json.Number", got)
		}
		return v, nil
	}).Enqueue(t.Context(), map[string]any{"n": uint64(big)})
	wantNil(t, "Enqueue", err)
	v, err := res.ReturnValue()
	wantNil(t, "ReturnValue", err)
	equal(t, "any", v.(map[string]any)["n"], any(json.Number("9223372036854775807")))
}

type (
	holder struct{ N any }
	outer  struct{ In *[]map[string]holder }
	cyclic struct {
		Next *cyclic
		N    any
	}
	plain struct {
		Next *plain
		N    uint64
	}
)

// Wherever an any hides in the type of the argument or the return value.
func TestV6_IntegersStayExactInEveryAny(t *testing.T) {
	const big = 1<<63 + 1
	exact(t, holder{uint64(big)}, func(h holder) any { return h.N })
	exact(t, []any{uint64(big)}, func(l []any) any { return l[0] })
	exact(t, [1]any{uint64(big)}, func(l [1]any) any { return l[0] })
	exact(t, map[string]any{"n": uint64(big)}, func(m map[string]any) any { return m["n"] })
	exact(t, &holder{uint64(big)}, func(h *holder) any { return h.N })
	exact(t, outer{&[]map[string]holder{{"n": {uint64(big)}}}}, func(o outer) any { return (*o.In)[0]["n"].N })
	exact(t, cyclic{Next: &cyclic{N: uint64(big)}}, func(c cyclic) any { return c.Next.N })
	exact(t, plain{Next: &plain{N: big}}, func(c plain) any { return c.Next.N })
	exact(t, json.RawMessage("9223372036854775809"), func(r json.RawMessage) any { return string(r) })
}

func exact[A any](t *testing.T, arg A, get func(A) any) {
	t.Helper()
	const want = "9223372036854775809"
	app, _ := newApp(t, immediate.New())
	res := mustEnqueue(t, tasks.Define(app, "t", func(_ context.Context, a A) (A, error) {
		equal(t, fmt.Sprintf("%T in the handler", arg), fmt.Sprint(get(a)), want)
		return a, nil
	}), arg)
	back, err := res.ReturnValue()
	if err != nil {
		t.Errorf("ReturnValue of %T: %v", arg, err)
		return
	}
	equal(t, fmt.Sprintf("%T returned", arg), fmt.Sprint(get(back)), want)
}

// What the caller does to its values after the enqueue changes nothing.
func TestV6_ArgumentsAreEncodedAtOnce(t *testing.T) {
	b := dummy.New()
	app, _ := newApp(t, b)
	task := tasks.Define(app, "t", nopOf[map[string][]int])
	arg := map[string][]int{"a": {1}}
	inv := task.With(arg)
	res, err := task.Enqueue(t.Context(), arg)
	wantNil(t, "Enqueue", err)
	future := task.AEnqueue(t.Context(), arg)
	arg["a"][0] = 2
	_, err = tasks.EnqueueOne(t.Context(), inv)
	wantNil(t, "EnqueueOne", err)
	_, err = future.Wait(t.Context())
	wantNil(t, "AEnqueue", err)
	res.Args[0] = 'X'
	for i, rec := range b.Results() {
		equal(t, fmt.Sprintf("Args of record %d", i), string(rec.Args), `{"a":[1]}`)
	}
}

// E6: maps with keys that aren't strings, HTML and raw JSON are what they would be anywhere.
func TestE6_EncodedFormIsPlainJSON(t *testing.T) {
	b := dummy.New()
	app, _ := newApp(t, b)
	task := tasks.Define(app, "t", nopOf[any])
	for _, tt := range []struct {
		arg  any
		want string
	}{
		{map[int]string{1: "x"}, `{"1":"x"}`},
		{"<a href='x'>&</a>", `"<a href='x'>&</a>"`},
		{json.RawMessage(" { \"a\" : 1 } "), `{"a":1}`},
		{json.RawMessage(nil), `null`},
		{[]byte("hi"), `"aGk="`},
		{"nul \x00, bad \xff", `"nul \u0000, bad \ufffd"`},
		{json.RawMessage("\"raw \xff\""), "\"raw \uFFFD\""},
		{json.RawMessage("\"raw \u2028\u2029\""), "\"raw \u2028\u2029\""},
		{"text \u2028", `"text \u2028"`},
		{1e21, `1e+21`},
	} {
		b.Clear()
		_, err := task.Enqueue(t.Context(), tt.arg)
		wantNil(t, "Enqueue", err)
		got := string(b.Results()[0].Args)
		equal(t, fmt.Sprintf("%#v", tt.arg), got, tt.want)
		equal(t, "valid UTF-8", utf8.ValidString(got), true)
	}
}

// The arguments of a record that another version of the program enqueued.
func TestArgumentsThatDontDecodeFailTheAttempt(t *testing.T) {
	app, rt, _ := bound(t)
	tasks.Define(app, "t", func(context.Context, struct{ N int }) (int, error) {
		t.Error("the handler was called")
		return 0, nil
	})
	out := execute(t, t.Context(), rt, running(rt, "t", `{"N":"five"}`, 1, 1))
	equal(t, "Kind", out.Kind, tasks.OutcomeFailure)
	if !strings.Contains(out.Error.Message, "decode the arguments as struct { N int }") {
		t.Errorf("Message: got %q, want one that tells of the arguments", out.Error.Message)
	}
}

// attemptError returns what is recorded of a handler's error.
func attemptError(t *testing.T, err error) *tasks.AttemptError {
	t.Helper()
	app, rt, _ := bound(t)
	tasks.Define(app, "t", func(context.Context, tasks.None) (int, error) { return 0, err })
	return execute(t, t.Context(), rt, running(rt, "t", "null", 1, 1)).Error
}

type textError string

func (e textError) Error() string { return string(e) }

func TestAttemptErrorTextIsCleanAndBounded(t *testing.T) {
	const most = 8 << 10
	for name, tt := range map[string]struct{ text, want string }{
		"plain":             {"no route", "no route"},
		"empty":             {"", ""},
		"NUL":               {"a\x00b", "a␀b"},
		"invalid":           {"a\xff\xfeb", "a\uFFFDb"},
		"at the limit":      {strings.Repeat("x", most), strings.Repeat("x", most)},
		"over":              {strings.Repeat("x", most+1), strings.Repeat("x", most-3) + "…"},
		"half a character":  {strings.Repeat("x", most-4) + "ééé", strings.Repeat("x", most-4) + "…"},
		"grows by cleaning": {strings.Repeat("\x00", most), strings.Repeat("␀", most/3-1) + "…"},
		"only continuation": {"x" + strings.Repeat("\x80", 2*most), "x\uFFFD…"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := attemptError(t, textError(tt.text)); got.Message != tt.want {
				t.Errorf("Message:\n got %.60q (%d bytes)\nwant %.60q (%d bytes)", got.Message, len(got.Message), tt.want, len(tt.want))
			}
		})
	}
}

func FuzzAttemptErrorText(f *testing.F) {
	f.Add("plain", 1)
	f.Add("a\x00\xff", 5000)
	f.Add("é\u2028", 4096)
	f.Add("\xf0\x9f", 8191)
	f.Fuzz(func(t *testing.T, text string, times int) {
		times = max(min(times, 20_000/(len(text)+1)), 1)
		text = strings.Repeat(text, times)
		got := attemptError(t, textError(text))
		switch {
		case !utf8.ValidString(got.Message), strings.ContainsRune(got.Message, 0):
			t.Errorf("Message: got %q, want valid UTF-8 without NUL", got.Message)
		case len(got.Message) > 8<<10:
			t.Errorf("Message: got %d bytes, want at most 8 KiB", len(got.Message))
		case len(text) <= 8<<10 && utf8.ValidString(text) && !strings.ContainsRune(text, 0) && got.Message != text:
			t.Errorf("Message: got %q, want %q unchanged", got.Message, text)
		}
	})
}
