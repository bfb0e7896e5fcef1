// Package structure checks which package may import which, and that each says what it is.
// It has nothing to import: its tests read the module's source, without building it.
package structure

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

func TestArrowsBetweenPackages(t *testing.T) {
	t.Parallel()
	for _, fault := range checkImports(read(t, os.DirFS("../..")), rules) {
		t.Error(fault)
	}
}

func TestEveryPackageHasOnePackageComment(t *testing.T) {
	t.Parallel()
	for _, fault := range checkComments(read(t, os.DirFS("../.."))) {
		t.Error(fault)
	}
}

// A folder of Go files in the tree.
type pkg struct {
	dir    string
	name   string
	nested bool // of a module of its own, below the root: its imports are its own affair
	// imports of files that aren't tests, each with one file that has it.
	imports map[string]string
	// comments are the files with a package comment; testComments those among the tests.
	comments, testComments []string
	compiled               bool // has files that aren't tests
}

// read parses all Go files of the tree, whatever their build tags.
func read(t *testing.T, tree fs.FS) map[string]*pkg {
	t.Helper()
	pkgs := map[string]*pkg{}
	modules := map[string]bool{}
	err := fs.WalkDir(tree, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		if entry.IsDir() {
			if name != "." && (base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_")) {
				return fs.SkipDir
			}
			_, err := fs.Stat(tree, path.Join(name, "go.mod"))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			modules[name] = name != "." && (err == nil || modules[path.Dir(name)])
			return nil
		}
		if path.Ext(base) != ".go" {
			return nil
		}
		src, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, src, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := path.Dir(name)
		p := pkgs[dir]
		if p == nil {
			p = &pkg{dir: dir, nested: modules[dir], imports: map[string]string{}}
			pkgs[dir] = p
		}
		return p.add(name, file)
	})
	if err != nil {
		t.Fatalf("reading the tree: %v", err)
	}
	if len(pkgs) == 0 {
		t.Fatal("found no Go files: is the tree the root of the module?")
	}
	return pkgs
}

func (p *pkg) add(name string, file *ast.File) error {
	if strings.HasSuffix(name, "_test.go") {
		// An external test package is a package of its own, which nobody reads the comment of.
		if file.Doc != nil && !strings.HasSuffix(file.Name.Name, "_test") {
			p.testComments = append(p.testComments, name)
			p.name = cmp.Or(p.name, file.Name.Name)
		}
		return nil
	}
	p.compiled = true
	p.name = file.Name.Name
	if file.Doc != nil {
		p.comments = append(p.comments, name)
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return err
		}
		if p.imports[imported] == "" {
			p.imports[imported] = name
		}
	}
	return nil
}

// checkImports returns what breaks the rules, and the rules that fit nothing.
func checkImports(pkgs map[string]*pkg, rules []rule) []string {
	var faults []string
	used := make([]bool, len(rules))
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		p := pkgs[dir]
		for i := range rules {
			if !p.nested && p.compiled && matches(rules[i].pkg, dir) {
				used[i] = true
			}
		}
		if p.nested || !p.compiled {
			continue
		}
		r := find(rules, dir)
		if r == nil {
			faults = append(faults, fmt.Sprintf("package %s: no rule says what it may import; add one to internal/structure/rules_test.go", dir))
			continue
		}
		for _, imported := range slices.Sorted(maps.Keys(p.imports)) {
			if !r.allows(imported) {
				faults = append(faults, fmt.Sprintf("%s imports %s, which %s must not: %s", p.imports[imported], imported, dir, r.reason))
			}
		}
	}
	for i, r := range rules {
		switch {
		case !used[i] && !r.planned:
			faults = append(faults, fmt.Sprintf("the rule for %s fits no package: was it renamed?", r.pkg))
		case used[i] && r.planned:
			faults = append(faults, fmt.Sprintf("the rule for %s is marked as planned, but the package is there: remove the mark", r.pkg))
		}
	}
	return faults
}

