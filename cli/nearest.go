package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sideman-go/sideman/tasks"
)

// mostNames is how many names are listed of more.
const mostNames = 10

// unknownTask returns an error if there is no task of that name, with those that may be meant.
func unknownTask(name string, known []string) error {
	if slices.Contains(known, name) {
		return nil
	}
	if near := nearest(name, known); len(near) > 0 {
		return exit(ExitNotFound, fmt.Errorf("%w: there is no task %q: is it %s?", tasks.ErrUnknownTask, name, quotedNames(near, " or ")))
	}
	more := ""
	if n := len(known) - mostNames; n > 0 {
		known, more = known[:mostNames], fmt.Sprintf(" and %d more", n)
	}
	return exit(ExitNotFound, fmt.Errorf("%w: there is no task %q; there are %s%s", tasks.ErrUnknownTask, name, quotedNames(known, ", "), more))
}

func quotedNames(names []string, between string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	return strings.Join(quoted, between)
}

// nearest returns up to three of the names that are like one: a typing error away, or with
// it as a part.
func nearest(name string, known []string) (near []string) {
	type candidate struct {
		name string
		far  int
	}
	var all []candidate
	low := strings.ToLower(name)
	for _, k := range known {
		far := distance(low, strings.ToLower(k))
		if len(low) > 2 && strings.Contains(strings.ToLower(k), low) {
			far = min(far, 1)
		}
		if far <= 1+len(name)/4 {
			all = append(all, candidate{k, far})
		}
	}
	slices.SortStableFunc(all, func(a, b candidate) int { return a.far - b.far })
	for _, c := range all[:min(len(all), 3)] {
		near = append(near, c.name)
	}
	return near
}

// distance is Levenshtein's: how many bytes to add, take away or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, before+1, row[j]+1)
		}
	}
	return row[len(b)]
}
