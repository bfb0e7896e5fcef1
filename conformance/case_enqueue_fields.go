package conformance

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func enqueueFieldCases() []Case {
	return []Case{
		{
			Name: "Enqueue/Fields", Clauses: []string{"E6", "E7"}, Needs: tasks.CapResults,
			What: "every field of a record must read back as it was enqueued, also at its extremes",
			run:  enqueueFields,
		},
		{
			Name: "Enqueue/Args", Clauses: []string{"E6", "V6"}, Needs: tasks.CapResults,
			What: "encoded arguments must read back byte for byte, and reach the worker so: they aren't re-encoded",
			run:  enqueueArgs,
		},
		{
			Name: "Enqueue/Stamps", Clauses: []string{"E1", "R1"}, Needs: tasks.CapResults,
			What: "the store must set status and EnqueuedAt itself, in UTC, and keep nothing that only later events set",
			run:  enqueueStamps,
		},
		{
			Name: "Enqueue/DelayAndTTL", Clauses: []string{"E6", "W2"}, Needs: tasks.CapResults | tasks.CapDefer | tasks.CapExpire,
			What: "Delay and TTL must become RunAfter and ExpiresAt, counted from EnqueuedAt, and not be kept themselves",
			run:  enqueueDelayAndTTL,
		},
		{
			Name: "Enqueue/Times", Clauses: []string{"E6"}, Needs: tasks.CapResults | tasks.CapDefer | tasks.CapExpire,
			What: "a time in any zone must read back as the same moment, in UTC, at microseconds at least",
			run:  enqueueTimes,
		},
		{
			Name: "Enqueue/NotAliased", Clauses: []string{"E6", "R7"}, Needs: tasks.CapResults,
			What: "what is stored must share no memory with what was given to Enqueue or came from GetResult, List or Claim",
			run:  enqueueNotAliased,
		},
		{
			Name: "Enqueue/Ids", Clauses: []string{"E3"}, Needs: tasks.CapResults,
			What: "any printable id of 1 to 63 bytes must be stored and found, and not be taken for another like it",
			run:  enqueueIDs,
		},
	}
}

// capable leaves out of a record what the backend doesn't do.
func (e *env) capable(h *handle, rec *tasks.Record) *tasks.Record {
	if !h.caps.Has(tasks.CapPriority) {
		rec.Priority = 0
	}
	if !h.caps.Has(tasks.CapDefer) {
		rec.RunAfter, rec.Delay = time.Time{}, 0
	}
	if !h.caps.Has(tasks.CapExpire) {
		rec.ExpiresAt, rec.TTL = time.Time{}, 0
	}
	return rec
}

func retain(d time.Duration) func(*tasks.Record) { return func(r *tasks.Record) { r.Retain = &d } }

func enqueueFields(e *env) {
	h := e.connect()
	far := time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
	long := make(map[string]string)
	for i := range 200 {
		long[fmt.Sprintf("key-%d", i)] = strings.Repeat("v", i)
	}
	for what, change := range map[string]func(*tasks.Record){
		"nothing":         func(*tasks.Record) {},
		"names":           func(r *tasks.Record) { r.Task, r.Queue, r.Alias = "pkg.Täsk/1", "q.ü/😀 *", "other" },
		"lowest priority": priority(tasks.MinPriority), "highest priority": priority(tasks.MaxPriority),
		"no args": func(r *tasks.Record) { r.Args = nil },
		"metadata": func(r *tasks.Record) {
			r.Metadata = map[string]string{"a": "", "A": "x", "ключ": "значение", "traceparent": "00-1", " ": "\n\t\"'\\", "$.a[0]": "{}", "😀": "👩\u200d💻"}
		},
		"much metadata":  func(r *tasks.Record) { r.Metadata = long },
		"empty metadata": func(r *tasks.Record) { r.Metadata = map[string]string{} },
		"many attempts":  attempts(1 << 30),
		"long timeout":   func(r *tasks.Record) { r.Timeout = 1<<63 - 1 }, "short timeout": func(r *tasks.Record) { r.Timeout = 1 },
		"retain nothing": retain(0), "retain for ever": retain(-1), "retain long": retain(1<<63 - 1), "retain a little": retain(time.Nanosecond),
		"retain least":   retain(-1 << 63),
		"far times":      func(r *tasks.Record) { r.RunAfter, r.ExpiresAt = far, far },
		"early times":    func(r *tasks.Record) { r.RunAfter = time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC) },
		"before 1970":    func(r *tasks.Record) { r.RunAfter = time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC) },
		"longest queue":  inQueue(strings.Repeat("q", tasks.MaxName)),
		"longest task":   named(strings.Repeat("t", tasks.MaxName)),
		"shortest names": func(r *tasks.Record) { r.Task, r.Queue, r.Alias = "t", "q", "a" },
	} {
		rec := e.capable(h, e.record(change))
		asked := rec.Clone()
		e.enqueue(h, rec)
		asked.EnqueuedAt = rec.EnqueuedAt
		e.same("after Enqueue with "+what, rec, asked)
		got := e.get(h, rec.ID)
		e.same("read back with "+what, got, asked)
		if h.caps.Has(tasks.CapList) {
			for _, listed := range e.list(h, tasks.Filter{}) {
				if listed.ID == rec.ID {
					e.same("listed with "+what, listed, asked)
				}
			}
		}
	}
}