// find returns the most specific rule for a package.
func find(rules []rule, dir string) *rule {
	var found *rule
	for i := range rules {
		r := &rules[i]
		if matches(r.pkg, dir) && (found == nil || len(r.pkg) > len(found.pkg)) {
			found = r
		}
	}
	return found
}

func (r *rule) allows(imported string) bool {
	if imported == module {
		return slices.Contains(r.allow, ".")
	}
	if own, ok := strings.CutPrefix(imported, module+"/"); ok {
		return slices.ContainsFunc(r.allow, func(pattern string) bool { return matches(pattern, own) })
	}
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") { // the standard library: no dot in the first element
		return r.testing || first != "testing"
	}
	return slices.ContainsFunc(r.external, func(m string) bool { return matches(m+"/...", imported) })
}

// matches says whether a package is the one of a pattern, or below it where it ends in "/...".
func matches(pattern, dir string) bool {
	root, tree := strings.CutSuffix(pattern, "/...")
	return dir == root || tree && strings.HasPrefix(dir, root+"/")
}

// checkComments returns the packages that have no package comment, or several.
func checkComments(pkgs map[string]*pkg) []string {
	var faults []string
	for _, dir := range slices.Sorted(maps.Keys(pkgs)) {
		p := pkgs[dir]
		comments := p.comments
		if p.compiled {
			comments = append(comments, p.testComments...)
		} else {
			comments = p.testComments
			if p.name == "" && len(comments) == 0 {
				continue // only an external test package
			}
		}
		switch len(comments) {
		case 0:
			faults = append(faults, fmt.Sprintf("package %s: no file has a package comment", dir))
		case 1:
		default:
			faults = append(faults, fmt.Sprintf("package %s: %d files have a package comment, go doc joins them: %s", dir, len(comments), strings.Join(comments, ", ")))
		}
	}
	return faults
}

// Each rule catches what it is for: a tree that breaks it, and what is said about it.
func TestImportFaultsAreFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file, imported string
		want                 string // "" means that it's fine
	}{
		{"driver in the core", "tasks/x.go", "go.etcd.io/bbolt", "tasks must not"},
		{"driver below the core", "tasks/lifecycle/x.go", "github.com/jackc/pgx/v5", "tasks/lifecycle must not"},
		{"any dependency in the core", "tasks/x.go", "golang.org/x/sync/errgroup", "tasks must not"},
		{"testing in the core", "tasks/x.go", "testing", "tasks must not"},
		{"what is below testing", "tasks/x.go", "testing/synctest", "tasks must not"},
		{"testing by way of internal", "internal/batch/x.go", "testing", "internal/batch must not"},
		{"core to worker", "tasks/x.go", module + "/worker", "tasks must not"},
		{"worker to backend", "worker/x.go", module + "/backends/bolt", "worker must not"},
		{"worker to all backends", "worker/x.go", module + "/backends", "worker must not"},
		{"backend to backend", "backends/dummy/x.go", module + "/backends/immediate", "backends/dummy must not"},
		{"backend to the list of them", "backends/dummy/x.go", module + "/backends", "backends/dummy must not"},
		{"backend to worker", "backends/immediate/x.go", module + "/worker", "backends/immediate must not"},
		{"another's driver", "backends/bolt/x.go", "github.com/redis/go-redis/v9", "backends/bolt must not"},
		{"suite to backend", "conformance/x.go", module + "/backends/dummy", "conformance must not"},
		{"suite to worker", "conformance/x.go", module + "/worker", "conformance must not"},
		{"internal in an example", "examples/quickstart/x.go", module + "/internal/id", "examples/quickstart must not"},
		{"a package without a rule", "extras/x.go", "fmt", "package extras: no rule"},
		{"a name that only begins alike", "tasksextra/x.go", "fmt", "package tasksextra: no rule"},

		{"standard library", "tasks/x.go", "encoding/json", ""},
		{"core to internal", "tasks/x.go", module + "/internal/id", ""},
		{"testing in the suite", "conformance/x.go", "testing", ""},
		{"own driver", "backends/bolt/x.go", "go.etcd.io/bbolt/errors", ""},
		{"list of backends", "backends/x.go", module + "/backends/bolt", ""},
		{"anything in a test", "worker/x_test.go", module + "/backends/bolt", ""},
		{"a module of its own", "benchmarks/x.go", "example.com/other", ""},
		{"what the go tool ignores", "tasks/testdata/x.go", "testing", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tree := fullTree()
			tree[tt.file] = goFile(path.Base(path.Dir(tt.file)), "", tt.imported)
			got := checkImports(read(t, tree), unplanned())
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("%s importing %s: got %q, want no fault", tt.file, tt.imported, got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("%s importing %s: got %q, want one fault with %q", tt.file, tt.imported, got, tt.want)
			}
		})
	}
}

