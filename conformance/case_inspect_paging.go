package conformance

import (
	"fmt"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

func pagingCases() []Case {
	return []Case{
		{
			Name: "Inspect/PageSize", Clauses: []string{"I1"}, Needs: tasks.CapList,
			What: "a page must keep to the Limit, which is 100 if absent and at most 1000, and paging must lose nothing",
			run: func(e *env) {
				h := e.connect()
				recs := e.records(1003)
				e.enqueue(h, recs...)
				for _, limit := range []int{0, -5, 1000, 1001, 1 << 40} {
					got := e.pages(h, tasks.ListRequest{Limit: limit}) // holds each page to PageSize
					if len(got) != len(recs) {
						e.Errorf("with Limit %d: got %d records in all, want %d", limit, len(got), len(recs))
					}
					for i := range min(len(got), len(recs)) {
						if got[i].ID != recs[i].ID {
							e.Errorf("with Limit %d: record %d is %s, want %s", limit, i, got[i].ID, recs[i].ID)
							break
						}
					}
				}
			},
		},
		{
			Name: "Inspect/PageOfFew", Clauses: []string{"I1"}, Needs: tasks.CapList,
			What: "a filter that matches few of many records must find those, also behind pages without any",
			run: func(e *env) {
				h := e.connect()
				for range 3 {
					e.enqueue(h, e.record(named("needle")))
					e.enqueue(h, e.records(700, named("hay"))...)
				}
				e.enqueue(h, e.record(named("needle")))
				for _, newest := range []bool{false, true} {
					for _, limit := range []int{1, 3, 1000} {
						req := tasks.ListRequest{Filter: tasks.Filter{Tasks: []string{"needle"}}, Limit: limit, Newest: newest}
						if got := e.pages(h, req); len(got) != 4 {
							e.Errorf("with Limit %d, Newest %v: got %d records, want 4", limit, newest, len(got))
						}
					}
				}
			},
		},
		{
			Name: "Inspect/PageStable", Clauses: []string{"I1"}, Needs: inspecting,
			What: "while others add, run and delete records, paging must show each record that was there all along exactly once",
			run: func(e *env) {
				pageWhileChanging(e, false)
			},
		},
		{
			Name: "Inspect/PageStableNewest", Clauses: []string{"I1"}, Needs: inspecting,
			What: "paging newest first must be as stable",
			run: func(e *env) {
				pageWhileChanging(e, true)
			},
		},
		{
			Name: "Inspect/PageGarbage", Clauses: []string{"I1"}, Needs: tasks.CapList,
			What: "an After that no page gave must yield an error or a page, and do no harm",
			run: func(e *env) {
				h := e.connect()
				recs := e.records(5)
				e.enqueue(h, recs...)
				for _, after := range []string{
					"garbage", "\x00", "a\x00b", "\xff\xfe", "🙂", "'; DROP TABLE tasks; --", "%", "-1", "0", "{}", "null",
					"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff", strings.Repeat("z", 10_000), recs[2].ID + "x",
				} {
					for _, newest := range []bool{false, true} {
						e.step("listing after %.40q", after)
						page, err := e.lister(h).List(e.ctx, tasks.ListRequest{After: after, Newest: newest})
						if e.ctx.Err() != nil {
							e.Fatalf("list after %.40q: still not back at the deadline of the case: %v", after, err)
						}
						seen := make(map[string]bool)
						for _, rec := range page.Records {
							if seen[rec.ID] {
								e.Errorf("list after %.40q: record %s is there twice", after, rec.ID)
							}
							seen[rec.ID] = true
						}
					}
				}
				e.sameRecords("list afterwards", e.list(h, tasks.Filter{}), recs)
			},
		},
	}
}

// pageWhileChanging changes the store between any two pages: it deletes what was
// just seen (the cursor too) and what comes next, moves records to other statuses,
// and adds some before and behind.
func pageWhileChanging(e *env, newest bool) {
	h := e.connect()
	recs := e.records(40, inQueue("paged"), attempts(5))
	e.enqueue(h, recs...)
	order := make(map[string]int) // position of each in the list
	for i, rec := range recs {
		order[rec.ID] = i
		if newest {
			order[rec.ID] = len(recs) - 1 - i
		}
	}
	at := func(pos int) string {
		if newest {
			pos = len(recs) - 1 - pos
		}
		return recs[pos].ID
	}
	deleted := make(map[string]bool) // before they were seen
	touched := make(map[string]bool) // deleted at any time
	del := func(pos int, seen map[string]int) {
		if pos < 0 || pos >= len(recs) || touched[at(pos)] {
			return
		}
		one := e.alter(h, tasks.Change{Kind: tasks.ChangeDelete}, at(pos))[0]
		if one.Err == nil {
			touched[at(pos)] = true
			deleted[at(pos)] = seen[at(pos)] == 0
		}
	}
	seen := make(map[string]int)
	last := -1
	req := tasks.ListRequest{Filter: tasks.Filter{Queues: []string{"paged"}}, Limit: 7, Newest: newest}
	for round := 0; ; round++ {
		page := e.page(h, req)
		for _, rec := range page.Records {
			seen[rec.ID]++
			if deleted[rec.ID] {
				e.Errorf("record %s is listed after it was deleted", rec.ID)
			}
			if pos, known := order[rec.ID]; known {
				if pos <= last {
					e.Errorf("record at %d is listed after the one at %d", pos, last)
				}
				last = pos
			}
		}
		if page.Next == "" {
			break
		}
		if page.Next == req.After || round > 100 {
			e.Fatalf("paging doesn't come to an end: round %d, Next %q", round, page.Next)
		}
		req.After = page.Next
		del(last, seen)   // the cursor itself
		del(last+2, seen) // one on the next page
		// Old and new ids, which sort before and behind all.
		e.enqueue(h, e.record(inQueue("paged"), func(r *tasks.Record) { r.ID = fmt.Sprintf("00000000-early-%d", round) }), e.record(inQueue("paged")))
		for i, c := range e.claimAs(h, tasks.ClaimRequest{
			Selection: tasks.Selection{Queues: []string{"paged"}}, Worker: "worker-1", Limit: 4, Lease: time.Minute,
		}) {
			e.settle(h, c, []tasks.Outcome{success("1"), failure("no"), retry("again", 0), retry("later", time.Hour)}[i%4])
		}
	}
	for i, rec := range recs {
		if !touched[rec.ID] && seen[rec.ID] != 1 {
			e.Errorf("record %d of %d was there all along and is listed %d times, want once", i, len(recs), seen[rec.ID])
		}
	}
	for id, n := range seen {
		if n > 1 {
			e.Errorf("record %s is listed %d times", id, n)
		}
	}
}
