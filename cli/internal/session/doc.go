package main

import (
	"fmt"
	"regexp"
	"strings"
)

// replace puts new text between the marks of a name.
func replace(doc, mark, text string) (string, error) {
	begin, end := "<!-- session "+mark+" -->\n", "<!-- end of session "+mark+" -->"
	before, rest, ok := strings.Cut(doc, begin)
	_, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		return "", fmt.Errorf("the file has no marks %s … %s", strings.TrimSpace(begin), end)
	}
	return before + begin + "\n" + text + "\n" + end + after, nil
}

// canonical is a text without what differs from run to run: ids, times, how long things took,
// where the server is, and how wide the tables are because of those.
func canonical(text string) string {
	for _, r := range []struct{ pattern, by string }{
		{idPattern().String(), "ID"},
		{`(postgres|postgresql|redis)://\S+`, "URL"},
		{`\d{4}-\d\d-\d\d`, "DATE"},
		{`\d\d:\d\d:\d\d(\.\d+)?( [A-Z]{3,4})?`, "TIME"},
		{`\b\d+(\.\d+)?(ns|µs|ms|s)\b`, "SPAN"},
		{`─+`, "─"},
		{`[ \t]+`, " "},
	} {
		text = regexp.MustCompile(r.pattern).ReplaceAllString(text, r.by)
	}
	return text
}

// difference shows the first lines that differ.
func difference(old, now string) string {
	a, b := strings.Split(canonical(old), "\n"), strings.Split(canonical(now), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is\n  %s\nand would be\n  %s", i+1, a[i], b[i])
		}
	}
	return fmt.Sprintf("it has %d lines, and would have %d", len(a), len(b))
}
