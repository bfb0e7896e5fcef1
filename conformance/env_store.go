package conformance

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// inspecting is what cases need that run records and look at them as an operator.
const inspecting = tasks.CapWorker | tasks.CapInspect | tasks.CapResults

// hostileNames are names that the App lets through, and that a store must keep
// apart: separators, patterns and quotes of SQL, Redis, glob and the shell, and
// prefixes and cases of one another.
func hostileNames() []string {
	return []string{
		"a", "A", "aa", "a/b", "a.b", "a:b", "a,b", "a b", " a", "a ", "a*", "*a", "a%", "a_", "%", "_", "?", "a?", "[a]", "[a-z]",
		"{a}", `a\b`, `\`, `a'b`, `a"b`, "a`b", "a;b", "a--", "$1", "a=b", "a&b", "a|b", "a#b", "..", "/", "/a", "a/", ":", ":a", "a:",
		"null", "0", "ä", "ａ", "🙂", "👩‍👩‍👧", strings.Repeat("a", tasks.MaxName), strings.Repeat("a", tasks.MaxName-1),
	}
}

// hostileTexts can't be in what the App hands on, but a store is called by others
// too, and one bad record must not do harm to its neighbours.
func hostileTexts() map[string]string {
	return map[string]string{
		"NUL":           "a\x00b",
		"invalid UTF-8": "a\xff\xfe\xc3b",
		"8 MiB":         strings.Repeat("x", 8<<20),
	}
}

// lister returns the backend as a Lister.
func (e *env) lister(h *handle) tasks.Lister {
	e.Helper()
	lister, ok := tasks.As[tasks.Lister](h.b)
	if !ok {
		e.Fatalf("the backend declares %v but is no tasks.Lister", h.caps)
	}
	return lister
}

// page reads one page and holds it to its limit.
func (e *env) page(h *handle, req tasks.ListRequest) tasks.Page {
	e.Helper()
	e.step("listing a page by %+v", req)
	page, err := e.lister(h).List(e.ctx, req)
	e.must(err, "list a page by %+v", req)
	if len(page.Records) > req.PageSize() {
		e.Errorf("list with Limit %d: got %d records on a page, want at most %d", req.Limit, len(page.Records), req.PageSize())
	}
	return page
}

// pages reads a list to its end, in pages of the request's size.
func (e *env) pages(h *handle, req tasks.ListRequest) []*tasks.Record {
	e.Helper()
	var recs []*tasks.Record
	for pages := 0; ; pages++ {
		page := e.page(h, req)
		if recs = append(recs, page.Records...); page.Next == "" {
			return recs
		}
		if page.Next == req.After || len(recs) > mostRecords || pages > mostRecords {
			e.Fatalf("list page %d by %+v: Next is %q, with %d records so far: it would never end", pages, req, page.Next, len(recs))
		}
		req.After = page.Next
	}
}

// alter changes records and holds the answers to one for each id.
func (e *env) alter(h *handle, change tasks.Change, ids ...string) []tasks.Altered {
	e.Helper()
	e.step("altering %d records: %+v", len(ids), change)
	answers, err := h.s.Alter(e.ctx, change, ids)
	e.must(err, "alter %d records: %+v", len(ids), change)
	if len(answers) != len(ids) {
		e.Fatalf("%s of %d ids gave %d answers", change.Kind, len(ids), len(answers))
	}
	return answers
}

// alterOne changes a record, which must be possible.
func (e *env) alterOne(h *handle, change tasks.Change, id string) tasks.Status {
	e.Helper()
	one := e.alter(h, change, id)[0]
	e.must(one.Err, "%s record %s", change.Kind, id)
	return one.Status
}

// setPaused pauses or resumes a queue.
func (e *env) setPaused(h *handle, queue string, paused bool) {
	e.Helper()
	e.step("setting queue %q to paused=%v", queue, paused)
	e.must(h.s.Pause(e.ctx, queue, paused), "set queue %q to paused=%v", queue, paused)
}

// standing makes a record that has come to a status, and reads it back. The lease
// is that of its only attempt, if it had one. In a queue in which others are READY
// it makes none but READY ones.
func (e *env) standing(h *handle, status tasks.Status, options ...func(*tasks.Record)) (*tasks.Record, tasks.Claimed) {
	e.Helper()
	rec := e.record(options...)
	e.enqueue(h, rec)
	if status == tasks.Ready {
		return e.get(h, rec.ID), tasks.Claimed{}
	}
	c := e.claimFrom(h, rec.Queue)
	if c.Record.ID != rec.ID {
		e.Fatalf("claim from queue %q gave record %s, want %s", rec.Queue, c.Record.ID, rec.ID)
	}
	e.finish(h, c, status)
	return e.get(h, rec.ID), c
}

// finish settles a claimed record so that it comes to the status.
func (e *env) finish(h *handle, c tasks.Claimed, status tasks.Status) {
	e.Helper()
	switch status {
	case tasks.Successful:
		e.settle(h, c, success(`"done"`))
	case tasks.Failed:
		e.settle(h, c, failure("made to fail"))
	case tasks.Cancelled:
		e.settle(h, c, tasks.Outcome{Kind: tasks.OutcomeCancel, Reason: "made to be cancelled"})
	case tasks.Ready, tasks.Running:
	}
}

