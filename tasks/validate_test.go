package tasks_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/sideman-go/sideman/backends/dummy"
	"github.com/sideman-go/sideman/tasks"
)

var names = []struct {
	name string
	ok   bool
}{
	{"a", true},
	{"mail/out", true},
	{"100%", true},
	{"*", true},
	{"a.b.*", true},
	{"two words", true},
	{" edge ", true},
	{"🦀", true},
	{"👩‍👩‍👧", true}, // joined by U+200D
	{"☎️", true},    // with a variation selector
	{"Größe", true},
	{"日本語", true},
	{`"quoted"\`, true},
	{strings.Repeat("x", 128), true},
	{strings.Repeat("é", 64), true},

	{"", false},
	{strings.Repeat("x", 129), false},
	{strings.Repeat("é", 64) + "x", false},
	{"a\x00b", false},
	{"line\nbreak", false},
	{"tab\t", false},
	{"\x7f", false},
	{"bad\xffbyte", false},
	{"\u202egnp.exe", false}, // right-to-left override
	{"\ufeffbom", false},
	{"line\u2028separator", false},
}

// V3 for the names of tasks, queues and aliases, with the check of queues off.
func TestV3_Names(t *testing.T) {
	for _, tt := range names {
		t.Run(fmt.Sprintf("%.20q", tt.name), func(t *testing.T) {
			b := dummy.New()
			app := tasks.NewApp()
			wantNil(t, "UseWith", app.UseWith("default", b, tasks.UseOptions{Queues: []string{}}))
			check := func(what string, err, target error) {
				t.Helper()
				if tt.ok {
					wantNil(t, what, err)
				} else {
					wantErr(t, what, err, target)
					if err != nil && (!utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\x00\u202e")) {
						t.Errorf("%s: got error %q, want it printable", what, err)
					}
				}
			}
			task := tasks.Define(app, tt.name, echo)
			check("task", task.Err(), tasks.ErrInvalidTask)
			queued := tasks.Define(app, "queued", echo).Using(tasks.Queue(tt.name))
			check("queue", queued.Err(), tasks.ErrInvalidTask)
			check("alias", app.Use(tt.name, dummy.New()), tasks.ErrInvalidConfig)
			check("configured queue", tasks.NewApp().UseWith("default", dummy.New(), tasks.UseOptions{Queues: []string{tt.name}}), tasks.ErrInvalidConfig)
			if tt.ok {
				_, err := queued.Enqueue(t.Context(), "x")
				wantNil(t, "Enqueue", err)
				equal(t, "stored queue", b.Results()[0].Queue, tt.name)
			}
		})
	}
}

func TestV3_QueueList(t *testing.T) {
	for name, tt := range map[string]struct {
		queues []string
		queue  string
		ok     bool
	}{
		"absent, default":  {nil, "default", true},
		"absent, other":    {nil, "other", false},
		"empty, any":       {[]string{}, "whatever", true},
		"listed":           {[]string{"a", "b"}, "b", true},
		"not listed":       {[]string{"a", "b"}, "default", false},
		"case counts":      {[]string{"Mail"}, "mail", false},
		"no patterns":      {[]string{"*"}, "mail", false},
		"spaces count":     {[]string{"a"}, "a ", false},
		"a star as a name": {[]string{"*"}, "*", true},
	} {
		t.Run(name, func(t *testing.T) {
			app := tasks.NewApp()
			wantNil(t, "UseWith", app.UseWith("default", dummy.New(), tasks.UseOptions{Queues: tt.queues}))
			_, err := tasks.Define(app, "t", echo, tasks.Queue(tt.queue)).Enqueue(t.Context(), "x")
			if tt.ok {
				wantNil(t, "Enqueue", err)
			} else {
				wantErr(t, "Enqueue", err, tasks.ErrInvalidTask, "queue", `"default"`)
			}
		})
	}
	err := tasks.NewApp().UseWith("default", dummy.New(), tasks.UseOptions{Queues: []string{"a", "", "a"}})
	wantErr(t, "faulty list", err, tasks.ErrInvalidConfig, "queues[1]: name is empty", `queues[2]: "a" is listed twice`)
}

func TestV3_QueueListIsTheAppsOwn(t *testing.T) {
	app := tasks.NewApp()
	queues := []string{"a"}
	wantNil(t, "UseWith", app.UseWith("default", dummy.New(), tasks.UseOptions{Queues: queues}))
	queues[0] = "b"
	rt, err := app.Runtime("default")
	wantNil(t, "Runtime", err)
	rt.Queues()[0] = "c"
	equalSlices(t, "Queues", rt.Queues(), []string{"a"})
}

func TestV2_PriorityBounds(t *testing.T) {
	app, _ := newApp(t, dummy.New())
	task := tasks.Define(app, "t", echo)
	for p, ok := range map[int]bool{-101: false, -100: true, -1: true, 0: true, 100: true, 101: false, 1 << 40: false} {
		if err := task.Using(tasks.Priority(p)).Err(); (err == nil) != ok {
			t.Errorf("Priority(%d): got error %v, want ok = %v", p, err, ok)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, tt := range names {
		f.Add(tt.name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		app := tasks.NewApp()
		err := tasks.Define(app, name, echo).Err()
		if err == nil {
			if name == "" || len(name) > tasks.MaxName || !utf8.ValidString(name) || strings.ContainsAny(name, "\x00\n\r\t\x1b\x7f") {
				t.Errorf("Define(%q): got no error", name)
			}
			return
		}
		if text := err.Error(); !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\r\x1b") || len(text) > 2000 {
			t.Errorf("Define(%q): got error %q, want a short printable one", name, text)
		}
	})
}
