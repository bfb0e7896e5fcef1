package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sideman-go/sideman/tasks"
)

// T is the part of *testing.T that the suite uses. A case gets one whose Fatalf
// ends the case.
type T interface {
	Helper()
	Name() string
	Context() context.Context
	Cleanup(func())
	TempDir() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
}

// Case describes one case of the suite.
type Case struct {
	// Name is "Group/Case", and doesn't change: go test -run 'TestConformance/Lease/'
	// means the same next year.
	Name string
	// Clauses are the clauses of the contract that the case holds the backend to.
	Clauses []string
	// Needs are the capabilities without which the case makes no sense. What a
	// backend doesn't declare is tested as well, to be refused, by the cases of the
	// group Capability.
	Needs tasks.Capability
	// Lacks are capabilities that a backend must not have for the case to be run.
	Lacks tasks.Capability
	// Fault is what the case does to the server, if anything.
	Fault Fault
	// Plain says that the case hides the backend's optional interfaces, so that the
	// general road is taken.
	Plain bool
	// What says in a sentence what is wrong if the case fails.
	What string

	run func(e *env)
}

// Cases returns the whole suite, in the order in which it is run.
func Cases() []Case { return allCases() }

// Run tests the backend that cfg opens. Each case is a subtest named after its
// Group and Case:
//
//	func TestConformance(t *testing.T) {
//		conformance.Run(t, conformance.Config{Open: func(t conformance.T) conformance.Store {
//			path := filepath.Join(t.TempDir(), "tasks.db")
//			return conformance.StoreFunc(func(ctx context.Context) (tasks.Backend, error) { return mystore.Open(path) })
//		}})
//	}
//
// The capabilities are read from the live backend. A case that needs one which is
// not declared isn't run; that it is refused is another case. Each case reports
// its clauses and its verdict (pass, fail, waived, unsupported, no-fault) as test
// attributes, so go test -json has all that a report needs.
func Run(t *testing.T, cfg Config) {
	t.Helper()
	if err := cfg.check(); err != nil {
		t.Fatal(err)
	}
	cfg.Timing = cfg.Timing.withDefaults()
	caps, err := probe(t, cfg)
	if err != nil {
		t.Fatalf("conformance: opening the backend to read its capabilities: %v", err)
	}
	t.Attr("capabilities", caps.String())
	byGroup := make(map[string][]Case)
	var groups []string
	for _, c := range allCases() {
		group, _, _ := strings.Cut(c.Name, "/")
		if byGroup[group] == nil {
			groups = append(groups, group)
		}
		byGroup[group] = append(byGroup[group], c)
	}
	for _, group := range groups {
		t.Run(group, func(t *testing.T) {
			for _, c := range byGroup[group] {
				_, name, _ := strings.Cut(c.Name, "/")
				t.Run(name, func(t *testing.T) { runOne(t, cfg, caps, c) })
			}
		})
	}
	if len(cfg.Waive) > 0 {
		t.Attr("result", "partial")
	} else {
		t.Attr("result", "full")
	}
}

// The verdicts of a case.
const (
	verdictPass        = "pass"
	verdictFail        = "fail"
	verdictWaived      = "waived"
	verdictUnsupported = "unsupported"
	verdictNoFault     = "no-fault"
)

// applies says why a case isn't run, or "".
func (c *Case) applies(caps tasks.Capability, faults Faults) (verdict, why string) {
	switch {
	case !caps.Has(c.Needs):
		return verdictUnsupported, fmt.Sprintf("needs %v, and the backend declares %v", c.Needs, caps)
	case c.Lacks != 0 && caps&c.Lacks != 0:
		return verdictUnsupported, fmt.Sprintf("is for backends without %v", c.Lacks)
	case c.Fault != "" && !faults.has(c.Fault):
		return verdictNoFault, fmt.Sprintf("needs Config.Faults to have %q", c.Fault)
	}
	return "", ""
}

func runOne(t *testing.T, cfg Config, caps tasks.Capability, c Case) {
	t.Helper()
	t.Attr("case", c.Name)
	t.Attr("clauses", strings.Join(c.Clauses, " "))
	if verdict, why := c.applies(caps, cfg.Faults); verdict != "" {
		t.Attr("verdict", verdict)
		t.Skip(c.Name + " " + why)
	}
	reason, waived := cfg.Waive[c.Name]
	var failed bool
	run := func(t *testing.T) {
		if !waived {
			runCase(t, cfg, c)
			failed = t.Failed()
			return
		}
		r := NewRecorder(t)
		r.Do(func(rt T) { runCase(rt, cfg, c) })
		failed = r.Failed()
		for _, line := range r.Lines() {
			t.Logf("waived (%s): %s", reason, line)
		}
	}
	if cfg.Virtual {
		synctest.Test(t, run)
	} else {
		run(t)
	}
	switch {
	case waived && failed:
		t.Attr("verdict", verdictWaived)
	case waived:
		t.Attr("verdict", verdictFail)
		t.Errorf("%s passes, so it needs no waiver (%s)", c.Name, reason)
	case failed:
		t.Attr("verdict", verdictFail)
	default:
		t.Attr("verdict", verdictPass)
	}
}

// probe reads the capabilities from a backend opened for that.
func probe(t *testing.T, cfg Config) (caps tasks.Capability, err error) {
	t.Helper()
	read := func(t *testing.T) {
		var b tasks.Backend
		if b, err = cfg.Open(t).Connect(t.Context()); err != nil {
			return
		}
		caps = b.Capabilities()
		err = b.Close(context.Background())
	}
	if cfg.Virtual {
		synctest.Test(t, read) // not in a subtest, which go test -run might leave out
	} else {
		read(t)
	}
	return caps, err
}

func allCases() []Case {
	return slices.Concat(
		capabilityCases(),
		validateCases(),
		enqueueCases(),
		asyncCases(),
		resultCases(),
		hookCases(),
		claimCases(),
		orderCases(),
		deferCases(),
		leaseCases(),
		settleCases(),
		attemptCases(),
		expireCases(),
		cancelCases(),
		waitCases(),
		inspectCases(),
		alterCases(),
		pauseCases(),
		pruneCases(),
		workerCases(),
		checkCases(),
		closeCases(),
		reopenCases(),
		handlesCases(),
		hostileCases(),
		concurrentCases(),
		moreCases(),
		refusedCases(),
		historyCases(),
		faultCases(),
	)
}
