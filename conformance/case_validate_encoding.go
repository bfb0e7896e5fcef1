package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"

	"github.com/sideman-go/sideman/tasks"
)

func validateEncodingCases() []Case {
	return []Case{
		{
			Name: "Validate/ArgsEncodedAtOnce", Clauses: []string{"V6"},
			What: "what the caller does to the argument after Enqueue, AEnqueue or With must change nothing",
			run:  argsEncodedAtOnce,
		},
		{
			Name: "Validate/ArgsNotShared", Clauses: []string{"V6"},
			What: "a handler must get a decoded copy of the argument: what it does to it must not reach the caller",
			run: func(e *env) {
				h := e.connect()
				task := tasks.Define(h.app, "scribble", func(_ context.Context, arg map[string]int) (int, error) {
					arg["a"] = 99
					return arg["a"], nil
				})
				mine := map[string]int{"a": 1}
				_, err := task.Enqueue(e.ctx, mine)
				e.must(err, "enqueue")
				e.runAll(h)
				if mine["a"] != 1 {
					e.Errorf("the caller's argument became %v", mine)
				}
			},
		},
		{
			Name: "Validate/NotSerializable", Clauses: []string{"V6"},
			What: "what JSON can't carry must be refused by the enqueue itself, and leave no trace",
			run:  notSerializable,
		},
		{
			Name: "Validate/BigIntegers", Clauses: []string{"V6"},
			What: "integers beyond 2^53 must survive exactly, as arguments and as return values",
			run:  bigIntegers,
		},
		{
			Name: "Validate/TooLarge", Clauses: []string{"V6", "E7"},
			What: "arguments and metadata over their limit must be refused and leave no trace; at the limit they are stored whole",
			run:  tooLarge,
		},
		{
			Name: "Validate/ReturnValue", Clauses: []string{"V6"},
			What: "a return value that can't be encoded, or is too large, must make the record FAILED with that error recorded",
			run:  badReturnValue,
		},
	}
}

func argsEncodedAtOnce(e *env) {
	h := e.connect()
	task := echo[map[string]int](h, "mutable")
	check := func(road string, rec *tasks.Record) {
		e.Helper()
		if h.caps.Has(tasks.CapResults) {
			rec = e.get(h, rec.ID)
		}
		if string(rec.Args) != `{"a":1}` {
			e.Errorf("%s: the stored arguments are %s, want what they were at the call, {\"a\":1}", road, rec.Args)
		}
	}
	arg := map[string]int{"a": 1}
	res, err := task.Enqueue(e.ctx, arg)
	e.must(err, "enqueue")
	arg["a"] = 2
	check("Enqueue", &res.Record)

	arg = map[string]int{"a": 1}
	future := task.AEnqueue(e.ctx, arg)
	arg["a"] = 2
	res, err = future.Wait(e.ctx)
	e.must(err, "wait for AEnqueue")
	check("AEnqueue", &res.Record)

	arg = map[string]int{"a": 1}
	bound := task.With(arg)
	arg["a"] = 2
	for range 2 { // a bound call may be enqueued again, and is another run then
		many, err := h.app.EnqueueMany(e.ctx, bound, bound)
		e.must(err, "enqueue many")
		if many[0].ID == many[1].ID {
			e.Errorf("two runs of one bound call have the same id %s", many[0].ID)
		}
		check("With", &many[0].Record)
		many[0].Args[5] = '9'
		if got := string(many[1].Args); got != `{"a":1}` {
			e.Errorf("changing the arguments of one result changed another's to %s", got)
		}
	}
}

func notSerializable(e *env) {
	h := e.connect()
	ran := make(chan struct{}, 100)
	task := tasks.Define(h.app, "unencodable", func(context.Context, any) (int, error) { ran <- struct{}{}; return 0, nil })
	cycle := map[string]any{}
	cycle["self"] = cycle
	for what, arg := range map[string]any{
		"NaN": math.NaN(), "+Inf": math.Inf(1), "-Inf": math.Inf(-1), "a channel": make(chan int), "a function": func() {},
		"a cycle": cycle, "NaN deep inside": map[string]any{"a": []any{1, math.NaN()}}, "a complex number": 1i,
		"a failing MarshalJSON": failsToMarshal{}, "a panicking MarshalJSON": panicsToMarshal{},
	} {
		_, err := task.Enqueue(e.ctx, arg)
		e.wantErr(err, tasks.ErrNotSerializable, "Enqueue of %s", what)
		_, err = task.AEnqueue(e.ctx, arg).Wait(e.ctx)
		e.wantErr(err, tasks.ErrNotSerializable, "AEnqueue of %s", what)
		_, err = h.app.EnqueueMany(e.ctx, task.With(1), task.With(arg))
		e.wantErr(err, tasks.ErrNotSerializable, "EnqueueMany of %s", what)
	}
	if len(ran) > 0 {
		e.Errorf("%d tasks ran though they were refused", len(ran))
	}
	e.empty(h, "refused enqueues")
}

type failsToMarshal struct{}

// MarshalJSON fails.
func (failsToMarshal) MarshalJSON() ([]byte, error) { return nil, errors.New("no") }

type panicsToMarshal struct{}

// MarshalJSON panics.
func (panicsToMarshal) MarshalJSON() ([]byte, error) { panic("no") }