// A rule must not outlive its package silently, nor stay a plan when the package has come.
func TestRuleWithoutPackage(t *testing.T) {
	t.Parallel()
	for _, r := range rules {
		tree := fullTree()
		maps.DeleteFunc(tree, func(name string, _ *fstest.MapFile) bool { return matches(r.pkg, path.Dir(name)) })
		got := checkImports(read(t, tree), unplanned())
		var want []string // the rule itself, and those for packages below it
		for _, gone := range rules {
			if matches(r.pkg, strings.TrimSuffix(gone.pkg, "/...")) {
				want = append(want, "the rule for "+gone.pkg+" fits no package")
			}
		}
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("without %s: got %q, want %q", r.pkg, got, want)
		}
	}
	planned := unplanned()
	planned[0].planned = true
	got := checkImports(read(t, fullTree()), planned)
	if want := "remove the mark"; len(got) != 1 || !strings.Contains(got[0], want) {
		t.Errorf("a planned package that is there: got %q, want %q", got, want)
	}
}

func TestCommentFaultsAreFound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		files fstest.MapFS
		want  string // "" means that it's fine
	}{
		{"none", fstest.MapFS{"a/a.go": goFile("a", "")}, "package a: no file"},
		{"two", fstest.MapFS{"a/a.go": goFile("a", "// Package a."), "a/b.go": goFile("a", "// Package a.")}, "2 files"},
		{"a second one in a test", fstest.MapFS{"a/a.go": goFile("a", "// Package a."), "a/a_test.go": goFile("a", "// Tests.")}, "2 files"},
		{"none in a nested module", fstest.MapFS{"n/go.mod": {}, "n/a.go": goFile("n", "")}, "package n: no file"},
		{"one", fstest.MapFS{"a/a.go": goFile("a", "// Package a."), "a/b.go": goFile("a", "")}, ""},
		{"only tests", fstest.MapFS{"a/a_test.go": goFile("a", "// Package a.")}, ""},
		{"only an external test package", fstest.MapFS{"a/a_test.go": goFile("a_test", "")}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := checkComments(read(t, tt.files))
			switch {
			case tt.want == "" && len(got) > 0:
				t.Errorf("got %q, want no fault", got)
			case tt.want != "" && (len(got) != 1 || !strings.Contains(got[0], tt.want)):
				t.Errorf("got %q, want one fault with %q", got, tt.want)
			}
		})
	}
}

// fullTree is a tree with a package for each rule, and nothing wrong with it.
func fullTree() fstest.MapFS {
	tree := fstest.MapFS{"go.mod": {}, "benchmarks/go.mod": {}}
	for _, r := range rules {
		dir := strings.TrimSuffix(r.pkg, "/...")
		tree[dir+"/doc.go"] = goFile(path.Base(dir), "// Package comment.")
	}
	return tree
}

// unplanned are the rules as if all packages were there.
func unplanned() []rule {
	all := slices.Clone(rules)
	for i := range all {
		all[i].planned = false
	}
	return all
}

func goFile(name, comment string, imports ...string) *fstest.MapFile {
	src := []byte(comment + "\npackage " + name + "\n")
	for _, i := range imports {
		src = fmt.Appendf(src, "import _ %q\n", i)
	}
	return &fstest.MapFile{Data: src}
}