func enqueueArgs(e *env) {
	h := e.connect()
	byID := make(map[string]string)
	var recs []*tasks.Record
	for _, args := range []string{
		`null`, `true`, `0`, `-0`, `1.0`, `1e2`, `1E+2`, `0.10`, `1e400`, `-1e-400`, `""`, `[]`, `{}`, `[[[[[[]]]]]]`,
		`9007199254740993`, `-9223372036854775809`, `123456789012345678901234567890.12345678901234567890`,
		` { "b" : 1 ,` + "\n\t" + `"a" : [ 1, 2 ] } `, `{"b":1,"a":2}`, `{"a":1,"a":2}`,
		`"\u0000"`, `"\u0041\u00e9\/\b"`, `"\ud800"`, `{"\u0000":1}`, "\"\u2028\u2029\u007f\"", `"<a href='x'>&amp;</a>"`,
		`"😀 日本語 é e` + "\u0301" + `"`, `"'; DROP TABLE x; --"`, `"$1 %s {0} ?"`, `"\\x00\\"`,
		`"` + strings.Repeat("x", tasks.DefaultMaxArgs-2) + `"`,
	} {
		rec := e.record(func(r *tasks.Record) { r.Args = json.RawMessage(args) })
		byID[rec.ID] = args
		recs = append(recs, rec)
	}
	e.enqueue(h, recs...)
	check := func(road string, rec *tasks.Record) {
		e.Helper()
		if want := byID[rec.ID]; string(rec.Args) != want {
			e.Errorf("%s: args enqueued as %s are %s", road, show(json.RawMessage(want)), show(rec.Args))
		}
	}
	for _, rec := range recs {
		check("the record given to Enqueue", rec)
		check("GetResult", e.get(h, rec.ID))
	}
	if h.caps.Has(tasks.CapList) {
		for _, rec := range e.list(h, tasks.Filter{}) {
			check("List", rec)
		}
	}
	if h.s != nil {
		got := e.claim(h, len(recs))
		if len(got) != len(recs) {
			e.Errorf("%d records are claimed, want %d", len(got), len(recs))
		}
		for _, c := range got {
			check("Claim", c.Record)
		}
	}
}

