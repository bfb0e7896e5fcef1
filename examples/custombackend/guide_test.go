package main

import (
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The guide walks through the code that is here, and quotes it.
const guide = "../../docs/writing-a-backend.md"

var update = flag.Bool("update", false, "write the guide's quotations anew")

// TestGuideQuotesTheCode compares each block of Go in the guide with the region of a file
// here that it names, so that all of the guide compiles and passes its tests:
//
//	<!-- filestore/worker.go: claim -->
//	```go
//	…
//	```
//
// In the file the region is between the lines "// guide:begin claim" and "// guide:end claim".
func TestGuideQuotesTheCode(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	code := regions(t)
	quoted := map[string]bool{}
	block := regexp.MustCompile("(?ms)^<!-- (\\S+: \\S+) -->\n```go\n(.*?)^```$")
	updated := block.ReplaceAllStringFunc(string(text), func(match string) string {
		parts := block.FindStringSubmatch(match)
		name := parts[1]
		want, ok := code[name]
		if !ok {
			t.Errorf("the guide quotes %s, which isn't there", name)
			return match
		}
		quoted[name] = true
		if parts[2] != want && !*update {
			t.Errorf("the guide's quotation of %s isn't what is there; with -update it will be", name)
		}
		return fmt.Sprintf("<!-- %s -->\n```go\n%s```", name, want)
	})
	if all, named := strings.Count(string(text), "```go\n"), len(block.FindAllIndex(text, -1)); all != named {
		t.Errorf("%d of the guide's %d blocks of Go don't say what they quote", all-named, all)
	}
	for name := range code {
		if !quoted[name] {
			t.Errorf("the guide doesn't quote %s", name)
		}
	}
	if *update {
		if err := os.WriteFile(guide, []byte(updated), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// regions returns every marked region of the files here, by "file: name".
func regions(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	region := regexp.MustCompile(`(?ms)^// guide:begin (\S+)\n(.*?)^// guide:end (\S+)$`)
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, parts := range region.FindAllStringSubmatch(string(text), -1) {
			if parts[1] != parts[3] {
				return fmt.Errorf("%s: guide:begin %s ends with guide:end %s", path, parts[1], parts[3])
			}
			found[filepath.ToSlash(path)+": "+parts[1]] = strings.TrimSpace(parts[2]) + "\n"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
