package conformance

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sideman-go/sideman/conformance/internal/memstore"
	"github.com/sideman-go/sideman/tasks"
)

var whole = flag.Bool("whole", false, "run all cases on each fault, not just those that must catch it, and print the table")

// references are the ways to open the reference store. Together they let every
// case run that needs no server.
func references() map[string]memstore.Options {
	all := ^tasks.Capability(0)
	return map[string]memstore.Options{
		"shared":    {Shared: true, Durable: true},
		"alone":     {Durable: true},
		"forgetful": {},
		"bare":      {Without: all},
		"readable":  {Without: all &^ (tasks.CapResults | tasks.CapList)},
	}
}

func config(o memstore.Options) Config {
	return Config{
		Virtual: true,
		Open:    func(T) Store { return memstore.NewPlace(o) },
		Timing:  Timing{}.withDefaults(),
	}
}

// TestReference holds the reference store to the whole suite. A suite that the
// reference doesn't pass asks for what isn't in the contract.
func TestReference(t *testing.T) {
	t.Parallel()
	for name, o := range references() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Run(t, config(o))
		})
	}
}

// unreached are the cases that no reference can run, and why.
var unreached = map[string]string{}

// TestReferencesReachEveryCase makes sure that TestReference leaves out nothing.
func TestReferencesReachEveryCase(t *testing.T) {
	t.Parallel()
	reached := make(map[string]bool)
	for _, o := range references() {
		caps := capabilities(t, o)
		for _, c := range allCases() {
			if verdict, _ := c.applies(caps, Faults{}); verdict == "" {
				reached[c.Name] = true
			}
		}
	}
	for _, c := range allCases() {
		if _, excused := unreached[c.Name]; !reached[c.Name] && !excused && c.Fault == "" {
			t.Errorf("no reference runs %s: %v", c.Name, c.What)
		}
	}
}

func capabilities(t *testing.T, o memstore.Options) tasks.Capability {
	t.Helper()
	o.Fault = nil
	b, err := memstore.NewPlace(o).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b.Capabilities()
}

// TestCases holds the descriptions of cases to what reports and waivers rely on.
func TestCases(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, c := range allCases() {
		group, name, ok := strings.Cut(c.Name, "/")
		if !ok || group == "" || name == "" || strings.ContainsAny(c.Name, " _") {
			t.Errorf("case %q isn't named Group/Case", c.Name)
		}
		if seen[c.Name] {
			t.Errorf("two cases are named %s", c.Name)
		}
		seen[c.Name] = true
		if len(c.Clauses) == 0 || c.What == "" || c.run == nil {
			t.Errorf("case %s has clauses %q, says %q, can be run: %v", c.Name, c.Clauses, c.What, c.run != nil)
		}
	}
}

// TestFaults holds the table of faults to its own form.
func TestFaults(t *testing.T) {
	t.Parallel()
	seen := make(map[string]bool)
	for _, f := range memstore.Faults() {
		if f.Name == "" || f.Doc == "" || seen[f.Name] {
			t.Errorf("fault %q (%s) is there twice or says nothing", f.Name, f.Doc)
		}
		seen[f.Name] = true
	}
}

// TestMutants proves the suite: each fault of the reference must be caught by each
// of the cases that it names. To run all cases on all faults, which also finds cases
// that catch nothing, and to print the table:
//
//	go test ./conformance -run TestMutants -whole -timeout 30m
func TestMutants(t *testing.T) { //nolint:tparallel // the group is waited for: the table needs all of it
	t.Parallel()
	var mu sync.Mutex
	caught := make(map[string][]string) // failing cases by fault
	t.Run("faults", func(t *testing.T) {
		for _, fault := range memstore.Faults() {
			t.Run(fault.Name, func(t *testing.T) {
				t.Parallel()
				failing := probeFault(t, fault)
				mu.Lock()
				defer mu.Unlock()
				caught[fault.Name] = failing
			})
		}
	})
	if *whole && len(caught) == len(memstore.Faults()) { // and not only those of -run
		fmt.Print(faultTable(caught))
		reportIdle(t, caught)
	}
}

// probeFault runs cases on a store with the fault, and returns which of them fail.
func probeFault(t *testing.T, fault memstore.Fault) (failing []string) {
	t.Helper()
	o := memstore.Options{Shared: !fault.Alone, Durable: true, Fault: &fault}
	caps := capabilities(t, o)
	known := make(map[string]bool)
	for _, c := range allCases() {
		known[c.Name] = true
		must := slices.Contains(fault.Caught, c.Name)
		if !must && !*whole {
			continue
		}
		if verdict, why := c.applies(caps, Faults{}); verdict != "" {
			if must {
				t.Errorf("%s can't catch the fault: it %s", c.Name, why)
			}
			continue
		}
		switch failed, lines := runRecorded(t, config(o), c); {
		case failed:
			failing = append(failing, c.Name)
		case must:
			t.Errorf("%s doesn't catch the fault: %s\n%s", c.Name, fault.Doc, strings.Join(lines, "\n"))
		}
	}
	for _, name := range fault.Caught {
		if !known[name] {
			t.Errorf("the fault is to be caught by %s, which is no case", name)
		}
	}
	if len(fault.Caught) == 0 {
		t.Errorf("no case is named that catches the fault; these do: %q", failing)
	}
	return failing
}

// runRecorded runs a case in a bubble of its own and says whether it fails.
func runRecorded(t *testing.T, cfg Config, c Case) (failed bool, lines []string) {
	t.Helper()
	defer func() { // a fault that leaves a goroutine hanging for ever
		if p := recover(); p != nil {
			failed, lines = true, append(lines, fmt.Sprint(p))
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		r := NewRecorder(t)
		r.Do(func(rt T) { runCase(rt, cfg, c) })
		failed, lines = r.Failed(), r.Lines()
		time.Sleep(2 * memstore.Stuck) // what hangs gets the time to end
	})
	return failed, lines
}

// faultTable shows as Markdown what catches which fault.
func faultTable(caught map[string][]string) string {
	var b strings.Builder
	b.WriteString("| fault | what goes wrong | caught by |\n| --- | --- | --- |\n")
	for _, fault := range memstore.Faults() {
		names := slices.Clone(fault.Caught)
		if others := len(caught[fault.Name]) - len(names); others > 0 {
			names = append(names, fmt.Sprintf("and %d more", others))
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", fault.Name, strings.ReplaceAll(fault.Doc, "|", `\|`), strings.Join(names, ", "))
	}
	return b.String()
}

// ofTheCore are cases that no fault of a store makes fail: they hold the App, or a
// backend's type, to what is promised.
var ofTheCore = map[string]bool{
	"Capability/Interfaces":    true,
	"Validate/Definitions":     true,
	"Validate/NotSerializable": true,
	"Validate/Options":         true,
}

// reportIdle fails for the cases that fail for no fault: each may be one that can't.
func reportIdle(t *testing.T, caught map[string][]string) {
	t.Helper()
	busy := make(map[string]bool)
	for _, names := range maps.All(caught) {
		for _, name := range names {
			busy[name] = true
		}
	}
	for _, c := range allCases() {
		if !busy[c.Name] && !ofTheCore[c.Name] && c.Fault == "" && c.Lacks == 0 {
			t.Errorf("%s fails for no fault (%s)", c.Name, c.What)
		}
	}
}
