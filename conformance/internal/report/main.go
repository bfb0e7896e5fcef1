// Report makes docs/conformance.md from the verdicts of the conformance
// suite, which go test -json carries as attributes:
//
//	go test -json -run '^TestConformance' ./backends/... | go run ./conformance/internal/report -o docs/conformance.md
//
// With -check it writes nothing and fails if the file would change. It fails, too,
// if a backend failed the suite.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	out := flag.String("o", "", "file to write; without it the report goes to standard output")
	check := flag.Bool("check", false, "compare with the file instead of writing it")
	flag.Parse()
	if err := run(os.Stdin, *out, *check); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out string, check bool) error {
	runs, err := read(in)
	if err != nil {
		return err
	}
	if len(runs) == 0 {
		return fmt.Errorf("no verdicts in the input: is it the output of go test -json?")
	}
	report := render(runs)
	switch {
	case out == "":
		fmt.Print(report)
	case check:
		old, err := os.ReadFile(out)
		if err != nil {
			return err
		}
		if !bytes.Equal(old, []byte(report)) {
			return fmt.Errorf("%s is stale: run make conformance. %s", out, firstDifference(string(old), report))
		}
	default:
		if err := os.WriteFile(out, []byte(report), 0o644); err != nil { //nolint:gosec // a page for everybody
			return err
		}
		fmt.Println(summary(runs))
	}
	var failed []string
	for _, r := range runs {
		for _, c := range r.cases {
			if c.verdict == "fail" || c.verdict == "" {
				failed = append(failed, r.backend+" "+c.name)
			}
		}
	}
	if len(failed) > 0 {
		return fmt.Errorf("%d cases failed: %s", len(failed), strings.Join(failed, ", "))
	}
	return nil
}

func firstDifference(old, fresh string) string {
	was, is := strings.Split(old, "\n"), strings.Split(fresh, "\n")
	for i := range min(len(was), len(is)) {
		if was[i] != is[i] {
			return fmt.Sprintf("Line %d is %q and would be %q", i+1, was[i], is[i])
		}
	}
	return fmt.Sprintf("It has %d lines and would have %d", len(was), len(is))
}
