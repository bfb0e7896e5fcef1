package conformance

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/sideman-go/sideman/conformance/internal/memstore"
	"github.com/sideman-go/sideman/tasks"
)

// runHistory runs a case of the group on the reference store, or with a fault.
func runHistory(t T, c Case, virtual bool, o memstore.Options) {
	t.Helper()
	runCase(t, Config{Virtual: virtual, Open: func(T) Store { return memstore.NewPlace(o) }, Timing: Timing{}.withDefaults()}, c)
}

// TestHistories holds the reference to the histories; in real time too, because
// nobody else runs the suite on a store in memory without a bubble.
func TestHistories(t *testing.T) {
	t.Parallel()
	for _, c := range historyCases() {
		for name, o := range map[string]memstore.Options{"Shared": {Shared: true, Durable: true}, "Alone": {}} {
			t.Run(c.Name+"/"+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { runHistory(t, c, true, o) })
			})
		}
		t.Run(c.Name+"/Real", func(t *testing.T) {
			t.Parallel()
			runHistory(t, c, false, memstore.Options{Shared: true})
		})
	}
}

// TestHistoriesCatch shows that it is the judgement of the records that catches
// faults in the group's own field, and that the calls can be looked at afterwards.
// The faults themselves name all cases that must catch them.
func TestHistoriesCatch(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ fault, caught string }{
		{"claim-running", "History/Concurrent"},
		{"settle-stale", "History/Concurrent"},
		{"settle-twice", "History/LostReplies"},
		{"duplicate-reset", "History/LostReplies"},
		{"lease-expires-early", "History/ShortLeases"},
		{"loss-beyond-limit", "History/ShortLeases"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			fault := memstore.Faults()[slices.IndexFunc(memstore.Faults(), func(f memstore.Fault) bool { return f.Name == tt.fault })]
			c := allCases()[slices.IndexFunc(allCases(), func(c Case) bool { return c.Name == tt.caught })]
			synctest.Test(t, func(t *testing.T) {
				r := NewRecorder(t)
				r.Do(func(rt T) { runHistory(rt, c, true, memstore.Options{Shared: true, Fault: &fault}) })
				said := strings.Join(r.Lines(), "\n")
				if !strings.Contains(said, "is not linearizable") {
					t.Fatalf("with %q it said:\n%s\nwant a record whose history is not linearizable", fault.Doc, said)
				}
				for _, pattern := range []string{`picture: (.*\.html)`, `all calls: (.*\.jsonl)`} {
					name := regexp.MustCompile(pattern).FindStringSubmatch(said)
					if name == nil {
						t.Errorf("want a file like %q in:\n%s", pattern, said)
					} else if info, err := os.Stat(name[1]); err != nil || info.Size() < 1000 {
						t.Errorf("%s: %v, error %v", name[1], info, err)
					}
				}
			})
		})
	}
}

// TestHistoryFaultsAreThere finds a fault that was renamed.
func TestHistoryFaultsAreThere(t *testing.T) {
	t.Parallel()
	named := make(map[string]int)
	for _, f := range memstore.Faults() {
		for _, name := range f.Caught {
			named[name]++
		}
	}
	for name, want := range map[string]int{"History/Concurrent": 27, "History/ShortLeases": 15, "History/LostReplies": 11} {
		if named[name] != want {
			t.Errorf("%d faults are to be caught by %s, want %d", named[name], name, want)
		}
	}
	if got := slices.Collect(maps.Keys(named)); len(got) < 3 {
		t.Errorf("faults are caught by %v", got)
	}
}

// TestHistoryOfTooLittle sees a history refused in which nothing happened.
func TestHistoryOfTooLittle(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder(t)
		r.Do(func(rt T) {
			runHistory(rt, Case{Name: "x", run: func(e *env) {
				e.recordHistory(workload{clients: 2, rounds: 10, most: 5, least: least{acts: 100, overlaps: 10, refused: 10, redelivered: 10, unknown: 10}})
			}}, true, memstore.Options{})
		})
		if said := strings.Join(r.Lines(), "\n"); strings.Count(said, "proves nothing") != 5 {
			t.Errorf("got:\n%s\nwant five things of which there were too few", said)
		}
	})
}

// at makes an act of a record from when and by whom it was done.
func at(client int, call, ret int64, a act) *act {
	a.ID, a.Client, a.Call, a.Return, a.Unknown = "r", client, call, ret, ret == never
	a.CalledAt, a.ReturnedAt = time.Duration(call)*time.Second, time.Duration(min(ret, 1000))*time.Second
	return &a
}

