package modeltest

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"pgregory.net/rapid"

	"github.com/sideman-go/sideman/tasks"
)

// same fails unless the store and the reference gave the same.
func same(t *rapid.T, what string, store, reference any) {
	t.Helper()
	if got, want := text(store), text(reference); got != want {
		t.Fatalf("%s:\nthe store:     %s\nthe reference: %s", what, got, want)
	}
}

// text is a value as JSON. Nothing and none of a list are the same.
func text(v any) string {
	b, err := json.Marshal(v)
	switch {
	case err != nil:
		return "not JSON: " + err.Error()
	case string(b) == "null":
		return "[]"
	}
	return string(b)
}

// verdict is an error as far as callers may rely on it.
func verdict(err error) string {
	for _, known := range []error{
		tasks.ErrLeaseLost, tasks.ErrNoChange, tasks.ErrResultNotFound, tasks.ErrInvalidTask, tasks.ErrClosed,
	} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	if err != nil {
		return "another error"
	}
	return ""
}

func verdicts(errs []error) []string {
	all := make([]string, len(errs))
	for i, err := range errs {
		all[i] = verdict(err)
	}
	return all
}

// stored is a record after Enqueue, with what its JSON leaves out.
type stored struct {
	Record    *tasks.Record
	Duplicate bool
}

func storeds(recs []*tasks.Record) []stored {
	all := make([]stored, len(recs))
	for i, rec := range recs {
		all[i] = stored{rec, rec.Duplicate}
	}
	return all
}

// untold returns claims without their tokens, which are to differ.
func untold(claimed []tasks.Claimed) []tasks.Claimed {
	claimed = slices.Clone(claimed)
	for i := range claimed {
		if claimed[i].Lease.Token != "" {
			claimed[i].Lease.Token = "a token"
		}
	}
	return claimed
}

// altereds are answers with their errors.
func altereds(answers []tasks.Altered) [][2]string {
	all := make([][2]string, len(answers))
	for i, a := range answers {
		all[i] = [2]string{string(a.Status), verdict(a.Err)}
	}
	return all
}

// counted are queues without the counts that are 0, and may be absent.
func counted(queues []tasks.QueueInfo) []tasks.QueueInfo {
	queues = slices.Clone(queues)
	for i := range queues {
		queues[i].Counts = maps.Clone(queues[i].Counts)
		maps.DeleteFunc(queues[i].Counts, func(_ tasks.Status, n int64) bool { return n == 0 })
		queues[i].Waiting = maps.Clone(queues[i].Waiting)
		maps.DeleteFunc(queues[i].Waiting, func(_ string, n int64) bool { return n == 0 })
	}
	return queues
}