func enqueueStamps(e *env) {
	h := e.connect()
	long := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	rec := e.record(func(r *tasks.Record) {
		r.Status = tasks.Successful
		r.EnqueuedAt, r.StartedAt, r.LastAttemptedAt, r.FinishedAt = long, long, long, long
		r.WorkerIDs = []string{"nobody"}
		r.Errors = []tasks.AttemptError{{Attempt: 1, Type: "x", Message: "y", At: long}}
		r.Value = json.RawMessage("1")
		r.CancelRequested, r.CancelReason = true, "no"
		r.Duplicate = true
	})
	want := e.record(func(r *tasks.Record) { r.ID = rec.ID })
	e.enqueue(h, rec)
	want.EnqueuedAt = rec.EnqueuedAt
	if sameTime(rec.EnqueuedAt, long) || rec.EnqueuedAt.IsZero() {
		e.Errorf("EnqueuedAt is the caller's, %v, and not the store's", rec.EnqueuedAt)
	}
	e.same("after Enqueue of a record with a past", rec, want)
	got := e.get(h, rec.ID)
	e.same("read back after Enqueue of a record with a past", got, want)
	for whose, at := range map[string]time.Time{"Enqueue's": rec.EnqueuedAt, "GetResult's": got.EnqueuedAt} {
		if at.Location().String() != "UTC" {
			e.Errorf("%s EnqueuedAt is in zone %v, want UTC", whose, at.Location())
		}
	}
	if !rec.EnqueuedAt.Equal(got.EnqueuedAt) {
		e.Errorf("EnqueuedAt is %v after Enqueue and %v when read: one has digits that the store doesn't keep", rec.EnqueuedAt, got.EnqueuedAt)
	}
	later := e.record()
	e.pause(2 * time.Millisecond)
	e.enqueue(h, later)
	if !later.EnqueuedAt.After(rec.EnqueuedAt) {
		e.Errorf("a record enqueued 2 ms later has EnqueuedAt %v, the first %v", later.EnqueuedAt, rec.EnqueuedAt)
	}
}

func enqueueDelayAndTTL(e *env) {
	h := e.connect()
	stale := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	for _, d := range []time.Duration{time.Microsecond, 1500 * time.Microsecond, time.Second, 48 * time.Hour, 100 * 365 * 24 * time.Hour} {
		rec := e.record(delayed(d), func(r *tasks.Record) { r.TTL = 2 * d; r.RunAfter, r.ExpiresAt = stale, stale })
		e.enqueue(h, rec)
		for whose, r := range map[string]*tasks.Record{"Enqueue's": rec, "GetResult's": e.get(h, rec.ID)} {
			if !sameTime(r.RunAfter, rec.EnqueuedAt.Add(d)) || !sameTime(r.ExpiresAt, rec.EnqueuedAt.Add(2*d)) {
				e.Errorf("%s record with delay %v and ttl %v, enqueued at %v, has run_after %v and expires_at %v",
					whose, d, 2*d, rec.EnqueuedAt, r.RunAfter, r.ExpiresAt)
			}
			if r.Delay != 0 || r.TTL != 0 {
				e.Errorf("%s record still has delay %v and ttl %v", whose, r.Delay, r.TTL)
			}
		}
	}
	none := e.record(delayed(-time.Hour), func(r *tasks.Record) { r.TTL = -time.Hour })
	e.enqueue(h, none)
	if got := e.get(h, none.ID); !got.RunAfter.IsZero() || !got.ExpiresAt.IsZero() {
		e.Errorf("a negative delay and ttl give run_after %v and expires_at %v, want none", got.RunAfter, got.ExpiresAt)
	}
}

func enqueueTimes(e *env) {
	h := e.connect()
	for _, at := range []time.Time{
		time.Date(2031, 7, 8, 9, 10, 11, 123456000, time.FixedZone("east", 5*3600+1800)),
		time.Date(2031, 7, 8, 9, 10, 11, 123456789, time.FixedZone("west", -9*3600)),
		time.Date(2032, 2, 29, 23, 59, 59, 999999000, time.UTC),
		time.Date(2031, 7, 8, 0, 0, 0, 0, time.UTC),
	} {
		rec := e.record(func(r *tasks.Record) { r.RunAfter, r.ExpiresAt = at, at.Add(time.Hour) })
		e.enqueue(h, rec)
		got := e.get(h, rec.ID)
		for _, pair := range [][2]time.Time{{rec.RunAfter, at}, {got.RunAfter, at}, {got.ExpiresAt, at.Add(time.Hour)}} {
			if !sameTime(pair[0], pair[1]) || pair[0].Location().String() != "UTC" {
				e.Errorf("the time %v is kept as %v, want the same microsecond in UTC", pair[1], pair[0])
			}
		}
	}
}
