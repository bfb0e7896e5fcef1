package crew

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sideman-go/sideman/tasks"
)

// The journal has a line for each event, by one write each:
//
//	S id attempt time pid    a handler starts
//	D id attempt time pid    a handler is about to return
type journal struct{ f *os.File }

func openJournal(dir string) (*journal, error) {
	f, err := os.OpenFile(journalFile(dir), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{f}, nil
}

func (j *journal) write(kind, id string, attempt int) {
	if _, err := fmt.Fprintf(j.f, "%s %s %d %d %d\n", kind, id, attempt, time.Now().UnixNano(), os.Getpid()); err != nil {
		panic(err)
	}
}

// events returns how many lines of the kind there are.
func events(t *testing.T, dir, kind string) int {
	t.Helper()
	text, err := os.ReadFile(journalFile(dir))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	n := bytes.Count(text, []byte("\n"+kind+" "))
	if bytes.HasPrefix(text, []byte(kind+" ")) {
		n++
	}
	return n
}

// run is one run of a handler.
type run struct {
	attempt    int
	start, end time.Time // end is zero if it didn't
	pid        int
}

// runs returns the runs of each record, in the order in which they began.
func runs(t *testing.T, dir string) map[string][]run {
	t.Helper()
	text, err := os.ReadFile(journalFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string][]run)
	for line := range strings.Lines(string(text)) {
		var kind, id string
		var attempt, pid int
		var nanos int64
		if _, err := fmt.Sscan(line, &kind, &id, &attempt, &nanos, &pid); err != nil {
			t.Fatalf("journal line %q: %v", line, err)
		}
		at := time.Unix(0, nanos)
		if kind == "S" {
			all[id] = append(all[id], run{attempt: attempt, start: at, pid: pid})
			continue
		}
		for i := range all[id] {
			if all[id][i].attempt == attempt && all[id][i].pid == pid {
				all[id][i].end = at
			}
		}
	}
	return all
}

// wantOneRun wants each of the records to have been run once, to its end.
func wantOneRun(t *testing.T, dir string, ids []string) {
	t.Helper()
	all := runs(t, dir)
	bad := 0
	for _, id := range ids {
		rs := all[id]
		if len(rs) == 1 && !rs[0].end.IsZero() {
			continue
		}
		if bad++; bad <= 5 {
			t.Errorf("record %s has the runs %+v, want one that has ended", id, rs)
		}
		for i := 1; i < len(rs); i++ {
			if rs[i-1].end.IsZero() || rs[i].start.Before(rs[i-1].end) {
				t.Errorf("record %s was run twice at once", id)
			}
		}
	}
	if bad > 0 {
		t.Errorf("%d of %d records weren't run once", bad, len(ids))
	}
	if len(all) != len(ids) {
		t.Errorf("%d records were run, want %d", len(all), len(ids))
	}
}

// explained wants what is stored of each record to tell what happened to it: as many attempts as
// the last run says, an error for each that was lost, and the value of the last. It returns
// their runs.
func (c *crew) explained(ids []string) map[string][]run {
	c.t.Helper()
	all := runs(c.t, c.order.Dir)
	for _, id := range ids {
		rec, rs := c.record(id), all[id]
		if len(rs) == 0 {
			c.t.Fatalf("record %s, which is %s, wasn't run", id, rec.Status)
		}
		last := rs[len(rs)-1].attempt
		strange := slices.ContainsFunc(rec.Errors, func(e tasks.AttemptError) bool { return e.Type != tasks.ErrorTypeLost })
		if rec.Attempts() != last || len(rec.Errors) != last-1 || strange || string(rec.Value) != strconv.Itoa(last) {
			c.t.Errorf("record %s, whose last run was attempt %d, has %d attempts, the value %s and the errors %+v; want that attempt's value and the others lost",
				id, last, rec.Attempts(), rec.Value, rec.Errors)
		}
	}
	return all
}

// attemptsOf are the attempts of which handlers started.
func attemptsOf(rs []run) []int {
	attempts := make([]int, len(rs))
	for i, r := range rs {
		attempts[i] = r.attempt
	}
	return attempts
}

// wantAttempts wants each of the records to have been run as just those attempts.
func (c *crew) wantAttempts(ids []string, want ...int) map[string][]run {
	c.t.Helper()
	all := c.explained(ids)
	for _, id := range ids {
		if got := attemptsOf(all[id]); !slices.Equal(got, want) {
			c.t.Errorf("record %s was run as attempts %v, want %v", id, got, want)
		}
	}
	return all
}