// claimFrom claims exactly one record from one queue.
func (e *env) claimFrom(h *handle, queue string) tasks.Claimed {
	e.Helper()
	got := e.claimAs(h, tasks.ClaimRequest{
		Selection: tasks.Selection{Queues: []string{queue}}, Worker: "worker-1", Limit: 1, Lease: time.Minute,
	})
	if len(got) != 1 {
		e.Fatalf("claim from queue %q gave %d records, want 1", queue, len(got))
	}
	return got[0]
}

// noClaim fails if a selection gives anything.
func (e *env) noClaim(h *handle, what string, sel tasks.Selection) {
	e.Helper()
	for _, c := range e.claimAs(h, tasks.ClaimRequest{Selection: sel, Worker: "worker-1", Limit: 100, Lease: time.Minute}) {
		e.Errorf("%s: claim from %+v gave record %s of queue %q, want none", what, sel, c.Record.ID, c.Record.Queue)
	}
}

// sweep sweeps until there is no more to do, and adds up what was done.
func (e *env) sweep(h *handle) tasks.Swept {
	e.Helper()
	var sum tasks.Swept
	for round := 0; ; round++ {
		e.step("sweeping")
		s, err := h.s.Sweep(e.ctx)
		e.must(err, "sweep")
		sum.Lost += s.Lost
		sum.Expired += s.Expired
		sum.Pruned += s.Pruned
		if !s.More {
			return sum
		}
		if round == 1000 {
			e.Fatalf("sweep says More for the 1000th time, after %+v", sum)
		}
	}
}

// forget notes that the case closes the handle itself, so that nothing is looked at
// through it afterwards.
func (e *env) forget(h *handle) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.first == h {
		e.first = nil
	}
}

// gone fails if a record can be read.
func (e *env) gone(h *handle, what, id string) {
	e.Helper()
	e.step("reading record %s, which is to be gone", id)
	if rec, err := h.b.GetResult(e.ctx, id); !errors.Is(err, tasks.ErrResultNotFound) {
		e.Errorf("%s: get result %s: got %s, error %v; want ErrResultNotFound", what, id, brief(rec), err)
	}
}

// snapshot is all that an inspector shows of a store.
type snapshot struct {
	recs    []*tasks.Record
	queues  map[string]tasks.QueueInfo
	workers []tasks.WorkerInfo
}

func (e *env) snapshot(h *handle) snapshot {
	e.Helper()
	s := snapshot{recs: e.list(h, tasks.Filter{}), queues: e.queues(h)}
	e.step("reading the workers")
	var err error
	s.workers, err = h.s.Workers(e.ctx)
	e.must(err, "workers")
	return s
}

// unchanged fails where a store isn't as it was, but for ages.
func (e *env) unchanged(h *handle, what string, was snapshot) {
	e.Helper()
	is := e.snapshot(h)
	e.sameRecords(what, is.recs, was.recs)
	for name, w := range was.queues {
		g, ok := is.queues[name]
		if !ok {
			e.Errorf("%s: queue %q isn't there any more", what, name)
			continue
		}
		if g.Paused != w.Paused || !sameCounts(g.Counts, w.Counts) || !sameCounts(g.Waiting, w.Waiting) {
			e.Errorf("%s: queue %q: got %+v, want %+v", what, name, g, w)
		}
	}
	for name, g := range is.queues {
		if _, ok := was.queues[name]; !ok {
			e.Errorf("%s: queue %q is there that wasn't: %+v", what, name, g)
		}
	}
	gotWorkers, wantWorkers := workerIDs(is.workers), workerIDs(was.workers)
	if !slices.Equal(gotWorkers, wantWorkers) {
		e.Errorf("%s: got workers %q, want %q", what, gotWorkers, wantWorkers)
	}
}

// sameRecords compares two lists.
func (e *env) sameRecords(what string, got, want []*tasks.Record) {
	e.Helper()
	if !slices.Equal(idsOf(got), idsOf(want)) {
		e.Errorf("%s: got records %v, want %v", what, idsOf(got), idsOf(want))
		return
	}
	for i := range got {
		e.same(what, got[i], want[i])
	}
}

// sameCounts compares counts in which 0 and absent are the same.
func sameCounts[K comparable](x, y map[K]int64) bool {
	for k, n := range x {
		if y[k] != n {
			return false
		}
	}
	for k, n := range y {
		if x[k] != n {
			return false
		}
	}
	return true
}

func idsOf(recs []*tasks.Record) []string {
	ids := make([]string, len(recs))
	for i, rec := range recs {
		ids[i] = rec.ID
	}
	return ids
}

func workerIDs(workers []tasks.WorkerInfo) []string {
	ids := make([]string, len(workers))
	for i, w := range workers {
		ids[i] = w.ID
	}
	return ids
}
