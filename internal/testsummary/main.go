// Testsummary reads "go test -json" and prints what somebody who waits for the tests
// wants to know: the closing line of each package as soon as it has ended, the output of
// what failed, and in the end what was skipped and why, so that nothing is left out
// without a word.
//
//	go test -json ./... 2>&1 | go run ./internal/testsummary
//
// It exits with 1 if anything failed.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

func main() {
	s := newSummary(os.Stdout)
	if err := s.readAll(os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "testsummary:", err)
		os.Exit(1)
	}
	if !s.close() {
		os.Exit(1)
	}
}

// event is a line of go test -json; see "go doc test2json".
type event struct {
	Action     string
	Package    string
	ImportPath string // of build-output and build-fail
	Test       string
	Output     string
	Elapsed    float64
}

// readAll takes each line as it comes. What isn't an event, as a message of the go
// command, is passed on.
func (s *summary) readAll(in io.Reader) error {
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil || e.Action == "" {
				if _, err := s.out.Write(line); err != nil {
					return err
				}
			} else {
				s.take(e)
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
