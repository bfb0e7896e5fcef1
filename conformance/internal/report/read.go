package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// backendRun is what one package's TestConformance reported.
type backendRun struct {
	backend      string // the package's last element
	capabilities string
	result       string
	cases        []caseVerdict
}

type caseVerdict struct {
	name    string
	clauses []string
	verdict string
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Key, Value string
}

// read gathers the attributes of all packages, in the order of the packages.
func read(in io.Reader) ([]*backendRun, error) {
	runs := make(map[string]*backendRun)
	cases := make(map[string]*caseVerdict) // by package and test
	var order []string
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil || e.Action != "attr" {
			continue // build output and the like
		}
		if top, _, _ := strings.Cut(e.Test, "/"); top != "TestConformance" {
			continue // the suite once more, on other settings
		}
		if rank(path.Base(e.Package)) == len(backends()) {
			continue // the suite once more, as on a Cluster, or what the guide builds
		}
		r := runs[e.Package]
		if r == nil {
			r = &backendRun{backend: path.Base(e.Package)}
			runs[e.Package] = r
		}
		key := e.Package + " " + e.Test
		switch e.Key {
		case "capabilities":
			r.capabilities = e.Value
		case "result":
			r.result = e.Value
		case "case":
			cases[key] = &caseVerdict{name: e.Value}
			order = append(order, key)
		case "clauses":
			if c := cases[key]; c != nil {
				c.clauses = strings.Fields(e.Value)
			}
		case "verdict":
			if c := cases[key]; c != nil {
				c.verdict = e.Value
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the test output: %w", err)
	}
	for _, key := range order {
		pkg, _, _ := strings.Cut(key, " ")
		runs[pkg].cases = append(runs[pkg].cases, *cases[key])
	}
	var all []*backendRun
	for _, r := range runs {
		if len(r.cases) > 0 {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *backendRun) int {
		return cmp.Or(cmp.Compare(rank(a.backend), rank(b.backend)), cmp.Compare(a.backend, b.backend))
	})
	if len(all) > 0 {
		for _, r := range all[1:] {
			if len(r.cases) != len(all[0].cases) {
				return nil, errors.New("the backends didn't run the same cases: " + all[0].backend + " and " + r.backend)
			}
		}
	}
	return all, nil
}

// backends are those that the page is about, in the order of its columns.
func backends() []string { return []string{"immediate", "dummy", "bolt", "database", "redis"} }

// rank is a backend's column, or how many there are if it has none.
func rank(backend string) int {
	if i := slices.Index(backends(), backend); i >= 0 {
		return i
	}
	return len(backends())
}