func bigIntegers(e *env) {
	type numbers struct {
		I, J int64
		U    uint64
		Any  any
	}
	h := e.connect()
	want := numbers{I: 1<<53 + 1, J: math.MinInt64, U: math.MaxUint64, Any: json.Number("123456789012345678901234567890")}
	text := `{"I":9007199254740993,"J":-9223372036854775808,"U":18446744073709551615,"Any":123456789012345678901234567890}`
	seen := make(chan numbers, 1)
	task := tasks.Define(h.app, "count", func(_ context.Context, n numbers) (numbers, error) {
		seen <- n
		return n, nil
	})
	res, err := task.Enqueue(e.ctx, want)
	e.must(err, "enqueue")
	if h.caps.Has(tasks.CapResults) {
		if got := e.get(h, res.ID).Args; string(got) != text {
			e.Errorf("arguments read back as %s, want %s", got, text)
		}
	}
	e.runAll(h)
	if h.s != nil {
		e.must(res.Refresh(e.ctx), "refresh")
	}
	if !res.Status.Final() { // a backend that runs nothing
		return
	}
	if got := <-seen; got != want {
		e.Errorf("the handler got %+v, want %+v", got, want)
	}
	if got, err := res.ReturnValue(); err != nil || got != want {
		e.Errorf("the return value is %+v, error %v; want %+v", got, err, want)
	}
}

func tooLarge(e *env) {
	const maxArgs, maxMetadata = 1000, 100
	h := e.connectWith(tasks.AppOptions{MaxArgs: maxArgs, MaxMetadata: maxMetadata}, tasks.UseOptions{})
	task := echo[string](h, "large")
	fits := strings.Repeat("x", maxArgs-2) // and two quotes
	refused := func(what string, task *tasks.Task[string, string], arg string) {
		e.Helper()
		ids := []string{e.ids.New(), e.ids.New(), e.ids.New()}
		_, err := task.Using(tasks.ID(ids[0])).Enqueue(e.ctx, arg)
		e.wantErr(err, tasks.ErrTooLarge, "Enqueue with %s", what)
		_, err = task.Using(tasks.ID(ids[1])).AEnqueue(e.ctx, arg).Wait(e.ctx)
		e.wantErr(err, tasks.ErrTooLarge, "AEnqueue with %s", what)
		_, err = h.app.EnqueueMany(e.ctx, task.Using(tasks.ID(ids[2])).With(arg))
		e.wantErr(err, tasks.ErrTooLarge, "EnqueueMany with %s", what)
		e.absent(h, ids...)
	}
	refused("arguments one byte over the limit", task, fits+"x")
	refused("metadata one byte over the limit", task.Using(tasks.Metadata("k", strings.Repeat("v", maxMetadata))), "x")
	e.empty(h, "refused enqueues")

	value := strings.Repeat("v", maxMetadata-1)
	res, err := task.Using(tasks.Metadata("k", value)).Enqueue(e.ctx, fits)
	e.must(err, "enqueue with arguments and metadata at their limits")
	if h.caps.Has(tasks.CapResults) {
		rec := e.get(h, res.ID)
		if string(rec.Args) != `"`+fits+`"` || rec.Metadata["k"] != value {
			e.Errorf("read back %d bytes of arguments and metadata %v, want %d and k=%s", len(rec.Args), rec.Metadata, maxArgs, value)
		}
	}

	// The default limit is 1 MiB, which a backend has to carry.
	h = e.reopen(h)
	task = echo[string](h, "megabyte")
	refused("arguments over 1 MiB", task, strings.Repeat("x", tasks.DefaultMaxArgs-1))
	res, err = task.Enqueue(e.ctx, strings.Repeat("x", tasks.DefaultMaxArgs-2))
	e.must(err, "enqueue with arguments of exactly 1 MiB")
	if h.caps.Has(tasks.CapResults) {
		if rec := e.get(h, res.ID); len(rec.Args) != tasks.DefaultMaxArgs {
			e.Errorf("read back %d bytes of arguments, want %d", len(rec.Args), tasks.DefaultMaxArgs)
		}
	}
}

func badReturnValue(e *env) {
	h := e.connectWith(tasks.AppOptions{MaxArgs: 1000}, tasks.UseOptions{})
	for what, value := range map[string]any{
		"NaN": math.NaN(), "a channel": make(chan int), "over the limit": strings.Repeat("x", 1001),
	} {
		task := tasks.Define(h.app, "returns "+what, func(context.Context, tasks.None) (any, error) { return value, nil })
		res, err := task.Enqueue(e.ctx, tasks.None{})
		e.must(err, "enqueue a task that returns %s", what)
		e.runAll(h)
		if h.s != nil {
			e.must(res.Refresh(e.ctx), "refresh")
		}
		if h.s == nil && !res.Status.Final() {
			return // a backend that runs nothing
		}
		if res.Status != tasks.Failed || len(res.Errors) != 1 || res.Errors[0].Message == "" {
			e.Errorf("a task that returns %s is %s with errors %v, want FAILED with one", what, res.Status, res.Errors)
		}
		if _, err := res.ReturnValue(); !errors.Is(err, tasks.ErrTaskFailed) {
			e.Errorf("the return value %s reads back with error %v, want ErrTaskFailed", what, err)
		}
	}
}