// TestLifeModel judges histories that are small enough to be judged by eye.
func TestLifeModel(t *testing.T) {
	t.Parallel()
	ready := func(attempts, errors int) seen {
		return seen{Status: tasks.Ready, Attempts: attempts, Errors: errors}
	}
	running := func(attempts, errors int) seen {
		return seen{Status: tasks.Running, Attempts: attempts, Errors: errors}
	}
	done := seen{Status: tasks.Successful, Attempts: 1, Value: `1`}
	begin := []*act{at(0, 1, 2, act{What: doEnqueue, Max: 2}), at(0, 3, 4, act{What: doClaim, Token: "a", Length: 5 * time.Second, Seen: running(1, 0)})}
	succeed := act{What: doSettle, Token: "a", Outcome: tasks.OutcomeSuccess, Seen: seen{Value: `1`}}
	refused := func(a act) act {
		a.Refused = true
		return a
	}
	for _, tt := range []struct {
		name string
		acts []*act
		want bool
	}{
		{"settled once", []*act{at(0, 5, 6, succeed), at(0, 7, 8, act{What: doGet, Seen: done})}, true},
		{"settled twice", []*act{at(0, 5, 6, succeed), at(0, 7, 8, succeed)}, false},
		{"second settle refused", []*act{at(0, 5, 6, succeed), at(0, 7, 8, refused(succeed))}, true},
		{"both refused", []*act{at(0, 5, 6, refused(succeed)), at(0, 7, 8, refused(succeed))}, false},
		{"read before and after at once with it", []*act{at(0, 5, 9, succeed), at(1, 6, 7, act{What: doGet, Seen: running(1, 0)}), at(2, 6, 8, act{What: doGet, Seen: done})}, true},
		{"read back and forth", []*act{at(0, 5, 12, succeed), at(1, 6, 7, act{What: doGet, Seen: done}), at(1, 8, 9, act{What: doGet, Seen: running(1, 0)})}, false},
		{"claimed while it runs", []*act{at(1, 5, 6, act{What: doClaim, Token: "b", Seen: running(2, 0)})}, false},
		{"lost after its deadline", []*act{at(1, 9, 10, act{What: doLose, Token: "a"}), at(1, 11, 12, act{What: doGet, Seen: ready(1, 1)})}, true},
		{"lost before its deadline", []*act{at(1, 5, 6, act{What: doLose, Token: "a"}), at(1, 7, 8, act{What: doGet, Seen: ready(1, 1)})}, false},
		{"not lost though it might be", []*act{at(1, 9, 10, act{What: doLose, Token: "a"}), at(0, 11, 12, succeed)}, true},
		{"renewed, so not lost", []*act{at(0, 5, 6, act{What: doRenew, Token: "a", Length: time.Minute}), at(1, 9, 10, act{What: doLose, Token: "a"}), at(1, 11, 12, act{What: doGet, Seen: ready(1, 1)})}, false},
		{"settled when lost", []*act{at(1, 9, 10, act{What: doLose, Token: "a"}), at(1, 11, 12, act{What: doGet, Seen: ready(1, 1)}), at(0, 13, 14, succeed)}, false},
		{"unknown, and it was", []*act{at(0, 5, never, succeed), at(1, 11, 12, act{What: doGet, Seen: done})}, true},
		{"unknown, and it wasn't", []*act{at(0, 5, never, succeed), at(1, 11, 12, act{What: doGet, Seen: running(1, 0)})}, true},
		{"unknown, and it came late", []*act{at(0, 5, never, succeed), at(1, 11, 12, act{What: doGet, Seen: running(1, 0)}), at(1, 13, 14, act{What: doGet, Seen: done})}, true},
		{"unknown, and undone", []*act{at(0, 5, never, succeed), at(1, 11, 12, act{What: doGet, Seen: done}), at(1, 13, 14, act{What: doGet, Seen: running(1, 0)})}, false},
		{"vanished", []*act{at(1, 5, 6, act{What: doGet})}, false},
		{"cancelled while it runs", []*act{at(1, 5, 6, act{What: doCancel, Seen: seen{Status: tasks.Running}}), at(0, 7, 8, act{What: doRenew, Token: "a", Seen: seen{Cancel: true}}), at(0, 9, 10, succeed)}, true},
		{"left its final status", []*act{at(0, 5, 6, succeed), at(1, 7, 8, act{What: doRetry, Seen: ready(0, 0)})}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			acts := slices.Concat(begin, tt.acts)
			want := porcupine.Illegal
			if tt.want {
				want = porcupine.Ok
			}
			if got := judged(acts, maxSteps); got != want {
				t.Errorf("got verdict %s, want %s:\n%s", got, want, story(acts))
			}
		})
	}
}

// TestNoVerdict sees that a search that is too long says so, and says nothing else.
func TestNoVerdict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder(t)
		r.Do(func(rt T) {
			h := &history{env: &env{T: rt}, ids: []string{"r"}}
			for i := range 40 { // no order of them has the last one, and there are very many
				h.note(at(i, 1, 1000, act{What: doSettle, Token: strconv.Itoa(i), Refused: true}))
			}
			h.note(at(40, 1001, 1002, act{What: doGet, Seen: seen{Status: tasks.Failed}}))
			h.judge()
		})
		said := strings.Join(r.Lines(), "\n")
		if !strings.Contains(said, "UNKNOWN") || strings.Contains(said, "linearizable") {
			t.Errorf("got:\n%s\nwant UNKNOWN", said)
		}
		if files, err := filepath.Glob(filepath.Join(t.TempDir(), "..", "*", "history.jsonl")); err != nil || len(files) == 0 {
			t.Errorf("the calls aren't kept: %v, error %v", files, err)
		}
	})
}
