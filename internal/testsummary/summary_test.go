package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// feed runs the program on events and other lines.
func feed(t *testing.T, lines ...any) (said string, ok bool) {
	t.Helper()
	var in, out bytes.Buffer
	for _, l := range lines {
		switch l := l.(type) {
		case string:
			in.WriteString(l + "\n")
		case event:
			if err := json.NewEncoder(&in).Encode(l); err != nil {
				t.Fatal(err)
			}
		}
	}
	s := newSummary(&out)
	if err := s.readAll(&in); err != nil {
		t.Fatal(err)
	}
	ok = s.close()
	return out.String(), ok
}

func output(pkg, test, text string) event {
	return event{Action: "output", Package: pkg, Test: test, Output: text}
}

func ends(action, pkg, test string) event { return event{Action: action, Package: pkg, Test: test} }

func TestPassed(t *testing.T) {
	said, ok := feed(t,
		"go: downloading a v1.0.0",
		output("a", "TestA", "=== RUN   TestA\n"), output("a", "TestA", "    a_test.go:1: chatter\n"), output("a", "TestA", "--- PASS: TestA (0.00s)\n"),
		ends("pass", "a", "TestA"),
		output("a", "", "PASS\n"), output("a", "", "ok  \ta\t0.1s\n"), ends("pass", "a", ""),
		output("b", "", "?   \tb\t[no test files]\n"), ends("skip", "b", ""),
	)
	want := "go: downloading a v1.0.0\nok  \ta\t0.1s\n\npackages: 1 ok, 0 failed, 1 without tests\ntests: 1 passed, 0 failed, 0 skipped\n"
	if said != want || !ok {
		t.Errorf("ok is %v, and it says\n%s\nwant\n%s", ok, said, want)
	}
}

func TestFailed(t *testing.T) {
	said, ok := feed(t,
		output("a", "TestGood", "    a_test.go:1: of one that passes\n"), ends("pass", "a", "TestGood"),
		output("a", "TestBad", "    a_test.go:2: why it fails\n"), output("a", "TestBad", "--- FAIL: TestBad (0.00s)\n"), ends("fail", "a", "TestBad"),
		output("a", "TestStuck", "panic: test timed out\n"),
		output("a", "", "FAIL\ta\t0.1s\n"), ends("fail", "a", ""),
		event{Action: "build-output", ImportPath: "c", Output: "c.go:1: undefined: x\n"}, output("c", "", "FAIL\tc [build failed]\n"), ends("fail", "c", ""),
		output("d", "TestCut", "half a"),
	)
	for _, part := range []string{
		"why it fails", "--- FAIL: TestBad", "panic: test timed out", "undefined: x", "FAIL\tc [build failed]", "FAIL\td: go test was cut off",
		"packages: 0 ok, 3 failed", "tests: 1 passed, 1 failed", "  FAIL a\n  FAIL c\n  FAIL d\n",
	} {
		if !strings.Contains(said, part) {
			t.Errorf("it doesn't say %q", part)
		}
	}
	if ok || strings.Contains(said, "one that passes") {
		t.Errorf("ok is %v, and it says\n%s", ok, said)
	}
}

// TestSkipped wants each reason once, with how many tests it is the reason of.
func TestSkipped(t *testing.T) {
	skip := func(test, text string) []any {
		return []any{output("a", test, "    a_test.go:7: "+text+"\n"), output("a", test, "--- SKIP: "+test+" (0.00s)\n"), ends("skip", "a", test)}
	}
	var in []any
	in = append(in, skip("TestA", "NOT TESTED: no server")...)
	in = append(in, skip("TestB", "NOT TESTED: no server")...)
	in = append(in, skip("TestC/x", "Wait/Retry needs worker|defer, and the backend declares results")...)
	in = append(in, skip("TestC/y", "Capability/None is for backends without worker")...)
	in = append(in, skip("TestC/z", `Fault/Cut needs Config.Faults to have "cut"`)...)
	in = append(in, ends("skip", "a", "TestD"), output("a", "", "ok  \ta\t0.1s\n"), ends("pass", "a", ""))
	said, ok := feed(t, in...)
	want := `
skipped:
     2  NOT TESTED: no server
     1  conformance: nothing here can do the fault "cut"
     2  conformance: the backend doesn't declare what the case needs
     1  no reason given

packages: 1 ok, 0 failed, 0 without tests
tests: 0 passed, 0 failed, 6 skipped
`
	if got := strings.TrimPrefix(said, "ok  \ta\t0.1s\n"); got != want || !ok {
		t.Errorf("ok is %v, and it says\n%s\nwant\n%s", ok, got, want)
	}
}

func TestNothingWasTested(t *testing.T) {
	if said, ok := feed(t, "no packages to test"); ok {
		t.Errorf("it is content with\n%s", said)
	}
}
