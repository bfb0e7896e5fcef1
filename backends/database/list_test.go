package database_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/sideman-go/sideman/tasks"
)

// What few records match is found in one page, however far apart they are, and in order; and a
// page goes on behind the one before.
func TestListRareRecords(t *testing.T) {
	b := open(t)
	const all, every = 9000, 1500
	if _, err := b.Pool().Exec(t.Context(), "INSERT INTO "+table(b, "tasks")+` (enqueued_at, due, max_attempts, priority, id, queue, task, alias, stage, status, finished_at)
		SELECT now(), now(), 1, 0, 'id-' || lpad(n::text, 5, '0'), 'default', 'task', 'default', 2, CASE n % $2 WHEN 700 THEN 3 ELSE 2 END, now()
		FROM generate_series(1, $1) n`, all, every); err != nil {
		t.Fatal(err)
	}
	var want []string
	for n := 700; n <= all; n += every {
		want = append(want, fmt.Sprintf("id-%05d", n))
	}
	for _, newest := range []bool{false, true} {
		if newest {
			slices.Reverse(want)
		}
		for _, limit := range []int{1, 2, len(want), 100} {
			req := tasks.ListRequest{Filter: tasks.Filter{Statuses: []tasks.Status{tasks.Failed}}, Newest: newest, Limit: limit}
			var got []string
			pages := 0
			for more := true; more; more = req.After != "" {
				page, err := b.List(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page.Records {
					got = append(got, r.ID)
				}
				req.After = page.Next
				pages++
			}
			if !slices.Equal(got, want) {
				t.Errorf("newest %t, by %d: got %q, want %q", newest, limit, got, want)
			}
			if most := (len(want) + limit - 1) / limit; pages > most {
				t.Errorf("newest %t, by %d: %d pages, want at most %d", newest, limit, pages, most)
			}
		}
	}
	if page, err := b.List(t.Context(), tasks.ListRequest{Filter: tasks.Filter{Error: "x"}}); err != nil || len(page.Records) > 0 || page.Next != "" {
		t.Errorf("by an error that no record has: got %d records and %q, %v", len(page.Records), page.Next, err)
	}
}
