package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// summary gathers the events of all packages.
type summary struct {
	out io.Writer

	running map[string]*pkg // packages that haven't ended, by path
	failed  []string        // packages
	ok      int
	none    int // packages without tests
	passed  int // tests, with subtests
	bad     int
	skips   map[string]int // how many tests by reason
}

// pkg is a package that is being tested.
type pkg struct {
	output map[string]*strings.Builder // of each test that hasn't ended; "" is the package itself
	said   strings.Builder             // of tests that failed
}

func newSummary(out io.Writer) *summary {
	return &summary{out: out, running: make(map[string]*pkg), skips: make(map[string]int)}
}

// say prints; there is nobody to tell if that fails.
func (s *summary) say(format string, args ...any) { _, _ = fmt.Fprintf(s.out, format, args...) }

func (s *summary) pkg(path string) *pkg {
	p := s.running[path]
	if p == nil {
		p = &pkg{output: make(map[string]*strings.Builder)}
		s.running[path] = p
	}
	return p
}

func (p *pkg) of(test string) *strings.Builder {
	b := p.output[test]
	if b == nil {
		b = new(strings.Builder)
		p.output[test] = b
	}
	return b
}

// noise is what go test -v says of every test, and nobody wants to read of those that passed.
var noise = regexp.MustCompile(`^\s*(=== (RUN|PAUSE|CONT|NAME|ATTR)|--- (PASS|SKIP))`)

// take takes an event.
func (s *summary) take(e event) {
	switch {
	case e.Action == "build-output":
		s.say("%s", e.Output)
	case e.Package == "":
	case e.Action == "output":
		if !noise.MatchString(e.Output) {
			s.pkg(e.Package).of(e.Test).WriteString(e.Output)
		}
	case e.Test == "":
		s.ended(e)
	default:
		s.testEnded(e)
	}
}

// testEnded keeps of a test what is worth it.
func (s *summary) testEnded(e event) {
	p := s.pkg(e.Package)
	switch e.Action {
	case "pass":
		s.passed++
	case "skip":
		s.skips[reason(p.of(e.Test).String())]++
	case "fail":
		s.bad++
		p.said.WriteString(p.of(e.Test).String())
	default:
		return
	}
	delete(p.output, e.Test)
}

// ended prints what there is to say of a package that has ended.
func (s *summary) ended(e event) {
	p := s.pkg(e.Package)
	own := p.of("").String()
	switch e.Action {
	case "pass":
		s.ok++
		s.say("%s", closing(own))
	case "skip":
		s.none++
	case "fail":
		s.failed = append(s.failed, e.Package)
		// What a test said that never ended is in its output still: a panic, a timeout.
		for _, test := range slices.Sorted(maps.Keys(p.output)) {
			if test != "" {
				p.said.WriteString(p.output[test].String())
			}
		}
		s.say("%s%s", p.said.String(), own)
	default:
		return
	}
	delete(s.running, e.Package)
}

// closing is the line that go test ends a package with: "ok  	path	1.2s".
func closing(output string) string {
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "ok ") {
			return line
		}
	}
	return ""
}

// What a skipped test says, and what the conformance suite says of cases that a backend,
// or the way it is run, has no part in: one line for all of them will do.
var (
	place       = regexp.MustCompile(`^\s*[\w.-]+\.go:\d+: `)
	unsupported = regexp.MustCompile(`^\S+/\S+ (needs \S+, and the|is for ba)`)
	noFault     = regexp.MustCompile(`^\S+/\S+ needs Config.Faults to have (.+)`)
)

// reason is what a test said when it was skipped.
func reason(output string) string {
	text := ""
	for line := range strings.Lines(output) {
		if at := place.FindString(line); at != "" {
			text = strings.TrimSpace(line[len(at):])
		}
	}
	if unsupported.MatchString(text) {
		return "conformance: the backend doesn't declare what the case needs"
	}
	if m := noFault.FindStringSubmatch(text); m != nil {
		return "conformance: nothing here can do the fault " + m[1]
	}
	return cmp.Or(text, "no reason given")
}

// close prints the end, and reports whether all is well.
func (s *summary) close() bool {
	for _, path := range slices.Sorted(maps.Keys(s.running)) {
		s.failed = append(s.failed, path)
		s.say("FAIL\t%s: go test was cut off\n", path)
	}
	sum := 0
	for _, n := range s.skips {
		sum += n
	}
	if sum > 0 {
		s.say("\nskipped:\n")
		for _, why := range slices.Sorted(maps.Keys(s.skips)) {
			s.say("%6d  %s\n", s.skips[why], why)
		}
	}
	s.say("\npackages: %d ok, %d failed, %d without tests\ntests: %d passed, %d failed, %d skipped\n",
		s.ok, len(s.failed), s.none, s.passed, s.bad, sum)
	for _, path := range s.failed {
		s.say("  FAIL %s\n", path)
	}
	return len(s.failed) == 0 && s.ok > 0
}
