package structure

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// Every test that docs/faults.md names is there, so that the table can't claim more than is tested.
func TestFaultsNameTestsThatExist(t *testing.T) {
	t.Parallel()
	tree := os.DirFS("../..")
	text, err := fs.ReadFile(tree, "docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	faults, rows := checkFaults(tree, string(text))
	for _, fault := range faults {
		t.Error(fault)
	}
	if rows < 50 {
		t.Errorf("docs/faults.md has %d rows: is it read as it's written?", rows)
	}
}

// checkFaults returns what is wrong with the tables of a text, and how many rows they have.
func checkFaults(tree fs.FS, text string) (faults []string, rows int) {
	var (
		span  = regexp.MustCompile("`([^`]+)`")
		story = regexp.MustCompile(`^TestCrew/(\w+)$`)
		kase  = regexp.MustCompile(`^[A-Z]\w*/[A-Z]\w*$`)
		test  = regexp.MustCompile(`^([a-z][a-z0-9/]*)\.((?:Test|Fuzz)\w+)$`)
	)
	for n, line := range strings.Split(text, "\n") {
		cells := strings.Split(line, " | ")
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| ---") || strings.HasPrefix(line, "| fault |") {
			continue
		}
		rows++
		fault := func(format string, args ...any) {
			faults = append(faults, fmt.Sprintf("docs/faults.md:%d: %s", n+1, fmt.Sprintf(format, args...)))
		}
		if len(cells) != 3 {
			fault("%d columns, want 3", len(cells))
			continue
		}
		named := span.FindAllStringSubmatch(cells[2], -1)
		if len(named) == 0 {
			fault("no test is named")
		}
		for _, name := range named {
			name := name[1]
			there := false
			if m := story.FindStringSubmatch(name); m != nil {
				there = anyFile(tree, "conformance/containers/internal/crew", ".go", `\("`+m[1]+`", `)
			} else if kase.MatchString(name) {
				there = anyFile(tree, "conformance", ".go", `Name: +"`+name+`"`)
			} else if m := test.FindStringSubmatch(name); m != nil {
				there = anyFile(tree, m[1], "_test.go", `(?m)^func `+m[2]+`\(`)
			}
			if !there {
				fault("no test %s: was it renamed or moved?", name)
			}
		}
	}
	return faults, rows
}

// anyFile reports whether a file of a folder has the pattern in it.
func anyFile(tree fs.FS, dir, suffix, pattern string) bool {
	re := regexp.MustCompile(pattern)
	entries, err := fs.ReadDir(tree, dir)
	if err != nil {
		return false
	}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		src, err := fs.ReadFile(tree, path.Join(dir, e.Name()))
		if err == nil && re.Match(src) {
			return true
		}
	}
	return false
}

func TestStaleFaultsAreFound(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{
		"conformance/containers/internal/crew/crew.go": {Data: []byte(`together("Frozen", (*crew).frozen)`)},
		"conformance/case_lease.go":                    {Data: []byte(`{Name: "Lease/Lost", Clauses: nil}`)},
		"worker/run_test.go":                           {Data: []byte("package worker\n\nfunc TestRuns(t *testing.T) {}\n")},
		"worker/run.go":                                {Data: []byte("package worker\n\nfunc TestNot() {}\n")},
	}
	for _, tt := range []struct {
		name, tests, want string // "" means that it's fine
	}{
		{"all kinds", "`TestCrew/Frozen`, `Lease/Lost`, `worker.TestRuns`", ""},
		{"none", "not applicable", "no test is named"},
		{"no such story", "`TestCrew/Thawed`", "no test TestCrew/Thawed"},
		{"no such case", "`Lease/Found`", "no test Lease/Found"},
		{"no such test", "`worker.TestRun`", "no test worker.TestRun"},
		{"not in a test file", "`worker.TestNot`", "no test worker.TestNot"},
		{"no such package", "`walker.TestRuns`", "no test walker.TestRuns"},
		{"not a name", "`it works`", "no test it works"},
		{"one column too many", "`worker.TestRuns` | more", "4 columns"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, rows := checkFaults(tree, "| fault | what | tests |\n| --- | --- | --- |\n| a | b | "+tt.tests+" |\n")
			switch {
			case rows != 1:
				t.Errorf("%d rows, want 1", rows)
			case tt.want == "" && len(got) > 0:
				t.Errorf("got %q, want no fault", got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("got %q, want one fault with %q", got, tt.want)
			}
		})
	}
}
